package shards

import (
	"bytes"
	"encoding/binary"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// spliceAll has every row group spliced that is kept whole.
var spliceAll = CopyOptions{SpliceBytes: 1}

// chunkBytes are the bytes of a column chunk.
func chunkBytes(file []byte, meta *format.ColumnMetaData) []byte {
	return file[chunkStart(meta) : chunkStart(meta)+meta.TotalCompressedSize]
}

// TestSpliceCopiesBytes compares the pages of all type files with those of
// their spliced copies, and has the page offsets of the copies point to pages.
func TestSpliceCopiesBytes(t *testing.T) {
	nested := 0
	for _, path := range typeFiles(t) {
		name := filepath.Base(path)
		if strings.Contains(name, "lz4") {
			continue
		}
		input := typeFile(t, name)
		in := footerOf(t, input)
		leaves, err := in.schema.leaves()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(leaves, func(c *leafColumn) bool { return c.maxRep == 0 }) {
			nested++
			continue // cannot be counted, is decoded
		}
		got, _, err := copyBytes(input, Parquet, int(in.meta.NumRows), masks["all"], spliceAll)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out := footerOf(t, got)
		if len(out.meta.RowGroups) != len(in.meta.RowGroups) {
			t.Errorf("%s: %d row groups, want %d", name, len(out.meta.RowGroups), len(in.meta.RowGroups))
			continue
		}
		for g := range in.meta.RowGroups {
			for i := range leaves {
				a, b := &in.meta.RowGroups[g].Columns[i].MetaData, &out.meta.RowGroups[g].Columns[i].MetaData
				if !bytes.Equal(chunkBytes(input, a), chunkBytes(got, b)) || a.Codec != b.Codec {
					t.Errorf("%s: row group %d, column %s: other bytes or codec", name, g, leaves[i].name())
				}
				checkPageOffsets(t, name, got, &out.meta.RowGroups[g], i)
			}
		}
	}
	if nested > 12 {
		t.Errorf("%d files were not spliced", nested)
	}
}

// checkPageOffsets checks that the offset index of a chunk, if there is one,
// lists its data pages.
func checkPageOffsets(t *testing.T, name string, file []byte, group *format.RowGroup, column int) {
	t.Helper()
	chunk := &group.Columns[column]
	if chunk.OffsetIndexLength == 0 {
		return
	}
	var index format.OffsetIndex
	if !decodeIndex(file[chunk.OffsetIndexOffset:chunk.OffsetIndexOffset+int64(chunk.OffsetIndexLength)], &index) {
		t.Fatalf("%s: column %d: offset index cannot be decoded", name, column)
	}
	values := int64(0)
	for p, page := range index.PageLocations {
		r := thrift.NewDecoder(new(thrift.CompactProtocol).NewReaderFromBytes(file[page.Offset:]))
		var header format.PageHeader
		if err := r.Decode(&header); err != nil {
			t.Fatalf("%s: column %d: page %d: %v", name, column, p, err)
		}
		n, err := checkPage(&header, chunk.MetaData.Codec)
		if err != nil || header.CompressedPageSize >= page.CompressedPageSize || header.Type == format.DictionaryPage {
			t.Errorf("%s: column %d: page %d: %+v at %+v, %v", name, column, p, header, page, err)
		}
		values += n
	}
	if values != chunk.MetaData.NumValues {
		t.Errorf("%s: column %d: %d values by page offsets, want %d", name, column, values, chunk.MetaData.NumValues)
	}
}

// TestSpliceCodec: one codec per column in a file, that of the input only where
// its first row group is copied as bytes.
func TestSpliceCodec(t *testing.T) {
	for _, c := range []struct {
		file, mask string
		want       format.CompressionCodec
		same       int // row groups with the input's bytes
	}{
		{"codec_snappy", "all", format.Snappy, 3},
		{"codec_snappy", "splice begin", format.Snappy, 2},
		{"codec_snappy", "splice most", format.Zstd, 0},
		{"codec_none", "splice begin", format.Uncompressed, 2},
		{"codec_gzip", "splice begin", format.Gzip, 2},
		{"codec_brotli", "splice begin", format.Brotli, 2},
		{"string", "splice most", format.Zstd, 2},
		{"string", "third", format.Zstd, 0},
	} {
		input := typeFile(t, c.file+".parquet")
		got, _, err := copyBytes(input, Parquet, 50, splicedMasks()[c.mask], CopyOptions{SpliceBytes: 1, ScoreColumn: "score"})
		if err != nil {
			t.Fatal(err)
		}
		in, out, same := footerOf(t, input), footerOf(t, got), 0
		for g := range out.meta.RowGroups {
			columns := out.meta.RowGroups[g].Columns
			if columns[0].MetaData.Codec != c.want || columns[len(columns)-1].MetaData.Codec != format.Zstd {
				t.Errorf("%s %s: row group %d: codecs %v and %v of scores, want %v and ZSTD", c.file, c.mask, g, columns[0].MetaData.Codec, columns[len(columns)-1].MetaData.Codec, c.want)
			}
			for i := range in.meta.RowGroups {
				if bytes.Equal(chunkBytes(got, &columns[0].MetaData), chunkBytes(input, &in.meta.RowGroups[i].Columns[0].MetaData)) {
					same++
				}
			}
		}
		if same != c.same {
			t.Errorf("%s %s: %d row groups as in the input, want %d", c.file, c.mask, same, c.same)
		}
	}
}

// TestSpliceLeavesSmallRowGroups: the default merges them.
func TestSpliceLeavesSmallRowGroups(t *testing.T) {
	input := typeFile(t, "codec_snappy.parquet")
	for _, opt := range []CopyOptions{{}, {SpliceBytes: -1}, {SpliceBytes: 1 << 30}} {
		got, _, err := copyBytes(input, Parquet, 50, masks["all"], opt)
		if err != nil {
			t.Fatal(err)
		}
		out := footerOf(t, got)
		if len(out.meta.RowGroups) != 1 || out.meta.RowGroups[0].Columns[0].MetaData.Codec != format.Zstd {
			t.Errorf("%+v: %d row groups, codec %v", opt, len(out.meta.RowGroups), out.meta.RowGroups[0].Columns[0].MetaData.Codec)
		}
	}
}

// TestSpliceChecksSums flips every byte of the pages of a file whose pages have
// sums.
func TestSpliceChecksSums(t *testing.T) {
	input, _, err := copyBytes(typeFile(t, "struct_deep.parquet"), Parquet, 50, masks["all"], CopyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	in := footerOf(t, input)
	flipped := 0
	for i := range in.meta.RowGroups[0].Columns {
		meta := &in.meta.RowGroups[0].Columns[i].MetaData
		at, end := chunkStart(meta), chunkStart(meta)+meta.TotalCompressedSize
		part := pieceReader{obj: bytesObject(input), end: end}
		for at < end {
			header, length, err := part.pageHeader(at, end)
			if err != nil || header.CRC == 0 {
				t.Fatalf("column %d: header %+v, %v", i, header, err)
			}
			for at += length; header.CompressedPageSize > 0; at, header.CompressedPageSize = at+1, header.CompressedPageSize-1 {
				b := slices.Clone(input)
				b[at] ^= 4
				flipped++
				if _, _, err := copyBytes(b, Parquet, 50, masks["all"], spliceAll); !errors.Is(err, ErrCorrupt) {
					t.Fatalf("column %d: byte %d flipped: %v, want ErrCorrupt", i, at, err)
				}
			}
		}
	}
	if flipped < 200 {
		t.Errorf("only %d bytes flipped", flipped)
	}
}

// withFooter replaces the footer of a file.
func withFooter(t *testing.T, file []byte, footer []byte) []byte {
	t.Helper()
	old := int(binary.LittleEndian.Uint32(file[len(file)-8:]))
	b := append(slices.Clone(file[:len(file)-8-old]), footer...)
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(footer))), parquetMagic...)
}

