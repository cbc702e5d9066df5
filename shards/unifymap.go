package shards

import (
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// rowSink takes rows apart by column, as a rowWriter does.
type rowSink interface {
	write(column int, values []parquet.Value) error // whole rows
	writeScores(scores []float32) error             // of the rows that were written
	endRows(n int64) error                          // every column got n more rows
	window() int64                                  // bytes of rows to collect before they are written
}

// unifiedSink turns the values of one shard's columns into those of the common
// schema.
type unifiedSink struct {
	rowSink
	columns []unifiedColumn // by column of the shard
	buffer  []parquet.Value
}

// unifiedColumn is where the values of one column go.
type unifiedColumn struct {
	to      int                               // column of the common schema; -1 where that has none
	levels  []int                             // definition level there, by the one of the shard
	widen   func(parquet.Value) parquet.Value // nil where values stay as they are
	missing []missingColumn                   // columns that the shard lacks, whose nulls follow the lists of this one
}

// missingColumn is a column of nulls: one for each value of another column that
// begins a new place at the repetition level.
type missingColumn struct {
	to       int
	rep, def int // levels of the innermost node above that the shard has
}

// newUnifiedSink returns the sink for a shard whose tree leads to the common one.
func newUnifiedSink(tree *schemaTree, columns int, sink rowSink) *unifiedSink {
	u := &unifiedSink{rowSink: sink, columns: make([]unifiedColumn, columns)}
	u.group(tree, tree.to, []*schemaTree{tree}, 0, 0)
	return u
}

// group maps what is below a node that both schemas have. above leads from the
// shard's root to it; rep and def are the levels of the node in the common schema.
func (u *unifiedSink) group(p, to *schemaTree, above []*schemaTree, rep, def int) {
	found := map[*schemaTree]bool{}
	for _, c := range p.children {
		path := append(above[:len(above):len(above)], c)
		if c.isNull() && (c.to == nil || !c.to.isNull()) {
			u.columns[c.first] = unifiedColumn{to: -1, levels: levelsOf(path)}
			continue
		}
		found[c.to] = true
		if c.leaf {
			u.columns[c.first] = unifiedColumn{to: c.to.first, levels: levelsOf(path), widen: widening(typeOfLeaf(&c.el), typeOfLeaf(&c.to.el))}
			continue
		}
		r, d := levelsBelow(c.to, rep, def)
		u.group(c, c.to, path, r, d)
	}
	for _, c := range to.children {
		if found[c] {
			continue
		}
		guide := &u.columns[p.first]
		for i := range c.leaves {
			guide.missing = append(guide.missing, missingColumn{to: c.first + i, rep: rep, def: def})
		}
	}
}

// levelsBelow returns the levels of a node from those of the one above.
func levelsBelow(n *schemaTree, rep, def int) (r, d int) {
	switch n.el.RepetitionType.V {
	case format.Repeated:
		return rep + 1, def + 1
	case format.Optional:
		return rep, def + 1
	}
	return rep, def
}

// levelsOf returns, for each definition level of the column at the end of a path
// through a shard's schema, that in the common one. A level says how many of the
// nodes that may be absent are there; the common schema may have more of them.
func levelsOf(path []*schemaTree) []int {
	levels, common := []int{}, 0
	for _, n := range path[1:] {
		to := n.to
		if n.isNull() && (to == nil || !to.isNull()) {
			// The nulls of a column that gave way are absent at its node.
			levels = append(levels, common)
			continue
		}
		if n.el.RepetitionType.V != format.Required {
			levels = append(levels, common)
		}
		if to.el.RepetitionType.V != format.Required {
			common++
		}
	}
	return append(levels, common)
}

// write implements rowSink.
func (u *unifiedSink) write(column int, values []parquet.Value) error {
	if len(values) == 0 {
		return nil
	}
	c := &u.columns[column]
	if c.to >= 0 {
		u.buffer = u.buffer[:0]
		for _, v := range values {
			if c.widen != nil && !v.IsNull() {
				rep, def := v.RepetitionLevel(), v.DefinitionLevel()
				v = c.widen(v).Level(rep, def, column)
			}
			u.buffer = append(u.buffer, v.Level(v.RepetitionLevel(), c.levels[v.DefinitionLevel()], c.to))
		}
		if err := u.rowSink.write(c.to, u.buffer); err != nil {
			return err
		}
	}
	for _, m := range c.missing {
		u.buffer = u.buffer[:0]
		for _, v := range values {
			if rep := v.RepetitionLevel(); rep <= m.rep {
				u.buffer = append(u.buffer, parquet.NullValue().Level(rep, min(c.levels[v.DefinitionLevel()], m.def), m.to))
			}
		}
		if err := u.rowSink.write(m.to, u.buffer); err != nil {
			return err
		}
	}
	return nil
}
