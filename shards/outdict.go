package shards

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
)

// maxDictBytes bounds the values of one dictionary that is put together from
// values, or from dictionaries that replace each other: it is held in memory.
const maxDictBytes = 256 << 20

// dictSet holds the dictionaries of a table, by the ids of the schema. Columns
// may share one.
type dictSet struct {
	keep    bool // values stay when they have been written
	replace bool // a dictionary may take the place of another
	all     []*outDict
	inside  int // dictionaries that what is being made is in
}

// of returns the dictionary of a field.
func (s *dictSet) of(f *arrowField) *outDict {
	for _, d := range s.all {
		if d.id == f.dict.id {
			return d
		}
	}
	bits := f.dict.bits
	if f.dict.signed {
		bits--
	}
	d := &outDict{set: s, name: f.name, id: f.dict.id, ordered: f.dict.ordered, limit: math.MaxInt32, fixed: s.inside > 0, fresh: true}
	if bits < 31 {
		d.limit = 1 << bits
	}
	values := *f
	values.dict, values.nullable = nil, true
	s.inside++
	before := len(s.all)
	d.values = newOutColumn(&values, s)
	s.inside--
	d.fixed = d.fixed || len(s.all) > before
	d.scratch = newOutColumn(&values, nil)
	s.all = append(s.all, d)
	return d
}

// outDict is a dictionary that is being written. Values keep their places while
// the input extends its dictionary. What happens when the input replaces it is
// the set's choice: the output replaces its own, or the new values are looked
// up among the old and added, and indices mapped.
type outDict struct {
	set     *dictSet
	name    string // of its first column
	id      int64
	ordered bool
	fixed   bool // a dictionary is in its values, or it is in another's: it cannot change
	limit   int  // values that the index type can number
	values  *outColumn
	count   int   // values in all
	bytes   int64 // of values that were looked up
	fresh   bool  // the next message replaces what readers have

	source  arrow.ArrayData // of the input, whose values have places
	remap   []int           // places of the source's values; nil: their own indices
	index   map[string]int  // places by value; nil until it is needed
	scratch *outColumn      // for keys
}

// place returns the place of value k of the input's dictionary.
func (d *outDict) place(k int) int {
	if d.remap != nil {
		return d.remap[k]
	}
	return k
}

// replaces tells whether the input's dictionary takes the place of the one that
// rows before it refer to.
func (d *outDict) replaces(values arrow.Array) (bool, error) {
	if d.source == nil || d.source == values.Data() || !d.set.replace || d.fixed {
		return false, nil
	}
	extends, err := d.extendedBy(values)
	return !extends, err
}

// extendedBy tells whether values begin with those of the source.
func (d *outDict) extendedBy(values arrow.Array) (bool, error) {
	old := array.MakeFromData(d.source)
	defer old.Release()
	if values.Len() < old.Len() {
		return false, nil
	}
	for i := range old.Len() {
		a, err := d.key(old, i)
		if err != nil {
			return false, err
		}
		b, err := d.key(values, i)
		if err != nil || a != b {
			return false, err
		}
	}
	return true, nil
}

// absorb gives every value of the input's dictionary a place. If it replaces
// the one before, no row may refer to that any more.
func (d *outDict) absorb(values arrow.Array) error {
	if d.source == values.Data() {
		return nil
	}
	if d.source == nil {
		return d.extend(values, 0)
	}
	if d.fixed {
		return fmt.Errorf("column %s: %w: a dictionary inside a dictionary changes; write Parquet, or store it without one", d.name, ErrUnsupported)
	}
	extends, err := d.extendedBy(values)
	switch {
	case err != nil:
		return err
	case extends && d.remap == nil:
		return d.extend(values, d.count)
	case d.set.replace:
		d.drop()
		return d.extend(values, 0)
	case d.ordered:
		return fmt.Errorf("column %s: %w: the input replaces an ordered dictionary, which an Arrow file has no place for: write a stream (arrows) or Parquet", d.name, ErrUnsupported)
	}
	return d.merge(values)
}

// extend takes the values from place from on as they are.
func (d *outDict) extend(values arrow.Array, from int) error {
	rows := make([]int, 0, values.Len()-from)
	for i := from; i < values.Len(); i++ {
		rows = append(rows, i)
	}
	if err := d.values.take(values, rows); err != nil {
		return err
	}
	d.hold(values, nil)
	d.count, d.index = values.Len(), nil
	return nil
}

