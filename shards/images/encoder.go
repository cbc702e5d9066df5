package images

import (
	"fmt"
	"strconv"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
)

// Encoder says what made the vectors of a sidecar. Vectors of two encoders are not
// to be compared, so readers of several sidecars refuse to mix them.
type Encoder struct {
	Name string    // what tells it from every other one, such as a model's digest and how it pools; may not be empty
	Dim  int       // of the vectors
	Type Precision // in which they are stored
}

// Entries of a sidecar's key-value metadata.
const (
	encoderKey = "curate.encoder"
	dimKey     = "curate.dim"
	vectorKey  = "curate.vector"
)

// readEncoder returns what a file's metadata says; the zero Encoder where it is no
// sidecar.
func readEncoder(meta arrow.Metadata) (Encoder, error) {
	name, ok := meta.GetValue(encoderKey)
	if !ok {
		return Encoder{}, nil
	}
	dim, _ := meta.GetValue(dimKey)
	kind, _ := meta.GetValue(vectorKey)
	e := Encoder{Name: name, Type: Precision(kind)}
	var err error
	if e.Dim, err = strconv.Atoi(dim); err == nil {
		err = e.Validate()
	}
	if err != nil {
		return Encoder{}, fmt.Errorf("%w: metadata %s, %s, %s of a vector sidecar: %w", shards.ErrCorrupt, encoderKey, dimKey, vectorKey, err)
	}
	return e, nil
}

// sidecarPlace finds the address of the image that a row of a sidecar is about.
func (r *row) sidecarPlace() error {
	shard, _ := r.values[shards.ColumnShard].(string)
	at, ok := r.values[shards.ColumnRow].(int64)
	if shard == "" || !ok || at < 0 {
		return fmt.Errorf("%w: shard %q and row %v address no image", shards.ErrCorrupt, shard, r.values[shards.ColumnRow])
	}
	r.id = pipeline.RowID{Shard: shard, Row: at}
	r.rows, _ = r.values[rowsColumn].(int64)
	reason, _ := r.values[shards.ColumnReason].(string)
	r.reason = pipeline.Reason(reason)
	if r.rows < 0 {
		return fmt.Errorf("%w: an image of %d rows", shards.ErrCorrupt, r.rows)
	}
	return nil
}

// rowsColumn is the column of sidecars with the rows that an image takes.
const rowsColumn = "rows"
