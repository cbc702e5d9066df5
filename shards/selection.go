package shards

import (
	"context"
	"fmt"
	"io"
	"iter"

	"github.com/parquet-go/parquet-go"

	"github.com/curate-data/curate/pipeline"
)

// decisionRow is the schema of a selection. color_score is the score that the
// method ranked by, null for rows that were rejected before.
type decisionRow struct {
	Shard  string   `parquet:"shard,dict"`
	Row    int64    `parquet:"row,delta"`
	Seq    int32    `parquet:"seq,delta"`
	Keep   bool     `parquet:"keep"`
	Reason *string  `parquet:"reason,dict"`
	Score  *float32 `parquet:"color_score"`
}

// decisionColumns maps pipeline.Decisions to and from decisionRow, in its order.
func decisionColumns() []tableColumn[pipeline.Decisions] {
	type decisions = pipeline.Decisions
	reasons := interned{}
	return []tableColumn[decisions]{
		{ColumnShard, parquet.ByteArray,
			func(d *decisions, _ int) parquet.Value { return parquet.ByteArrayValue([]byte(d.Shard)) }, nil},
		{ColumnRow, parquet.Int64,
			func(d *decisions, i int) parquet.Value { return parquet.Int64Value(d.Row[i]) },
			func(d *decisions, vs []parquet.Value) {
				for _, v := range vs {
					d.Row = append(d.Row, v.Int64())
				}
			}},
		{ColumnSeq, parquet.Int32,
			func(d *decisions, i int) parquet.Value { return parquet.Int32Value(d.Seq[i]) },
			func(d *decisions, vs []parquet.Value) {
				for _, v := range vs {
					d.Seq = append(d.Seq, v.Int32())
				}
			}},
		{ColumnKeep, parquet.Boolean,
			func(d *decisions, i int) parquet.Value { return parquet.BooleanValue(d.Keep[i]) },
			func(d *decisions, vs []parquet.Value) {
				for _, v := range vs {
					d.Keep = append(d.Keep, v.Boolean())
				}
			}},
		{ColumnReason, parquet.ByteArray,
			func(d *decisions, i int) parquet.Value { return stringValue(d.Reason[i]) },
			func(d *decisions, vs []parquet.Value) {
				for _, v := range vs {
					d.Reason = append(d.Reason, pipeline.Reason(reasons.string(v)))
				}
			}},
		{ColumnColor, parquet.Float,
			func(d *decisions, i int) parquet.Value { return floatValue(d.Score[i]) },
			func(d *decisions, vs []parquet.Value) {
				for _, v := range vs {
					d.Score = append(d.Score, floatOf(v))
				}
			}},
	}
}

// SelectionWriter writes decisions as ScoreWriter writes scores.
type SelectionWriter struct {
	table *tableWriter[pipeline.Decisions]
	last  rowOrder
}

// NewSelectionWriter begins a selection. meta becomes its key-value metadata,
// sorted by key; it may be nil.
func NewSelectionWriter(w io.Writer, meta map[string]string) *SelectionWriter {
	return &SelectionWriter{table: newTableWriter[decisionRow](w, decisionColumns(), meta)}
}

// Write appends rows, which must come in (shard, row, seq) order over all
// calls, each with a reason exactly where it is not kept. d may be reused
// afterwards.
func (w *SelectionWriter) Write(d *pipeline.Decisions) error {
	n := len(d.Row)
	if len(d.Seq) != n || len(d.Keep) != n || len(d.Reason) != n || len(d.Score) != n {
		return fmt.Errorf("write selection of shard %s: columns of different lengths", d.Shard)
	}
	if err := w.last.check(d.Shard, d.Row, d.Seq); err != nil {
		return fmt.Errorf("write selection: %w", err)
	}
	if err := checkReasons(d); err != nil {
		return fmt.Errorf("write selection: %w", err)
	}
	if err := w.table.write(d, n); err != nil {
		return fmt.Errorf("write selection of shard %s: %w", d.Shard, err)
	}
	return nil
}

// Close writes the footer. It does not close the underlying writer.
func (w *SelectionWriter) Close() error {
	if err := w.table.close(); err != nil {
		return fmt.Errorf("close selection: %w", err)
	}
	return nil
}

// ReadSelection yields the rows of a selection in runs of one shard, at most
// 8192 rows each. A yielded value is valid until the next one. With columns
// named, only these are read and the slices of all others stay empty.
func ReadSelection(ctx context.Context, obj Object, columns ...string) iter.Seq2[*pipeline.Decisions, error] {
	return readTable(ctx, obj, decisionColumns(), columns, func() tableChunk[pipeline.Decisions] {
		var d pipeline.Decisions
		var last rowOrder
		return tableChunk[pipeline.Decisions]{
			reset: func() *pipeline.Decisions {
				d = pipeline.Decisions{Row: d.Row[:0], Seq: d.Seq[:0], Keep: d.Keep[:0], Reason: d.Reason[:0], Score: d.Score[:0]}
				return &d
			},
			shard: func(d *pipeline.Decisions, shard string) { d.Shard = shard },
			check: func(d *pipeline.Decisions) error {
				if err := last.check(d.Shard, d.Row, d.Seq); err != nil {
					return err
				}
				return checkReasons(d)
			},
		}
	})
}

// checkReasons checks that a row has a reason exactly where it is not kept.
func checkReasons(d *pipeline.Decisions) error {
	for i := range min(len(d.Keep), len(d.Reason)) {
		if d.Keep[i] != (d.Reason[i] == "") {
			return fmt.Errorf("%w: shard %s, %d rows on: keep is %t, reason %q", ErrCorrupt, d.Shard, i, d.Keep[i], d.Reason[i])
		}
	}
	return nil
}
