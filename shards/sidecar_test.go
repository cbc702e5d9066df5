package shards_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
)

// memObject is an Object in memory.
type memObject struct{ *bytes.Reader }

func object(b []byte) shards.Object { return memObject{bytes.NewReader(b)} }

func (memObject) Close() error { return nil }

// randomScores makes n rows with every kind of value.
func randomScores(shard string, first int64, n int) *pipeline.Scores {
	r := rand.New(rand.NewPCG(1, uint64(first)))
	nan := float32(math.NaN())
	s := &pipeline.Scores{Shard: shard}
	for i := range n {
		prior, conditional, color, reason := r.Float32()*10, r.Float32()*10, float32(0), pipeline.Reason("")
		color = prior - conditional
		switch i % 7 {
		case 1:
			prior, conditional, color, reason = nan, nan, nan, pipeline.NullText
		case 2:
			prior, color, reason = float32(math.Inf(1)), float32(math.Inf(1)), pipeline.InfScore
		case 3:
			prior, conditional, color = 0, 0, 0
		case 4:
			prior, conditional, color = math.MaxFloat32, math.SmallestNonzeroFloat32, -math.MaxFloat32
		}
		id, domain := fmt.Sprintf("id-%d", first+int64(i)), []string{"books", "web", "", "ünï\x00code"}[i%4]
		if i%5 == 0 {
			id = ""
		}
		s.Row, s.Seq = append(s.Row, (first+int64(i))/2), append(s.Seq, int32((first+int64(i))%2))
		s.ID, s.Domain = append(s.ID, id), append(s.Domain, domain)
		s.TokenCount = append(s.TokenCount, r.Int32N(1e6))
		s.Prior, s.Conditional, s.Color = append(s.Prior, prior), append(s.Conditional, conditional), append(s.Color, color)
		s.Reason = append(s.Reason, reason)
	}
	return s
}

// part returns rows i to j of s.
func part(s *pipeline.Scores, i, j int) *pipeline.Scores {
	return &pipeline.Scores{Shard: s.Shard, Row: s.Row[i:j], Seq: s.Seq[i:j], ID: s.ID[i:j], Domain: s.Domain[i:j],
		TokenCount: s.TokenCount[i:j], Prior: s.Prior[i:j], Conditional: s.Conditional[i:j], Color: s.Color[i:j], Reason: s.Reason[i:j]}
}

