package shards

import (
	"encoding/binary"
	"fmt"
	"math"
)

// outColumn collects values of one field in the buffers of Arrow's columnar
// format, whatever the rows come from and whatever is made of them.
type outColumn struct {
	field    *arrowField
	layout   layout // of a dictionary: of its indices
	width    int    // bytes of a fixed-size value
	n, nulls int
	valid    []byte // bits
	offsets  []byte // n+1 of lists and variable-size values; n of list views and dense unions
	sizes    []byte // of list views
	data     []byte // bits, fixed-size values, bytes, views or type ids
	long     []byte // bytes that views point to
	dict     *outDict
	children []*outColumn
}

// newOutColumn makes the column of a field and of those below it. dicts gets
// their dictionaries, inner ones first.
func newOutColumn(f *arrowField, dicts *dictSet) *outColumn {
	c := &outColumn{field: f}
	if f.dict != nil && dicts != nil {
		c.layout, c.width = layoutFixed, f.dict.bits/8
		c.dict = dicts.of(f)
	} else {
		c.layout, c.width = f.layout(), f.width()
		for _, child := range f.children {
			c.children = append(c.children, newOutColumn(child, dicts))
		}
	}
	c.reset()
	return c
}

// reset empties the column. Its memory stays, unless it is far above what
// batches take: one huge row shall not keep it.
func (c *outColumn) reset() {
	c.n, c.nulls = 0, 0
	for _, b := range []*[]byte{&c.valid, &c.offsets, &c.sizes, &c.data, &c.long} {
		if cap(*b) > 4*tableBytes {
			*b = nil
		}
		*b = (*b)[:0]
	}
	switch c.layout {
	case layoutVar32, layoutList32:
		c.offsets = append(c.offsets, 0, 0, 0, 0)
	case layoutVar64, layoutList64:
		c.offsets = append(c.offsets, 0, 0, 0, 0, 0, 0, 0, 0)
	}
	for _, child := range c.children {
		child.reset()
	}
}

// size is the number of bytes in the column's buffers.
func (c *outColumn) size() int64 {
	total := int64(len(c.valid) + len(c.offsets) + len(c.sizes) + len(c.data) + len(c.long))
	for _, child := range c.children {
		total += child.size()
	}
	return total
}

// mark counts one more value, which is in the other buffers already.
func (c *outColumn) mark(valid bool) {
	if c.n&7 == 0 {
		c.valid = append(c.valid, 0)
	}
	if valid {
		c.valid[c.n>>3] |= 1 << (c.n & 7)
	} else {
		c.nulls++
	}
	c.n++
}

// isNull tells whether value i is null; unions and run ends leave it to their
// children.
func (c *outColumn) isNull(i int) bool {
	switch c.layout {
	case layoutNull:
		return true
	case layoutUnion, layoutRunEnd:
		return false
	}
	return c.valid[i>>3]>>(i&7)&1 == 0
}

// null appends a null, in fields that have none the value of zero bytes.
func (c *outColumn) null() error { return c.blank(false) }

// blank appends zeros, as a null or as a value.
func (c *outColumn) blank(valid bool) error {
	var err error
	switch c.layout {
	case layoutBool:
		c.bit(false)
	case layoutFixed:
		c.data = append(c.data, make([]byte, c.width)...)
		valid = valid && c.dict == nil // whose index 0 may have no value
	case layoutView:
		c.data = append(c.data, make([]byte, 16)...)
	case layoutVar32, layoutVar64:
		err = c.offset(len(c.data))
	case layoutList32, layoutList64, layoutViews32, layoutViews64:
		return c.list(c.children[0].n, c.children[0].n, valid)
	case layoutListSize:
		for range c.field.size {
			if err == nil {
				err = c.children[0].filler()
			}
		}
	case layoutStruct:
		for _, child := range c.children {
			if err == nil {
				err = child.filler()
			}
		}
	case layoutUnion:
		return c.member(0, func(child *outColumn) error { return child.filler() })
	case layoutRunEnd:
		return c.run(1, func(values *outColumn) error { return values.filler() })
	}
	c.mark(valid)
	return err
}

// filler appends what stands below a null, where nobody looks: a null if the
// field may have any.
func (c *outColumn) filler() error { return c.blank(!c.field.nullable) }

