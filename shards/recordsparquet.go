package shards

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/curate-data/curate/pipeline"
)

// allocator is short for where batches get their memory.
type allocator = memory.Allocator

func isStopped(err error) bool { return errors.Is(err, errStopped) }

// recordTable is parquetTable in the types that Records yields.
func recordTable(footer *parquetFooter) (arrowSchema, []*assembly, error) {
	schema, nodes, err := parquetTable(footer)
	for _, f := range schema.fields {
		f.dropDicts()
		f.soften()
	}
	return schema, nodes, err
}

// soften makes plain lists of those whose size the Arrow schema beside a Parquet
// file claims, for a null would take as much memory as it says, and decimals of a
// width that the Arrow library knows.
func (f *arrowField) soften() {
	switch {
	case f.kind == kindFixedList:
		f.kind, f.size = kindList, 0
	case f.kind == kindDecimal && f.bits < 128:
		f.bits = 128
	}
	f.meta = nil
	for _, c := range f.children {
		c.soften()
	}
}

// recordPlan is what is read of a Parquet file.
type recordPlan struct {
	schema arrowSchema
	roots  []*assembly
	leaves []*leafColumn // that are read
	places []int         // of leaves in the file
}

func newRecordPlan(footer *parquetFooter, columns []string) (*recordPlan, error) {
	schema, nodes, err := recordTable(footer)
	if err != nil {
		return nil, err
	}
	leaves, err := footer.schema.leaves()
	if err != nil {
		return nil, err
	}
	p := &recordPlan{schema: arrowSchema{meta: schema.meta}}
	pick := columnPick{}
	var names []string
	for i, name := range columns {
		pick.wanted = append(pick.wanted, wantedPath{name, i})
	}
	pick.found = make([]bool, len(columns))
	for i, n := range nodes {
		names = append(names, schema.fields[i].name)
		if n = pick.node(n, pick.wanted); n == nil {
			continue
		}
		for _, leaf := range n.renumber(len(p.places)) {
			p.places, p.leaves = append(p.places, leaf), append(p.leaves, leaves[leaf])
		}
		p.roots, p.schema.fields = append(p.roots, n), append(p.schema.fields, n.field)
	}
	for i, ok := range pick.found {
		if !ok {
			return nil, columnError(columns[i], "there is none of this name", names)
		}
	}
	if len(p.roots) == 0 {
		return nil, fmt.Errorf("%w: no column was asked for", ErrColumn)
	}
	return p, nil
}

// columnPick finds the nodes that paths lead to.
type columnPick struct {
	wanted []wantedPath
	found  []bool
}

type wantedPath struct {
	path  string
	index int // of the columns that were asked for
}

// node returns what is wanted of a node; nil for nothing.
func (p *columnPick) node(n *assembly, wanted []wantedPath) *assembly {
	var below []wantedPath
	whole := false
	for _, w := range wanted {
		if w.path == n.field.name {
			p.found[w.index], whole = true, true
		} else if rest, ok := strings.CutPrefix(w.path, n.field.name+"."); ok && n.element == nil && !n.list {
			below = append(below, wantedPath{rest, w.index})
		}
	}
	part, field := *n, *n.field
	part.field, part.children, part.leaves, field.children = &field, nil, 0, nil
	if below != nil {
		for _, child := range n.children {
			if child = p.node(child, below); child != nil {
				part.children, field.children = append(part.children, child), append(field.children, child.field)
				part.leaves += child.leaves
			}
		}
	}
	switch {
	case whole:
		return n
	case len(part.children) == 0:
		return nil
	}
	return &part
}

// renumber numbers the leaves below n from first on, and returns what their
// numbers were.
func (n *assembly) renumber(first int) (was []int) {
	if n.element != nil {
		was = []int{n.leaf}
	}
	n.leaf = first
	for _, c := range n.children {
		was = append(was, c.renumber(first+len(was))...)
	}
	return was
}

// pickedGroup is a row group of some of its columns.
type pickedGroup struct {
	parquet.RowGroup
	chunks []parquet.ColumnChunk
}

// ColumnChunks implements parquet.RowGroup.
func (g pickedGroup) ColumnChunks() []parquet.ColumnChunk { return g.chunks }

// group returns a walk over what is read of a row group.
func (p *recordPlan) group(obj Object, group parquet.RowGroup, meta *format.RowGroup) *groupWalk {
	picked, some := pickedGroup{RowGroup: group}, *meta
	chunks := group.ColumnChunks()
	some.Columns = nil
	for _, i := range p.places {
		picked.chunks, some.Columns = append(picked.chunks, chunks[i]), append(some.Columns, meta.Columns[i])
	}
	return &groupWalk{obj: obj, group: picked, meta: &some, leaves: p.leaves}
}

