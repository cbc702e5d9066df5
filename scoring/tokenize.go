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
// null_text, empty_text, invalid_utf8 or too_short. It serves one goroutine.
type TokenizeStage struct {
	encoder *tokenizer.Encoder
	memory  memory.Allocator
	ids     []int32
}

// NewTokenizeStage returns a stage for one pipeline.Run.
func NewTokenizeStage(t *tokenizer.Tokenizer, mem memory.Allocator) *TokenizeStage {
	return &TokenizeStage{encoder: t.NewEncoder(), memory: mem}
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
	ids := array.NewListBuilder(s.memory, arrow.PrimitiveTypes.Int32)
	defer ids.Release()
	reasons := array.NewStringBuilder(s.memory)
	defer reasons.Release()
	values := ids.ValueBuilder().(*array.Int32Builder)
	for i := range texts.Len() {
		if err := ctx.Err(); err != nil {
			return pipeline.Batch{}, err
		}
		tokens, reason := s.encode(texts, i)
		ids.Append(true)
		values.AppendValues(tokens, nil)
		reasons.Append(string(reason))
	}
	idColumn, reasonColumn := ids.NewArray(), reasons.NewArray()
	defer idColumn.Release()
	defer reasonColumn.Release()
	columns := []arrow.Array{idColumn, b.Record.Column(1), b.Record.Column(2), reasonColumn}
	out := b
	out.Record = array.NewRecord(tokenSchema, columns, b.Record.NumRows())
	return out, nil
}

// encode returns the ids of row i, valid until the next call, and why the row
// cannot be scored, if so.
func (s *TokenizeStage) encode(texts *array.Binary, i int) ([]int32, pipeline.Reason) {
	if texts.IsNull(i) {
		return nil, pipeline.NullText
	}
	text := texts.Value(i)
	switch {
	case len(text) == 0:
		return nil, pipeline.EmptyText
	case !utf8.Valid(text):
		return nil, pipeline.InvalidUTF8
	}
	s.ids = s.encoder.Append(s.ids[:0], text)
	if len(s.ids) < 2 {
		return s.ids, pipeline.TooShort
	}
	return s.ids, ""
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
