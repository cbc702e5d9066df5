package metrics

import (
	"cmp"
	"math"
	"slices"
)

// jacobi returns the eigenvectors, in columns, and the eigenvalues of a small
// symmetric matrix, the largest first (cyclic Jacobi: Golub and Van Loan, 8.5).
func jacobi(matrix [][]float64) (vectors [][]float64, values []float64) {
	n := len(matrix)
	a, v := make([][]float64, n), make([][]float64, n)
	for i := range n {
		a[i], v[i] = slices.Clone(matrix[i]), make([]float64, n)
		v[i][i] = 1
	}
	for range 60 { // it converges quadratically; ten sweeps are many
		off, all := 0.0, 0.0
		for i := range n {
			for j := range n {
				all += a[i][j] * a[i][j]
				if i != j {
					off += a[i][j] * a[i][j]
				}
			}
		}
		if off <= 1e-32*all {
			break
		}
		for p := range n {
			for q := p + 1; q < n; q++ {
				rotate(a, v, p, q)
			}
		}
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(a[j][j], a[i][i]) })
	vectors, values = make([][]float64, n), make([]float64, n)
	for i := range n {
		vectors[i] = make([]float64, n)
		for to, from := range order {
			vectors[i][to] = v[i][from]
		}
		values[i] = a[order[i]][order[i]]
	}
	return vectors, values
}

// rotate makes a[p][q] zero and turns v along.
func rotate(a, v [][]float64, p, q int) {
	if a[p][q] == 0 {
		return
	}
	tau := (a[q][q] - a[p][p]) / (2 * a[p][q])
	t := 1 / (math.Abs(tau) + math.Hypot(1, tau))
	if tau < 0 {
		t = -t
	}
	c := 1 / math.Hypot(1, t)
	s := t * c
	for k := range a {
		a[k][p], a[k][q] = c*a[k][p]-s*a[k][q], s*a[k][p]+c*a[k][q]
	}
	for k := range a {
		a[p][k], a[q][k] = c*a[p][k]-s*a[q][k], s*a[p][k]+c*a[q][k]
	}
	for k := range v {
		v[k][p], v[k][q] = c*v[k][p]-s*v[k][q], s*v[k][p]+c*v[k][q]
	}
}
