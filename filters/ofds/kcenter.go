package ofds

import "math"

// farthest returns the image of the object that is farthest from all covered
// objects of its class; -1 if every object that can be had is covered. Of
// equals it is the first object's.
func (r *run) farthest() int32 {
	if r.gaps == nil {
		r.gaps = make([]float64, len(r.pool.Objects))
		for i := range r.gaps {
			r.gaps[i] = math.Inf(1)
		}
		for i := range r.in {
			if r.in[i] {
				r.close(int32(i))
			}
		}
	} else {
		for _, c := range r.choices[r.closed:] {
			r.close(c.Image)
		}
	}
	r.closed = len(r.choices)
	best, most := int32(-1), 0.0
	for i, gap := range r.gaps {
		if gap > most && r.affordable(r.pool.Objects[i].Image) {
			best, most = r.pool.Objects[i].Image, gap
		}
	}
	return best
}

// close brings the gaps of all objects up to date with an image that covers.
func (r *run) close(image int32) {
	i := &r.pool.Images[image]
	for o := i.First; o < i.End; o++ {
		for _, other := range r.classes[r.pool.Objects[o].Class].objects {
			r.gaps[other] = min(r.gaps[other], square(r.pool.Vectors.Row(int(o)), r.pool.Vectors.Row(int(other))))
		}
	}
}