// TestSpliceStatistics: what the input does not say is not said in the copy, and
// what cannot be is dropped.
func TestSpliceStatistics(t *testing.T) {
	input := typeFile(t, "int32.parquet")
	in := footerOf(t, input)
	for name, c := range map[string]struct {
		change func(s *chunkStatistics)
		orders bool
		want   func(before, after chunkStatistics) bool
	}{
		"as they are": {func(*chunkStatistics) {}, true, func(a, b chunkStatistics) bool {
			return a.NullCount == b.NullCount && bytes.Equal(a.MinValue, b.MinValue) && len(b.MaxValue) == 8
		}},
		"no null count":  {func(s *chunkStatistics) { s.NullCount.Valid = false }, true, func(_, b chunkStatistics) bool { return !b.NullCount.Valid && len(b.MinValue) == 8 }},
		"too many nulls": {func(s *chunkStatistics) { s.NullCount = thrift.New[int64](1000) }, true, func(_, b chunkStatistics) bool { return !b.NullCount.Valid }},
		"bounds of other size": {func(s *chunkStatistics) { s.MaxValue = []byte("x") }, true, func(a, b chunkStatistics) bool {
			return a.NullCount == b.NullCount && b.MinValue == nil && b.MaxValue == nil
		}},
		"no column order": {func(*chunkStatistics) {}, false, func(a, b chunkStatistics) bool {
			return a.NullCount == b.NullCount && b.MinValue == nil && b.MaxValue == nil
		}},
	} {
		var stats footerStatistics
		if err := in.decode(&stats); err != nil {
			t.Fatal(err)
		}
		changed := outFooter{Version: 2, Schema: in.schema.elements, NumRows: in.meta.NumRows}
		if c.orders {
			changed.ColumnOrders = in.meta.ColumnOrders
		}
		var before []chunkStatistics
		for g := range in.meta.RowGroups {
			var all []chunkStatistics
			for _, column := range stats.RowGroups[g].Columns {
				all = append(all, column.MetaData.Statistics)
			}
			c.change(&all[0])
			before = append(before, all[0])
			changed.RowGroups = append(changed.RowGroups, newOutRowGroup(&in.meta.RowGroups[g], all))
		}
		b, err := thrift.Marshal(new(thrift.CompactProtocol), &changed)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := copyBytes(withFooter(t, input, b), Parquet, 50, masks["all"], spliceAll)
		if err != nil {
			t.Fatal(err)
		}
		var after footerStatistics
		out := footerOf(t, got)
		if err := out.decode(&after); err != nil {
			t.Fatal(err)
		}
		for g := range after.RowGroups {
			if s := after.RowGroups[g].Columns[0].MetaData.Statistics; !c.want(before[g], s) {
				t.Errorf("%s: row group %d: %+v became %+v", name, g, before[g], s)
			}
			if has := out.meta.RowGroups[g].Columns[0].ColumnIndexLength > 0; has && !c.orders {
				t.Errorf("%s: page bounds without a column order", name)
			}
		}
	}
}

