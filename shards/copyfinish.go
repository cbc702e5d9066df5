package shards

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// parquetMagic begins and ends a Parquet file.
const parquetMagic = "PAR1"

// createdBy names the writer in footers: readers know the faults of old writers by it.
const createdBy = "curate with parquet-go version 0.32.0(build )"

// outGroup is a complete row group of the output, and its page index.
type outGroup struct {
	own   bool              // the rowWriter's, described in its footer only
	shift int64             // bytes that an own row group lies behind where its writer takes it to be
	meta  format.RowGroup   // where own is false, or the footer was read
	cols  []chunkIndex      // as many as meta has columns
	stats []chunkStatistics // as many as meta has columns
}

// chunkIndex is the page index of a column chunk.
type chunkIndex struct {
	bounds  []byte              // the encoded column index, nil where there is none
	offsets *format.OffsetIndex // nil where there is none
}

// finish writes the last row group, the page index and the footer. A file
// without rows is not begun: finish then writes nothing.
func (w *rowWriter) finish() error {
	if w.total+w.spliced == 0 {
		return nil
	}
	if err := w.commit(); err != nil {
		return err
	}
	if w.file != nil {
		if err := w.describeOwn(); err != nil {
			return fmt.Errorf("finish parquet file: %w", err)
		}
	}
	tail, err := w.tail()
	if err != nil {
		return fmt.Errorf("finish parquet file: %w", err)
	}
	if _, err := w.out.w.Write(tail); err != nil {
		return fmt.Errorf("write parquet footer: %w", err)
	}
	return nil
}

// describeOwn takes what parquet-go says about the row groups that it wrote,
// and moves it to where they are.
func (w *rowWriter) describeOwn() error {
	w.out.hold = true
	base := w.out.own
	if err := w.file.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	tail := w.out.held.Bytes()
	if len(tail) < 8 {
		return errors.New("no footer")
	}
	length := int(binary.LittleEndian.Uint32(tail[len(tail)-8:]))
	if length > len(tail)-8 {
		return errors.New("footer too long")
	}
	var meta format.FileMetaData
	if err := thrift.Unmarshal(new(thrift.CompactProtocol), tail[len(tail)-8-length:len(tail)-8], &meta); err != nil {
		return err
	}
	if meta.NumRows != w.total {
		return fmt.Errorf("footer of %d rows, %d written", meta.NumRows, w.total)
	}
	next := 0
	for g := range w.groups {
		out := &w.groups[g]
		if !out.own {
			continue
		}
		if next == len(meta.RowGroups) {
			return errors.New("row groups are missing")
		}
		out.meta = meta.RowGroups[next]
		next++
		if err := out.describe(tail, base, w.leaves); err != nil {
			return fmt.Errorf("row group %d: %w", g, err)
		}
	}
	if next < len(meta.RowGroups) {
		return errors.New("more row groups than were written")
	}
	return nil
}

// describe takes the page indexes of an own row group from the bytes that
// parquet-go wrote after the pages, base in its count, mends the bounds such
// that they hold for every reader, and moves the group to where it is.
func (g *outGroup) describe(tail []byte, base int64, leaves []*leafColumn) error {
	g.meta.FileOffset += g.shift
	for i := range g.meta.Columns {
		chunk := &g.meta.Columns[i]
		bounds, err := boundedIndex(tail, base, chunk, leaves[i].element)
		if err != nil {
			return fmt.Errorf("column %q: %w", leaves[i].name(), err)
		}
		from, end := chunk.OffsetIndexOffset-base, chunk.OffsetIndexOffset-base+int64(chunk.OffsetIndexLength)
		if from < 0 || end > int64(len(tail)) {
			return fmt.Errorf("column %q: offset index at %d to %d", leaves[i].name(), from, end)
		}
		offsets := new(format.OffsetIndex)
		if err := thrift.Unmarshal(new(thrift.CompactProtocol), tail[from:end], offsets); err != nil {
			return fmt.Errorf("column %q: offset index: %w", leaves[i].name(), err)
		}
		for p := range offsets.PageLocations {
			offsets.PageLocations[p].Offset += g.shift
		}
		moveChunk(&chunk.MetaData, g.shift)
		g.cols = append(g.cols, chunkIndex{bounds, offsets})
		g.stats = append(g.stats, statisticsOf(&chunk.MetaData.Statistics))
	}
	return nil
}