func (d *outDict) hold(values arrow.Array, remap []int) {
	values.Data().Retain()
	if d.source != nil {
		d.source.Release()
	}
	d.source, d.remap = values.Data(), remap
}

// drop begins a new dictionary, which replaces the one that readers have.
func (d *outDict) drop() {
	d.values.reset()
	d.count, d.bytes, d.index, d.fresh = 0, 0, nil, true
}

// merge looks the values up among those that have a place, and adds the others.
func (d *outDict) merge(values arrow.Array) error {
	if d.index == nil {
		old := array.MakeFromData(d.source)
		defer old.Release()
		d.index = make(map[string]int, old.Len())
		for i := range old.Len() {
			key, err := d.key(old, i)
			if err != nil {
				return err
			}
			if _, ok := d.index[key]; !ok {
				d.index[key] = i
			}
		}
	}
	remap := make([]int, values.Len())
	for i := range remap {
		key, err := d.key(values, i)
		if err != nil {
			return err
		}
		place, ok := d.index[key]
		if !ok {
			if place, err = d.add(key, func() error { return d.values.take(values, []int{i}) }); err != nil {
				return err
			}
		}
		remap[i] = place
	}
	d.hold(values, remap)
	return nil
}

// lookup returns the place of a value of bytes, which it gets if it has none.
func (d *outDict) lookup(value []byte) (int, error) {
	if place, ok := d.index[string(value)]; ok {
		return place, nil
	}
	if d.index == nil {
		d.index = map[string]int{}
	}
	return d.add(string(value), func() error { return d.values.bytes(value) })
}

func (d *outDict) add(key string, value func() error) (int, error) {
	if d.count >= d.limit || d.bytes > maxDictBytes {
		return 0, d.full()
	}
	d.index[key] = d.count
	d.count++
	d.bytes += int64(len(key)) + 64
	return d.count - 1, value()
}

func (d *outDict) full() error {
	return fmt.Errorf("column %s: %w: more than %d values, or %d MiB, in a dictionary that an Arrow file cannot replace: write Parquet or JSONL, or a stream (arrows)",
		d.name, ErrUnsupported, d.limit, maxDictBytes>>20)
}

// relieve begins a new dictionary when the one that lookups filled is large and
// may be replaced. No row may refer to it.
func (d *outDict) relieve() {
	if d.source == nil && d.set.replace && !d.fixed && (d.bytes > tableBytes || d.count > d.limit/2) {
		d.drop()
	}
}

// key returns bytes that are the same for the same value only: NaNs and zeros
// by their bits.
func (d *outDict) key(a arrow.Array, i int) (string, error) {
	d.scratch.reset()
	if err := d.scratch.take(a, []int{i}); err != nil {
		return "", err
	}
	return string(d.scratch.appendKey(nil)), nil
}

func (c *outColumn) appendKey(to []byte) []byte {
	for _, b := range [][]byte{c.valid, c.offsets, c.sizes, c.data, c.long} {
		to = append(binary.AppendUvarint(to, uint64(len(b))), b...)
	}
	for _, child := range c.children {
		to = child.appendKey(to)
	}
	return to
}

// eachDict calls f for every dictionary in an array, inner ones first.
func (c *outColumn) eachDict(a arrow.Array, f func(d *outDict, values arrow.Array) error) error {
	if e, ok := a.(array.ExtensionArray); ok {
		a = e.Storage()
	}
	var parts []arrow.Array
	columns := c.children
	switch a := a.(type) {
	case *array.Dictionary:
		if c.dict == nil {
			return fmt.Errorf("column %s: %w: a dictionary that the schema does not have", c.field.name, ErrCorrupt)
		}
		if err := c.dict.values.eachDict(a.Dictionary(), f); err != nil {
			return err
		}
		return f(c.dict, a.Dictionary())
	case *array.Struct:
		for i := range a.NumField() {
			parts = append(parts, a.Field(i))
		}
	case array.ListLike:
		parts = []arrow.Array{a.ListValues()}
	case array.Union:
		for i := range a.NumFields() {
			parts = append(parts, a.Field(i))
		}
	case *array.RunEndEncoded:
		parts, columns = []arrow.Array{a.Values()}, columns[1:]
	}
	for i, part := range parts {
		if i >= len(columns) {
			return fmt.Errorf("column %s: %w: Arrow type %s", c.field.name, ErrCorrupt, a.DataType())
		}
		if err := columns[i].eachDict(part, f); err != nil {
			return err
		}
	}
	return nil
}
