package shards

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// chunkOf writes one column of text, with pages of any size, and returns the
// file and the chunk's metadata.
func chunkOf(t *testing.T, texts []string, options ...parquet.WriterOption) ([]byte, *format.ColumnMetaData) {
	t.Helper()
	type row struct {
		Text string `parquet:"text"`
	}
	rows := make([]row, len(texts))
	for i, text := range texts {
		rows[i].Text = text
	}
	var b bytes.Buffer
	w := parquet.NewGenericWriter[row](&b, options...)
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), &footerOf(t, b.Bytes()).meta.RowGroups[0].Columns[0].MetaData
}

// TestPageHeadersOfAnySize: pages shorter and longer than what is read at once,
// headers with statistics of 10 KB.
func TestPageHeadersOfAnySize(t *testing.T) {
	var texts []string
	for i := range 40 {
		texts = append(texts, string(bytes.Repeat([]byte{byte('a' + i%26), byte(i)}, 1+i*i*i/5)))
	}
	for _, options := range [][]parquet.WriterOption{
		{parquet.PageBufferSize(64)}, {parquet.PageBufferSize(100_000)},
		{parquet.PageBufferSize(64), parquet.DataPageStatistics(true), parquet.ColumnIndexSizeLimit(func([]string) int { return 1 << 20 })},
		{parquet.PageBufferSize(64), parquet.Compression(&parquet.Zstd)}, {parquet.PageBufferSize(64), parquet.Compression(&parquet.Snappy), parquet.DataPageVersion(1)},
	} {
		file, meta := chunkOf(t, texts, options...)
		if err := checkPageHeaders(bytesObject(file), meta); err != nil {
			t.Errorf("a good chunk: %v", err)
		}
	}
}

// TestBodyThatClaimsMore changes the size that a compressed page says it has.
func TestBodyThatClaimsMore(t *testing.T) {
	texts := []string{string(bytes.Repeat([]byte("curate "), 400))}
	for _, c := range []struct {
		codec      parquet.WriterOption
		good, evil []byte
	}{
		// The magic number of a zstd frame, its descriptor, the size: 2 bytes less 256, then 8 bytes.
		{parquet.Compression(&parquet.Zstd), []byte{0x28, 0xB5, 0x2F, 0xFD}, []byte{0x28, 0xB5, 0x2F, 0xFD, 0xE0, 0, 0, 0, 0, 1, 0, 0, 0}},
		{parquet.Compression(&parquet.Snappy), nil, []byte{0xFF, 0xFF, 0xFF, 0xFF, 0x0F}},
	} {
		file, meta := chunkOf(t, texts, c.codec, parquet.DataPageVersion(1), parquet.DataPageStatistics(false))
		at := bytes.Index(file, c.good)
		if c.good == nil {
			pages := pageHeaders{section: sectionOf(file, meta)}
			if _, err := pages.next(); err != nil {
				t.Fatal(err)
			}
			at = int(chunkStart(meta) + pages.at)
		}
		copy(file[at:], c.evil)
		if err := checkPageHeaders(bytesObject(file), meta); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%v: got error %v", meta.Codec, err)
		}
	}
}

// sectionOf is the chunk in a file.
func sectionOf(file []byte, meta *format.ColumnMetaData) *io.SectionReader {
	return io.NewSectionReader(bytesObject(file), chunkStart(meta), meta.TotalCompressedSize)
}

// TestLeafThatIsAList: a column without children that says it is a list is
// refused, by whatever looks at it first.
func TestLeafThatIsAList(t *testing.T) {
	file, meta := liedFile(t, lie{tell: func(m *format.FileMetaData) {
		for i := range m.Schema {
			if m.Schema[i].Name == "text" {
				m.Schema[i].LogicalType.Value = &format.ListType{}
				m.Schema[i].ConvertedType.Valid = false
			}
		}
	}})
	m := &mutant{mutantSource: mutantSource{file: "x.parquet", cols: Columns{"text", "id", ""}, rows: meta}, bytes: file}
	for way := range ways {
		if o := try(m, way); o.Result != refused && o.Result != accepted {
			t.Errorf("%s: %+v", o.Way, o)
		}
	}
}
