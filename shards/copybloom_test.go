package shards

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// bloomInput is 3,000 rows in several row groups: a text id, a number, a kind
// that repeats, and tags.
func bloomInput(t *testing.T) []byte {
	t.Helper()
	lines := jsonLines(3000, func(i int) string {
		return fmt.Sprintf(`{"id":"doc-%d","n":%d,"kind":"k%d","tags":["a%d"],"ok":true,"text":%q}`, i, i, i%7, i, strings.Repeat("word ", 40))
	})
	input, _, err := copyBytes(lines, JSONL, 3000, masks["all"], CopyOptions{MaxRowGroupBytes: 128 << 10})
	if err != nil {
		t.Fatal(err)
	}
	return input
}

// TestBloomColumn: the filters hold all values of their row groups and few
// others, where rows are decoded and where row groups are copied as bytes.
func TestBloomColumn(t *testing.T) {
	input := bloomInput(t)
	for _, column := range []string{"id", "n", "kind", "tags.list.element"} {
		for name, opt := range map[string]CopyOptions{"decoded": {SpliceBytes: -1, MaxRowGroupBytes: 128 << 10}, "spliced": {SpliceBytes: 1}} {
			opt.BloomColumn, opt.ScoreColumn = column, "s"
			got, _, err := copyBytes(input, Parquet, 3000, func(i int) bool { return i != 2990 }, opt)
			if err != nil {
				t.Fatal(err)
			}
			f, err := parquet.OpenFile(bytes.NewReader(got), int64(len(got)))
			if err != nil {
				t.Fatal(err)
			}
			if len(f.RowGroups()) < 3 {
				t.Fatalf("%d row groups", len(f.RowGroups()))
			}
			for g, group := range f.RowGroups() {
				for _, chunk := range group.ColumnChunks() {
					path := strings.Join(f.Schema().Columns()[chunk.Column()], ".")
					if has := chunk.BloomFilter() != nil; has != (path == column) {
						t.Fatalf("%s %s: row group %d: column %s has a filter: %t", column, name, g, path, has)
					} else if has {
						checkFilter(t, fmt.Sprintf("%s %s: row group %d", column, name, g), chunk)
					}
				}
			}
		}
	}
}

// checkFilter looks up the values of a chunk, and ones that it does not have.
func checkFilter(t *testing.T, name string, chunk parquet.ColumnChunk) {
	t.Helper()
	pages, found := chunk.Pages(), 0
	defer pages.Close()
	for {
		page, err := pages.ReadPage()
		if err != nil {
			break
		}
		values := make([]parquet.Value, page.NumValues())
		n, _ := page.Values().ReadValues(values)
		for _, v := range values[:n] {
			if hit, err := chunk.BloomFilter().Check(v); !hit || err != nil {
				t.Errorf("%s: %v is missing: %v", name, v, err)
			}
			found++
		}
	}
	if found == 0 {
		t.Errorf("%s: no values", name)
	}
	hits := 0
	for i := range 1000 {
		v := parquet.ValueOf(fmt.Sprintf("no such value %d", i))
		if chunk.Type().Kind() == parquet.Int64 {
			v = parquet.ValueOf(int64(1_000_000 + i))
		}
		if hit, _ := chunk.BloomFilter().Check(v); hit {
			hits++
		}
	}
	if hits > 50 {
		t.Errorf("%s: %d of 1000 values that are not there are not ruled out", name, hits)
	}
}

func TestBloomColumnMustFit(t *testing.T) {
	input := bloomInput(t)
	for column, want := range map[string]string{"ID": "no such column", "tags": "no such column", "ok": "booleans"} {
		got, _, err := copyBytes(input, Parquet, 3000, masks["all"], CopyOptions{BloomColumn: column})
		if !errors.Is(err, ErrColumn) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "tags.list.element") || len(got) > 0 {
			t.Errorf("%s: %d bytes, error %v", column, len(got), err)
		}
	}
}

func TestBloomColumnIsForParquet(t *testing.T) {
	_, _, err := copyBytes(bloomInput(t), Parquet, 3000, masks["all"], CopyOptions{BloomColumn: "id", Format: OutJSONL})
	if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "Bloom") {
		t.Errorf("error %v", err)
	}
}

// TestMetadataServesReaders has DuckDB and pyarrow use the statistics, page
// indexes and Bloom filters of copies.
func TestMetadataServesReaders(t *testing.T) {
	python := needPython(t)
	input := bloomInput(t)
	for name, opt := range map[string]CopyOptions{"decoded": {SpliceBytes: -1, MaxRowGroupBytes: 128 << 10}, "spliced": {SpliceBytes: 1}} {
		opt.BloomColumn = "id"
		got, _, err := copyBytes(input, Parquet, 3000, masks["all"], opt)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), name+".parquet")
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(python, "testdata/check_metadata.py", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
