// Command shardbench does one job of bench/shards.py with this repository's
// shards package, as `curate write` does it:
//
//	shardbench read FILE                 decode all columns
//	shardbench keep FILE OUT             copy all rows
//	shardbench score FILE OUT            copy all rows and add a score column
//	shardbench filter FILE MASK OUT      keep the rows whose byte in MASK is 1
//	shardbench length FOLDER OUTFOLDER   keep documents of 2,000 characters or more
//
// It prints the number of rows that were read or kept.
package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/local"
)

// atLeast is how many characters the documents of the length job have.
const atLeast = 2000

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // as curate does
	}
	rows, err := run(context.Background(), os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "shardbench:", err)
		os.Exit(1)
	}
	fmt.Println(rows)
}

func run(ctx context.Context, args []string) (int64, error) {
	job := ""
	if len(args) > 0 {
		job, args = args[0], args[1:]
	}
	switch {
	case job == "read" && len(args) == 1:
		return shards.CheckRows(ctx, local.New(filepath.Dir(args[0])), filepath.Base(args[0]))
	case job == "keep" && len(args) == 2:
		return copyFile(ctx, args[0], args[1], "", keepAll)
	case job == "score" && len(args) == 2:
		return copyFile(ctx, args[0], args[1], "color_score", keepAll)
	case job == "filter" && len(args) == 3:
		mask, err := os.ReadFile(args[1])
		if err != nil {
			return 0, err
		}
		return copyFile(ctx, args[0], args[2], "", func(s *shards.Shard) decisions { return keepWhere(s, func(row int64) bool { return mask[row] == 1 }) })
	case job == "length" && len(args) == 2:
		return copyLong(ctx, args[0], args[1])
	}
	return 0, fmt.Errorf("want read FILE, keep FILE OUT, score FILE OUT, filter FILE MASK OUT or length FOLDER OUTFOLDER")
}

type decisions = iter.Seq2[*pipeline.Decisions, error]

// copyFile copies the rows of a file that decide keeps.
func copyFile(ctx context.Context, in, out, score string, decide func(*shards.Shard) decisions) (int64, error) {
	inputs, err := shards.ListInputs(ctx, local.Locate, []string{in})
	if err != nil {
		return 0, err
	}
	shard, err := shards.Open(ctx, inputs[0])
	if err != nil {
		return 0, err
	}
	defer shard.Close()
	shard.Memory = new(recycler)
	file, err := os.Create(out) // not synced to the disk: the others do not either
	if err != nil {
		return 0, err
	}
	counts, err := shards.CopyKept(ctx, shard, decide(shard), file, shards.CopyOptions{ScoreColumn: score})
	return counts.Kept, errors.Join(err, file.Close())
}

func keepAll(s *shards.Shard) decisions { return keepWhere(s, func(int64) bool { return true }) }

// keepWhere decides row by row. The score of a row is its number.
func keepWhere(s *shards.Shard, keep func(row int64) bool) decisions {
	return func(yield func(*pipeline.Decisions, error) bool) {
		const run = 4096
		for row := int64(0); row < s.NumRows(); {
			d := &pipeline.Decisions{Shard: s.Input().Shard}
			for ; row < s.NumRows() && len(d.Row) < run; row++ {
				add(d, row, keep(row))
			}
			if !yield(d, nil) {
				return
			}
		}
	}
}

// add appends a decision.
func add(d *pipeline.Decisions, row int64, keep bool) {
	reason := pipeline.Reason("")
	if !keep {
		reason = pipeline.BelowCut
	}
	d.Row, d.Seq, d.Keep = append(d.Row, row), append(d.Seq, 0), append(d.Keep, keep)
	d.Reason, d.Score = append(d.Reason, reason), append(d.Score, float32(row))
}

// copyLong copies the long documents of the Parquet files of a folder.
func copyLong(ctx context.Context, folder, out string) (int64, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.parquet"))
	if err != nil {
		return 0, err
	}
	kept := int64(0)
	for _, file := range files {
		n, err := copyFile(ctx, file, filepath.Join(out, filepath.Base(file)), "", func(s *shards.Shard) decisions { return keepLong(ctx, s) })
		if err != nil {
			return 0, err
		}
		kept += n
	}
	return kept, nil
}

// keepLong decides by the number of characters of the text column.
func keepLong(ctx context.Context, s *shards.Shard) decisions {
	return func(yield func(*pipeline.Decisions, error) bool) {
		row := int64(0)
		for b, err := range s.Batches(ctx, shards.Columns{Text: "text"}, 0, s.NumRowGroups()) {
			if err != nil {
				yield(nil, err)
				return
			}
			d := &pipeline.Decisions{Shard: s.Input().Shard}
			text := b.Record.Column(0).(*array.Binary)
			for i := range text.Len() {
				add(d, row, utf8.RuneCountInString(text.ValueString(i)) >= atLeast)
				row++
			}
			b.Record.Release()
			if !yield(d, nil) {
				return
			}
		}
	}
}

// recycler is an Arrow allocator for one goroutine that uses the memory of
// released batches again.
type recycler struct{ free [][]byte }

// Allocate implements memory.Allocator. What it returns is not cleared.
func (r *recycler) Allocate(size int) []byte {
	for i, b := range r.free {
		if cap(b) >= size && cap(b) <= 4*size {
			r.free = slices.Delete(r.free, i, i+1)
			return b[:size]
		}
	}
	return make([]byte, size)
}

// Reallocate implements memory.Allocator.
func (r *recycler) Reallocate(size int, b []byte) []byte {
	if size <= cap(b) {
		return b[:size]
	}
	grown := r.Allocate(size)
	copy(grown, b)
	r.Free(b)
	return grown
}

// Free implements memory.Allocator.
func (r *recycler) Free(b []byte) {
	if len(r.free) < 8 && cap(b) >= 64<<10 {
		r.free = append(r.free, b)
	}
}
