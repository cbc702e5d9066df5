package shards

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/curate-data/curate/pipeline"
)

// A batch in a frame: first row, row group and number of rows as varints; then
// for each of text, id and domain the lengths of its values as varints, plus 1,
// 0 for a null; then the values of all three, one after the other. This is less than Arrow IPC on
// purpose: who reads it trusts nothing.

// appendBatch encodes a batch.
func appendBatch(b []byte, batch pipeline.Batch) []byte {
	n := batch.NumRows()
	for _, v := range []int64{batch.FirstRow, int64(batch.RowGroup), int64(n)} {
		b = binary.AppendUvarint(b, uint64(v))
	}
	values := batchValues(batch.Record)
	for c, value := range values {
		for i := range n {
			if batch.Record.Column(c).IsNull(i) {
				b = binary.AppendUvarint(b, 0)
			} else {
				b = binary.AppendUvarint(b, uint64(len(value(i)))+1)
			}
		}
	}
	for c, value := range values {
		for i := range n {
			if !batch.Record.Column(c).IsNull(i) {
				b = append(b, value(i)...)
			}
		}
	}
	return b
}

// batchValues returns the accessors of the columns of pipeline.TextSchema.
func batchValues(r arrow.Record) [3]func(int) []byte {
	text, id, domain := r.Column(0).(*array.Binary), r.Column(1).(*array.String), r.Column(2).(*array.String)
	return [3]func(int) []byte{
		text.Value,
		func(i int) []byte { return []byte(id.Value(i)) },
		func(i int) []byte { return []byte(domain.Value(i)) },
	}
}

// parseBatch decodes a batch into build and returns it without its shard.
func parseBatch(b []byte, build *batchBuilder) (pipeline.Batch, error) {
	var head [3]uint64
	for i := range head {
		if b = takeVarint(b, &head[i]); b == nil {
			return pipeline.Batch{}, fmt.Errorf("%w: a batch without a head", ErrSandbox)
		}
	}
	if head[0] > 1<<62 || head[1] > 1<<31 || head[2] > batchRows || head[2] == 0 {
		return pipeline.Batch{}, fmt.Errorf("%w: a batch of %d rows from %d in row group %d", ErrSandbox, head[2], head[0], head[1])
	}
	n := int(head[2])
	lengths := make([]uint64, 3*n)
	total := uint64(0)
	for i := range lengths {
		if b = takeVarint(b, &lengths[i]); b == nil || lengths[i] > maxFrameText {
			return pipeline.Batch{}, fmt.Errorf("%w: a batch without its lengths", ErrSandbox)
		}
		total += max(lengths[i], 1) - 1
	}
	if total != uint64(len(b)) {
		return pipeline.Batch{}, fmt.Errorf("%w: a batch of %d bytes, its values have %d", ErrSandbox, len(b), total)
	}
	build.begin()
	labels := build.labels()
	for i, length := range lengths {
		var value []byte
		if length > 0 {
			value, b = b[:length-1], b[length-1:]
		}
		switch {
		case i < n && length == 0:
			build.text.AppendNull()
		case i < n:
			build.text.Append(value)
		case length == 0:
			labels[i/n-1].AppendNull()
		default:
			appendLabel(labels[i/n-1], string(value))
		}
	}
	return pipeline.Batch{Record: build.record(), FirstRow: int64(head[0]), RowGroup: int(head[1])}, nil
}

// takeVarint decodes a varint and returns what follows, nil if there is none.
func takeVarint(b []byte, to *uint64) []byte {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return nil
	}
	*to = v
	return b[n:]
}

// appendDecisions encodes decisions: the first row, then for each row a byte,
// 1 where it is kept, and the bits of its score.
func appendDecisions(b []byte, d *pipeline.Decisions) []byte {
	first := int64(0)
	if len(d.Row) > 0 {
		first = d.Row[0]
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(first))
	for i, keep := range d.Keep {
		kept := byte(0)
		if keep {
			kept = 1
		}
		b = binary.LittleEndian.AppendUint32(append(b, kept), math.Float32bits(d.Score[i]))
	}
	return b
}

// parseDecisions decodes decisions about consecutive rows of a shard. Why a row
// is dropped is not told.
func parseDecisions(b []byte, shard string) (*pipeline.Decisions, error) {
	if len(b) < 8 || (len(b)-8)%5 != 0 {
		return nil, fmt.Errorf("%w: decisions of %d bytes", ErrSandbox, len(b))
	}
	first := int64(binary.LittleEndian.Uint64(b))
	d := &pipeline.Decisions{Shard: shard}
	for i, b := int64(0), b[8:]; len(b) > 0; i, b = i+1, b[5:] {
		reason := pipeline.BelowCut
		if b[0] == 1 {
			reason = ""
		}
		d.Row, d.Seq = append(d.Row, first+i), append(d.Seq, 0)
		d.Keep, d.Reason = append(d.Keep, b[0] == 1), append(d.Reason, reason)
		d.Score = append(d.Score, math.Float32frombits(binary.LittleEndian.Uint32(b[1:])))
	}
	return d, nil
}
