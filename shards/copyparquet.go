package shards

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

const (
	// readBuffers is the memory for reads from a file, of all columns together.
	readBuffers = 4 << 20
	// valueRun is how many values are handed from a reader to a writer at once.
	valueRun = 256
)

// copyParquet copies the kept rows of a Parquet file. Every column is read and
// written by its values; the schema is copied byte by byte.
//
// Memory: the footer, one decoded page and its dictionary per column of the
// input, one open page per column and the compressed pages of one row group of
// the output.
func copyParquet(ctx context.Context, in *parquetReader, target copyTarget) error {
	footer, err := readFooter(in.obj)
	if err != nil {
		return err
	}
	out, err := beginParquetCopy(in.obj, footer, target)
	if err != nil {
		return err
	}
	file, err := reopenNarrow(in.obj, len(out.leaves))
	if err != nil {
		return err
	}
	for g, group := range file.RowGroups() {
		c := groupCopy{obj: in.obj, group: group, meta: &footer.meta.RowGroups[g], out: out, score: target.opt.ScoreColumn != ""}
		err := c.run(ctx, target.rows)
		c.close()
		if err != nil {
			return fmt.Errorf("row group %d: %w", g, err)
		}
	}
	if err := target.rows.end(); err != nil {
		return err
	}
	return guard(out.finish)
}

// reopenNarrow opens a file that openParquet accepted with smaller reads: all
// of its columns are read at the same time.
func reopenNarrow(obj Object, columns int) (file *parquet.File, err error) {
	buffer := min(scanBuffer, max(16<<10, readBuffers/columns))
	err = guard(func() error {
		file, err = parquet.OpenFile(obj, obj.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.ReadBufferSize(buffer))
		return err
	})
	return file, err
}

// beginParquetCopy makes the writer for a copy of the file with this footer.
func beginParquetCopy(obj Object, footer *parquetFooter, target copyTarget) (*rowWriter, error) {
	schema := footer.schema
	inputs, err := schema.leaves()
	if err != nil {
		return nil, err
	}
	encodings := make([]encoding.Encoding, len(inputs), len(inputs)+1)
	for i := range inputs {
		encodings[i] = outputEncoding(footer.meta.RowGroups, i)
		if encodings[i] != &parquet.RLEDictionary {
			continue
		}
		many, err := repeats(obj, &footer.meta.RowGroups[0].Columns[i].MetaData)
		if err != nil {
			return nil, fmt.Errorf("column %s: header of page 0: %w", inputs[i].name(), err)
		}
		if !many {
			encodings[i] = nil
		}
	}
	meta, err := copiedMetadata(footer.meta.KeyValueMetadata, target.opt)
	if err != nil {
		return nil, err
	}
	if target.opt.ScoreColumn != "" {
		if schema, err = withScore(schema, target.opt.ScoreColumn); err != nil {
			return nil, err
		}
		encodings = append(encodings, nil)
	}
	leaves, err := schema.leaves()
	if err != nil {
		return nil, err
	}
	for i, c := range leaves {
		c.encoding = encodings[i]
	}
	return newRowWriter(target.w, schema, leaves, meta, target.opt.rowGroupBytes())
}

// withScore adds the score column to a schema.
func withScore(schema fileSchema, name string) (fileSchema, error) {
	if slices.Contains(schema.topLevel(), name) {
		return fileSchema{}, fmt.Errorf("add score column %q: the input has a column of this name; choose another name for the score", name)
	}
	return schema.withColumn(format.SchemaElement{
		Name:           name,
		Type:           thrift.New(format.Float),
		RepetitionType: thrift.New(format.Optional),
	})
}

// copiedMetadata is the key-value metadata of the output.
func copiedMetadata(input []format.KeyValue, opt CopyOptions) ([]format.KeyValue, error) {
	var out []format.KeyValue
	for _, kv := range input {
		if slices.ContainsFunc(opt.KeyValues, func(o KeyValue) bool { return o.Key == kv.Key }) {
			continue
		}
		if kv.Key == arrowSchemaKey && opt.ScoreColumn != "" {
			value, err := addArrowField(kv.Value, opt.ScoreColumn)
			if err != nil {
				return nil, fmt.Errorf("add score column %q to the metadata %s: %w", opt.ScoreColumn, kv.Key, err)
			}
			kv.Value = value
		}
		out = append(out, kv)
	}
	for _, kv := range opt.KeyValues {
		out = append(out, format.KeyValue{Key: kv.Key, Value: kv.Value})
	}
	return out, nil
}

