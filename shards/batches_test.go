package shards_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/parquet-go/parquet-go"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
)

type textRow struct {
	Text string `parquet:"text" json:"text"`
	ID   int64  `parquet:"id" json:"id"`
}

// positioned is a buffer that can say where it is, which the Arrow writer asks.
type positioned struct{ bytes.Buffer }

func (p *positioned) Seek(int64, int) (int64, error) { return int64(p.Len()), nil }

// filesOf writes the same rows in every format, in small row groups.
func filesOf(t testing.TB, rows []textRow) map[string][]byte {
	t.Helper()
	var pq, jsonl, stream bytes.Buffer
	var file positioned
	w := parquet.NewGenericWriter[textRow](&pq, parquet.MaxRowsPerRowGroup(1500), parquet.Compression(&parquet.Snappy))
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	schema := arrow.NewSchema([]arrow.Field{{Name: "text", Type: arrow.BinaryTypes.String}, {Name: "id", Type: arrow.PrimitiveTypes.Int64}}, nil)
	fw, err := ipc.NewFileWriter(&file, ipc.WithSchema(schema))
	if err != nil {
		t.Fatal(err)
	}
	sw := ipc.NewWriter(&stream, ipc.WithSchema(schema))
	for at := 0; at < len(rows); at += 1500 {
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		for _, row := range rows[at:min(at+1500, len(rows))] {
			b.Field(0).(*array.StringBuilder).Append(row.Text)
			b.Field(1).(*array.Int64Builder).Append(row.ID)
		}
		record := b.NewRecord()
		if err := errors.Join(fw.Write(record), sw.Write(record)); err != nil {
			t.Fatal(err)
		}
		record.Release()
		b.Release()
	}
	if err := errors.Join(fw.Close(), sw.Close()); err != nil {
		t.Fatal(err)
	}
	e := json.NewEncoder(&jsonl)
	for _, row := range rows {
		if err := e.Encode(row); err != nil {
			t.Fatal(err)
		}
	}
	return map[string][]byte{"f.parquet": pq.Bytes(), "f.jsonl": jsonl.Bytes(), "f.arrow": file.Bytes(), "f.arrows": stream.Bytes()}
}

// TestBatchBounds checks the sizes of batches, and that rows keep their order,
// numbers and values across them.
func TestBatchBounds(t *testing.T) {
	var rows []textRow
	for i := range 4000 {
		n := i % 50
		switch {
		case i == 1234:
			n = 12 << 20 // one document of 12 MiB in one line
		case i > 3900:
			n = 300_000
		}
		rows = append(rows, textRow{strings.Repeat(string(rune('a'+i%26)), n), int64(i)})
	}
	for name, b := range filesOf(t, rows) {
		t.Run(name, func(t *testing.T) {
			mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
			defer mem.AssertSize(t, 0)
			s, err := shards.Open(context.Background(), memInput(name, b))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			s.Memory = mem
			row, batches := int64(0), 0
			for b, err := range s.Batches(context.Background(), shards.Columns{Text: "text", ID: "id"}, 0, s.NumRowGroups()) {
				if err != nil {
					t.Fatal(err)
				}
				checkBatch(t, b, rows, row)
				row += int64(b.NumRows())
				batches++
				b.Release()
			}
			if row != int64(len(rows)) {
				t.Errorf("%d rows, want %d", row, len(rows))
			}
			if batches < 7 {
				t.Errorf("%d batches", batches)
			}
		})
	}
}

func checkBatch(t *testing.T, b pipeline.Batch, rows []textRow, first int64) {
	t.Helper()
	text, id := b.Record.Column(0).(*array.Binary), b.Record.Column(1).(*array.String)
	if b.FirstRow != first || b.NumRows() == 0 || b.NumRows() > 1024 {
		t.Errorf("batch at row %d: first row %d, %d rows", first, b.FirstRow, b.NumRows())
	}
	if last := len(text.Value(text.Len() - 1)); len(text.ValueBytes())-last >= 8<<20 {
		t.Errorf("batch at row %d: %d bytes of text before its last row", first, len(text.ValueBytes())-last)
	}
	for i := range b.NumRows() {
		want := rows[first+int64(i)]
		if string(text.Value(i)) != want.Text || id.Value(i) != fmt.Sprint(want.ID) || !b.Record.Column(2).IsNull(i) {
			t.Fatalf("row %d: got %.40q, id %s", first+int64(i), text.Value(i), id.Value(i))
		}
	}
}

// TestBatchesStopEarly leaves the loop, and cancels, in the middle.
func TestBatchesStopEarly(t *testing.T) {
	rows := make([]textRow, 5000)
	for name, b := range filesOf(t, rows) {
		t.Run(name, func(t *testing.T) {
			mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
			defer mem.AssertSize(t, 0)
			s, err := shards.Open(context.Background(), memInput(name, b))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			s.Memory = mem
			for b, err := range s.Batches(context.Background(), shards.Columns{Text: "text"}, 0, s.NumRowGroups()) {
				if err != nil {
					t.Fatal(err)
				}
				b.Release()
				break
			}
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			stop, batches := errors.New("stop"), 0
			for b, err := range s.Batches(ctx, shards.Columns{Text: "text"}, 0, s.NumRowGroups()) {
				if err != nil {
					if !errors.Is(err, stop) {
						t.Errorf("got error %v", err)
					}
					break
				}
				b.Release()
				batches++
				cancel(stop)
			}
			if batches > 3 {
				t.Errorf("%d batches after cancel", batches)
			}
		})
	}
}

func TestBatchesRange(t *testing.T) {
	for name, b := range filesOf(t, make([]textRow, 10)) {
		s, err := shards.Open(context.Background(), memInput(name, b))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for _, r := range [][2]int{{-1, 1}, {1, 0}, {0, s.NumRowGroups() + 1}} {
			if _, err := readAll(t, s, shards.Columns{Text: "text"}, r[0], r[1]); !errors.Is(err, shards.ErrRange) {
				t.Errorf("%s: row groups %d to %d: got error %v", name, r[0], r[1], err)
			}
		}
		if rows, err := readAll(t, s, shards.Columns{Text: "text"}, 0, 0); err != nil || len(rows) != 0 {
			t.Errorf("%s: no row groups: %d rows, error %v", name, len(rows), err)
		}
	}
}
