package shards

import (
	"cmp"
	"slices"
)

// planned is a request that Prefetch announced.
type planned struct {
	from, to int64
	begun    bool
}

// Prefetch implements the seam of an Object whose reads cost round trips.
// Ranges outside the object are cut off.
func (r *Ranged) Prefetch(ranges []Range) {
	plan := coalesce(ranges, r.size)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.plan = plan
	r.schedule()
}

// coalesce makes requests of ranges: neighbours in one, none too large.
func coalesce(ranges []Range, size int64) []planned {
	var parts []planned
	for _, p := range ranges {
		from, to := max(0, p.Offset), min(size, p.Offset+p.Length)
		if from < to {
			parts = append(parts, planned{from: from, to: to})
		}
	}
	slices.SortFunc(parts, func(a, b planned) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
	var plan []planned
	for _, p := range parts {
		if n := len(plan); n > 0 {
			last := &plan[n-1]
			p.from = max(p.from, last.to) // what overlaps is there already
			if p.from >= p.to {
				continue
			}
			// Joined only if all of it fits: two halves of a range would be no gain.
			if p.from-last.to <= rangedGap && p.to-last.from <= rangedRequest {
				last.to = p.to
				continue
			}
		}
		for p.to-p.from > rangedRequest {
			plan = append(plan, planned{from: p.from, to: p.from + rangedRequest})
			p.from += rangedRequest
		}
		plan = append(plan, p)
	}
	return plan
}

// schedule begins planned requests, in their order, as far as memory and the
// number of requests allow.
func (r *Ranged) schedule() {
	for i := range r.plan {
		p := &r.plan[i]
		if p.begun {
			continue
		}
		for at := p.from; at < p.to; {
			from, to := r.free(at, p.to)
			if from >= p.to {
				break
			}
			if r.ctx.Err() != nil || r.running >= rangedParallel || !r.room(to-from, false) {
				return
			}
			r.start(from, to)
			at = to
		}
		p.begun = true
	}
}

// demand begins the request that a reader at off waits for and returns its span.
func (r *Ranged) demand(off, length int64, at *stream) *span {
	from, to := off, off+max(length, rangedLeast, at.window)
	for _, p := range r.plan {
		if p.from <= off && off < p.to {
			if !p.begun {
				from = p.from
			}
			to = p.to
			break
		}
	}
	to = min(to, r.size, from+rangedRequest)
	if from < off {
		// What is before off may be there already.
		if i := r.index(off); i > 0 {
			from = max(from, r.spans[i-1].end())
		}
	}
	_, to = r.free(off, to)
	r.room(to-from, true)
	at.window = min(2*at.window, rangedAhead)
	return r.start(from, to)
}

// announced reports whether a byte is in the plan.
func (r *Ranged) announced(off int64) bool {
	return slices.ContainsFunc(r.plan, func(p planned) bool { return p.from <= off && off < p.to })
}

// stream is a sequential reader.
type stream struct {
	next   int64 // where it will read
	window int64 // bytes to have ahead of it, 0 until it has read twice in a row
	used   int64 // Ranged.clock
}

// follow returns the stream that a read belongs to, moved on past the read.
func (r *Ranged) follow(off, length int64) *stream {
	oldest := -1
	for i := range r.streams {
		s := &r.streams[i]
		if s.next <= off && off <= s.next+rangedLeast {
			s.window = min(max(s.window, 4*length, 4*rangedLeast), rangedAhead)
			s.next, s.used = off+length, r.clock
			return s
		}
		if oldest < 0 || s.used < r.streams[oldest].used {
			oldest = i
		}
	}
	if len(r.streams) < rangedStreams {
		r.streams = append(r.streams, stream{})
		oldest = len(r.streams) - 1
	}
	r.streams[oldest] = stream{next: off + length, used: r.clock}
	return &r.streams[oldest]
}

// ahead begins the next request of a sequential reader when less than half of
// its window is left. Who has announced what it reads wants nothing else.
func (r *Ranged) ahead(s *stream) {
	if s.window == 0 {
		return
	}
	from, _ := r.free(s.next, s.next)
	if from-s.next > s.window/2 || from >= r.size || r.ctx.Err() != nil {
		return
	}
	for _, p := range r.plan {
		if p.from < s.next && s.next <= p.to || p.from <= from && from < p.to {
			return
		}
	}
	from, to := r.free(from, min(from+s.window, r.size))
	if r.running < rangedParallel && r.room(to-from, false) {
		r.start(from, to)
		s.window = min(2*s.window, rangedAhead)
	}
}
