package shards

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"github.com/curate-data/curate/pipeline"
)

// lie changes what a Parquet footer says about its two row groups of 40 rows.
type lie struct {
	name string
	tell func(m *format.FileMetaData)
	page bool // the header of the first column's last page lies, too
}

func lies() []lie {
	chunk := func(m *format.FileMetaData, group, column int) *format.ColumnMetaData {
		return &m.RowGroups[group].Columns[column].MetaData
	}
	all := func(m *format.FileMetaData, by int64) {
		m.NumRows += by
		m.RowGroups[1].NumRows += by
		for c := range m.RowGroups[1].Columns {
			m.RowGroups[1].Columns[c].MetaData.NumValues += by
		}
	}
	return []lie{
		{"rows of the file, one less", func(m *format.FileMetaData) { m.NumRows-- }, false},
		{"rows of the file, one more", func(m *format.FileMetaData) { m.NumRows++ }, false},
		{"rows of the file, negative", func(m *format.FileMetaData) { m.NumRows = -80 }, false},
		{"rows of a group, one less", func(m *format.FileMetaData) { m.RowGroups[0].NumRows-- }, false},
		{"rows of both groups, the sum is right", func(m *format.FileMetaData) { m.RowGroups[0].NumRows--; m.RowGroups[1].NumRows++ }, false},
		{"rows of file and group, one less", func(m *format.FileMetaData) { m.NumRows--; m.RowGroups[1].NumRows-- }, false},
		{"rows of file and group, one more", func(m *format.FileMetaData) { m.NumRows++; m.RowGroups[1].NumRows++ }, false},
		{"a group is left out", func(m *format.FileMetaData) { m.RowGroups = m.RowGroups[:1] }, false},
		{"a group comes twice", func(m *format.FileMetaData) { m.RowGroups = append(m.RowGroups, m.RowGroups[0]) }, false},
		{"values of a chunk, one less", func(m *format.FileMetaData) { chunk(m, 0, 0).NumValues-- }, false},
		{"values of a chunk, one more", func(m *format.FileMetaData) { chunk(m, 0, 0).NumValues++ }, false},
		{"values of a chunk, huge", func(m *format.FileMetaData) { chunk(m, 0, 0).NumValues = 1 << 60 }, false},
		{"all of the footer, one less", func(m *format.FileMetaData) { all(m, -1) }, false},
		{"all of the footer, one more", func(m *format.FileMetaData) { all(m, 1) }, false},
		{"all of the footer, none", func(m *format.FileMetaData) { all(m, -40) }, false},
		{"a page", func(*format.FileMetaData) {}, true},
		{"a page and its chunk", func(m *format.FileMetaData) { chunk(m, 0, 0).NumValues-- }, true},
	}
}

