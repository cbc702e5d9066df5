package kmeans

import "context"

// plain is the Product in plain Go. One call uses one goroutine.
type plain struct{}

// Multiply implements Product. The columns of out, which are vectors of b, are
// done in tiles that stay in a first-level cache while all vectors of a pass by.
func (plain) Multiply(ctx context.Context, a, b Matrix, out []float32) error {
	if b.Dim == 0 {
		clear(out)
		return nil
	}
	t := newTile(b.Dim)
	for from := 0; from < b.Rows(); from += t.columns() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		t.multiply(a, b, from, out)
	}
	return nil
}
