package shards

import (
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/curate-data/curate/pipeline"
)

// batchBuilder builds records of pipeline.TextSchema.
type batchBuilder struct {
	text       *array.BinaryBuilder
	id, domain *array.StringBuilder
	last       int // bytes of text in the last record
}

func newBatchBuilder(mem memory.Allocator) *batchBuilder {
	return &batchBuilder{
		text:   array.NewBinaryBuilder(mem, arrow.BinaryTypes.Binary),
		id:     array.NewStringBuilder(mem),
		domain: array.NewStringBuilder(mem),
	}
}

// labels returns the builders of id and domain.
func (b *batchBuilder) labels() [2]*array.StringBuilder {
	return [2]*array.StringBuilder{b.id, b.domain}
}

// appendLabel adds an id or domain. Unlike text they go into columns of type
// string, where all readers insist on UTF-8.
func appendLabel(to *array.StringBuilder, s string) {
	to.Append(strings.ToValidUTF8(s, "\uFFFD"))
}

// full reports whether no further row belongs in this batch.
func (b *batchBuilder) full() bool {
	return b.text.Len() >= batchRows || b.text.Len() > 0 && b.text.DataLen() >= batchBytes
}

// record returns the rows appended since the last call. The caller owns it.
func (b *batchBuilder) record() arrow.Record {
	b.last = b.text.DataLen()
	columns := []arrow.Array{b.text.NewArray(), b.id.NewArray(), b.domain.NewArray()}
	record := array.NewRecord(pipeline.TextSchema, columns, int64(columns[0].Len()))
	for _, c := range columns {
		c.Release()
	}
	return record
}

// begin makes room for a batch like the last one, which saves growing to it.
func (b *batchBuilder) begin() {
	b.text.ReserveData(min(b.last, batchBytes))
}

func (b *batchBuilder) release() {
	b.text.Release()
	b.id.Release()
	b.domain.Release()
}
