package shards

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
)

// maxTaken bounds the elements that one run of rows may have below it, in list
// views, which may say the same elements as often as they like.
const maxTaken = 1 << 26

// take appends elements of an array, in this order; -1 stands for a null.
// (arrow/compute has no kernels for dictionaries and maps, and its filter gives
// wrong values for nullable booleans.)
func (c *outColumn) take(a arrow.Array, rows []int) error {
	if e, ok := a.(array.ExtensionArray); ok {
		a = e.Storage()
	}
	switch c.layout {
	case layoutNull:
		c.n += len(rows)
		c.nulls += len(rows)
		return nil
	case layoutStruct:
		return c.takeStruct(a, rows)
	case layoutList32, layoutList64, layoutListSize, layoutViews32, layoutViews64:
		return c.takeLists(a, rows)
	case layoutUnion:
		return c.takeUnion(a, rows)
	case layoutRunEnd:
		return c.takeRuns(a, rows)
	}
	value, err := c.taker(a)
	if err != nil {
		return err
	}
	for _, i := range rows {
		if i < 0 || a.IsNull(i) {
			err = c.blank(i < 0 && !c.field.nullable)
		} else {
			err = value(i)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// taker returns what appends an element of an array without children.
func (c *outColumn) taker(a arrow.Array) (func(i int) error, error) {
	buffers, offset := a.Data().Buffers(), a.Data().Offset()
	buffer := func(k int) []byte {
		if k >= len(buffers) || buffers[k] == nil {
			return nil
		}
		return buffers[k].Bytes()
	}
	if c.dict != nil {
		return c.dictTaker(a)
	}
	switch c.layout {
	case layoutBool:
		bits := buffer(1)
		return func(i int) error {
			i += offset
			c.bool(bits[i>>3]>>(i&7)&1 == 1)
			return nil
		}, nil
	case layoutFixed:
		values := buffer(1)
		return func(i int) error { return c.bytes(values[(i+offset)*c.width : (i+offset+1)*c.width]) }, nil
	case layoutVar32, layoutVar64:
		return c.varTaker(buffer(1), buffer(2), offset), nil
	case layoutView:
		switch v := a.(type) {
		case *array.StringView:
			return func(i int) error { return c.bytes([]byte(v.Value(i))) }, nil
		case *array.BinaryView:
			return func(i int) error { return c.bytes(v.Value(i)) }, nil
		}
	}
	return nil, fmt.Errorf("column %s: %w: Arrow type %s", c.field.name, ErrUnsupported, a.DataType())
}

// varTaker checks that offsets rise: a few rows could claim the same gigabyte.
func (c *outColumn) varTaker(offsets, values []byte, offset int) func(i int) error {
	at := func(i int) int {
		if c.layout == layoutVar64 {
			return int(int64(binary.LittleEndian.Uint64(offsets[8*i:])))
		}
		return int(int32(binary.LittleEndian.Uint32(offsets[4*i:])))
	}
	last := 0
	return func(i int) error {
		from, to := at(i+offset), at(i+offset+1)
		if from < last || to < from || to > len(values) {
			return fmt.Errorf("column %s: %w: a value of the bytes %d to %d of %d", c.field.name, ErrCorrupt, from, to, len(values))
		}
		last = to
		return c.bytes(values[from:to])
	}
}

func (c *outColumn) dictTaker(a arrow.Array) (func(i int) error, error) {
	d, ok := a.(*array.Dictionary)
	if !ok {
		return nil, fmt.Errorf("column %s: %w: Arrow type %s, want a dictionary", c.field.name, ErrCorrupt, a.DataType())
	}
	values := d.Dictionary().Len()
	return func(i int) error {
		k := d.GetValueIndex(i)
		if k < 0 || k >= values {
			return fmt.Errorf("column %s: %w: dictionary index %d of %d", c.field.name, ErrCorrupt, k, values)
		}
		return c.index(c.dict.place(k))
	}, nil
}

// index appends an index into the dictionary.
func (c *outColumn) index(k int) error {
	return c.bytes(binary.LittleEndian.AppendUint64(nil, uint64(k))[:c.width])
}

func (c *outColumn) takeStruct(a arrow.Array, rows []int) error {
	s, ok := a.(*array.Struct)
	if !ok || s.NumField() != len(c.children) {
		return fmt.Errorf("column %s: %w: Arrow type %s, want a struct of %d fields", c.field.name, ErrCorrupt, a.DataType(), len(c.children))
	}
	below := slices.Clone(rows)
	for k, i := range rows {
		null := i < 0 || s.IsNull(i)
		c.mark(!null || i < 0 && !c.field.nullable)
		if null {
			below[k] = -1
		}
	}
	for k, child := range c.children {
		if err := child.take(s.Field(k), below); err != nil {
			return err
		}
	}
	return nil
}

func (c *outColumn) takeLists(a arrow.Array, rows []int) error {
	lists, ok := a.(array.ListLike)
	if !ok {
		return fmt.Errorf("column %s: %w: Arrow type %s, want a list", c.field.name, ErrCorrupt, a.DataType())
	}
	elements, child := lists.ListValues(), c.children[0]
	views := c.layout == layoutViews32 || c.layout == layoutViews64
	var below []int
	base, last := child.n, int64(0)
	for _, i := range rows {
		start, null := base+len(below), i < 0 || a.IsNull(i)
		switch {
		case !null:
			from, to := lists.ValueOffsets(i)
			if from < 0 || to < from || to > int64(elements.Len()) || !views && from < last || len(below) > maxTaken {
				return fmt.Errorf("column %s: %w: a list of the elements %d to %d of %d", c.field.name, ErrCorrupt, from, to, elements.Len())
			}
			last = to
			for ; from < to; from++ {
				below = append(below, int(from))
			}
		case c.layout == layoutListSize:
			for range c.field.size {
				below = append(below, -1)
			}
		}
		if err := c.list(start, base+len(below), !null || i < 0 && !c.field.nullable); err != nil {
			return err
		}
	}
	return child.take(elements, below)
}

func (c *outColumn) takeUnion(a arrow.Array, rows []int) error {
	u, ok := a.(array.Union)
	if !ok || u.NumFields() != len(c.children) {
		return fmt.Errorf("column %s: %w: Arrow type %s, want a union of %d fields", c.field.name, ErrCorrupt, a.DataType(), len(c.children))
	}
	dense, _ := a.(*array.DenseUnion)
	below := make([][]int, len(c.children))
	base := make([]int, len(c.children))
	for k, child := range c.children {
		base[k] = child.n
	}
	for _, i := range rows {
		member, at := 0, -1
		if i >= 0 {
			if member, at = u.ChildID(i), i; dense != nil {
				at = int(dense.ValueOffset(i))
			}
			if member < 0 || member >= len(below) || at < 0 || at >= u.Field(member).Len() {
				return fmt.Errorf("column %s: %w: value %d of member %d of a union", c.field.name, ErrCorrupt, at, member)
			}
		}
		c.data = append(c.data, byte(c.field.typeIDs[member]))
		if dense != nil {
			c.offsets = binary.LittleEndian.AppendUint32(c.offsets, uint32(base[member]+len(below[member])))
		}
		for k := range below {
			if k == member {
				below[k] = append(below[k], at)
			} else if dense == nil {
				below[k] = append(below[k], -1)
			}
		}
		c.n++
	}
	for k, child := range c.children {
		if err := child.take(u.Field(k), below[k]); err != nil {
			return err
		}
	}
	return nil
}

func (c *outColumn) takeRuns(a arrow.Array, rows []int) error {
	runs, ok := a.(*array.RunEndEncoded)
	if !ok {
		return fmt.Errorf("column %s: %w: Arrow type %s, want run ends", c.field.name, ErrCorrupt, a.DataType())
	}
	last := -2
	for _, i := range rows {
		at := -1
		if i >= 0 {
			if at = runs.GetPhysicalIndex(i); at < 0 || at >= runs.Values().Len() {
				return fmt.Errorf("column %s: %w: row %d is in run %d of %d", c.field.name, ErrCorrupt, i, at, runs.Values().Len())
			}
		}
		err := error(nil)
		if at == last {
			err = c.extend(1)
		} else {
			err = c.run(1, func(values *outColumn) error { return values.take(runs.Values(), []int{at}) })
		}
		if err != nil {
			return err
		}
		last = at
	}
	return nil
}
