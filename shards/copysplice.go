package shards

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

const (
	// defaultSpliceBytes is the least that row groups have on average, raw, for
	// their bytes to be copied: smaller ones are merged into larger ones.
	defaultSpliceBytes = 8 << 20
	// indexRegion is the most that is read at once to get all page indexes.
	indexRegion = 16 << 20
)

// splicer copies row groups of a Parquet file as bytes, without decoding: the
// pages as they are, and page indexes, statistics and Bloom filters where they
// describe them.
type splicer struct {
	obj    Object
	footer *parquetFooter
	leaves []*leafColumn // of the input
	stats  footerStatistics
	out    *rowWriter
	least  int64 // raw bytes that a row group has before one is spliced behind it
	able   bool  // row groups of this file may be spliced
	pieces pieceReader
	index  pieceReader
	dataTo int64 // where pages of the input end at the latest
}

// newSplicer decides whether row groups of a file may be spliced:
//
//   - its row groups are as large as ours, more or less;
//   - it has a flat column, whose values tell how many rows there are;
//   - its compression is one that we can also write.
func newSplicer(obj Object, footer *parquetFooter, out *rowWriter, opt CopyOptions) (*splicer, error) {
	s := &splicer{obj: obj, footer: footer, out: out, leaves: out.leaves[:footer.columns], least: opt.spliceBytes(), dataTo: footer.start}
	if s.least < 0 {
		return s, nil
	}
	raw := int64(0)
	for g := range footer.meta.RowGroups {
		raw += rawBytes(&footer.meta.RowGroups[g])
	}
	flat := slices.ContainsFunc(s.leaves, func(c *leafColumn) bool { return c.maxRep == 0 })
	s.able = flat && len(footer.meta.RowGroups) > 0 && raw/int64(len(footer.meta.RowGroups)) >= s.least
	if !s.able {
		return s, nil
	}
	for _, c := range footer.meta.RowGroups[0].Columns { // all row groups have the same, see checkCodec
		s.able = s.able && spliceCodec(c.MetaData.Codec) != nil
	}
	if err := footer.decode(&s.stats); err != nil {
		return nil, err
	}
	s.pieces, s.index = pieceReader{obj: obj, end: s.dataTo}, pieceReader{obj: obj, end: s.dataTo}
	return s, nil
}

// rawBytes is the size of a row group's pages before compression.
func rawBytes(group *format.RowGroup) int64 {
	raw := int64(0)
	for i := range group.Columns {
		raw += max(0, group.Columns[i].MetaData.TotalUncompressedSize)
	}
	return raw
}

// spliceCodec returns what compresses pages as those of the input are, for
// rows that share a file with them; nil for codecs that are not carried on.
func spliceCodec(codec format.CompressionCodec) compress.Codec {
	switch codec {
	case format.Uncompressed, format.Snappy, format.Gzip, format.Brotli, format.Zstd:
		return parquet.LookupCompressionCodec(codec)
	}
	return nil
}

// takes tells whether a row group that is kept whole is to be spliced now. A
// file has one codec per column, as some readers ask: that of the input where
// its first row group is spliced, else zstd.
func (s *splicer) takes() bool {
	if !s.able || s.out.rows > 0 && s.out.raw < s.least {
		return false
	}
	columns := s.footer.meta.RowGroups[0].Columns
	for i, c := range s.leaves {
		if s.out.file == nil && s.out.spliced == 0 {
			continue // nothing is written yet
		}
		have := format.Zstd
		if c.codec != nil {
			have = c.codec.CompressionCodec()
		}
		if have != columns[i].MetaData.Codec {
			return false
		}
	}
	return true
}