func writeScores(t *testing.T, step int, all ...*pipeline.Scores) []byte {
	t.Helper()
	var b bytes.Buffer
	w := shards.NewScoreWriter(&b, map[string]string{"b": "2", "a": "1"})
	for _, s := range all {
		for i := 0; i < s.Len(); i += step {
			if err := w.Write(part(s, i, min(i+step, s.Len()))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func readScores(t *testing.T, b []byte, columns ...string) map[string]*pipeline.Scores {
	t.Helper()
	got := map[string]*pipeline.Scores{}
	for s, err := range shards.ReadScores(context.Background(), object(b), columns...) {
		if err != nil {
			t.Fatal(err)
		}
		all := got[s.Shard]
		if all == nil {
			all = &pipeline.Scores{Shard: s.Shard}
			got[s.Shard] = all
		}
		all.Row, all.Seq, all.ID = append(all.Row, s.Row...), append(all.Seq, s.Seq...), append(all.ID, s.ID...)
		all.Domain, all.TokenCount = append(all.Domain, s.Domain...), append(all.TokenCount, s.TokenCount...)
		all.Prior, all.Conditional = append(all.Prior, s.Prior...), append(all.Conditional, s.Conditional...)
		all.Color, all.Reason = append(all.Color, s.Color...), append(all.Reason, s.Reason...)
	}
	return got
}

func TestScoresRoundTrip(t *testing.T) {
	// More than one row group, and a shard that ends inside the first.
	a, b := randomScores("a/x.parquet", 0, 1500), randomScores("b.parquet", 10, 132_000)
	got := readScores(t, writeScores(t, 4096, a, b))
	if len(got) != 2 {
		t.Fatalf("got %d shards", len(got))
	}
	for _, want := range []*pipeline.Scores{a, b} {
		expectScores(t, got[want.Shard], want)
	}
}

// expectScores compares every value; all NaNs are one.
func expectScores(t *testing.T, got, want *pipeline.Scores) {
	t.Helper()
	if got == nil || got.Shard != want.Shard || !slices.Equal(got.Row, want.Row) || !slices.Equal(got.Seq, want.Seq) ||
		!slices.Equal(got.ID, want.ID) || !slices.Equal(got.Domain, want.Domain) || !slices.Equal(got.TokenCount, want.TokenCount) ||
		!slices.EqualFunc(got.Prior, want.Prior, same) || !slices.EqualFunc(got.Conditional, want.Conditional, same) ||
		!slices.EqualFunc(got.Color, want.Color, same) || !slices.Equal(got.Reason, want.Reason) {
		t.Fatalf("shard %s: read back (-written +read):\n%.3000s", want.Shard, cmp.Diff(want, got, cmpopts.EquateNaNs()))
	}
}

// same reports whether two floats have the same bits, or are both NaN.
func same(a, b float32) bool {
	return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b
}

func TestScoresBytesDoNotDependOnCalls(t *testing.T) {
	s := randomScores("s", 0, 132_000)
	want := writeScores(t, s.Len(), s)
	for _, step := range []int{1, 999} {
		if got := writeScores(t, step, s); !bytes.Equal(got, want) {
			t.Errorf("writing %d rows at a time gives other bytes", step)
		}
	}
}

func TestScoresColumns(t *testing.T) {
	s := randomScores("s", 0, 20_000)
	b := writeScores(t, 1000, s)
	got := readScores(t, b, shards.ColumnRow, shards.ColumnColor)["s"]
	want := &pipeline.Scores{Shard: "s", Row: s.Row, Color: s.Color}
	if diff := cmp.Diff(want, got, cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); diff != "" {
		t.Fatal(diff)
	}
	for _, err := range shards.ReadScores(context.Background(), object(b), "nope") {
		if !errors.Is(err, shards.ErrColumn) {
			t.Errorf("unknown column: got error %v", err)
		}
	}
}

func TestScoresEmpty(t *testing.T) {
	if got := readScores(t, writeScores(t, 1)); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func TestScoresOrder(t *testing.T) {
	w := shards.NewScoreWriter(&bytes.Buffer{}, nil)
	if err := w.Write(randomScores("b", 4, 2)); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*pipeline.Scores{randomScores("a", 9, 1), randomScores("b", 5, 1), randomScores("b", 0, 1)} {
		if err := w.Write(s); !errors.Is(err, shards.ErrOrder) {
			t.Errorf("rows of shard %s from row %d: got error %v", s.Shard, s.Row[0], err)
		}
	}
	ragged := randomScores("c", 0, 3)
	ragged.Reason = ragged.Reason[:2]
	if err := w.Write(ragged); err == nil {
		t.Error("columns of different lengths: no error")
	}
}

func TestSelectionRoundTrip(t *testing.T) {
	nan := float32(math.NaN())
	d := &pipeline.Decisions{
		Shard: "s", Row: []int64{0, 1, 2, 5}, Seq: []int32{0, 0, 0, 0}, Keep: []bool{true, false, false, true},
		Reason: []pipeline.Reason{"", pipeline.BelowCut, pipeline.NullText, ""}, Score: []float32{0, -3, nan, 7},
	}
	var b bytes.Buffer
	w := shards.NewSelectionWriter(&b, nil)
	if err := w.Write(d); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for got, err := range shards.ReadSelection(context.Background(), object(b.Bytes())) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		if diff := cmp.Diff(d, got, cmpopts.EquateNaNs()); diff != "" {
			t.Error(diff)
		}
	}
	if n != 1 {
		t.Errorf("got %d chunks, want 1", n)
	}
	d.Reason[0] = pipeline.BelowCut
	if err := shards.NewSelectionWriter(&b, nil).Write(d); err == nil {
		t.Error("a kept row with a reason: no error")
	}
}

// TestScoresGolden pins the bytes of a sidecar: resume and bit-identical runs
// rely on them. testdata/check_scores.py says what other readers see in it.
func TestScoresGolden(t *testing.T) {
	const file = "testdata/scores.parquet"
	got := writeScores(t, 100, randomScores("a/b.parquet", 0, 30))
	if os.Getenv("CURATE_UPDATE") != "" {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: other bytes are written now; if that is meant, run with CURATE_UPDATE=1 and testdata/check_scores.py", file)
	}
}
