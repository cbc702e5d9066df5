package scoring

import (
	"context"
	"fmt"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring/tokenizer"
)

// Columns that TokenizeStage puts in place of the text.
const (
	columnIDs    = "ids"
	columnReason = "reason"
)

var tokenSchema = arrow.NewSchema([]arrow.Field{
	{Name: columnIDs, Type: arrow.ListOf(arrow.PrimitiveTypes.Int32)},
	{Name: pipeline.ColumnID, Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: pipeline.ColumnDomain, Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: columnReason, Type: arrow.BinaryTypes.String},
}, nil)

// TokenizeStage replaces the text column of a batch by token ids (list<int32>,
// no special tokens added) and a reason for rows that cannot have a loss:
// null_text, empty_text, invalid_utf8 or too_short. It is called from one goroutine
// and encodes on several, which does not change what comes out.
type TokenizeStage struct {
	pool   *tokenizer.Pool
	memory memory.Allocator
}

// NewTokenizeStage returns a stage for one pipeline.Run, which uses as many
// goroutines as Go may use processors.
func NewTokenizeStage(t *tokenizer.Tokenizer, mem memory.Allocator) *TokenizeStage {
	return NewTokenizeStageOf(t.NewPool(0), mem)
}

// NewTokenizeStageOf returns a stage that encodes with a pool.
func NewTokenizeStageOf(pool *tokenizer.Pool, mem memory.Allocator) *TokenizeStage {
	return &TokenizeStage{pool: pool, memory: mem}
}

// Name is the stage's name in errors and logs.
func (s *TokenizeStage) Name() string { return "tokenize" }

// Apply implements pipeline.Stage. b has pipeline.TextSchema.
func (s *TokenizeStage) Apply(ctx context.Context, b pipeline.Batch) (pipeline.Batch, error) {
	defer b.Release()
	texts, ok := b.Record.Column(0).(*array.Binary)
	if !ok {
		return pipeline.Batch{}, fmt.Errorf("tokenize %s: column 0 is %s, want binary text", b.Shard, b.Record.Column(0).DataType())
	}
	reasons := make([]pipeline.Reason, texts.Len())
	idColumn, err := s.encode(ctx, texts, reasons)
	if err != nil {
		return pipeline.Batch{}, err
	}
	defer idColumn.Release()
	builder := array.NewStringBuilder(s.memory)
	defer builder.Release()
	for _, reason := range reasons {
		builder.Append(string(reason))
	}
	reasonColumn := builder.NewArray()
	defer reasonColumn.Release()
	columns := []arrow.Array{idColumn, b.Record.Column(1), b.Record.Column(2), reasonColumn}
	out := b
	out.Record = array.NewRecord(tokenSchema, columns, b.Record.NumRows())
	return out, nil
}

// encode returns the ids of all rows, and why rows cannot be scored.
func (s *TokenizeStage) encode(ctx context.Context, texts *array.Binary, reasons []pipeline.Reason) (arrow.Array, error) {
	var good [][]byte
	var rows []int // of the good ones
	for i := range texts.Len() {
		if reasons[i] = reasonOf(texts, i); reasons[i] == "" {
			good, rows = append(good, texts.Value(i)), append(rows, i)
		}
	}
	lists := array.NewListBuilder(s.memory, arrow.PrimitiveTypes.Int32)
	defer lists.Release()
	values := lists.ValueBuilder().(*array.Int32Builder)
	counts := make([]int, texts.Len())
	begin := func(row int) { // the lists of all rows up to this one
		for lists.Len() <= row {
			lists.Append(true)
		}
	}
	err := s.pool.Encode(ctx, good, func(i int, ids []int32) {
		begin(rows[i])
		values.AppendValues(ids, nil)
		counts[rows[i]] += len(ids)
	})
	if err != nil {
		return nil, err
	}
	begin(texts.Len() - 1)
	for _, row := range rows {
		if counts[row] < 2 {
			reasons[row] = pipeline.TooShort
		}
	}
	return lists.NewArray(), nil
}

// reasonOf says why row i has no text to encode; empty if it has.
func reasonOf(texts *array.Binary, i int) pipeline.Reason {
	switch {
	case texts.IsNull(i):
		return pipeline.NullText
	case len(texts.Value(i)) == 0:
		return pipeline.EmptyText
	case !utf8.Valid(texts.Value(i)):
		return pipeline.InvalidUTF8
	}
	return ""
}

// tokenRows gives typed access to a batch made by TokenizeStage.
type tokenRows struct {
	offsets []int32
	ids     []int32
	id      *array.String
	domain  *array.String
	reason  *array.String
}

func tokenRowsOf(b pipeline.Batch) (tokenRows, error) {
	if !b.Record.Schema().Equal(tokenSchema) {
		return tokenRows{}, fmt.Errorf("score %s: batch is not tokenised: schema %s", b.Shard, b.Record.Schema())
	}
	list := b.Record.Column(0).(*array.List)
	return tokenRows{
		offsets: list.Offsets()[list.Offset():],
		ids:     list.ListValues().(*array.Int32).Int32Values(),
		id:      b.Record.Column(1).(*array.String),
		domain:  b.Record.Column(2).(*array.String),
		reason:  b.Record.Column(3).(*array.String),
	}, nil
}

// tokens returns the ids of row i; they live as long as the batch.
func (r tokenRows) tokens(i int) []int32 { return r.ids[r.offsets[i]:r.offsets[i+1]] }

// text returns the value of a nullable string column, "" for null.
func text(column *array.String, i int) string {
	if column.IsNull(i) {
		return ""
	}
	return column.Value(i)
}

// TokensOf returns the ids of a batch that TokenizeStage made, which live as long
// as the batch, and why rows cannot be scored, empty where they can.
func TokensOf(b pipeline.Batch) (*array.List, []pipeline.Reason, error) {
	rows, err := tokenRowsOf(b)
	if err != nil {
		return nil, nil, err
	}
	reasons := make([]pipeline.Reason, b.NumRows())
	for i := range reasons {
		reasons[i] = pipeline.Reason(rows.reason.Value(i))
	}
	return b.Record.Column(0).(*array.List), reasons, nil
}
