package lm

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/curate-data/curate/pipeline"
)

// batch is a device batch: rows of one length, each with the windows that it
// holds one after the other, by index. Rows past the last are empty.
type batch struct {
	rows, length int
	held         [][]int
}

// manyRows is from how many rows of a batch on the last rows of a call go in
// batches of an eighth: empty rows of a large batch cost more than code for
// another shape.
const manyRows = 32

// plan packs windows into rows of T tokens and takes BatchTokens/T rows at a
// time. One or two shapes serve all batches, since each shape is compiled. What is
// beside what depends on the windows and T alone; the last batch may have empty rows.
func plan(windows []pipeline.Window, o ScorerOptions) []batch {
	rows := max(1, o.BatchTokens/o.SequenceLength)
	held := pack(windows, o.SequenceLength)
	var batches []batch
	take := func(from, to, rows int) {
		for held := range slices.Chunk(held[from:to], rows) {
			batches = append(batches, batch{rows, o.SequenceLength, held})
		}
	}
	full := len(held)
	if rows >= manyRows {
		full -= full % rows
	}
	take(0, full, rows)
	take(full, len(held), max(1, rows/8))
	return batches
}

// pack places windows of up to length tokens in rows of that length: longest
// first, each in the row that it leaves the least room in, in a new one if it
// fits none ("best fit decreasing"; at most 11/9 of the rows of the best
// packing, plus 4). Windows without counted tokens are left out.
func pack(windows []pipeline.Window, length int) [][]int {
	var order []int
	for i, w := range windows {
		if w.Counted() > 0 {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(len(windows[b].Tokens), len(windows[a].Tokens)), cmp.Compare(a, b))
	})
	var rows [][]int
	open := newRooms(length)
	for _, i := range order {
		n := len(windows[i].Tokens)
		row, room := open.take(n)
		if row < 0 {
			row, room = len(rows), length
			rows = append(rows, nil)
		}
		rows[row] = append(rows[row], i)
		open.put(row, room-n)
	}
	return rows
}

// rooms keeps rows by the room that is left in them.
type rooms struct {
	rows [][]int  // by room
	some []uint64 // bit r: there are rows with room r
}

func newRooms(most int) rooms { return rooms{make([][]int, most+1), make([]uint64, most/64+1)} }

func (r rooms) put(row, room int) {
	r.rows[room] = append(r.rows[room], row)
	r.some[room/64] |= 1 << (room % 64)
}

// take returns a row with the least room of at least n, and that room; row -1
// if there is none. The last one put is the first one taken.
func (r rooms) take(n int) (row, room int) {
	word, from := n/64, n%64
	set := r.some[word] >> from << from
	for set == 0 {
		if word++; word == len(r.some) {
			return -1, 0
		}
		set = r.some[word]
	}
	room = word*64 + bits.TrailingZeros64(set)
	list := r.rows[room]
	row, r.rows[room] = list[len(list)-1], list[:len(list)-1]
	if len(list) == 1 {
		r.some[room/64] &^= 1 << (room % 64)
	}
	return row, room
}

// packed reports whether a row holds several windows. Where none does the
// causal decoder needs neither segments nor positions: padding comes last.
func (b batch) packed() bool {
	return slices.ContainsFunc(b.held, func(row []int) bool { return len(row) > 1 })
}

// used is how many tokens are not padding.
func (b batch) used(windows []pipeline.Window) int {
	tokens := 0
	for _, row := range b.held {
		for _, i := range row {
			tokens += len(windows[i].Tokens)
		}
	}
	return tokens
}

// inputs returns ids, segments and positions of the batch, [rows,length] each.
// The windows of a row are segments 1, 2, ...; padding is segment 0, with ids
// and positions 0.
func (b batch) inputs(windows []pipeline.Window) (tokens, segments, positions []int32) {
	size := b.rows * b.length
	tokens, segments, positions = make([]int32, size), make([]int32, size), make([]int32, size)
	for row, held := range b.held {
		at := row * b.length
		for k, i := range held {
			n := copy(tokens[at:], windows[i].Tokens)
			for j := range n {
				segments[at+j], positions[at+j] = int32(k+1), int32(j)
			}
			at += n
		}
	}
	return tokens, segments, positions
}

// addUp adds the losses [rows,length-1] of each window's counted tokens. The
// loss of token j of a row is at j-1.
func (b batch) addUp(loss []float32, windows []pipeline.Window, sums []float64) {
	for row, held := range b.held {
		at := row*(b.length-1) - 1
		for _, i := range held {
			n := len(windows[i].Tokens)
			for _, l := range loss[at+n-windows[i].Counted() : at+n] {
				sums[i] += float64(l)
			}
			at += n
		}
	}
}
