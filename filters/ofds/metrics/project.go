package metrics

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/curate-data/curate/filters/ofds/kmeans"
)

// Projection is a principal component analysis to two dimensions: point i is at
// ((z_i - Mean) . Axes[0], (z_i - Mean) . Axes[1]).
type Projection struct {
	Mean []float64 // of the vectors
	// Axes are the two directions of largest variance, of length 1 and at right
	// angles. The component of largest magnitude (the first of equals) is positive.
	// Axes without variance are 0.
	Axes [2][]float64
	// Explained is the share of the variance that each axis has; missing where
	// all vectors are the same.
	Explained [2]Number
}

// block is how many directions are iterated together: the more, the faster the
// first two settle. rounds and settled bound how long.
const (
	block   = 10
	rounds  = 1000
	settled = 1e-12
)

// Project finds the plane that shows most of the variance of vectors. It is the
// same for the same vectors, bit by bit. Its cost is rows x dim^2; for a drawing
// some thousand vectors are enough. The matrix must have a row.
func Project(vectors kmeans.Matrix) (*Projection, error) {
	n, dim := vectors.Rows(), vectors.Dim
	if n == 0 {
		return nil, fmt.Errorf("project vectors: there are none")
	}
	p := &Projection{Mean: make([]float64, dim)}
	for i := range n {
		for j, x := range vectors.Row(i) {
			p.Mean[j] += float64(x)
		}
	}
	for j := range p.Mean {
		p.Mean[j] /= float64(n)
	}
	covariance, total := covarianceOf(vectors, p.Mean)
	axes, variance := principal(covariance, min(block, dim))
	for a := range p.Axes {
		p.Axes[a], p.Explained[a] = make([]float64, dim), ratio(0, total)
		if a < len(axes) && variance[a] > total*1e-12 {
			p.Axes[a], p.Explained[a] = signed(axes[a]), ratio(variance[a], total)
		}
	}
	return p, nil
}

// Point returns where a vector lies in the plane.
func (p *Projection) Point(vector []float32) (x, y float64) {
	for j, v := range vector {
		d := float64(v) - p.Mean[j]
		x += d * p.Axes[0][j]
		y += d * p.Axes[1][j]
	}
	return x, y
}

// covarianceOf returns the covariance matrix (times the number of vectors) and
// its trace.
func covarianceOf(vectors kmeans.Matrix, mean []float64) (matrix [][]float64, trace float64) {
	dim := len(mean)
	matrix = make([][]float64, dim)
	for j := range matrix {
		matrix[j] = make([]float64, dim)
	}
	centered := make([]float64, dim)
	for i := range vectors.Rows() {
		for j, x := range vectors.Row(i) {
			centered[j] = float64(x) - mean[j]
		}
		for j, x := range centered {
			row := matrix[j][:j+1]
			for k := range row {
				row[k] += x * centered[k]
			}
		}
	}
	for j := range matrix {
		for k := range j {
			matrix[k][j] = matrix[j][k]
		}
		trace += matrix[j][j]
	}
	return matrix, trace
}

// principal returns the eigenvectors of the largest eigenvalues of a symmetric
// matrix, and the eigenvalues, both falling: block power iteration, with the
// eigenvectors inside the block's space found by Jacobi rotations.
func principal(matrix [][]float64, width int) (vectors [][]float64, values []float64) {
	random := rand.New(rand.NewPCG(1, 2))
	vectors = make([][]float64, width)
	for a := range vectors {
		vectors[a] = make([]float64, len(matrix))
		for j := range vectors[a] {
			vectors[a][j] = random.NormFloat64()
		}
	}
	orthonormal(vectors)
	for range rounds {
		image := make([][]float64, width)
		for a := range image {
			image[a] = times(matrix, vectors[a])
		}
		inner := make([][]float64, width)
		for a := range inner {
			inner[a] = make([]float64, width)
			for b := range inner[a] {
				inner[a][b] = dot(vectors[a], image[b])
			}
		}
		turn, v := jacobi(inner)
		vectors, image, values = turned(vectors, turn), turned(image, turn), v
		if rest(vectors, image, values) <= settled {
			break
		}
		vectors = image
		orthonormal(vectors)
	}
	return vectors, values
}

// rest says how far the first two vectors are from being eigenvectors, in terms
// of the largest eigenvalue.
func rest(vectors, image [][]float64, values []float64) float64 {
	most := 0.0
	for a := range min(2, len(vectors)) {
		sum := 0.0
		for j, x := range image[a] {
			d := x - values[a]*vectors[a][j]
			sum += d * d
		}
		most = max(most, math.Sqrt(sum))
	}
	if values[0] <= 0 {
		return 0
	}
	return most / values[0]
}

// turned returns the combinations of vectors that the columns of turn give.
func turned(vectors, turn [][]float64) [][]float64 {
	out := make([][]float64, len(vectors))
	for a := range out {
		out[a] = make([]float64, len(vectors[0]))
		for b, v := range vectors {
			for j, x := range v {
				out[a][j] += turn[b][a] * x
			}
		}
	}
	return out
}

// orthonormal makes vectors of length 1 at right angles of each other, in place
// (Gram-Schmidt, done twice for accuracy). What depends on those before becomes 0.
func orthonormal(vectors [][]float64) {
	for a, v := range vectors {
		before := math.Sqrt(dot(v, v))
		for range 2 {
			for _, u := range vectors[:a] {
				d := dot(u, v)
				for j := range v {
					v[j] -= d * u[j]
				}
			}
		}
		length := math.Sqrt(dot(v, v))
		for j := range v {
			if length > before*1e-13 {
				v[j] /= length
			} else {
				v[j] = 0
			}
		}
	}
}

func times(matrix [][]float64, v []float64) []float64 {
	out := make([]float64, len(v))
	for j, row := range matrix {
		out[j] = dot(row, v)
	}
	return out
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for j, x := range a {
		sum += x * b[j]
	}
	return sum
}

// signed turns a vector around so that its largest component is positive.
func signed(v []float64) []float64 {
	largest := 0
	for j, x := range v {
		if math.Abs(x) > math.Abs(v[largest]) {
			largest = j
		}
	}
	if v[largest] < 0 {
		for j := range v {
			v[j] = -v[j]
		}
	}
	return v
}
