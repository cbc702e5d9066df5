package shards

import (
	"bytes"
	"fmt"
	"io"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// Vectors are lists of many numbers. To make a parquet.Value of each and to look
// at it in every layer takes several times as long as to decode it, so that columns of
// numbers in lists are moved in runs: levels as they stand in pages, and values as
// bytes.

// levelRun is a run of values of a leaf: levels of each, and the bytes of those
// that are not null.
type levelRun struct{ reps, defs, data []byte }

// runSink is a groupSink that takes runs of some columns, and keeps every row.
type runSink interface {
	groupSink
	// runWidth is the bytes of a value of a column that is taken in runs, 0 for
	// others.
	runWidth(column int) int
	// writeRun takes a run. It is valid until the next.
	writeRun(column int, run levelRun) error
}

// runPage is the page that runs are taken from.
type runPage struct {
	levelRun
	at, value int // the next value, and the next of those that are not null
}

// copyRuns emits the values of the next rows, of width bytes each, in runs.
func (c *columnReader) copyRuns(rows, width int, emit func(levelRun) error) error {
	if c.runs == nil {
		c.runs = &runPage{}
	}
	p := c.runs
	for begun := 0; ; {
		if p.at == len(p.reps) {
			err := c.nextRuns(width)
			if err == io.EOF && begun == rows {
				return nil
			}
			if err == io.EOF {
				return fmt.Errorf("%w: it ends %d rows early", ErrCorrupt, rows-begun)
			}
			if err != nil {
				return err
			}
			continue
		}
		end, values := p.at, 0
		for ; end < len(p.reps); end++ {
			if p.reps[end] == 0 {
				if begun == rows {
					break
				}
				begun++
			} else if begun == 0 {
				return fmt.Errorf("%w: a row begins in the middle of a list", ErrCorrupt)
			}
			if int(p.defs[end]) == c.leaf.maxDef {
				values++
			}
		}
		if end == p.at {
			return nil // the next row
		}
		run := levelRun{p.reps[p.at:end], p.defs[p.at:end], p.data[p.value*width : (p.value+values)*width]}
		c.count += int64(end - p.at)
		p.at, p.value = end, p.value+values
		if err := emit(run); err != nil {
			return err
		}
	}
}

// nextRuns reads the next page; io.EOF after the last.
func (c *columnReader) nextRuns(width int) error {
	if c.page != nil {
		parquet.Release(c.page)
		c.page = nil
	}
	*c.runs = runPage{}
	page, err := c.pages.ReadPage()
	if err == io.EOF {
		return io.EOF
	}
	if err != nil {
		return fmt.Errorf("read page: %w", err)
	}
	c.page = page
	p := c.runs
	p.reps, p.defs = page.RepetitionLevels(), page.DefinitionLevels()
	if len(p.reps) != len(p.defs) {
		return fmt.Errorf("%w: a page of %d repetition levels and %d definition levels", ErrCorrupt, len(p.reps), len(p.defs))
	}
	if len(p.reps) == 0 {
		return nil
	}
	if rep, def := int(slices.Max(p.reps)), int(slices.Max(p.defs)); rep > c.leaf.maxRep || def > c.leaf.maxDef {
		return fmt.Errorf("%w: values at repetition level %d of %d, definition level %d of %d", ErrCorrupt, rep, c.leaf.maxRep, def, c.leaf.maxDef)
	}
	values := bytes.Count(p.defs, []byte{byte(c.leaf.maxDef)})
	if p.data, err = valueBytes(page, values, width); err == nil && len(p.data) != values*width {
		err = fmt.Errorf("%w: a page of %d bytes for %d values", ErrCorrupt, len(p.data), values)
	}
	return err
}

// valueBytes returns the values of a page that are not null.
func valueBytes(page parquet.Page, values, width int) ([]byte, error) {
	numbers := page.Data()
	dict := page.Dictionary()
	if dict == nil {
		data, _ := numbers.Data()
		return data, nil
	}
	entries := dict.Page().Data()
	from, _ := entries.Data()
	indexes := numbers.Int32()
	if len(indexes) != values {
		return nil, fmt.Errorf("%w: a page of %d indexes for %d values", ErrCorrupt, len(indexes), values)
	}
	data := make([]byte, 0, values*width)
	for _, k := range indexes {
		if k < 0 || int(k) >= len(from)/width {
			return nil, fmt.Errorf("%w: dictionary index %d of %d", ErrCorrupt, k, len(from)/width)
		}
		data = append(data, from[int(k)*width:(int(k)+1)*width]...)
	}
	return data, nil
}

// endRuns is end for a column that was read in runs.
func (c *columnReader) endRuns(want int64) error {
	for c.runs.at == len(c.runs.reps) {
		err := c.nextRuns(1)
		if err == io.EOF {
			if c.count != want {
				return fmt.Errorf("%w: it has %d values, the footer says %d", ErrCorrupt, c.count, want)
			}
			return nil
		}
		if err != nil && len(c.runs.reps) == 0 {
			return err
		}
	}
	return fmt.Errorf("%w: it has more rows than the row group", ErrCorrupt)
}

// runWidth is the bytes of a value where the bytes of a leaf's values are those of
// its column, and the leaf is the element of a list; 0 elsewhere.
func (n *assembly) runWidth(c *outColumn) int {
	if n.element == nil || c.dict != nil || c.layout != layoutFixed || c.field.kind == kindDecimal {
		return 0
	}
	switch t := n.element.Type.V; {
	case t == format.Float && c.width == 4 && c.field.kind == kindFloat, t == format.Double && c.width == 8 && c.field.kind == kindFloat,
		t == format.FixedLenByteArray && c.width == int(n.element.TypeLength.V):
		return c.width
	}
	return 0
}

// addRun takes a run of a leaf.
func (l *leafValues) addRun(run levelRun) {
	l.reps, l.defs, l.data = append(l.reps, run.reps...), append(l.defs, run.defs...), append(l.data, run.data...)
}

// appendRun appends the elements of a list that leaf n, which is taken in runs,
// has next.
func (a *assembler) appendRun(list, n *assembly, c *outColumn, rep int) error {
	l := &a.leafs[n.leaf]
	if int(l.reps[l.at]) != rep {
		return fmt.Errorf("%w: leaf %d has a value at repetition level %d, where the others have %d", ErrCorrupt, n.leaf, l.reps[l.at], rep)
	}
	for first := true; l.at < len(l.reps) && (first || int(l.reps[l.at]) == list.rep); l.at++ {
		first = false
		if int(l.defs[l.at]) < n.def {
			if err := c.null(); err != nil {
				return err
			}
			continue
		}
		c.data = append(c.data, l.data[l.used:l.used+l.width]...)
		l.used += l.width
		c.mark(true)
	}
	return nil
}

// runWidth implements runSink.
func (s *recordSink) runWidth(column int) int { return s.leafs[column].width }

// writeRun implements runSink.
func (s *recordSink) writeRun(column int, run levelRun) error {
	s.leafs[column].addRun(run)
	return nil
}

// takeRuns makes the assembler take the elements of lists of numbers in runs.
func (a *assembler) takeRuns() {
	var walk func(n *assembly, c *outColumn)
	walk = func(n *assembly, c *outColumn) {
		for i, child := range n.children {
			if n.list && child.element != nil {
				a.leafs[child.leaf].width = child.runWidth(c.children[i])
			}
			walk(child, c.children[i])
		}
	}
	for i, root := range a.roots {
		walk(root, a.table.columns[i])
	}
}
