package scoring

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring/tokenizer"
)

// countingLosses is a pair of models whose loss at the position that predicts
// token t is t (prior) and t/2 (conditional): sums that a reader can check.
type countingLosses struct {
	longest int
	calls   [][][]int32 // the windows of each call
}

func (c *countingLosses) Score(_ context.Context, windows []pipeline.Window, done func(int)) (pipeline.WindowLosses, error) {
	sums := [][]float64{make([]float64, len(windows)), make([]float64, len(windows))}
	var call [][]int32
	device := 0
	for i, w := range windows {
		c.longest = max(c.longest, len(w.Tokens))
		call = append(call, slices.Clone(w.Tokens))
		for _, t := range w.Tokens[max(1, w.Seen):] {
			sums[0][i] += float64(t)
			sums[1][i] += float64(t) / 2
		}
		device += len(w.Tokens) + 1
		done(len(w.Tokens))
	}
	c.calls = append(c.calls, call)
	return pipeline.WindowLosses{Sums: sums, DeviceTokens: int64(device)}, nil
}

func loadTokenizer(t *testing.T) *tokenizer.Tokenizer {
	t.Helper()
	tok, err := tokenizer.Load("../configs/demo/tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// textBatch makes a batch; nil is a null text.
func textBatch(mem memory.Allocator, firstRow int64, texts ...any) pipeline.Batch {
	b := array.NewRecordBuilder(mem, pipeline.TextSchema)
	defer b.Release()
	for i, text := range texts {
		if s, ok := text.(string); ok {
			b.Field(0).(*array.BinaryBuilder).Append([]byte(s))
		} else {
			b.Field(0).AppendNull()
		}
		b.Field(1).(*array.StringBuilder).Append(fmt.Sprint("doc-", firstRow+int64(i)))
		b.Field(2).AppendNull()
	}
	return pipeline.Batch{Record: b.NewRecord(), Shard: "a.parquet", FirstRow: firstRow}
}

// scoreAll runs the batches of one unit through tokenizer and scorer.
func scoreAll(t *testing.T, losses Losses, opt Options, batches ...pipeline.Batch) (*Scorer, *pipeline.Scores) {
	t.Helper()
	scorer, err := NewScorer(losses, opt)
	if err != nil {
		t.Fatal(err)
	}
	stage := NewTokenizeStage(loadTokenizer(t), memory.DefaultAllocator)
	var all []*pipeline.Scores
	for _, b := range batches {
		tokens, err := stage.Apply(context.Background(), b)
		if err != nil {
			t.Fatal(err)
		}
		scores, err := scorer.Score(context.Background(), tokens)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, scores)
	}
	scores, err := scorer.Finish(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return scorer, joined(append(all, scores))
}

// joined appends all rows to each other.
func joined(all []*pipeline.Scores) *pipeline.Scores {
	one := &pipeline.Scores{Shard: all[len(all)-1].Shard}
	for _, s := range all {
		one.Row, one.Seq, one.ID, one.Domain = append(one.Row, s.Row...), append(one.Seq, s.Seq...), append(one.ID, s.ID...), append(one.Domain, s.Domain...)
		one.TokenCount, one.Reason = append(one.TokenCount, s.TokenCount...), append(one.Reason, s.Reason...)
		one.Prior, one.Conditional, one.Color = append(one.Prior, s.Prior...), append(one.Conditional, s.Conditional...), append(one.Color, s.Color...)
	}
	return one
}

func TestDocumentsAreScoredInWindows(t *testing.T) {
	mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer mem.AssertSize(t, 0)
	text := "It is a truth universally acknowledged, that a single man in possession of a good fortune must be in want of a wife."
	losses := &countingLosses{}
	scorer, scores := scoreAll(t, losses, Options{Unit: Document, SequenceLength: 8}, textBatch(mem, 40, text, nil, "", "\xff\xfe", "a"))

	ids := loadTokenizer(t).NewEncoder().Append(nil, []byte(text))
	if len(ids) < 17 {
		t.Fatalf("the text has %d tokens: too few for three windows", len(ids))
	}
	var sum float64
	var count int32
	for at := 0; at < len(ids); at += 8 {
		for _, id := range ids[at+1 : min(at+8, len(ids))] {
			sum += float64(id)
			count++
		}
	}
	if losses.longest != 8 {
		t.Errorf("longest window has %d tokens, want 8", losses.longest)
	}
	if scores.TokenCount[0] != count || scores.Prior[0] != float32(sum/float64(count)) {
		t.Errorf("got %d tokens, loss %v; want %d, %v", scores.TokenCount[0], scores.Prior[0], count, float32(sum/float64(count)))
	}
	if scores.Color[0] != scores.Prior[0]-scores.Conditional[0] || scores.Color[0] <= 0 {
		t.Errorf("color score %v is not prior %v minus conditional %v", scores.Color[0], scores.Prior[0], scores.Conditional[0])
	}
	want := []pipeline.Reason{"", pipeline.NullText, pipeline.EmptyText, pipeline.InvalidUTF8, pipeline.TooShort}
	if !slices.Equal(scores.Reason, want) {
		t.Errorf("reasons %q, want %q", scores.Reason, want)
	}
	if !slices.Equal(scores.Row, []int64{40, 41, 42, 43, 44}) || scores.ID[3] != "doc-43" {
		t.Errorf("rows %v ids %v", scores.Row, scores.ID)
	}
	counts := scorer.Counts()
	if counts.Rows != 5 || counts.Scored != 1 || len(counts.Rejected) != 4 {
		t.Errorf("counts %+v", counts)
	}
}

// badLosses gives NaN and Inf.
type badLosses struct{}

func (badLosses) Score(_ context.Context, windows []pipeline.Window, _ func(int)) (pipeline.WindowLosses, error) {
	n := len(windows)
	return pipeline.WindowLosses{Sums: [][]float64{[]float64{math.NaN(), math.Inf(1), 1}[:n], []float64{1, 1, 1}[:n]}}, nil
}

func TestLossesThatAreNotFiniteAreRejected(t *testing.T) {
	_, scores := scoreAll(t, badLosses{}, Options{Unit: Document, SequenceLength: 64},
		textBatch(memory.DefaultAllocator, 0, "one two three", "four five six", "seven eight nine"))
	want := []pipeline.Reason{pipeline.NaNScore, pipeline.InfScore, ""}
	if !slices.Equal(scores.Reason, want) {
		t.Errorf("reasons %q, want %q", scores.Reason, want)
	}
}

// TestSequencesThatAreNotFiniteDropNoDocument: the documents are counted as
// read, the sequences carry the reasons.
func TestSequencesThatAreNotFiniteDropNoDocument(t *testing.T) {
	scorer, scores := scoreAll(t, badLosses{}, Options{Unit: Sequence, SequenceLength: 2}, textBatch(memory.DefaultAllocator, 0, "one two three four"))
	if got := scores.Reason[:2]; !slices.Equal(got, []pipeline.Reason{pipeline.NaNScore, pipeline.InfScore}) {
		t.Errorf("reasons %q", got)
	}
	if counts := scorer.Counts(); counts.Rows != 1 || len(counts.Rejected) != 0 {
		t.Errorf("counts %+v: want one document, none rejected", counts)
	}
}

// TestSequencesCutTheStream compares with the plain form: all documents joined
// by end-of-text, cut every T tokens, whatever the batches were.
func TestSequencesCutTheStream(t *testing.T) {
	tok := loadTokenizer(t)
	texts := []any{"Call me Ishmael.", "", "Some years ago, never mind how long precisely, having little or no money in my purse.", nil, "a", "I thought I would sail about.",
		"b", "c", "d", "e", "f", "g", "h", "", "i", "A way I have of driving off the spleen."} // several in a tail
	const length, eot = 8, 0
	var stream []int32
	var rowOf []int64
	encoder := tok.NewEncoder()
	for i, text := range texts {
		if s, _ := text.(string); s != "" {
			ids := append(encoder.Append(nil, []byte(s)), eot)
			stream = append(stream, ids...)
			for range ids {
				rowOf = append(rowOf, int64(i))
			}
		}
	}
	for _, split := range []int{1, 2, 3, 6} {
		var batches []pipeline.Batch
		for at := 0; at < len(texts); at += split {
			batches = append(batches, textBatch(memory.DefaultAllocator, int64(at), texts[at:min(at+split, len(texts))]...))
		}
		scorer, scores := scoreAll(t, &countingLosses{}, Options{Unit: Sequence, SequenceLength: length, EndOfText: eot}, batches...)
		seq := 0
		for i := range scores.Row {
			part := stream[seq*length : (seq+1)*length]
			var sum float64
			for _, id := range part[1:] {
				sum += float64(id)
			}
			if scores.Seq[i] != int32(seq) || scores.Row[i] != rowOf[seq*length] || scores.Prior[i] != float32(sum/(length-1)) || scores.TokenCount[i] != length-1 {
				t.Errorf("split %d sequence %d: row %d seq %d loss %v, want row %d loss %v", split, seq, scores.Row[i], scores.Seq[i], scores.Prior[i], rowOf[seq*length], float32(sum/(length-1)))
			}
			seq++
		}
		if want := len(stream) / length; seq != want {
			t.Errorf("split %d: %d sequences, want %d", split, seq, want)
		}
		checkCutter(t, stream, rowOf, length, eot, split, texts)
		if tail := scorer.Counts().TailTokens; tail != int64(len(stream)%length) {
			t.Errorf("split %d: tail of %d tokens, want %d", split, tail, len(stream)%length)
		}
	}
}

// checkCutter compares a Cutter's sequences, pieces and counts with the plain
// stream.
func checkCutter(t *testing.T, stream []int32, rowOf []int64, length int, eot int32, split int, texts []any) {
	t.Helper()
	cutter, err := NewCutter(Options{Unit: Sequence, SequenceLength: length, EndOfText: eot})
	if err != nil {
		t.Fatal(err)
	}
	stage := NewTokenizeStage(loadTokenizer(t), memory.DefaultAllocator)
	var got []int32
	var rows []int64
	for at := 0; at < len(texts); at += split {
		batch, err := stage.Apply(context.Background(), textBatch(memory.DefaultAllocator, int64(at), texts[at:min(at+split, len(texts))]...))
		if err != nil {
			t.Fatal(err)
		}
		sequences, err := cutter.Cut(batch)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range sequences {
			if int(s.Seq) != len(got)/length || s.Row() != rowOf[len(got)] {
				t.Errorf("split %d: sequence %d begins in row %d, want number %d in row %d", split, s.Seq, s.Row(), len(got)/length, rowOf[len(got)])
			}
			got = append(got, s.Tokens...)
			for _, p := range s.Pieces {
				rows = append(rows, slices.Repeat([]int64{p.Row}, p.Tokens)...)
			}
		}
	}
	whole := len(stream) / length * length
	if !slices.Equal(got, stream[:whole]) || !slices.Equal(rows, rowOf[:whole]) {
		t.Errorf("split %d: cut %v of rows %v, want %v of rows %v", split, got, rows, stream[:whole], rowOf[:whole])
	}
	counts := cutter.Counts()
	if counts.TailTokens != int64(len(stream)-whole) || counts.Rows != int64(len(texts)) || counts.Rejected[pipeline.NullText] != 1 || counts.Rejected[pipeline.EmptyText] != 2 {
		t.Errorf("split %d: counts %+v", split, counts)
	}
}

func TestCutterRefusesDocuments(t *testing.T) {
	if _, err := NewCutter(Options{Unit: Document, SequenceLength: 8}); err == nil {
		t.Error("no error for unit document")
	}
}

func TestOptionsListEveryFault(t *testing.T) {
	err := Options{Unit: "page", SequenceLength: 1}.Validate()
	if err == nil || len(err.(interface{ Unwrap() []error }).Unwrap()) != 2 {
		t.Errorf("got %v, want two faults", err)
	}
	for _, opt := range []Options{
		{Unit: Document, SequenceLength: 8, Overlap: 8}, {Unit: Document, SequenceLength: 8, Overlap: -1}, {Unit: Sequence, SequenceLength: 8, Overlap: 2},
	} {
		if opt.Validate() == nil {
			t.Errorf("no error for %+v", opt)
		}
	}
}
