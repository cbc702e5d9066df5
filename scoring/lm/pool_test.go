package lm

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring/tokenizer"
)

// TestPaddingOfThePool packs a pool of real text, if CURATE_SHARED names a
// folder that holds one: less than a twentieth of what the device computes may be
// padding. Calls hold a million tokens, as scoring.Scorer makes them, and end
// with the shard.
func TestPaddingOfThePool(t *testing.T) {
	shared := os.Getenv("CURATE_SHARED")
	if shared == "" {
		t.Skip("CURATE_SHARED is not set")
	}
	paths, err := filepath.Glob(filepath.Join(shared, "data", "text", "pool-*.parquet"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no pool: %v", err)
	}
	for name, path := range map[string]string{
		"demo": "../../configs/demo/tokenizer.json", "gpt-neox-20b": filepath.Join(shared, "data", "tokenizers", "gpt-neox-20b.json"),
	} {
		tok, err := tokenizer.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		var pool [][][]int32 // ids of documents by shard
		for _, path := range paths {
			pool = append(pool, tokenise(t, tok, path))
		}
		for _, length := range []int{256, 512} {
			for _, rows := range []int{8, 32, 128} {
				tokens, device := 0, 0
				for _, shard := range pool {
					used, computed := packShard(shard, ScorerOptions{SequenceLength: length, BatchTokens: rows * length})
					tokens, device = tokens+used, device+computed
				}
				share := 1 - float64(tokens)/float64(device)
				t.Logf("%s, T = %d, %d rows: %d tokens, %.2f %% of %d are padding", name, length, rows, tokens, 100*share, device)
				if share >= 0.05 {
					t.Errorf("%s, T = %d, %d rows: %.2f %% of device tokens are padding, want less than 5 %%", name, length, rows, 100*share)
				}
			}
		}
	}
}

// packShard returns how many tokens the windows of a shard have, and the device.
func packShard(shard [][]int32, o ScorerOptions) (used, computed int) {
	var windows []pipeline.Window
	pending := 0
	call := func() {
		for _, b := range plan(windows, o) {
			used += b.used(windows)
			computed += b.rows * b.length
		}
		windows, pending = nil, 0
	}
	for _, ids := range shard {
		for from := 0; from+1 < len(ids); from += o.SequenceLength {
			w := pipeline.Window{Tokens: ids[from:min(from+o.SequenceLength, len(ids))]}
			if pending+len(w.Tokens) > 1<<20 {
				call()
			}
			windows, pending = append(windows, w), pending+len(w.Tokens)
		}
	}
	call()
	return used, computed
}

func tokenise(t *testing.T, tok *tokenizer.Tokenizer, path string) [][]int32 {
	t.Helper()
	f, err := file.OpenParquetFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	reader, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	table, err := reader.ReadTable(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer table.Release()
	at := table.Schema().FieldIndices("text")[0]
	var ids [][]int32
	encoder := tok.NewEncoder()
	for _, chunk := range table.Column(at).Data().Chunks() {
		texts := chunk.(*array.String)
		for i := range texts.Len() {
			ids = append(ids, encoder.Append(nil, []byte(texts.Value(i))))
		}
	}
	return ids
}