// splice copies row group g, all of it. scores are those of its rows where the
// output has a score column; pages opens a column of it to be decoded.
func (s *splicer) splice(ctx context.Context, g int, scores []float32, pages func(column int) (parquet.Pages, error)) error {
	if err := errors.Join(s.out.commit(), s.out.out.begin()); err != nil {
		return err
	}
	in := &s.footer.meta.RowGroups[g]
	prefetch(s.obj, in)
	out := outGroup{meta: format.RowGroup{NumRows: in.NumRows, SortingColumns: in.SortingColumns, FileOffset: s.out.out.offset}}
	s.pieces.end = 0
	for i := range in.Columns {
		m := &in.Columns[i].MetaData
		s.pieces.end = max(s.pieces.end, chunkStart(m)+m.TotalCompressedSize)
	}
	for i, leaf := range s.leaves {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if in.Columns[i].MetaData.Codec != format.Zstd {
			leaf.codec = spliceCodec(in.Columns[i].MetaData.Codec)
		}
		c := chunkSplice{src: &s.pieces, dst: s.out.out, leaf: leaf, rows: in.NumRows, typed: s.typed(i), in: &in.Columns[i]}
		err := guard(func() error { return s.column(&c, s.stats.RowGroups[g].Columns[i].MetaData.Statistics, &out) })
		if err != nil {
			return fmt.Errorf("column %s: %w", leaf.name(), err)
		}
	}
	if scores != nil {
		if err := s.scores(scores, &out); err != nil {
			return fmt.Errorf("add scores: %w", err)
		}
	}
	for i := range s.leaves {
		err := guard(func() error {
			return s.bloom(pages, i, &in.Columns[i].MetaData, &out.meta.Columns[i].MetaData)
		})
		if err != nil {
			return fmt.Errorf("column %s: Bloom filter: %w", s.leaves[i].name(), err)
		}
	}
	s.out.groups = append(s.out.groups, out)
	s.out.spliced += in.NumRows
	return nil
}

// column splices one column chunk into out.
func (s *splicer) column(c *chunkSplice, stats chunkStatistics, out *outGroup) error {
	shift := s.out.out.offset - chunkStart(&c.in.MetaData)
	if err := c.run(); err != nil {
		return err
	}
	bounds, err := s.indexBytes(c.in.ColumnIndexOffset, c.in.ColumnIndexLength)
	if err != nil {
		return err
	}
	bounds = slices.Clone(bounds)
	offsets, err := s.indexBytes(c.in.OffsetIndexOffset, c.in.OffsetIndexLength)
	if err != nil {
		return err
	}
	c.out.MetaData.SizeStatistics = c.sizes()
	out.add(c.out, c.index(bounds, offsets, shift), c.statistics(stats))
	return nil
}

// add appends a column chunk.
func (g *outGroup) add(chunk format.ColumnChunk, index chunkIndex, stats chunkStatistics) {
	g.meta.Columns = append(g.meta.Columns, chunk)
	g.meta.TotalByteSize += chunk.MetaData.TotalUncompressedSize
	g.meta.TotalCompressedSize += chunk.MetaData.TotalCompressedSize
	g.cols = append(g.cols, index)
	g.stats = append(g.stats, stats)
}

// typed tells whether the input says that the bounds of a column follow the
// order of its type, and the type has one.
func (s *splicer) typed(column int) bool {
	orders := s.footer.meta.ColumnOrders
	if column >= len(orders) {
		return false
	}
	_, ok := orders[column].Value.(*format.TypeDefinedOrder)
	return ok && s.leaves[column].element.Type.V != format.Int96
}

// indexBytes returns a part of the input's page indexes, nil where there is
// none. The bytes are valid until the next call.
func (s *splicer) indexBytes(offset int64, length int32) ([]byte, error) {
	if length <= 0 || offset < int64(len(parquetMagic)) || offset > s.dataTo-int64(length) {
		return nil, nil
	}
	if s.index.n == 0 { // the indexes of all columns lie together
		from, to := s.indexRange()
		if to-from > indexRegion {
			from = offset
		}
		if _, err := s.index.peek(from, int(min(to-from, indexRegion))); err != nil {
			return nil, err
		}
	}
	b, err := s.index.peek(offset, int(length))
	if err != nil {
		return nil, err
	}
	return b[:length], nil
}