// bit appends to the values of a bool column.
func (c *outColumn) bit(v bool) {
	if c.n&7 == 0 {
		c.data = append(c.data, 0)
	}
	if v {
		c.data[c.n>>3] |= 1 << (c.n & 7)
	}
}

// bool appends a bool.
func (c *outColumn) bool(v bool) {
	c.bit(v)
	c.mark(true)
}

// bytes appends a value of fixed or variable size.
func (c *outColumn) bytes(b []byte) error {
	switch c.layout {
	case layoutFixed:
		if len(b) != c.width {
			return fmt.Errorf("%w: a value of %d bytes, want %d", ErrCorrupt, len(b), c.width)
		}
		c.data = append(c.data, b...)
	case layoutView:
		if err := c.view(b); err != nil {
			return err
		}
	case layoutVar32, layoutVar64:
		c.data = append(c.data, b...)
		if err := c.offset(len(c.data)); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%w: bytes in a column of Arrow type number %d", ErrCorrupt, c.field.kind)
	}
	c.mark(true)
	return nil
}

// view appends a view of b: short values are in it, others in long.
func (c *outColumn) view(b []byte) error {
	var v [16]byte
	binary.LittleEndian.PutUint32(v[:], uint32(len(b)))
	if len(b) <= 12 {
		copy(v[4:], b)
	} else {
		if len(c.long)+len(b) > math.MaxInt32 {
			return c.tooLong()
		}
		copy(v[4:8], b)
		binary.LittleEndian.PutUint32(v[12:], uint32(len(c.long)))
		c.long = append(c.long, b...)
	}
	c.data = append(c.data, v[:]...)
	return nil
}

// offset appends the end of a list or a variable-size value.
func (c *outColumn) offset(end int) error {
	switch c.layout {
	case layoutVar64, layoutList64, layoutViews64:
		c.offsets = binary.LittleEndian.AppendUint64(c.offsets, uint64(end))
		return nil
	}
	if end > math.MaxInt32 {
		return c.tooLong()
	}
	c.offsets = binary.LittleEndian.AppendUint32(c.offsets, uint32(end))
	return nil
}

func (c *outColumn) tooLong() error {
	return fmt.Errorf("column %s: %w: more than 2 GiB of values for one row group; its type has offsets of 32 bits: write Parquet or JSONL", c.field.name, ErrUnsupported)
}

// list appends a list whose elements are those of the child from start to end.
func (c *outColumn) list(start, end int, valid bool) error {
	var err error
	switch c.layout {
	case layoutListSize:
		if want := int(c.field.size); end-start != want {
			err = fmt.Errorf("column %s: %w: a list of %d elements, where each has %d", c.field.name, ErrCorrupt, end-start, want)
		}
	case layoutViews32:
		err = c.offset(start)
		c.sizes = binary.LittleEndian.AppendUint32(c.sizes, uint32(end-start))
	case layoutViews64:
		err = c.offset(start)
		c.sizes = binary.LittleEndian.AppendUint64(c.sizes, uint64(end-start))
	default:
		err = c.offset(end)
	}
	c.mark(valid)
	return err
}

// bounds returns where value i begins and ends: bytes of data or elements of
// the child.
func (c *outColumn) bounds(i int) (from, to int) {
	at := func(b []byte, i int) int {
		switch c.layout {
		case layoutVar64, layoutList64, layoutViews64:
			return int(binary.LittleEndian.Uint64(b[8*i:]))
		}
		return int(binary.LittleEndian.Uint32(b[4*i:]))
	}
	switch c.layout {
	case layoutListSize:
		return i * int(c.field.size), (i + 1) * int(c.field.size)
	case layoutViews32, layoutViews64:
		from = at(c.offsets, i)
		return from, from + at(c.sizes, i)
	}
	return at(c.offsets, i), at(c.offsets, i+1)
}

// raw returns the bytes of value i, valid until the column changes.
func (c *outColumn) raw(i int) []byte {
	switch c.layout {
	case layoutFixed:
		return c.data[i*c.width : (i+1)*c.width]
	case layoutView:
		v := c.data[16*i : 16*i+16]
		n := int(binary.LittleEndian.Uint32(v))
		if n <= 12 {
			return v[4 : 4+n]
		}
		at := int(binary.LittleEndian.Uint32(v[12:]))
		return c.long[at : at+n]
	}
	from, to := c.bounds(i)
	return c.data[from:to]
}
