package shards

import (
	"fmt"
	"slices"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// splicedPage is a data page as its header describes it.
type splicedPage struct {
	offset int64 // in the input
	size   int64 // with its header
	values int64
	rows   int64 // -1 where the header does not tell
}

// chunkSplice copies one column chunk without decoding it.
type chunkSplice struct {
	src   *pieceReader
	dst   *tailWriter
	leaf  *leafColumn
	rows  int64 // of the row group
	typed bool  // the input says that its bounds follow the type's order
	in    *format.ColumnChunk
	pages []splicedPage
	out   format.ColumnChunk
}

// run copies the pages and returns the chunk as it is in the output. What page
// headers say is checked: sizes, counts of values and, where they tell, of
// rows, and the sum of a page's bytes.
func (c *chunkSplice) run() error {
	in := &c.in.MetaData
	c.out.MetaData = format.ColumnMetaData{
		Type: in.Type, Encoding: in.Encoding, PathInSchema: c.leaf.path, Codec: in.Codec, NumValues: in.NumValues,
		TotalCompressedSize: in.TotalCompressedSize, KeyValueMetadata: in.KeyValueMetadata, EncodingStats: in.EncodingStats,
		GeospatialStatistics: in.GeospatialStatistics,
	}
	if c.leaf.maxRep == 0 && in.NumValues != c.rows {
		return fmt.Errorf("%w: %d values for %d rows", ErrCorrupt, in.NumValues, c.rows)
	}
	at, end := chunkStart(in), chunkStart(in)+in.TotalCompressedSize
	shift := c.dst.offset - at
	for page := 0; at < end; page++ {
		header, length, err := c.src.pageHeader(at, end)
		if err != nil {
			return fmt.Errorf("header of page %d: %w", page, err)
		}
		if err := c.page(page, &header, at, length, end); err != nil {
			return fmt.Errorf("page %d: %w", page, err)
		}
		at += length + int64(header.CompressedPageSize)
	}
	values, rows := int64(0), int64(0)
	for _, p := range c.pages {
		values += p.values
		if rows += p.rows; p.rows < 0 || rows < 0 {
			rows = -1
		}
	}
	switch {
	case values != in.NumValues:
		return fmt.Errorf("%w: its pages hold %d values, the footer says %d", ErrCorrupt, values, in.NumValues)
	case rows >= 0 && rows != c.rows:
		return fmt.Errorf("%w: its pages hold %d rows, the footer says %d", ErrCorrupt, rows, c.rows)
	case c.out.MetaData.DataPageOffset == 0: // no values: where pages would begin
		c.out.MetaData.DataPageOffset = end
	}
	moveChunk(&c.out.MetaData, shift)
	return nil
}

// page checks the header of one page and copies the page.
func (c *chunkSplice) page(page int, header *format.PageHeader, at, length, end int64) error {
	meta := &c.out.MetaData
	values, err := checkPage(header, meta.Codec)
	if err != nil {
		return err
	}
	size := length + int64(header.CompressedPageSize)
	if size > end-at {
		return fmt.Errorf("%w: its %d bytes pass the end of the chunk", ErrCorrupt, header.CompressedPageSize)
	}
	if header.Type == format.DictionaryPage {
		if page > 0 {
			return fmt.Errorf("%w: a dictionary behind other pages", ErrCorrupt)
		}
		meta.DictionaryPageOffset = at
	} else {
		if meta.DataPageOffset == 0 {
			meta.DataPageOffset = at
		}
		rows := int64(-1)
		if c.leaf.maxRep == 0 {
			rows = values
		} else if header.Type == format.DataPageV2 {
			if rows = int64(header.DataPageHeaderV2.V.NumRows); rows < 0 || rows > values {
				return fmt.Errorf("%w: it claims %d rows of %d values", ErrCorrupt, rows, values)
			}
		}
		c.pages = append(c.pages, splicedPage{at, size, values, rows})
	}
	meta.TotalUncompressedSize += length + int64(header.UncompressedPageSize)
	if err := c.checkFrame(header, at+length); err != nil {
		return err
	}
	sum, err := c.src.copyTo(c.dst, at, size, length)
	if err != nil {
		return err
	}
	if header.CRC != 0 && uint32(header.CRC) != sum {
		return fmt.Errorf("%w: its bytes have the sum %08x, its header says %08x", ErrCorrupt, sum, uint32(header.CRC))
	}
	return nil
}

// checkFrame checks what the first bytes of a page that begins at an offset
// say about its length, where the compression says it.
func (c *chunkSplice) checkFrame(header *format.PageHeader, at int64) error {
	levels := int64(0)
	if v2 := &header.DataPageHeaderV2.V; header.Type == format.DataPageV2 {
		levels = int64(v2.DefinitionLevelsByteLength) + int64(v2.RepetitionLevelsByteLength)
		if levels < 0 || levels > int64(header.CompressedPageSize) || levels > int64(header.UncompressedPageSize) {
			return fmt.Errorf("%w: it claims levels of %d bytes", ErrCorrupt, levels)
		}
		if v2.IsCompressed.Valid && !v2.IsCompressed.V {
			return nil
		}
	}
	size, raw := int64(header.CompressedPageSize)-levels, int64(header.UncompressedPageSize)-levels
	if size == 0 {
		return nil
	}
	b, err := c.src.peek(at+levels, int(min(size, zstd.HeaderMaxSize)))
	if err != nil {
		return err
	}
	b = b[:min(int64(len(b)), size)]
	said := raw
	switch c.out.MetaData.Codec {
	case format.Uncompressed:
		said = size
	case format.Snappy:
		n, decodeErr := snappy.DecodedLen(b)
		said, err = int64(n), decodeErr
	case format.Zstd:
		var frame zstd.Header
		if err = frame.Decode(b); err == nil && frame.HasFCS && !frame.Skippable {
			said = max(raw, int64(frame.FrameContentSize)) // less where frames follow each other
		}
	}
	if err != nil || said != raw {
		return fmt.Errorf("%w: it claims %d bytes uncompressed, its first bytes say %d (%v)", ErrCorrupt, raw, said, err)
	}
	return nil
}

// index returns the page index of the chunk, from the input's where that
// describes the pages. shift is what pages moved by.
func (c *chunkSplice) index(bounds, offsets []byte, shift int64) chunkIndex {
	out := chunkIndex{offsets: c.offsets(offsets)}
	if out.offsets == nil {
		return out
	}
	for i := range out.offsets.PageLocations {
		out.offsets.PageLocations[i].Offset += shift
	}
	if c.typed && c.validBounds(bounds) {
		out.bounds = slices.Clone(bounds)
	}
	return out
}

// offsets is the page offsets of the input if they are those of the pages.
// Where the input has none they are made, if the pages' rows are known.
func (c *chunkSplice) offsets(b []byte) *format.OffsetIndex {
	index := new(format.OffsetIndex)
	found := decodeIndex(b, index)
	if n := len(index.PageLocations); found && n != len(c.pages) {
		return nil
	}
	if len(index.UnencodedByteArrayDataBytes) != len(c.pages) {
		index.UnencodedByteArrayDataBytes = nil
	}
	row := int64(0) // where the page begins; -1 where that is unknown
	for i, p := range c.pages {
		want := format.PageLocation{Offset: p.offset, CompressedPageSize: int32(p.size), FirstRowIndex: row}
		if !found {
			index.PageLocations = append(index.PageLocations, want)
		}
		have := index.PageLocations[i]
		if row < 0 && found { // all that is known is that rows rise
			want.FirstRowIndex = have.FirstRowIndex
			if before := index.PageLocations[i-1].FirstRowIndex; have.FirstRowIndex < before || have.FirstRowIndex >= c.rows {
				return nil
			}
		}
		if have != want || row < 0 && !found {
			return nil
		}
		if row += p.rows; p.rows < 0 || row < 0 {
			row = -1
		}
	}
	return index
}

// validBounds tells whether b is a column index for as many pages as there are.
func (c *chunkSplice) validBounds(b []byte) bool {
	var index format.ColumnIndex
	n := len(c.pages)
	if !decodeIndex(b, &index) || n == 0 || len(index.NullPages) != n || len(index.MinValues) != n || len(index.MaxValues) != n ||
		len(index.NullCounts) != 0 && len(index.NullCounts) != n {
		return false
	}
	for i, null := range index.NullPages {
		if !null && (!c.validBound(index.MinValues[i]) || !c.validBound(index.MaxValues[i])) {
			return false
		}
	}
	for i, nulls := range index.NullCounts {
		if nulls < 0 || nulls > c.pages[i].values {
			return false
		}
	}
	return true
}

// statistics is what of the input's statistics holds in the output too.
func (c *chunkSplice) statistics(in chunkStatistics) chunkStatistics {
	values := c.in.MetaData.NumValues
	if n := in.NullCount; n.Valid && (n.V < 0 || n.V > values) {
		in.NullCount = thrift.Null[int64]{}
	}
	if n := in.DistinctCount; n.Valid && (n.V < 0 || n.V > values) {
		in.DistinctCount = thrift.Null[int64]{}
	}
	if !c.typed || !c.validBound(in.MinValue) || !c.validBound(in.MaxValue) || len(in.MinValue) > longestBound || len(in.MaxValue) > longestBound {
		in.MinValue, in.MaxValue = nil, nil
		in.IsMinExact, in.IsMaxExact = thrift.Null[bool]{}, thrift.Null[bool]{}
	}
	return in
}

// sizes is the input's size statistics if they have the right shape.
func (c *chunkSplice) sizes() format.SizeStatistics {
	in := c.in.MetaData.SizeStatistics
	if n := len(in.RepetitionLevelHistogram); n != 0 && n != c.leaf.maxRep+1 {
		in.RepetitionLevelHistogram = nil
	}
	if n := len(in.DefinitionLevelHistogram); n != 0 && n != c.leaf.maxDef+1 {
		in.DefinitionLevelHistogram = nil
	}
	in.UnencodedByteArrayDataBytes = max(0, in.UnencodedByteArrayDataBytes)
	return in
}

// validBound tells whether b can be a bound of the column: its type has an
// order and values of this length, and b is a number where it is a float.
func (c *chunkSplice) validBound(b []byte) bool {
	if b == nil {
		return false
	}
	switch c.leaf.element.Type.V {
	case format.Boolean:
		return len(b) == 1
	case format.Int32:
		return len(b) == 4
	case format.Int64:
		return len(b) == 8
	case format.Float:
		return len(b) == 4 && !isNaNBytes(b)
	case format.Double:
		return len(b) == 8 && !isNaNBytes(b)
	case format.FixedLenByteArray:
		return len(b) == int(c.leaf.element.TypeLength.V)
	case format.ByteArray:
		return true
	}
	return false
}

// decodeIndex decodes a page index; false where it is none.
func decodeIndex[T any](b []byte, index *T) bool {
	if len(b) == 0 || checkThrift(b) != nil {
		return false
	}
	err := guard(func() error {
		return thrift.NewDecoder(new(thrift.CompactProtocol).NewReaderFromBytes(b)).Decode(index)
	})
	return err == nil
}
