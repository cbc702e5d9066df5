package tokenizer

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"
)

// TestSharedFixtures compares every row of larger fixtures, if CURATE_SHARED
// names a folder that holds them: data/tokenizers/fixtures-NAME.parquet with the columns
// text and ids (HF tokenizers, add_special_tokens=False).
func TestSharedFixtures(t *testing.T) {
	shared := os.Getenv("CURATE_SHARED")
	if shared == "" {
		t.Skip("CURATE_SHARED is not set")
	}
	folder := filepath.Join(shared, "data", "tokenizers")
	for name, path := range map[string]string{
		"demo":         "../../configs/demo/tokenizer.json",
		"gpt-neox-20b": filepath.Join(folder, "gpt-neox-20b.json"),
		"dolma2":       filepath.Join(folder, "dolma2.json"),
	} {
		t.Run(name, func(t *testing.T) {
			tok, err := Load(path)
			if err != nil {
				t.Fatal(err)
			}
			texts, want := readFixture(t, filepath.Join(folder, "fixtures-"+name+".parquet"))
			e := tok.NewEncoder()
			wrong := 0
			for i, text := range texts {
				got := e.Append(nil, []byte(text))
				if slices.Equal(got, want[i]) {
					continue
				}
				if wrong++; wrong <= 5 {
					t.Errorf("row %d: %.200q\n got %v\nwant %v", i, text, head(got), head(want[i]))
				}
			}
			t.Logf("%d of %d rows equal", len(texts)-wrong, len(texts))
			if wrong > 0 || len(texts) == 0 {
				t.Fail()
			}
		})
	}
}

func head(ids []int32) []int32 { return ids[:min(len(ids), 40)] }

func readFixture(t *testing.T, path string) (texts []string, ids [][]int32) {
	t.Helper()
	f, err := file.OpenParquetFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	table, err := r.ReadTable(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer table.Release()
	reader := array.NewTableReader(table, 1<<20)
	defer reader.Release()
	for reader.Next() {
		record := reader.Record()
		text := record.Column(record.Schema().FieldIndices("text")[0]).(*array.String)
		list := record.Column(record.Schema().FieldIndices("ids")[0]).(*array.List)
		values := list.ListValues().(*array.Int32).Int32Values()
		for i := range text.Len() {
			texts = append(texts, string([]byte(text.Value(i))))
			start, end := list.ValueOffsets(i)
			ids = append(ids, slices.Clone(values[start:end]))
		}
	}
	return texts, ids
}
