package shards

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/apache/arrow/go/v17/arrow"
)

const (
	// tableBytes is the size at which the rows of a table are written: a record
	// batch of Arrow. Readers that map a file pay little for a batch, those that
	// do not hold one.
	tableBytes = 16 << 20
	// tableRows bounds the rows of a record batch, so that run ends and counters
	// of 16 bits will do.
	tableRows = 16 << 10
	// takeBytes is the size of the rows that are moved to a table at once.
	takeBytes = 2 << 20
)

// outTable collects kept rows, whatever they come from, in Arrow's columns and
// hands them on in batches of bounded size.
type outTable struct {
	schema  arrowSchema
	columns []*outColumn // as the schema's fields
	score   bool         // the last column holds scores
	dicts   *dictSet
	rows    int
	bytes   int64   // of the rows
	grown   int64   // by how many the last rows made them more
	kept    []int64 // their numbers in the input, for errors
	limit   int64
	sink    tableSink
}

// tableSink writes the rows of a table.
type tableSink interface {
	write(t *outTable) error  // the rows that the table has
	finish(t *outTable) error // after the last; only if there were rows
}

// newOutTable begins a table of these columns and that of the score. Schema and
// metadata of the options are the sink's too.
func newOutTable(schema arrowSchema, format OutputFormat, target copyTarget) (*outTable, error) {
	schema, err := schema.extended(target.opt)
	if err != nil {
		return nil, err
	}
	t := &outTable{schema: schema, score: target.opt.ScoreColumn != "", limit: tableBytes, dicts: &dictSet{keep: format != OutArrowStream, replace: format != OutArrowFile}}
	if limit := target.opt.MaxRowGroupBytes; limit > 0 {
		t.limit = min(t.limit, max(1, limit/4))
	}
	for _, f := range schema.fields {
		if err := f.unknown(); err != nil {
			return nil, err
		}
		t.columns = append(t.columns, newOutColumn(f, t.dicts))
	}
	if format.lines() {
		t.sink, err = newRowLines(t, &lineWriter{w: target.w, format: format})
	} else {
		t.sink = newIPCWriter(target.w, format == OutArrowFile)
	}
	return t, err
}

// extended returns the schema with the column and the metadata that the options
// ask for.
func (s arrowSchema) extended(opt CopyOptions) (arrowSchema, error) {
	if len(opt.KeyValues) > 0 {
		var meta []KeyValue
		added := map[string]bool{}
		for _, kv := range opt.KeyValues {
			added[kv.Key] = true
		}
		for _, kv := range s.meta {
			if !added[kv.Key] {
				meta = append(meta, kv)
			}
		}
		s.meta, s.message = append(meta, opt.KeyValues...), nil
	}
	if opt.ScoreColumn == "" {
		return s, nil
	}
	for _, f := range s.fields {
		if f.name == opt.ScoreColumn {
			return s, fmt.Errorf("add score column %q: the input has a column of this name; choose another name for the score", opt.ScoreColumn)
		}
	}
	s.fields = append(s.fields[:len(s.fields):len(s.fields)], &arrowField{name: opt.ScoreColumn, nullable: true, kind: kindFloat, unit: unitSingle})
	if s.message != nil {
		return s, guard(func() (err error) {
			s.message, err = appendField(s.message, opt)
			return err
		})
	}
	return s, nil
}

// takeRecord moves rows of a record to the table, with their scores.
func (t *outTable) takeRecord(record arrow.Record, rows []int, scores []float32) error {
	for i := range record.NumCols() {
		if err := t.columns[i].take(record.Column(int(i)), rows); err != nil {
			return err
		}
	}
	return t.endRows(len(rows), scores)
}

// meet prepares for the dictionaries of a record: rows that refer to one that
// it replaces are written before.
func (t *outTable) meet(record arrow.Record) error {
	each := func(f func(d *outDict, values arrow.Array) error) error {
		for i := range record.NumCols() {
			if err := t.columns[i].eachDict(record.Column(int(i)), f); err != nil {
				return err
			}
		}
		return nil
	}
	replaced := false
	if err := each(func(d *outDict, values arrow.Array) error {
		r, err := d.replaces(values)
		replaced = replaced || r
		return err
	}); err != nil {
		return err
	}
	if replaced {
		if err := t.flush(); err != nil {
			return err
		}
	}
	return each(func(d *outDict, values arrow.Array) error { return d.absorb(values) })
}

// note takes down which rows come next, of those that were decided about last.
func (t *outTable) note(decisions *rowDecisions, keep []bool) {
	first := decisions.count.RowsIn - int64(len(keep))
	for i, kept := range keep {
		if kept {
			t.kept = append(t.kept, first+int64(i))
		}
	}
}

// endRows says that every column but that of the score got n more rows, and
// writes them if they are enough.
func (t *outTable) endRows(n int, scores []float32) error {
	if t.score {
		column := t.columns[len(t.columns)-1]
		for _, s := range scores {
			err := error(nil)
			if isNaN32(s) {
				err = column.null()
			} else {
				err = column.bytes(binary.LittleEndian.AppendUint32(nil, math.Float32bits(s)))
			}
			if err != nil {
				return err
			}
		}
	}
	t.rows += n
	for _, c := range t.columns {
		if c.n != t.rows {
			return fmt.Errorf("column %s: %w: %d values for %d rows", c.field.name, ErrCorrupt, c.n, t.rows)
		}
	}
	size := t.size()
	t.grown, t.bytes = size-t.bytes, size
	if t.rows >= tableRows || size >= t.limit {
		return t.flush()
	}
	return nil
}

func (t *outTable) size() (total int64) {
	for _, c := range t.columns {
		total += c.size()
	}
	return total
}

// flush writes the rows that the table has.
func (t *outTable) flush() error {
	if t.rows == 0 {
		return nil
	}
	if err := t.sink.write(t); err != nil {
		return err
	}
	for _, c := range t.columns {
		c.reset()
	}
	for _, d := range t.dicts.all {
		d.relieve()
	}
	t.rows, t.bytes, t.kept = 0, 0, t.kept[:0]
	return nil
}

// finish writes what is left and ends the file, if there is one.
func (t *outTable) finish(kept int64) error {
	if kept == 0 {
		return nil
	}
	if err := t.flush(); err != nil {
		return err
	}
	return t.sink.finish(t)
}
