package shards_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/curate-data/curate/shards"
)

// BenchmarkRead reads the text column, from memory or from the file that
// CURATE_BENCH_FILE names.
func BenchmarkRead(b *testing.B) {
	files := map[string]shards.Input{}
	if file := os.Getenv("CURATE_BENCH_FILE"); file != "" {
		files[file] = inputOf(b, file)
	} else {
		var rows []textRow
		for i := range 20_000 {
			rows = append(rows, textRow{strings.Repeat("the quick brown fox jumps over the lazy dog \n", i%100), int64(i)})
		}
		for name, content := range filesOf(b, rows) {
			files[name] = memInput(name, content)
		}
	}
	for name, in := range files {
		b.Run(name, func(b *testing.B) {
			text := int64(0)
			for b.Loop() {
				s, err := shards.Open(context.Background(), in)
				if err != nil {
					b.Fatal(err)
				}
				text = 0
				for batch, err := range s.Batches(context.Background(), shards.Columns{Text: "text"}, 0, s.NumRowGroups()) {
					if err != nil {
						b.Fatal(err)
					}
					text += int64(len(batch.Record.Column(0).Data().Buffers()[2].Bytes()))
					batch.Release()
				}
				s.Close()
			}
			b.SetBytes(text)
			b.ReportAllocs()
		})
	}
}

// BenchmarkReadScores reads a sidecar of 130,000 rows as selection does.
func BenchmarkReadScores(b *testing.B) {
	var out strings.Builder
	w := shards.NewScoreWriter(&out, nil)
	const n = 130_000
	if err := w.Write(randomScores("s", 0, n)); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	for name, columns := range map[string][]string{"all": nil, "score": {shards.ColumnRow, shards.ColumnSeq, shards.ColumnColor, shards.ColumnReason}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				rows := 0
				for s, err := range shards.ReadScores(context.Background(), object([]byte(out.String())), columns...) {
					if err != nil {
						b.Fatal(err)
					}
					rows += s.Len()
				}
				if rows != n {
					b.Fatal(rows)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/row")
		})
	}
}