// liedFile writes 80 rows in two row groups and lies about them.
func liedFile(t *testing.T, l lie, options ...parquet.WriterOption) ([]byte, int64) {
	t.Helper()
	type row struct {
		Text *string  `parquet:"text"`
		ID   string   `parquet:"id"`
		List []string `parquet:"list"`
	}
	var b bytes.Buffer
	w := parquet.NewGenericWriter[row](&b, options...)
	for group := range 2 {
		rows := make([]row, 40)
		for i := range rows {
			text := fmt.Sprint("document ", group, i*i)
			rows[i] = row{&text, fmt.Sprint(i), make([]string, i%3)}
		}
		if _, err := w.Write(rows); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file, meta := b.Bytes(), footerOf(t, b.Bytes()).meta
	if l.page {
		lowerPage(t, file, &meta.RowGroups[0].Columns[0].MetaData)
	}
	l.tell(&meta)
	footer, err := thrift.Marshal(new(thrift.CompactProtocol), &meta)
	if err != nil {
		t.Fatal(err)
	}
	body := file[:len(file)-8-int(binary.LittleEndian.Uint32(file[len(file)-8:]))]
	file = append(slices.Clone(body), footer...)
	return append(binary.LittleEndian.AppendUint32(file, uint32(len(footer))), "PAR1"...), meta.NumRows
}

// lowerPage takes one from the values of the last page of a chunk, in place.
func lowerPage(t *testing.T, file []byte, meta *format.ColumnMetaData) {
	t.Helper()
	pages := pageHeaders{section: sectionOf(file, meta)}
	for pages.at < pages.section.Size() {
		at := pages.at
		header, err := pages.next()
		if err != nil {
			t.Fatal(err)
		}
		length := pages.at - at
		pages.at += int64(header.CompressedPageSize)
		if pages.at < pages.section.Size() {
			continue
		}
		switch {
		case header.DataPageHeader.Valid:
			header.DataPageHeader.V.NumValues--
		case header.DataPageHeaderV2.Valid:
			header.DataPageHeaderV2.V.NumValues--
		}
		b, err := thrift.Marshal(new(thrift.CompactProtocol), header)
		if err != nil || int64(len(b)) != length {
			t.Fatalf("a header of %d bytes has %d when it lies: %v", length, len(b), err)
		}
		copy(file[chunkStart(meta)+at:], b)
	}
}

// TestLiesAboutRows: a footer or page that lies about how many rows there are is
// an error on every path: text, copies, checks, in this process and in a child.
func TestLiesAboutRows(t *testing.T) {
	store := func(b []byte) mutantStore { return mutantStore{content: b} }
	paths := map[string]func(b []byte, rows int64) error{
		"text": func(b []byte, _ int64) error {
			_, err := readMutant(&mutant{mutantSource: mutantSource{file: "x.parquet", cols: Columns{"text", "id", ""}}, bytes: b}, 0)
			return err
		},
		"copy all": func(b []byte, rows int64) error {
			_, err := copyMutant(&mutant{mutantSource: mutantSource{file: "x.parquet"}, bytes: b}, rows, masks["all"])
			return err
		},
		"copy a third": func(b []byte, rows int64) error {
			_, err := copyMutant(&mutant{mutantSource: mutantSource{file: "x.parquet"}, bytes: b}, rows, masks["third"])
			return err
		},
		"check": func(b []byte, _ int64) error {
			_, err := CheckRows(context.Background(), store(b), "x.parquet")
			return err
		},
		"sandbox": func(b []byte, _ int64) error {
			s, err := sandboxed("x.parquet", b, sandboxOf(ServeShard))
			if err != nil {
				return err
			}
			defer s.Close()
			_, err = textOf(s, Columns{"text", "id", ""}, 0, s.NumRowGroups())
			return err
		},
	}
	for version, options := range map[string][]parquet.WriterOption{
		"v1": {parquet.DataPageVersion(1), parquet.PageBufferSize(100)}, "v2": {parquet.DataPageVersion(2), parquet.Compression(&parquet.Zstd)},
	} {
		honest, rows := liedFile(t, lie{tell: func(*format.FileMetaData) {}}, options...)
		for path, run := range paths {
			if err := run(honest, rows); err != nil {
				t.Errorf("%s, honest, %s: %v", version, path, err)
			}
		}
		for _, l := range lies() {
			file, rows := liedFile(t, l, options...)
			for path, run := range paths {
				if err := run(file, max(rows, 0)); err == nil {
					t.Errorf("%s, %s, %s: no error", version, l.name, path)
				}
			}
		}
	}
}

// TestLiesAboutDecisions: the same for selections, which have no nested columns.
func TestLiesAboutDecisions(t *testing.T) {
	var b bytes.Buffer
	w := NewSelectionWriter(&b, nil)
	d := &pipeline.Decisions{Shard: "s"}
	for i := range 40 {
		d.Row, d.Seq, d.Keep, d.Reason, d.Score = append(d.Row, int64(i)), append(d.Seq, 0), append(d.Keep, true), append(d.Reason, ""), append(d.Score, 1)
	}
	if err := w.Write(d); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for by := int64(-40); by <= 1; by++ {
		meta := footerOf(t, b.Bytes()).meta
		meta.NumRows += by
		meta.RowGroups[0].NumRows += by
		footer, err := thrift.Marshal(new(thrift.CompactProtocol), &meta)
		if err != nil {
			t.Fatal(err)
		}
		file := append(append([]byte{}, b.Bytes()[:b.Len()-8-int(binary.LittleEndian.Uint32(b.Bytes()[b.Len()-8:]))]...), footer...)
		file = append(binary.LittleEndian.AppendUint32(file, uint32(len(footer))), "PAR1"...)
		rows, failed := 0, false
		for d, err := range ReadSelection(context.Background(), bytesObject(file)) {
			if err != nil {
				failed = true
				break
			}
			rows += len(d.Row)
		}
		if failed == (by == 0) {
			t.Errorf("%d rows more than there are: %d rows read, failed %t", by, rows, failed)
		}
	}
}