// TestSpliceCarriesBloomFilters, and leaves out one that is not where it should be.
func TestSpliceCarriesBloomFilters(t *testing.T) {
	type row struct {
		ID   string `parquet:"id"`
		Text string `parquet:"text"`
	}
	var file bytes.Buffer
	w := parquet.NewGenericWriter[row](&file, parquet.BloomFilters(parquet.SplitBlockFilter(10, "id")), parquet.MaxRowsPerRowGroup(20))
	for i := range 50 {
		if _, err := w.Write([]row{{ID: strings.Repeat("x", i), Text: "t"}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	input := file.Bytes()
	got, _, err := copyBytes(input, Parquet, 50, masks["all"], CopyOptions{SpliceBytes: 1, ScoreColumn: "s"})
	if err != nil {
		t.Fatal(err)
	}
	f, err := parquet.OpenFile(bytes.NewReader(got), int64(len(got)))
	if err != nil {
		t.Fatal(err)
	}
	for g, group := range f.RowGroups() {
		filter := group.ColumnChunks()[0].BloomFilter()
		if filter == nil || group.ColumnChunks()[1].BloomFilter() != nil {
			t.Fatalf("row group %d: filters %v and %v", g, filter, group.ColumnChunks()[1].BloomFilter())
		}
		for i := range 50 {
			hit, err := filter.Check(parquet.ValueOf(strings.Repeat("x", i)))
			if err != nil || i/20 == g && !hit {
				t.Errorf("row group %d: row %d is not in the filter, %v", g, i, err)
			}
		}
		if hit, err := filter.Check(parquet.ValueOf("not there")); hit || err != nil {
			t.Errorf("row group %d: the filter has what is not there, %v", g, err)
		}
	}
	in := footerOf(t, input)
	for g := range in.meta.RowGroups {
		in.meta.RowGroups[g].Columns[0].MetaData.BloomFilterOffset += 3
	}
	b, err := encodeFooter(&in.meta, in.schema)
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err = copyBytes(withFooter(t, input, b), Parquet, 50, masks["all"], spliceAll); err != nil {
		t.Fatal(err)
	}
	if at := footerOf(t, got).meta.RowGroups[0].Columns[0].MetaData.BloomFilterOffset; at != 0 {
		t.Errorf("a filter that is none was copied to %d", at)
	}
}

// countingObject counts reads, and hears of ranges that will be read.
type countingObject struct {
	Object
	reads, small int
	ahead        [][]Range
}

func (c *countingObject) ReadAt(b []byte, off int64) (int, error) {
	c.reads++
	if len(b) < 64<<10 {
		c.small++
	}
	return c.Object.ReadAt(b, off)
}

func (c *countingObject) Prefetch(ranges []Range) { c.ahead = append(c.ahead, ranges) }

// TestCopyPrefetches: the object hears of the pages of each row group that has
// a kept row, before they are read.
func TestCopyPrefetches(t *testing.T) {
	input := typeFile(t, "struct.parquet")
	in := footerOf(t, input)
	for mask, want := range map[string]int{"all": 3, "third": 3, "last": 1} {
		s, err := openBytes(input, Parquet)
		if err != nil {
			t.Fatal(err)
		}
		obj := &countingObject{Object: s.obj}
		s.obj, s.reader.(*parquetReader).obj = obj, obj
		var out bytes.Buffer
		if _, err := CopyKept(t.Context(), s, decide(50, masks[mask]), &out, spliceAll); err != nil {
			t.Fatal(err)
		}
		if len(obj.ahead) != want {
			t.Fatalf("%s: %d row groups announced, want %d", mask, len(obj.ahead), want)
		}
		last := &in.meta.RowGroups[len(in.meta.RowGroups)-1]
		for i, r := range obj.ahead[want-1] {
			if meta := &last.Columns[i].MetaData; r != (Range{chunkStart(meta), meta.TotalCompressedSize}) {
				t.Errorf("%s: column %d: range %+v", mask, i, r)
			}
		}
	}
}

// TestSpliceCounts: footers that claim other numbers of rows or values than the
// pages have are refused.
func TestSpliceCounts(t *testing.T) {
	input := typeFile(t, "list_list.parquet") // a flat and a nested column
	for name, change := range map[string]func(g *format.RowGroup){
		"a row less":            func(g *format.RowGroup) { g.NumRows-- },
		"a value of lists more": func(g *format.RowGroup) { g.Columns[1].MetaData.NumValues++ },
		"a value less":          func(g *format.RowGroup) { g.Columns[0].MetaData.NumValues-- },
		"a page cut":            func(g *format.RowGroup) { g.Columns[1].MetaData.TotalCompressedSize -= 3 },
		"half a page more":      func(g *format.RowGroup) { g.Columns[0].MetaData.TotalCompressedSize += 20 },
		"begins late":           func(g *format.RowGroup) { moveChunk(&g.Columns[1].MetaData, 1) },
	} {
		in := footerOf(t, input)
		rows := in.meta.RowGroups[1].NumRows
		change(&in.meta.RowGroups[1])
		in.meta.NumRows += in.meta.RowGroups[1].NumRows - rows
		b, err := encodeFooter(&in.meta, in.schema)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = copyBytes(withFooter(t, input, b), Parquet, int(in.meta.NumRows), masks["all"], spliceAll)
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "row group 1") {
			t.Errorf("%s: %v, want ErrCorrupt that names row group 1", name, err)
		}
	}
}
