package shards

import (
	"context"
	"fmt"
	"io"
	"iter"

	"github.com/parquet-go/parquet-go"

	"github.com/curate-data/curate/pipeline"
)

// Columns of sidecars and selections. docs/FORMAT.md has the tables.
const (
	ColumnShard       = "shard"
	ColumnRow         = "row"
	ColumnSeq         = "seq"
	ColumnID          = "id"
	ColumnDomain      = "domain"
	ColumnTokenCount  = "token_count"
	ColumnPrior       = "prior_loss"
	ColumnConditional = "conditional_loss"
	ColumnColor       = "color_score"
	ColumnReason      = "reason"
	ColumnKeep        = "keep"
)

// scoreRow is the schema of a score sidecar. Losses are nats per token, null
// where the row has none; then reason says why.
type scoreRow struct {
	Shard       string   `parquet:"shard,dict"`
	Row         int64    `parquet:"row,delta"`
	Seq         int32    `parquet:"seq,delta"`
	ID          *string  `parquet:"id"`
	Domain      *string  `parquet:"domain,dict"`
	TokenCount  int32    `parquet:"token_count,delta"`
	Prior       *float32 `parquet:"prior_loss"`
	Conditional *float32 `parquet:"conditional_loss"`
	Color       *float32 `parquet:"color_score"`
	Reason      *string  `parquet:"reason,dict"`
}

// scoreColumns maps pipeline.Scores to and from scoreRow, in its order.
func scoreColumns() []tableColumn[pipeline.Scores] {
	type scores = pipeline.Scores
	domains, reasons := interned{}, interned{}
	return []tableColumn[scores]{
		{ColumnShard, parquet.ByteArray,
			func(s *scores, _ int) parquet.Value { return parquet.ByteArrayValue([]byte(s.Shard)) }, nil},
		{ColumnRow, parquet.Int64,
			func(s *scores, i int) parquet.Value { return parquet.Int64Value(s.Row[i]) },
			func(s *scores, vs []parquet.Value) {
				for _, v := range vs {
					s.Row = append(s.Row, v.Int64())
				}
			}},
		{ColumnSeq, parquet.Int32,
			func(s *scores, i int) parquet.Value { return parquet.Int32Value(s.Seq[i]) },
			func(s *scores, vs []parquet.Value) {
				for _, v := range vs {
					s.Seq = append(s.Seq, v.Int32())
				}
			}},
		{ColumnID, parquet.ByteArray,
			func(s *scores, i int) parquet.Value { return stringValue(s.ID[i]) },
			func(s *scores, vs []parquet.Value) {
				for _, v := range vs {
					s.ID = append(s.ID, string(v.ByteArray()))
				}
			}},
		{ColumnDomain, parquet.ByteArray,
			func(s *scores, i int) parquet.Value { return stringValue(s.Domain[i]) },
			func(s *scores, vs []parquet.Value) {
				for _, v := range vs {
					s.Domain = append(s.Domain, domains.string(v))
				}
			}},
		{ColumnTokenCount, parquet.Int32,
			func(s *scores, i int) parquet.Value { return parquet.Int32Value(s.TokenCount[i]) },
			func(s *scores, vs []parquet.Value) {
				for _, v := range vs {
					s.TokenCount = append(s.TokenCount, v.Int32())
				}
			}},
		{ColumnPrior, parquet.Float,
			func(s *scores, i int) parquet.Value { return floatValue(s.Prior[i]) },
			func(s *scores, vs []parquet.Value) {
				for _, v := range vs {
					s.Prior = append(s.Prior, floatOf(v))
				}
			}},
		{ColumnConditional, parquet.Float,
			func(s *scores, i int) parquet.Value { return floatValue(s.Conditional[i]) },
			func(s *scores, vs []parquet.Value) {
				for _, v := range vs {
					s.Conditional = append(s.Conditional, floatOf(v))
				}
			}},
		{ColumnColor, parquet.Float,
			func(s *scores, i int) parquet.Value { return floatValue(s.Color[i]) },
			func(s *scores, vs []parquet.Value) {
				for _, v := range vs {
					s.Color = append(s.Color, floatOf(v))
				}
			}},
		{ColumnReason, parquet.ByteArray,
			func(s *scores, i int) parquet.Value { return stringValue(s.Reason[i]) },
			func(s *scores, vs []parquet.Value) {
				for _, v := range vs {
					s.Reason = append(s.Reason, pipeline.Reason(reasons.string(v)))
				}
			}},
	}
}

// ScoreWriter writes the score sidecar of a work unit: zstd Parquet whose
// bytes depend on the rows and the metadata only, not on how they were cut
// into calls of Write.
type ScoreWriter struct {
	table *tableWriter[pipeline.Scores]
	last  rowOrder
}

// NewScoreWriter begins a sidecar. meta becomes its key-value metadata, sorted
// by key; it may be nil.
func NewScoreWriter(w io.Writer, meta map[string]string) *ScoreWriter {
	return &ScoreWriter{table: newTableWriter[scoreRow](w, scoreColumns(), meta)}
}

// Write appends rows, which must come in (shard, row, seq) order over all
// calls. s may be reused afterwards.
func (w *ScoreWriter) Write(s *pipeline.Scores) error {
	n := s.Len()
	if len(s.Seq) != n || len(s.ID) != n || len(s.Domain) != n || len(s.TokenCount) != n ||
		len(s.Prior) != n || len(s.Conditional) != n || len(s.Color) != n || len(s.Reason) != n {
		return fmt.Errorf("write scores of shard %s: columns of different lengths", s.Shard)
	}
	if err := w.last.check(s.Shard, s.Row, s.Seq); err != nil {
		return fmt.Errorf("write scores: %w", err)
	}
	if err := w.table.write(s, n); err != nil {
		return fmt.Errorf("write scores of shard %s: %w", s.Shard, err)
	}
	return nil
}

// Close writes the footer. It does not close the underlying writer.
func (w *ScoreWriter) Close() error {
	if err := w.table.close(); err != nil {
		return fmt.Errorf("close scores: %w", err)
	}
	return nil
}

// ReadScores yields the rows of a score sidecar in runs of one shard, at most
// 8192 rows each. A yielded value is valid until the next one. With columns
// named, only these are read and the slices of all others stay empty.
func ReadScores(ctx context.Context, obj Object, columns ...string) iter.Seq2[*pipeline.Scores, error] {
	return readTable(ctx, obj, scoreColumns(), columns, func() tableChunk[pipeline.Scores] {
		var s pipeline.Scores
		var last rowOrder
		return tableChunk[pipeline.Scores]{
			reset: func() *pipeline.Scores {
				s = pipeline.Scores{
					Row: s.Row[:0], Seq: s.Seq[:0], ID: s.ID[:0], Domain: s.Domain[:0], TokenCount: s.TokenCount[:0],
					Prior: s.Prior[:0], Conditional: s.Conditional[:0], Color: s.Color[:0], Reason: s.Reason[:0],
				}
				return &s
			},
			shard: func(s *pipeline.Scores, shard string) { s.Shard = shard },
			check: func(s *pipeline.Scores) error { return last.check(s.Shard, s.Row, s.Seq) },
		}
	})
}
