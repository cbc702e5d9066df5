package pipeline

import (
	"cmp"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
)

// RowID addresses one row, or one sequence of tokens that begins in it.
type RowID struct {
	Shard string // name of the shard: the input's path relative to the argument that listed it
	Row   int64  // index of the row in the shard, from 0
	Seq   int32  // 0 for documents; index of the sequence in the shard for sequences
}

// Compare orders by (shard, row, seq): the order of every file that curate
// writes and the rule that breaks ties.
func (a RowID) Compare(b RowID) int {
	return cmp.Or(strings.Compare(a.Shard, b.Shard), cmp.Compare(a.Row, b.Row), cmp.Compare(a.Seq, b.Seq))
}

// Batch is a run of consecutive rows of one shard as an Arrow record.
//
// Whoever receives a Batch owns it: pass it on or Release it, once.
type Batch struct {
	Record   arrow.Record
	Shard    string
	RowGroup int   // index of the row group that the rows come from
	FirstRow int64 // index in the shard of the record's row 0
}

// RowID returns the address of row i of the batch.
func (b Batch) RowID(i int) RowID { return RowID{Shard: b.Shard, Row: b.FirstRow + int64(i)} }

// NumRows returns the number of rows, 0 for a zero Batch.
func (b Batch) NumRows() int {
	if b.Record == nil {
		return 0
	}
	return int(b.Record.NumRows())
}

// Release gives the record's memory back.
func (b Batch) Release() {
	if b.Record != nil {
		b.Record.Release()
	}
}

// Columns of a text batch. Text is a nullable binary column (bytes as stored,
// not checked for UTF-8); ID and Domain are nullable strings.
const (
	ColumnText   = "text"
	ColumnID     = "id"
	ColumnDomain = "domain"
)

// TextSchema is the schema of the Batches that readers hand to scoring and
// training, whatever the shard's own names for these columns are.
var TextSchema = arrow.NewSchema([]arrow.Field{
	{Name: ColumnText, Type: arrow.BinaryTypes.Binary, Nullable: true},
	{Name: ColumnID, Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: ColumnDomain, Type: arrow.BinaryTypes.String, Nullable: true},
}, nil)
