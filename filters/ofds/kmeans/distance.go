package kmeans

import "math"

// square returns the square of the distance of two vectors: differences in
// float32, their squares exact, added up in order in float64. It is the distance
// that decides; everything else only bounds it. A product of two float32 is
// exact in float64, so processors that fuse operations give the same bits.
func square(x, y []float32) float64 {
	y = y[:len(x)]
	sum := 0.0
	for j, p := range x {
		d := p - y[j]
		sum += float64(d) * float64(d)
	}
	return sum
}

// squares returns square of four pairs at once, with the same bits: each sum
// waits for its own last addition only.
func squares(x, y *[4][]float32) (s0, s1, s2, s3 float64) {
	x0 := x[0]
	x1, x2, x3 := x[1][:len(x0)], x[2][:len(x0)], x[3][:len(x0)]
	y0, y1, y2, y3 := y[0][:len(x0)], y[1][:len(x0)], y[2][:len(x0)], y[3][:len(x0)]
	for j, p := range x0 {
		d0, d1, d2, d3 := p-y0[j], x1[j]-y1[j], x2[j]-y2[j], x3[j]-y3[j]
		s0 += float64(d0) * float64(d0)
		s1 += float64(d1) * float64(d1)
		s2 += float64(d2) * float64(d2)
		s3 += float64(d3) * float64(d3)
	}
	return
}

// each calls square for n pairs, four at a time, and hands over the results in
// order.
func each(n int, pair func(i int) (x, y []float32), result func(i int, square float64)) {
	var x, y [4][]float32
	i := 0
	for ; i+3 < n; i += 4 {
		for k := range 4 {
			x[k], y[k] = pair(i + k)
		}
		s0, s1, s2, s3 := squares(&x, &y)
		result(i, s0)
		result(i+1, s1)
		result(i+2, s2)
		result(i+3, s3)
	}
	for ; i < n; i++ {
		p, q := pair(i)
		result(i, square(p, q))
	}
}

// length returns the Euclidean length of a vector; not finite if the vector is
// not.
func length(x []float32) float64 {
	sum := 0.0
	for _, p := range x {
		sum += float64(p) * float64(p)
	}
	return math.Sqrt(sum)
}
