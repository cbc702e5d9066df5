package shards

import (
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

const (
	// pageBytes is the size, before compression, at which a page ends: what
	// pyarrow uses, and the least that zstd compresses text well in.
	pageBytes = 1 << 20
	// dictionaryBytes is the size at which a column gives up its dictionary for
	// the rest of the row group.
	dictionaryBytes = 1 << 20
	// dictionaryPageBytes is the raw size at which a page of dictionary indexes
	// ends, full or not.
	dictionaryPageBytes = 4 << 20
	// windowBytes and maxWindowRows bound a window, see rowWriter.window.
	windowBytes   = 4 << 20
	maxWindowRows = 16 << 10
	// writeBytes is the raw size of the rows that go to a page at once.
	writeBytes = 64 << 10
)

// rowWriter writes a Parquet file column by column, some rows at a time, in
// row groups of bounded size. It holds the compressed pages of one row group
// and an open page per column. Nothing is written before the first row group
// is complete. Row groups made elsewhere may come between, see splicer.
type rowWriter struct {
	out      *tailWriter
	file     *parquet.GenericWriter[any]       // nil before the first row
	group    *parquet.ConcurrentRowGroupWriter // the row group of file that grows
	schema   fileSchema
	leaves   []*leafColumn
	meta     []format.KeyValue
	bloom    *leafColumn // has Bloom filters; nil for none
	ids      *idColumn   // gives the last column; nil: that is no list of ids
	limit    int64       // raw bytes at which a row group ends
	raw      int64       // raw bytes of the values in the current row group
	paged    []int64     // by column: raw bytes since a page was last ended for its dictionary's sake
	rows     int64       // rows in the current row group
	total    int64       // rows in all that were written one by one
	totalRaw int64       // their raw bytes
	spliced  int64       // rows in all that came in row groups made elsewhere
	groups   []outGroup  // the complete ones, in order
}

// newRowWriter begins a file with the given schema and key-value metadata.
func newRowWriter(w io.Writer, schema fileSchema, leaves []*leafColumn, meta []format.KeyValue, limit int64) (*rowWriter, error) {
	for _, c := range leaves {
		if c.encoding == nil || c.encoding == &parquet.RLEDictionary && floating(c.element) {
			// parquet-go takes wrong bounds from a dictionary with NaNs.
			c.encoding = &parquet.Plain
		}
	}
	return &rowWriter{out: &tailWriter{w: w}, schema: schema, leaves: leaves, meta: meta, limit: limit, paged: make([]int64, len(leaves))}, nil
}

// open makes the writer of rows, when the first one comes.
func (w *rowWriter) open() error {
	codec, err := newZstdCodec()
	if err != nil {
		return err
	}
	for _, c := range w.leaves {
		if c.codec == nil {
			c.codec = codec
		}
	}
	options := []parquet.WriterOption{
		parquet.CreatedBy("curate", "", ""), // finish writes its own footer
		parquet.DataPageVersion(1),          // what every reader knows
		parquet.DataPageStatistics(false),
		parquet.PageBufferSize(pageBytes),
		parquet.DictionaryMaxBytes(dictionaryBytes),
		parquet.WriteBufferSize(0), // tailWriter has to see where the row groups end
	}
	for _, c := range w.leaves {
		if !ordered(c.element) {
			options = append(options, parquet.SkipPageBounds(c.path...))
		}
	}
	if w.bloom != nil {
		options = append(options, parquet.BloomFilters(parquet.SplitBlockFilter(bloomBits, w.bloom.path...)))
	}
	err = guard(func() error { // parquet-go panics at schemas that it cannot write
		tree, err := w.schema.tree(w.leaves)
		if err != nil {
			return err
		}
		w.file = parquet.NewGenericWriter[any](w.out, append(options, tree)...)
		w.group = w.file.BeginRowGroup()
		return nil
	})
	if err != nil {
		return fmt.Errorf("begin Parquet file: %w", err)
	}
	return nil
}

// write appends values, which make up whole rows, to a column. A page ends
// only between two calls of parquet-go's writer, so each takes few bytes.
func (w *rowWriter) write(column int, values []parquet.Value) error {
	start, size := 0, int64(0)
	for i := range values {
		if size >= writeBytes && values[i].RepetitionLevel() == 0 {
			if err := w.writeRun(column, values[start:i], size); err != nil {
				return err
			}
			start, size = i, 0
		}
		size += rawSize(&values[i])
	}
	return w.writeRun(column, values[start:], size)
}

func (w *rowWriter) writeRun(column int, values []parquet.Value, size int64) error {
	if len(values) == 0 {
		return nil
	}
	if w.file == nil {
		if err := w.open(); err != nil {
			return err
		}
	}
	writer := w.group.ColumnWriters()[column]
	_, err := writer.WriteRowValues(values)
	w.raw += size
	w.totalRaw += size
	// A page of dictionary indexes is small, but the dictionary that it needs
	// may not be: the writer looks at its size when a page ends.
	if w.paged[column] += size; w.paged[column] >= dictionaryPageBytes && err == nil {
		w.paged[column] = 0
		if w.leaves[column].encoding == &parquet.RLEDictionary {
			err = writer.Flush()
		}
	}
	if err != nil {
		return fmt.Errorf("write column %s: %w", w.leaves[column].name(), err)
	}
	return nil
}

// rawSize is the size of a value in the plain encoding, and of its levels.
func rawSize(v *parquet.Value) int64 {
	switch v.Kind() {
	case parquet.ByteArray:
		return 4 + int64(len(v.ByteArray()))
	case parquet.FixedLenByteArray:
		return int64(len(v.ByteArray()))
	case parquet.Int64, parquet.Double:
		return 8
	case parquet.Int32, parquet.Float:
		return 4
	case parquet.Int96:
		return 12
	}
	return 1
}

// window is the raw size of the rows that are collected, or copied column by
// column, before the next rows are begun.
func (w *rowWriter) window() int64 { return min(windowBytes, w.limit) }

// windowRows is the number of rows of a window, when perRow bytes are expected
// of each: but no less than what rows had so far, and few before that is known.
func (w *rowWriter) windowRows(perRow int64) int64 {
	if w.total > 0 {
		perRow = max(perRow, w.totalRaw/w.total)
	}
	known := max(64, 8*w.total)
	return min(max(1, w.window()/max(1, perRow)), known, maxWindowRows)
}

// endRows says that every column got n more rows. It is where a row group may end.
func (w *rowWriter) endRows(n int64) error {
	w.rows += n
	w.total += n
	if w.raw < w.limit {
		return nil
	}
	return w.commit()
}

func (w *rowWriter) commit() error {
	if w.rows == 0 {
		return nil
	}
	if err := w.out.begin(); err != nil {
		return err
	}
	w.groups = append(w.groups, outGroup{own: true, shift: w.out.offset - max(w.out.own, int64(len(parquetMagic)))})
	n, err := w.group.Commit()
	if err != nil {
		return fmt.Errorf("write row group: %w", err)
	}
	if n != w.rows {
		return fmt.Errorf("write row group: %d of %d rows written", n, w.rows)
	}
	w.raw, w.rows = 0, 0
	return nil
}