func (r *parquetReader) recordBatches(ctx context.Context, mem memory.Allocator, columns []string, from, to int) iter.Seq2[pipeline.Batch, error] {
	return func(yield func(pipeline.Batch, error) bool) {
		err := r.eachRecord(ctx, mem, columns, from, to, func(b pipeline.Batch) error {
			if !yield(b, nil) {
				return errStopped
			}
			return nil
		})
		if err != nil && !isStopped(err) {
			yield(pipeline.Batch{}, err)
		}
	}
}

func (r *parquetReader) eachRecord(ctx context.Context, mem memory.Allocator, columns []string, from, to int, f func(pipeline.Batch) error) error {
	footer, err := readFooter(r.obj)
	if err != nil {
		return err
	}
	plan, err := newRecordPlan(footer, columns)
	if err != nil {
		return err
	}
	sink, err := newRecordSink(plan, mem)
	if err != nil {
		return err
	}
	defer sink.close()
	file, err := reopenNarrow(r.obj, len(plan.leaves))
	if err != nil {
		return err
	}
	for g := range from {
		sink.row += footer.meta.RowGroups[g].NumRows
	}
	for g := from; g < to; g++ {
		sink.group = g
		walk := plan.group(r.obj, file.RowGroups()[g], &footer.meta.RowGroups[g])
		if err := sink.walk(ctx, walk, f); err != nil {
			if isStopped(err) {
				return err
			}
			return fmt.Errorf("row group %d: %w", g, err)
		}
	}
	return nil
}

// recordSink makes records of the rows of row groups.
type recordSink struct {
	*assembler
	encode recordEncoder
	step   int64
	perRow int64
	group  int
	row    int64 // of the next record
}

func newRecordSink(plan *recordPlan, mem memory.Allocator) (*recordSink, error) {
	s := &recordSink{step: firstStep, encode: recordEncoder{mem: mem}}
	s.encode.writer = newIPCWriter(&s.encode.stream, false)
	t := &outTable{schema: plan.schema, dicts: &dictSet{}, sink: &s.encode} // limit 0: every step is a record
	for _, f := range plan.schema.fields {
		if err := f.unknown(); err != nil {
			return nil, err
		}
		t.columns = append(t.columns, newOutColumn(f, t.dicts))
	}
	s.assembler = newAssembler(t, plan.roots)
	s.takeRuns()
	return s, nil
}

// walk hands on the records of a row group. f is called outside of the guard
// against panics of decoders.
func (s *recordSink) walk(ctx context.Context, walk *groupWalk, f func(pipeline.Batch) error) error {
	hand := func() error {
		for len(s.encode.records) > 0 {
			b := pipeline.Batch{Record: s.encode.records[0], RowGroup: s.group, FirstRow: s.row}
			s.encode.records = s.encode.records[1:]
			s.row += b.Record.NumRows()
			if err := f(b); err != nil {
				return err
			}
		}
		return nil
	}
	var keep []bool
	err := walk.run(ctx, func(n int) ([]bool, []float32, error) {
		for len(keep) < n {
			keep = append(keep, true)
		}
		return keep[:n], make([]float32, n), hand()
	}, s)
	if err != nil {
		return err
	}
	return hand()
}

// close lets go of records that nobody took.
func (s *recordSink) close() {
	for _, r := range s.encode.records {
		r.Release()
	}
	s.encode.close()
}

func (s *recordSink) windowRows(perRow int64) int64 {
	s.step = max(1, min(2*s.step, tableRows, takeBytes/max(1, perRow, s.perRow)))
	return s.step
}

func (s *recordSink) begin([]bool) {}

func (s *recordSink) write(column int, values []parquet.Value) error { return s.add(column, values) }

func (s *recordSink) end(scores []float32) error {
	if err := s.endRows(len(scores), scores); err != nil {
		return err
	}
	s.perRow = s.table.grown / int64(len(scores))
	return nil
}

// recordEncoder is a tableSink that makes records, by way of Arrow's own
// messages, which the library decodes.
type recordEncoder struct {
	mem     memory.Allocator
	stream  bytes.Buffer
	writer  *ipcWriter
	reader  *ipc.Reader
	records []arrow.Record
}

func (e *recordEncoder) write(t *outTable) error {
	if err := e.writer.write(t); err != nil {
		return err
	}
	e.writer.batches = e.writer.batches[:0]
	if err := e.writer.w.Flush(); err != nil {
		return err
	}
	if e.reader == nil {
		var err error
		if e.reader, err = ipc.NewReader(&e.stream, ipc.WithAllocator(e.mem)); err != nil {
			return fmt.Errorf("make records: %w", err)
		}
	}
	if !e.reader.Next() {
		return fmt.Errorf("make records: %w", e.reader.Err())
	}
	record := e.reader.Record()
	record.Retain()
	e.records = append(e.records, record)
	return nil
}

func (e *recordEncoder) finish(*outTable) error { return nil }

func (e *recordEncoder) close() {
	if e.reader != nil {
		e.reader.Release()
	}
}
