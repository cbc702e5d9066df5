package shards

import (
	"fmt"

	"github.com/parquet-go/parquet-go"
)

// assembler puts the values of Parquet's leaves, with their levels, together to
// rows of a table: the reverse of a shredder. Columns that do not nest get
// their values at once; those of the others are collected until all leaves of
// some rows are there.
type assembler struct {
	table *outTable
	roots []*assembly
	flat  []func(values []parquet.Value) error // by leaf; nil where values are collected
	leafs []leafValues
}

// leafValues are the collected values of one leaf.
type leafValues struct {
	values []parquet.Value
	at     int    // the first that is not used yet
	bytes  []byte // of values: pages are gone before rows are put together
	append func(v parquet.Value) error

	width      int    // of a value, where they come in runs instead; 0 where they do not
	reps, defs []byte // of each value, at is an index into
	data       []byte // of those that are not null
	used       int    // bytes of it
}

// len is the number of collected values.
func (l *leafValues) len() int {
	if l.width > 0 {
		return len(l.reps)
	}
	return len(l.values)
}

// levels returns the levels of value i.
func (l *leafValues) levels(i int) (rep, def int) {
	if l.width > 0 {
		return int(l.reps[i]), int(l.defs[i])
	}
	return l.values[i].RepetitionLevel(), l.values[i].DefinitionLevel()
}

// reset lets go of the values, which were all used.
func (l *leafValues) reset() {
	clear(l.values)
	l.values, l.at, l.bytes = l.values[:0], 0, l.bytes[:0]
	l.reps, l.defs, l.data, l.used = l.reps[:0], l.defs[:0], l.data[:0], 0
	if cap(l.bytes) > 4*tableBytes {
		l.bytes = nil
	}
	if cap(l.data) > 4*tableBytes {
		l.data = nil
	}
}

func newAssembler(t *outTable, roots []*assembly) *assembler {
	a := &assembler{table: t, roots: roots}
	for i, n := range roots {
		column := t.columns[i]
		a.bind(n, column)
		if n.element != nil {
			a.flat[n.leaf] = flatAppender(n, column, a.leafs[n.leaf].append)
		}
	}
	return a
}

// bind connects leaves with their columns, in the order of leaves.
func (a *assembler) bind(n *assembly, c *outColumn) {
	if n.element != nil {
		a.flat = append(a.flat, nil)
		a.leafs = append(a.leafs, leafValues{append: c.parquetAppender(n.element)})
		return
	}
	for i, child := range n.children {
		a.bind(child, c.children[i])
	}
}

func flatAppender(n *assembly, c *outColumn, value func(v parquet.Value) error) func([]parquet.Value) error {
	return func(values []parquet.Value) error {
		for i := range values {
			err := error(nil)
			if values[i].DefinitionLevel() < n.def || n.field.kind == kindNull {
				err = c.null()
			} else {
				err = value(values[i])
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// add takes values of a leaf that make up whole rows. They may be overwritten
// afterwards.
func (a *assembler) add(leaf int, values []parquet.Value) error {
	if f := a.flat[leaf]; f != nil {
		return f(values)
	}
	l := &a.leafs[leaf]
	for _, v := range values {
		switch v.Kind() {
		case parquet.ByteArray, parquet.FixedLenByteArray:
			start := len(l.bytes)
			l.bytes = append(l.bytes, v.ByteArray()...)
			kept := parquet.ByteArrayValue(l.bytes[start:len(l.bytes):len(l.bytes)])
			v = kept.Level(v.RepetitionLevel(), v.DefinitionLevel(), leaf)
		}
		l.values = append(l.values, v)
	}
	return nil
}

// endRows says that every leaf got the values of n more rows.
func (a *assembler) endRows(n int, scores []float32) error {
	for i, root := range a.roots {
		if root.element != nil {
			continue
		}
		for range n {
			if err := a.value(root, a.table.columns[i], 0); err != nil {
				return fmt.Errorf("column %s: %w", root.field.name, err)
			}
		}
		for k := root.leaf; k < root.leaf+root.leaves; k++ {
			l := &a.leafs[k]
			if l.at != l.len() {
				return fmt.Errorf("column %s: %w: its leaves have lists of different lengths", root.field.name, ErrCorrupt)
			}
			l.reset()
		}
	}
	return a.table.endRows(n, scores)
}

// value appends the next value of a node, whose leaves all have it at a
// repetition level.
func (a *assembler) value(n *assembly, c *outColumn, rep int) error {
	def, err := a.peek(n.leaf)
	if err != nil {
		return err
	}
	switch {
	case n.element != nil:
		at, err := a.next(n.leaf, rep, -1)
		if err != nil || def < n.def || n.field.kind == kindNull {
			if err == nil {
				err = c.null()
			}
			return err
		}
		return a.leafs[n.leaf].append(a.leafs[n.leaf].values[at])
	case def < n.def:
		if err := a.skip(n, rep, def); err != nil {
			return err
		}
		return c.null()
	case n.list:
		return a.elements(n, c, rep, def)
	}
	for i, child := range n.children {
		if err := a.value(child, c.children[i], rep); err != nil {
			return err
		}
	}
	c.mark(true)
	return nil
}

// elements appends a list, which may be empty.
func (a *assembler) elements(n *assembly, c *outColumn, rep, def int) error {
	start := c.children[0].n
	if def == n.def {
		if err := a.skip(n, rep, def); err != nil {
			return err
		}
		return c.list(start, start, true)
	}
	if child := n.children[0]; child.element != nil && a.leafs[child.leaf].width > 0 {
		if err := a.appendRun(n, child, c.children[0], rep); err != nil {
			return err
		}
		return c.list(start, c.children[0].n, true)
	}
	for {
		if err := a.value(n.children[0], c.children[0], rep); err != nil {
			return err
		}
		rep = n.rep
		l := &a.leafs[n.leaf]
		if l.at < l.len() {
			if next, _ := l.levels(l.at); next == rep {
				continue
			}
		}
		return c.list(start, c.children[0].n, true)
	}
}

// skip passes over one value of every leaf below n, which says that something
// above is null or empty.
func (a *assembler) skip(n *assembly, rep, def int) error {
	for k := n.leaf; k < n.leaf+n.leaves; k++ {
		if _, err := a.next(k, rep, def); err != nil {
			return err
		}
	}
	return nil
}

// peek returns the definition level of the next value of a leaf.
func (a *assembler) peek(leaf int) (def int, err error) {
	l := &a.leafs[leaf]
	if l.at >= l.len() {
		return 0, fmt.Errorf("%w: leaf %d has fewer values than the others", ErrCorrupt, leaf)
	}
	_, def = l.levels(l.at)
	return def, nil
}

// next passes the next value of a leaf, which must be at these levels, and returns
// which it was; any definition level will do where def is negative.
func (a *assembler) next(leaf, rep, def int) (at int, err error) {
	l := &a.leafs[leaf]
	if l.at >= l.len() {
		return 0, fmt.Errorf("%w: leaf %d has fewer values than the others", ErrCorrupt, leaf)
	}
	if gotRep, gotDef := l.levels(l.at); gotRep != rep || def >= 0 && gotDef != def {
		err = fmt.Errorf("%w: leaf %d has a value at repetition level %d and definition level %d, where the others have %d and %d",
			ErrCorrupt, leaf, gotRep, gotDef, rep, def)
	}
	l.at++
	return l.at - 1, err
}
