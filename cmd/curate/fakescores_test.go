package main

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/local"
)

// writtenPool is a folder of shards and a selection of their rows, made without
// models: what `curate write` needs. One shard is large enough for an upload in
// several parts.
type writtenPool struct {
	folder, selection string
	inputs            []string
	kept              int64
}

// newWrittenPool makes the pool. large is the size of the large shard in bytes.
func newWrittenPool(t *testing.T, large int) writtenPool {
	t.Helper()
	dir := t.TempDir()
	p := writtenPool{folder: filepath.Join(dir, "pool"), selection: filepath.Join(dir, "selection")}
	if err := os.Mkdir(p.folder, 0o755); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(7, 7))
	p.parquet(t, "a.parquet", random, 40, 200)
	p.parquet(t, "large.parquet", random, 100, large/100)
	p.parquet(t, "nested/b.parquet", random, 300, 30)
	tinyJSONL(t, p.folder)
	p.inputs = append(p.inputs, filepath.Join(p.folder, "more.jsonl"))
	scores := filepath.Join(dir, "scores")
	fakeScores(t, p.folder, scores)
	mustCurate(t, "select", "--scores", scores, "--output", p.selection, "--keep-fraction", "0.7", "--quiet")
	p.kept = readManifest(t, p.selection).Counts.Kept
	return p
}

// parquet adds a shard of random text, which does not compress.
func (p *writtenPool) parquet(t *testing.T, name string, random *rand.Rand, rows, bytes int) {
	t.Helper()
	type row struct {
		ID   string   `parquet:"id"`
		Text string   `parquet:"text"`
		Tags []string `parquet:"tags"`
	}
	path := filepath.Join(p.folder, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	all := make([]row, rows)
	for i := range all {
		text := make([]byte, bytes)
		for j := range text {
			text[j] = byte(random.Uint32())
		}
		all[i] = row{fmt.Sprint(name, i), string(text), make([]string, i%3)}
	}
	if err := parquet.WriteFile(path, all, parquet.MaxRowsPerRowGroup(60)); err != nil {
		t.Fatal(err)
	}
	p.inputs = append(p.inputs, path)
}

// fakeScores writes what `curate score` would, with losses that a hash decides.
func fakeScores(t *testing.T, pool, folder string) {
	t.Helper()
	ctx, store := context.Background(), local.New(folder)
	inputs, err := shards.ListInputs(ctx, local.Locate, []string{pool})
	if err != nil {
		t.Fatal(err)
	}
	m := &shards.Manifest{Stage: "score", Key: "fake", Curate: "dev", Options: json.RawMessage(`{"unit":"document"}`), Backend: "go"}
	for _, in := range inputs {
		digest, err := shards.Digest(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		unit := shards.Unit{File: in.Shard + ".scores.parquet", Shard: in.Shard, Key: "fake", RowGroups: 1}
		pending, err := store.Create(ctx, unit.File)
		if err != nil {
			t.Fatal(err)
		}
		out := newDigesting(pending)
		unit.Rows = fakeShardScores(t, in, shards.NewScoreWriter(out, nil))
		if err := pending.Finish(ctx); err != nil {
			t.Fatal(err)
		}
		unit.Size, unit.SHA256 = out.size, fmt.Sprintf("%x", out.sum.Sum(nil))
		unit.Counts = shards.Counts{RowsIn: unit.Rows, Kept: unit.Rows}
		m.Counts.Add(unit.Counts)
		m.Units = append(m.Units, unit)
		m.Inputs = append(m.Inputs, shards.ManifestInput{Shard: in.Shard, URI: in.URI, Size: in.Size, Digest: digest, Rows: unit.Rows})
	}
	if err := shards.WriteManifest(ctx, store, manifestName, m); err != nil {
		t.Fatal(err)
	}
}

// fakeShardScores writes the sidecar of one shard and returns its rows.
func fakeShardScores(t *testing.T, in shards.Input, w *shards.ScoreWriter) int64 {
	t.Helper()
	s, err := shards.Open(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rows := int64(0)
	for b, err := range s.Batches(context.Background(), shards.Columns{Text: "text"}, 0, s.NumRowGroups()) {
		if err != nil {
			t.Fatal(err)
		}
		n := b.NumRows()
		scores := &pipeline.Scores{
			Shard: in.Shard, Row: make([]int64, n), Seq: make([]int32, n), ID: make([]string, n), Domain: make([]string, n), TokenCount: make([]int32, n),
			Prior: make([]float32, n), Conditional: make([]float32, n), Color: make([]float32, n), Reason: make([]pipeline.Reason, n),
		}
		for i := range n {
			sum := fnv.New32a()
			fmt.Fprint(sum, in.Shard, b.FirstRow+int64(i))
			scores.Row[i], scores.TokenCount[i] = b.FirstRow+int64(i), 10
			scores.Conditional[i] = float32(sum.Sum32()%1000) / 1000
			scores.Prior[i], scores.Color[i] = 1, 1-scores.Conditional[i]
		}
		rows += int64(n)
		b.Release()
		if err := w.Write(scores); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return rows
}