// outputEncoding is the encoding of a column in the output: that of the
// input's data pages, a dictionary where none of them fell back from it.
func outputEncoding(groups []format.RowGroup, column int) encoding.Encoding {
	chosen := format.Encoding(-1)
	for g := range groups {
		m := &groups[g].Columns[column].MetaData
		pages := m.EncodingStats
		if len(pages) == 0 { // an older writer: the chunk's list, levels and dictionary page included
			for _, e := range m.Encoding {
				if e != format.RLE && e != format.BitPacked && !(e == format.Plain && m.DictionaryPageOffset > 0) {
					pages = append(pages, format.PageEncodingStats{PageType: format.DataPage, Encoding: e})
				}
			}
		}
		for _, p := range pages {
			e := p.Encoding
			switch {
			case p.PageType == format.DictionaryPage:
				continue
			//lint:ignore SA1019 older files have it
			case e == format.PlainDictionary:
				e = format.RLEDictionary
			case e == format.RLE: // of booleans
				e = format.Plain
			}
			if chosen != -1 && chosen != e {
				return &parquet.Plain
			}
			chosen = e
		}
	}
	switch chosen {
	case format.RLEDictionary:
		return &parquet.RLEDictionary
	case format.DeltaBinaryPacked:
		return &parquet.DeltaBinaryPacked
	case format.DeltaLengthByteArray:
		return &parquet.DeltaLengthByteArray
	case format.DeltaByteArray:
		return &parquet.DeltaByteArray
	case format.ByteStreamSplit:
		return &parquet.ByteStreamSplit
	}
	return &parquet.Plain
}

// repeats tells, by the header of its dictionary, whether a chunk has each of
// its values twice or more on average: with fewer a dictionary saves nothing.
func repeats(obj Object, meta *format.ColumnMetaData) (bool, error) {
	if meta.TotalCompressedSize == 0 {
		return true, nil // without values
	}
	pages := pageHeaders{section: io.NewSectionReader(obj, chunkStart(meta), meta.TotalCompressedSize)}
	header, err := pages.next()
	if err != nil {
		return false, err
	}
	return header.Type != format.DictionaryPage || int64(header.DictionaryPageHeader.V.NumValues) <= meta.NumValues/2, nil
}

// groupCopy copies the kept rows of one row group, window by window.
type groupCopy struct {
	obj     Object
	group   parquet.RowGroup
	meta    *format.RowGroup
	out     *rowWriter
	score   bool
	columns []*columnReader // opened at the first kept row
	skipped []bool          // windows without a kept row that columns have not passed yet
}

func (c *groupCopy) run(ctx context.Context, rows *rowDecisions) error {
	perRow := c.rawPerRow()
	for left := c.meta.NumRows; left > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(c.out.windowRows(perRow), left)
		keep, scores, err := rows.take(int(n))
		if err != nil {
			return err
		}
		if left -= n; len(scores) == 0 {
			c.skipped = append(c.skipped, keep...)
			continue
		}
		if err := guard(func() error { return c.copyWindow(keep, scores) }); err != nil {
			return err
		}
	}
	if len(c.columns) > 0 && len(c.skipped) == 0 {
		return guard(c.checkEnd)
	}
	return nil
}

// rawPerRow is the raw size of a row, by the footer: less than its values where
// a dictionary holds them.
func (c *groupCopy) rawPerRow() int64 {
	var raw int64
	for i := range c.meta.Columns {
		raw += max(0, c.meta.Columns[i].MetaData.TotalUncompressedSize)
	}
	return raw / max(1, c.meta.NumRows)
}

// open starts to read every column, once its page headers are sound.
func (c *groupCopy) open() error {
	for i, chunk := range c.group.ColumnChunks() {
		if err := checkPageHeaders(c.obj, &c.meta.Columns[i].MetaData); err != nil {
			return fmt.Errorf("column %s: %w", c.out.leaves[i].name(), err)
		}
		c.columns = append(c.columns, &columnReader{leaf: c.out.leaves[i], pages: chunk.Pages()})
	}
	return nil
}

func (c *groupCopy) copyWindow(keep []bool, scores []float32) error {
	if c.columns == nil {
		if err := c.open(); err != nil {
			return err
		}
	}
	for i, column := range c.columns {
		err := column.copyRows(c.skipped, nil)
		if err == nil {
			err = column.copyRows(keep, func(values []parquet.Value) error { return c.out.write(i, values) })
		}
		if err != nil {
			return fmt.Errorf("column %s: %w", c.out.leaves[i].name(), err)
		}
	}
	c.skipped = c.skipped[:0]
	if c.score {
		if err := c.out.writeScores(scores); err != nil {
			return err
		}
	}
	return c.out.endRows(int64(len(scores)))
}

// writeScores writes the last column, which copies add.
func (w *rowWriter) writeScores(scores []float32) error {
	column := len(w.leaves) - 1
	values := make([]parquet.Value, len(scores))
	for i, s := range scores {
		if isNaN32(s) {
			values[i] = parquet.NullValue().Level(0, 0, column)
		} else {
			values[i] = parquet.FloatValue(s).Level(0, 1, column)
		}
	}
	return w.write(column, values)
}

// checkEnd checks that every column ends with the last row of the row group.
func (c *groupCopy) checkEnd() error {
	for i, column := range c.columns {
		if err := column.end(c.meta.Columns[i].MetaData.NumValues); err != nil {
			return fmt.Errorf("column %s: %w", c.out.leaves[i].name(), err)
		}
	}
	return nil
}

