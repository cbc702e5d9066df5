package train

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/curate-data/curate/pipeline"
)

const testEOS = 0

// prepared runs prepare in a new folder and reads the token files back.
func prepared(t *testing.T, corpus Corpus, d draw) (d2 data, train, held []int32) {
	t.Helper()
	work := t.TempDir()
	made, err := prepare(context.Background(), work, corpus, demoTokenizer(t), testEOS, d)
	if err != nil {
		t.Fatal(err)
	}
	return made, tokensOf(t, filepath.Join(work, trainFile), made.Width), tokensOf(t, filepath.Join(work, heldoutFile), made.Width)
}

func tokensOf(t *testing.T, path string, width int) []int32 {
	t.Helper()
	s, err := openSequences(path, width, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	out := make([]int32, s.count)
	for i := range out {
		if err := s.read(int64(i), out[i:i+1]); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// everything takes all rows and holds none out.
var everything = draw{budget: noBudget}

func TestTokensAreTheJoinedDocuments(t *testing.T) {
	mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer mem.AssertSize(t, 0)
	src := &textSource{mem: mem, batch: 2, order: []string{"b", "a"}, shards: map[string][]any{
		"b": {"Call me Ishmael.", nil, "", "bad \xff bytes"},
		"a": {"Some years ago", "x", "never mind how long precisely"},
	}}
	made, train, held := prepared(t, Corpus{Source: src}, everything)
	want := ids(demoTokenizer(t), testEOS, "Call me Ishmael.", "Some years ago", "x", "never mind how long precisely")
	if !slices.Equal(train, want) || len(held) != 0 {
		t.Errorf("got %v and %d held-out tokens, want %v and none", train, len(held), want)
	}
	c := made.Counts
	if c.Rows != 7 || c.Trained != 4 || c.Held != 0 || c.Unused != 0 || c.TrainTokens != int64(len(want)) ||
		c.Skipped[pipeline.NullText] != 1 || c.Skipped[pipeline.EmptyText] != 1 || c.Skipped[pipeline.InvalidUTF8] != 1 {
		t.Errorf("counts %+v", c)
	}
	if src.reads != 1 {
		t.Errorf("the corpus was read %d times", src.reads)
	}
}

// TestBudgetDrawsRowsByHash compares with drawing from all rows at once.
func TestBudgetDrawsRowsByHash(t *testing.T) {
	texts, tok := prose(400), demoTokenizer(t)
	type row struct {
		i      int
		bucket int
	}
	var rows []row
	for i := range texts {
		rows = append(rows, row{i, bucketOf(rowHash(9, saltBudget, pipeline.RowID{Shard: "a.parquet", Row: int64(i)}))})
	}
	slices.SortFunc(rows, func(a, b row) int { return a.bucket - b.bucket })
	const budget = 2500
	var drawn []int
	for sum := 0; sum < budget; {
		next := rows[len(drawn)]
		sum += len(ids(tok, testEOS, texts[next.i]))
		drawn = append(drawn, next.i)
	}
	if rows[len(drawn)-1].bucket == rows[len(drawn)].bucket {
		t.Fatal("two rows share the last bucket: pick another seed for this test")
	}
	slices.Sort(drawn)
	var want []any
	for _, i := range drawn {
		want = append(want, texts[i])
	}
	for _, batch := range []int{1, 7, 400} {
		src := oneShard(texts...)
		src.batch = batch
		made, train, _ := prepared(t, Corpus{Source: src}, draw{seed: 9, budget: budget})
		if !slices.Equal(train, ids(tok, testEOS, want...)) {
			t.Errorf("batches of %d: %d tokens of other rows than the %d drawn", batch, len(train), len(drawn))
		}
		if c := made.Counts; c.Trained != int64(len(drawn)) || c.Unused != 400-c.Trained {
			t.Errorf("counts %+v", c)
		}
	}
}

func TestOrderOfShardsDoesNotChangeTheDraw(t *testing.T) {
	texts := prose(300)
	shards := map[string][]any{"a": texts[:100], "b": texts[100:200], "c": texts[200:]}
	var before []string
	for _, order := range [][]string{{"a", "b", "c"}, {"c", "a", "b"}} {
		src := &textSource{shards: shards, order: order, batch: 16, mem: memory.DefaultAllocator}
		_, train, _ := prepared(t, Corpus{Source: src}, draw{seed: 4, budget: 1500})
		docs := documents(train)
		slices.Sort(docs)
		if before != nil && !slices.Equal(docs, before) {
			t.Error("another order of shards draws other rows")
		}
		before = docs
	}
}

// documents splits a stream at the end-of-text token.
func documents(stream []int32) []string {
	var out []string
	var doc strings.Builder
	for _, id := range stream {
		if id == testEOS {
			out = append(out, doc.String())
			doc.Reset()
			continue
		}
		doc.WriteRune(rune(id))
	}
	return out
}

func TestHeldoutRowsAreNotTrainedOn(t *testing.T) {
	texts := prose(500)
	for name, test := range map[string]struct {
		draw         draw
		least, limit int // held-out tokens
	}{
		"fraction":          {draw{budget: noBudget, heldoutFraction: 0.1, heldoutMax: 1 << 40}, 500, 2000},
		"at least":          {draw{budget: noBudget, heldoutFraction: 0.002, heldoutMin: 900, heldoutMax: 1 << 40}, 900, 1000},
		"at most":           {draw{budget: noBudget, heldoutFraction: 0.5, heldoutMax: 700}, 700, 800},
		"with a budget":     {draw{budget: 2000, heldoutFraction: 0.1, heldoutMax: 1 << 40}, 500, 2000},
		"not over the half": {draw{budget: noBudget, heldoutFraction: 0.001, heldoutMin: 1 << 30, heldoutMax: 1 << 40}, 9000, 9700},
	} {
		t.Run(name, func(t *testing.T) {
			made, train, held := prepared(t, Corpus{Source: oneShard(texts...)}, test.draw)
			if len(held) < test.least || len(held) > test.limit {
				t.Errorf("%d tokens held out of %d, want %d to %d", len(held), len(held)+len(train), test.least, test.limit)
			}
			seen := map[string]bool{}
			for _, doc := range documents(held) {
				seen[doc] = true
			}
			for _, doc := range documents(train) {
				if seen[doc] {
					t.Fatal("a document is both held out and trained on")
				}
			}
			c := made.Counts
			if test.draw.heldoutMin == 0 && test.draw.budget == noBudget {
				trains := int64(0)
				for row := range int64(500) {
					hash := rowHash(0, saltHeldout, pipeline.RowID{Shard: "a.parquet", Row: row})
					if float64(hash)/(1<<64) >= test.draw.heldoutFraction {
						trains++
					}
				}
				if c.Trained != trains {
					t.Errorf("%d rows are trained on, %d lie beyond the held-out share", c.Trained, trains)
				}
			}
			if c.Trained+c.Held+c.Unused != 500 || c.TrainTokens != int64(len(train)) || c.HeldoutTokens != int64(len(held)) {
				t.Errorf("counts %+v", c)
			}
		})
	}
}

func TestTokensAreReusedOnlyUnderTheSameKey(t *testing.T) {
	work, tok, ctx := t.TempDir(), demoTokenizer(t), context.Background()
	src := oneShard(prose(20)...)
	step := func(key string, d draw, reads int) {
		t.Helper()
		if _, err := prepare(ctx, work, Corpus{Source: src, Key: key}, tok, testEOS, d); err != nil {
			t.Fatal(err)
		}
		if src.reads != reads {
			t.Errorf("key %q: corpus read %d times so far, want %d", key, src.reads, reads)
		}
	}
	step("k", everything, 1)
	step("k", everything, 1)
	step("other", everything, 2)
	step("other", draw{budget: 50}, 3)
	step("", draw{budget: 50}, 4)
	step("", draw{budget: 50}, 5)
	step("k", everything, 6)
	if err := os.Truncate(filepath.Join(work, trainFile), 10); err != nil {
		t.Fatal(err)
	}
	step("k", everything, 7) // a file of another size is made anew
}

func TestLeftoversOfACrashAreReplaced(t *testing.T) {
	clean, dirty := t.TempDir(), t.TempDir()
	for _, name := range []string{trainFile, heldoutFile, spoolFile, dataFile + ".tmp", dataFile} {
		if err := os.WriteFile(filepath.Join(dirty, name), []byte("half a line"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	d := draw{budget: noBudget, heldoutFraction: 0.2, heldoutMax: 1 << 40}
	for _, work := range []string{clean, dirty} {
		if _, err := prepare(context.Background(), work, Corpus{Source: oneShard(prose(50)...), Key: "k"}, demoTokenizer(t), testEOS, d); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{trainFile, heldoutFile, dataFile} {
		if !bytes.Equal(readAll(t, filepath.Join(clean, name)), readAll(t, filepath.Join(dirty, name))) {
			t.Errorf("%s differs after a crash", name)
		}
	}
	if _, err := os.Stat(filepath.Join(dirty, spoolFile)); err == nil {
		t.Error("the spool is still there")
	}
}

func TestErrorsOfTheCorpusAreReturned(t *testing.T) {
	src := oneShard(prose(5)...)
	src.fail = errors.New("row group 3 is torn")
	if _, err := prepare(context.Background(), t.TempDir(), Corpus{Source: src}, demoTokenizer(t), testEOS, everything); !errors.Is(err, src.fail) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer mem.AssertSize(t, 0)
	src = oneShard(prose(5)...)
	src.mem = mem
	if _, err := prepare(ctx, t.TempDir(), Corpus{Source: src}, demoTokenizer(t), testEOS, everything); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestTokenFilesHoldWideIDs(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for _, vocabulary := range []int{300, 1 << 16, 1<<16 + 1, 1 << 20} {
		want := make([]int32, 1000)
		for i := range want {
			want[i] = int32(random.IntN(vocabulary))
		}
		want[0] = int32(vocabulary - 1)
		path := filepath.Join(t.TempDir(), "tokens")
		w, err := newTokenWriter(path, idWidth(vocabulary))
		if err != nil {
			t.Fatal(err)
		}
		for part := range slices.Chunk(want, 77) {
			if err := w.append(part); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.finish(); err != nil {
			t.Fatal(err)
		}
		if got := tokensOf(t, path, idWidth(vocabulary)); !slices.Equal(got, want) {
			t.Errorf("vocabulary %d: ids do not come back", vocabulary)
		}
	}
}