// moveChunk adds to the offsets of a column chunk that has them.
func moveChunk(meta *format.ColumnMetaData, shift int64) {
	for _, offset := range []*int64{&meta.DataPageOffset, &meta.DictionaryPageOffset, &meta.IndexPageOffset, &meta.BloomFilterOffset} {
		if *offset != 0 {
			*offset += shift
		}
	}
}

// tail returns the end of the file: page bounds, page offsets, the footer.
func (w *rowWriter) tail() ([]byte, error) {
	var out []byte
	for g := range w.groups {
		for i, column := range w.groups[g].cols {
			chunk := &w.groups[g].meta.Columns[i]
			chunk.ColumnIndexOffset, chunk.ColumnIndexLength = 0, 0
			if column.bounds != nil {
				chunk.ColumnIndexOffset, chunk.ColumnIndexLength = w.out.offset+int64(len(out)), int32(len(column.bounds))
				out = append(out, column.bounds...)
			}
		}
	}
	for g := range w.groups {
		for i, column := range w.groups[g].cols {
			chunk := &w.groups[g].meta.Columns[i]
			chunk.OffsetIndexOffset, chunk.OffsetIndexLength = 0, 0
			if column.offsets == nil {
				continue
			}
			b, err := thrift.Marshal(new(thrift.CompactProtocol), column.offsets)
			if err != nil {
				return nil, fmt.Errorf("encode offset index: %w", err)
			}
			chunk.OffsetIndexOffset, chunk.OffsetIndexLength = w.out.offset+int64(len(out)), int32(len(b))
			out = append(out, b...)
		}
	}
	footer, err := w.footer()
	if err != nil {
		return nil, err
	}
	out = append(out, footer...)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(footer)))
	return append(out, parquetMagic...), nil
}

// footer returns the encoded footer.
func (w *rowWriter) footer() ([]byte, error) {
	footer := outFooter{
		Version: 2, Schema: w.schema.elements, NumRows: w.total + w.spliced,
		KeyValueMetadata: w.meta, CreatedBy: createdBy,
	}
	for range w.leaves {
		footer.ColumnOrders = append(footer.ColumnOrders, format.ColumnOrder{Value: new(format.TypeDefinedOrder)})
	}
	for g := range w.groups {
		group := &w.groups[g]
		encoded := newOutRowGroup(&group.meta, group.stats)
		if g <= math.MaxInt16 {
			encoded.Ordinal = thrift.New(int16(g))
		}
		footer.RowGroups = append(footer.RowGroups, encoded)
	}
	b, err := thrift.Marshal(new(thrift.CompactProtocol), &footer)
	if err != nil {
		return nil, fmt.Errorf("encode Parquet footer: %w", err)
	}
	return replaceSchema(b, w.schema)
}

// tailWriter is the output file. parquet-go writes its row groups through it
// and counts on writing all of the file: own is how far it thinks it is. From
// hold on, its bytes are kept and not written.
type tailWriter struct {
	w      io.Writer
	offset int64 // bytes of the file
	own    int64 // bytes that parquet-go wrote
	hold   bool
	held   bytes.Buffer
}

// begin writes the magic, once.
func (t *tailWriter) begin() error {
	if t.offset > 0 {
		return nil
	}
	return t.add([]byte(parquetMagic))
}

// add writes bytes that do not come from parquet-go.
func (t *tailWriter) add(b []byte) error {
	n, err := t.w.Write(b)
	t.offset += int64(n)
	if err != nil {
		return fmt.Errorf("write parquet file: %w", err)
	}
	return nil
}

// Write takes bytes from parquet-go. Its magic is not written: begin has been.
func (t *tailWriter) Write(b []byte) (int, error) {
	n := len(b)
	skip := min(max(0, int64(len(parquetMagic))-t.own), int64(n))
	t.own += int64(n)
	if t.hold {
		t.held.Write(b[skip:])
		return n, nil
	}
	if err := t.add(b[skip:]); err != nil {
		return 0, err
	}
	return n, nil
}