// indexRange returns where the page indexes of the input begin and end.
func (s *splicer) indexRange() (from, to int64) {
	from = s.dataTo
	for g := range s.footer.meta.RowGroups {
		for _, c := range s.footer.meta.RowGroups[g].Columns {
			for _, part := range []Range{{c.ColumnIndexOffset, int64(c.ColumnIndexLength)}, {c.OffsetIndexOffset, int64(c.OffsetIndexLength)}} {
				if part.Length > 0 && part.Offset > 0 && part.Offset <= s.dataTo-part.Length {
					from, to = min(from, part.Offset), max(to, part.Offset+part.Length)
				}
			}
		}
	}
	return from, to
}

// scores writes the score column of a row group to a file of its own and
// splices it from there.
func (s *splicer) scores(scores []float32, out *outGroup) error {
	leaf := s.out.leaves[len(s.out.leaves)-1]
	file, err := s.scoreFile(leaf, scores)
	if err != nil {
		return err
	}
	footer, err := readFooter(file)
	if err != nil {
		return err
	}
	part := pieceReader{obj: file, end: footer.start}
	side := &splicer{obj: file, footer: footer, leaves: []*leafColumn{leaf}, out: s.out, pieces: part, index: part, dataTo: footer.start}
	if err := footer.decode(&side.stats); err != nil {
		return err
	}
	chunk := &footer.meta.RowGroups[0].Columns[0]
	c := chunkSplice{src: &side.pieces, dst: s.out.out, leaf: leaf, rows: out.meta.NumRows, typed: true, in: chunk}
	return side.column(&c, side.stats.RowGroups[0].Columns[0].MetaData.Statistics, out)
}

// bloom copies the Bloom filter of a chunk, if it has one, or makes the one
// that was asked for.
func (s *splicer) bloom(pages func(column int) (parquet.Pages, error), column int, in, out *format.ColumnMetaData) error {
	length, err := s.pieces.bloomFilter(in, s.dataTo)
	if err != nil {
		return err
	}
	at := s.out.out.offset
	if length > 0 {
		if _, err := s.pieces.copyTo(s.out.out, in.BloomFilterOffset, length, 0); err != nil {
			return err
		}
	} else if s.leaves[column] == s.out.bloom {
		values, err := pages(column)
		if err != nil {
			return err
		}
		filter, err := makeBloomFilter(values, in.NumValues)
		if err != nil {
			return err
		}
		if err := s.out.out.add(filter); err != nil {
			return err
		}
		length = int64(len(filter))
	}
	if length > 0 {
		out.BloomFilterOffset, out.BloomFilterLength = at, int32(length)
	}
	return nil
}

// scoreFile is a Parquet file of one row group with the scores, or ids, as its
// column.
func (s *splicer) scoreFile(leaf *leafColumn, scores []float32) (Object, error) {
	elements := []format.SchemaElement{{Name: "scores", NumChildren: thrift.New[int32](1)}}
	if s.out.ids != nil {
		elements = s.out.ids.node().appendElements(elements)
	} else {
		elements = append(elements, *leaf.element)
	}
	schema, err := newFileSchema(elements)
	if err != nil {
		return nil, err
	}
	leaves, err := schema.leaves()
	if err != nil {
		return nil, err
	}
	file := new(memoryFile)
	w, err := newRowWriter(file, schema, leaves, nil, largestRowGroupBytes)
	if err != nil {
		return nil, err
	}
	w.ids = s.out.ids
	for run := range slices.Chunk(scores, maxWindowRows) {
		if err := w.writeScores(run); err != nil {
			return nil, err
		}
		w.rows += int64(len(run))
		w.total += int64(len(run))
	}
	return file, guard(w.finish)
}

// memoryFile is a file in memory, written first and read then.
type memoryFile struct{ b []byte }

func (f *memoryFile) Write(b []byte) (int, error) {
	f.b = append(f.b, b...)
	return len(b), nil
}

func (f *memoryFile) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 || off > int64(len(f.b)) {
		return 0, io.EOF
	}
	n := copy(b, f.b[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memoryFile) Size() int64  { return int64(len(f.b)) }
func (f *memoryFile) Close() error { return nil }
