package tokenizer

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"
)

// TestSharedFixtures compares every row of larger fixtures: of NAME.json and
// fixtures-NAME.parquet, with the columns text and ids (HF tokenizers,
// add_special_tokens=False), in the folder data/tokenizers of CURATE_SHARED and in
// CURATE_TOKENIZERS, if those are set.
func TestSharedFixtures(t *testing.T) {
	fixtures := map[string]string{} // tokenizer.json: fixtures
	for _, folder := range []string{filepath.Join(os.Getenv("CURATE_SHARED"), "data", "tokenizers"), os.Getenv("CURATE_TOKENIZERS")} {
		found, err := filepath.Glob(filepath.Join(folder, "fixtures-*.parquet"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "fixtures-"), ".parquet")
			file := filepath.Join(folder, name+".json")
			if name == "demo" {
				file = demoFile
			}
			fixtures[file] = path
		}
	}
	if len(fixtures) == 0 {
		t.Skip("neither CURATE_SHARED nor CURATE_TOKENIZERS names a folder of fixtures")
	}
	for file, path := range fixtures {
		t.Run(filepath.Base(file), func(t *testing.T) { compareFixture(t, file, path) })
	}
}

func compareFixture(t *testing.T, file, path string) {
	tok, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	texts, want := readFixture(t, path)
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
