package main

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/curate-data/curate/internal/progress"
	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring"
	"github.com/curate-data/curate/scoring/tokenizer"
	"github.com/curate-data/curate/shards"
)

// tokenizing adds ids to shards.
type tokenizing struct {
	tokenizer *tokenizer.Tokenizer
	opt       tokenizeOptions
	threads   int // that encode the texts of a shard
	task      *progress.Task
}

// shard writes one shard with ids to out. It reads the shard twice side by side:
// its texts for the ids, and all of its columns as they are stored.
func (t tokenizing) shard(ctx context.Context, in shards.Input, out shards.Pending, record *shards.Unit, meta []shards.KeyValue) (keep bool, err error) {
	texts, err := shards.Open(ctx, in)
	if err != nil {
		return false, shardError{err}
	}
	defer texts.Close()
	rows, err := shards.Open(ctx, in)
	if err != nil {
		return false, shardError{err}
	}
	defer rows.Close()
	sink := &idSink{ready: make(chan pipeline.Batch), task: t.task, counts: shards.Counts{Dropped: map[pipeline.Reason]int64{}}}
	var others blame
	counts, err := shards.CopyTokens(ctx, rows, t.opt.Column, t.lists(ctx, texts, sink), others.writer(out), shards.CopyOptions{KeyValues: meta})
	if err != nil {
		if sink.failed != nil { // what broke the source of ids says whose fault it is
			return false, fmt.Errorf("tokenize %s: %w", in.Shard, sink.failed)
		}
		return false, others.judge(fmt.Errorf("write rows of %s: %w", in.Shard, err))
	}
	if counts.RowsIn != sink.counts.RowsIn {
		return false, fmt.Errorf("tokenize %s: %d rows were copied, %d had texts read", in.Shard, counts.RowsIn, sink.counts.RowsIn)
	}
	record.Rows, record.Tokens, record.Counts = counts.Kept, sink.tokens, sink.counts
	return counts.Kept > 0, nil
}

// lists yields the ids of the shard's rows while a pipeline makes the next ones.
func (t tokenizing) lists(ctx context.Context, shard *shards.Shard, sink *idSink) iter.Seq2[*array.List, error] {
	return func(yield func(*array.List, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer close(sink.ready)
			source := shardSource{shard, t.opt.Columns, rowGroups{0, shard.NumRowGroups()}}
			stages := []pipeline.Stage{scoring.NewTokenizeStageOf(t.tokenizer.NewPool(t.threads), memory.DefaultAllocator)}
			if err := pipeline.Run(ctx, source, stages, sink); !errors.Is(err, context.Canceled) {
				sink.failed = err
			}
		}()
		going := true
		for b := range sink.ready {
			if going {
				list, err := sink.take(b)
				going = yield(list, err) && err == nil
				if list != nil {
					list.Release()
				}
			}
			b.Release()
			if !going {
				cancel()
			}
		}
		<-done
		if going && sink.failed != nil {
			yield(nil, sink.failed)
		}
	}
}

// idSink hands tokenised batches on to whoever copies the rows.
type idSink struct {
	ready  chan pipeline.Batch
	task   *progress.Task
	failed error // why the ids end, set before ready is closed
	tokens int64
	counts shards.Counts // kept: rows with ids
}

// Write implements pipeline.Sink.
func (k *idSink) Write(ctx context.Context, b pipeline.Batch) error {
	select {
	case k.ready <- b:
		return nil
	case <-ctx.Done():
		b.Release()
		return context.Cause(ctx)
	}
}

// take returns the ids of a batch, null for a text that is null or not UTF-8, and
// counts its rows. The caller releases them.
func (k *idSink) take(b pipeline.Batch) (*array.List, error) {
	list, reasons, err := scoring.TokensOf(b)
	if err != nil {
		return nil, err
	}
	nulls := make([]bool, len(reasons))
	for i, reason := range reasons {
		from, to := list.ValueOffsets(i)
		k.tokens += to - from
		k.counts.RowsIn++
		if to > from {
			k.counts.Kept++
			continue
		}
		k.counts.Dropped[reason]++
		nulls[i] = reason == pipeline.NullText || reason == pipeline.InvalidUTF8
	}
	k.task.Add(int64(len(reasons)))
	return withNulls(list, nulls), nil
}

// withNulls returns a list in which some elements are null.
func withNulls(list *array.List, nulls []bool) *array.List {
	var bitmap []byte
	count := 0
	for i, null := range nulls {
		if i%8 == 0 {
			bitmap = append(bitmap, 0)
		}
		if null {
			count++
		} else {
			bitmap[i/8] |= 1 << (i % 8)
		}
	}
	buffers := []*memory.Buffer{memory.NewBufferBytes(bitmap), list.Data().Buffers()[1]}
	data := array.NewData(list.DataType(), list.Len(), buffers, list.Data().Children(), count, list.Offset())
	defer data.Release()
	return array.NewListData(data)
}

// Finish implements pipeline.Sink.
func (k *idSink) Finish(context.Context) error { return nil }

// Abort implements pipeline.Sink; the caller aborts the file.
func (k *idSink) Abort() {}
