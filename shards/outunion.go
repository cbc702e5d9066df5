package shards

import (
	"encoding/binary"
	"fmt"
)

// member appends a value of a union, in child k.
func (c *outColumn) member(k int, value func(child *outColumn) error) error {
	if k < 0 || k >= len(c.children) || k >= len(c.field.typeIDs) {
		return fmt.Errorf("column %s: %w: member %d of a union of %d", c.field.name, ErrCorrupt, k, len(c.children))
	}
	c.data = append(c.data, byte(c.field.typeIDs[k]))
	if c.field.unit == unitDense {
		c.offsets = binary.LittleEndian.AppendUint32(c.offsets, uint32(c.children[k].n))
	}
	for i, child := range c.children {
		var err error
		switch {
		case i == k:
			err = value(child)
		case c.field.unit == unitSparse:
			err = child.filler()
		}
		if err != nil {
			return err
		}
	}
	c.n++
	return nil
}

// run appends rows that are all one value, in a run of their own.
func (c *outColumn) run(rows int, value func(values *outColumn) error) error {
	if err := value(c.children[1]); err != nil {
		return err
	}
	c.n += rows
	ends := c.children[0]
	if bits := ends.field.bits; bits < 64 && c.n >= 1<<(bits-1) {
		return fmt.Errorf("column %s: %w: run ends of %d bits for %d values", c.field.name, ErrUnsupported, bits, c.n)
	}
	return ends.bytes(binary.LittleEndian.AppendUint64(nil, uint64(c.n))[:ends.width])
}

// extend makes the last run some rows longer.
func (c *outColumn) extend(rows int) error {
	last := c.children[0]
	last.data = last.data[:len(last.data)-last.width]
	last.n--
	if last.n&7 == 0 {
		last.valid = last.valid[:len(last.valid)-1]
	}
	return c.run(rows, func(*outColumn) error { return nil })
}