// close gives memory back. After a panic in the decoder its reference counts
// may be off, hence the guard; what mattered was reported before.
func (c *groupCopy) close() {
	for _, column := range c.columns {
		_ = guard(column.close)
	}
}

// columnReader reads the values of a column chunk as whole rows.
type columnReader struct {
	leaf   *leafColumn
	pages  parquet.Pages
	page   parquet.Page
	values parquet.ValueReader
	buf    [valueRun]parquet.Value
	at, n  int // buf[at:n] are read and not yet used
	eof    bool
	count  int64 // values used
	out    []parquet.Value
}

// copyRows moves past one row for each element of keep and emits the values of
// those that are kept, whole rows at a time. Emitted values are valid until
// emit returns.
func (c *columnReader) copyRows(keep []bool, emit func([]parquet.Value) error) error {
	c.out = c.out[:0]
	for i, kept := range keep {
		if err := c.row(kept, emit); err != nil {
			if err == io.EOF {
				return fmt.Errorf("%w: it ends %d rows early", ErrCorrupt, len(keep)-i)
			}
			return err
		}
		if len(c.out) >= valueRun {
			if err := c.flush(emit); err != nil {
				return err
			}
		}
	}
	return c.flush(emit)
}

// row uses up the values of one row: the next one and those that repeat.
func (c *columnReader) row(kept bool, emit func([]parquet.Value) error) error {
	begin := len(c.out)
	if err := c.fill(&begin, emit); err != nil {
		return err
	}
	if c.buf[c.at].RepetitionLevel() != 0 {
		return fmt.Errorf("%w: a row begins in the middle of a list", ErrCorrupt)
	}
	for {
		if kept {
			c.out = append(c.out, c.buf[c.at])
		}
		c.at++
		c.count++
		if err := c.fill(&begin, emit); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if c.buf[c.at].RepetitionLevel() == 0 {
			return nil
		}
	}
}

// fill makes sure that buf[at] is the next value. Before a page is given back,
// the rows in out are emitted, except for the one that begins at *begin, which
// may go on in the next page: its values are cloned.
func (c *columnReader) fill(begin *int, emit func([]parquet.Value) error) error {
	for c.at == c.n {
		if c.eof {
			return io.EOF
		}
		if c.values != nil {
			n, err := c.values.ReadValues(c.buf[:])
			c.at, c.n = 0, n
			if err != nil && err != io.EOF {
				return fmt.Errorf("decode values: %w", err)
			}
			if n > 0 {
				return c.checkLevels()
			}
		}
		if err := c.letGo(begin, emit); err != nil {
			return err
		}
		page, err := c.pages.ReadPage()
		if err == io.EOF {
			c.eof = true
			continue
		}
		if err != nil {
			return fmt.Errorf("read page: %w", err)
		}
		c.page, c.values = page, page.Values()
	}
	return nil
}

// checkLevels checks the values that were just read: the decoder lets levels
// pass that the schema does not have.
func (c *columnReader) checkLevels() error {
	for i := range c.buf[:c.n] {
		v := &c.buf[i]
		rep, def := v.RepetitionLevel(), v.DefinitionLevel()
		if rep > c.leaf.maxRep || def > c.leaf.maxDef || v.IsNull() != (def < c.leaf.maxDef) {
			return fmt.Errorf("%w: a value at repetition level %d of %d, definition level %d of %d", ErrCorrupt, rep, c.leaf.maxRep, def, c.leaf.maxDef)
		}
	}
	return nil
}

// letGo gives the current page back.
func (c *columnReader) letGo(begin *int, emit func([]parquet.Value) error) error {
	if c.page == nil {
		return nil
	}
	if *begin > 0 {
		if err := emit(c.out[:*begin]); err != nil {
			return err
		}
		c.out = slices.Delete(c.out, 0, *begin)
		*begin = 0
	}
	for i := range c.out {
		c.out[i] = c.out[i].Clone()
	}
	parquet.Release(c.page)
	c.page, c.values = nil, nil
	return nil
}

func (c *columnReader) flush(emit func([]parquet.Value) error) error {
	if len(c.out) == 0 {
		return nil
	}
	err := emit(c.out)
	c.out = c.out[:0]
	return err
}

// end checks that nothing is left and that want values were read in all.
func (c *columnReader) end(want int64) error {
	begin := 0
	switch err := c.fill(&begin, nil); {
	case err == nil:
		return fmt.Errorf("%w: it has more rows than the row group", ErrCorrupt)
	case err != io.EOF:
		return err
	}
	if c.count != want {
		return fmt.Errorf("%w: it has %d values, the footer says %d", ErrCorrupt, c.count, want)
	}
	return nil
}

func (c *columnReader) close() error {
	if c.page != nil {
		parquet.Release(c.page)
	}
	return c.pages.Close()
}
