package shards

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/parquet-go/parquet-go"
)

// Sizes of our own tables. They do not depend on how rows were handed over,
// so that the same rows give the same bytes.
const (
	tableGroupRows = 1 << 17 // rows of a row group: a few MB
	tableChunkRows = 1 << 10 // rows moved to the Parquet writer at a time
	tableReadRows  = 1 << 13 // rows of a chunk that a reader yields at most
)

// tableColumn is one column of a table of rows held in a T of slices.
type tableColumn[T any] struct {
	name string
	kind parquet.Kind
	put  func(t *T, i int) parquet.Value // the value of row i; null where it has none
	take func(t *T, vs []parquet.Value)  // appends values, which are valid during the call only
}

// tableWriter writes rows as zstd Parquet in fixed row groups.
type tableWriter[T any] struct {
	columns []tableColumn[T]
	levels  []int // definition level of a value: 1 where the column is optional
	file    tableFile
	pending [][]parquet.Value // rows not yet with file, by column
	rows    int64             // rows of the current row group, pending ones included
}

// tableFile is what we need of a parquet.GenericWriter, whatever its row type.
type tableFile interface {
	ColumnWriters() []*parquet.ColumnWriter
	Flush() error
	Close() error
}

// newOwnWriter begins one of our own files of rows of a struct type, as zstd
// Parquet. meta becomes key-value metadata.
func newOwnWriter[Row any](w io.Writer, meta map[string]string) *parquet.GenericWriter[Row] {
	var row Row
	options := []parquet.WriterOption{
		parquet.SchemaOf(row), parquet.Compression(&parquet.Zstd), parquet.DataPageVersion(1),
		// The default names the build, and bytes must not depend on it.
		parquet.CreatedBy("curate", "1", "0"),
	}
	for _, key := range slices.Sorted(maps.Keys(meta)) {
		options = append(options, parquet.KeyValueMetadata(key, meta[key]))
	}
	return parquet.NewGenericWriter[Row](w, options...)
}

// newTableWriter begins a table of the row type Row, whose fields name the
// columns and their Parquet types in order. meta becomes key-value metadata.
func newTableWriter[Row, T any](w io.Writer, columns []tableColumn[T], meta map[string]string) *tableWriter[T] {
	var row Row
	t := &tableWriter[T]{columns: columns, file: newOwnWriter[Row](w, meta), pending: make([][]parquet.Value, len(columns))}
	for _, field := range parquet.SchemaOf(row).Fields() {
		level := 0
		if field.Optional() {
			level = 1
		}
		t.levels = append(t.levels, level)
	}
	return t
}

// write appends n rows of t.
func (w *tableWriter[T]) write(t *T, n int) error {
	for i := range n {
		for c, column := range w.columns {
			v, level := column.put(t, i), w.levels[c]
			if v.IsNull() {
				level = 0
			}
			w.pending[c] = append(w.pending[c], v.Level(0, level, c))
		}
		w.rows++
		if len(w.pending[0]) == tableChunkRows || w.rows == tableGroupRows {
			if err := w.drain(); err != nil {
				return err
			}
		}
	}
	return nil
}

// drain hands the pending rows to the file and ends a full row group.
func (w *tableWriter[T]) drain() error {
	if len(w.pending[0]) == 0 {
		return nil
	}
	for c, column := range w.file.ColumnWriters() {
		if _, err := column.WriteRowValues(w.pending[c]); err != nil {
			return fmt.Errorf("write column %s: %w", w.columns[c].name, err)
		}
		clear(w.pending[c])
		w.pending[c] = w.pending[c][:0]
	}
	if w.rows < tableGroupRows {
		return nil
	}
	w.rows = 0
	if err := w.file.Flush(); err != nil {
		return fmt.Errorf("write row group: %w", err)
	}
	return nil
}

// close writes what is pending and the footer.
func (w *tableWriter[T]) close() error {
	if err := w.drain(); err != nil {
		return err
	}
	if err := w.file.Close(); err != nil {
		return fmt.Errorf("write footer: %w", err)
	}
	return nil
}

// stringValue is a string, null when it is empty.
func stringValue[S ~string](s S) parquet.Value {
	if s == "" {
		return parquet.NullValue()
	}
	return parquet.ByteArrayValue([]byte(s))
}

// floatValue is a number, null when it is not one.
func floatValue(f float32) parquet.Value {
	if f != f {
		return parquet.NullValue()
	}
	return parquet.FloatValue(f)
}
