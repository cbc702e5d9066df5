// Package kmeans clusters vectors: k-means++ seeding and Lloyd's iterations,
// deterministic to the bit, with the large matrix products done by whoever is
// given for it.
package kmeans

// Matrix holds vectors of one dimension, row after row.
type Matrix struct {
	Dim  int
	Data []float32 // Rows() x Dim
}

// NewMatrix returns a matrix of zeros.
func NewMatrix(rows, dim int) Matrix { return Matrix{dim, make([]float32, rows*dim)} }

// Rows returns the number of vectors.
func (m Matrix) Rows() int {
	if m.Dim == 0 {
		return 0
	}
	return len(m.Data) / m.Dim
}

// Row returns vector i; it shares memory with the matrix.
func (m Matrix) Row(i int) []float32 { return m.Data[i*m.Dim : (i+1)*m.Dim : (i+1)*m.Dim] }

// Slice returns the vectors from (included) to (excluded).
func (m Matrix) Slice(from, to int) Matrix { return Matrix{m.Dim, m.Data[from*m.Dim : to*m.Dim]} }

// Gather returns copies of the given vectors.
func (m Matrix) Gather(rows []int) Matrix {
	out := NewMatrix(len(rows), m.Dim)
	for i, row := range rows {
		copy(out.Row(i), m.Row(row))
	}
	return out
}
