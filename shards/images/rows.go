package images

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
)

// rows yields the rows of the shard. Each is valid until the next one.
func (r *Reader) rows(ctx context.Context) iter.Seq2[*row, error] {
	switch r.in.Format {
	case shards.Tar:
		return r.tarRows(ctx)
	case shards.JSONL:
		return r.jsonRows(ctx)
	}
	return r.recordRows(ctx)
}

// place returns the address of a row.
func (r *Reader) place(at int64) pipeline.RowID { return pipeline.RowID{Shard: r.in.Shard, Row: at} }

func (r *Reader) recordRows(ctx context.Context) iter.Seq2[*row, error] {
	return func(yield func(*row, error) bool) {
		for b, err := range r.shard.Records(ctx, r.columns, 0, r.shard.NumRowGroups()) {
			if err != nil {
				yield(nil, err)
				return
			}
			more := r.batchRows(b, yield)
			b.Release()
			if !more {
				return
			}
		}
	}
}

// batchRows yields the rows of a batch; false when no more are wanted.
func (r *Reader) batchRows(b pipeline.Batch, yield func(*row, error) bool) bool {
	for i := range b.NumRows() {
		at := b.FirstRow + int64(i)
		values, err := recordRow(b.Record, i)
		now := &row{at: at, id: r.place(at), values: values}
		if err == nil && r.encoder != (Encoder{}) {
			err = now.sidecarPlace()
		}
		if err != nil {
			yield(nil, fmt.Errorf("row %d: %w", at, err))
			return false
		}
		if !yield(now, nil) {
			return false
		}
	}
	return true
}

// recordRow returns the values of a row. Arrays of Arrow files may lead out of
// themselves.
func recordRow(record arrow.Record, i int) (values fields, err error) {
	column := ""
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("column %s: %w: %v", column, shards.ErrCorrupt, cause)
		}
	}()
	values = make(fields, record.NumCols())
	for k := range int(record.NumCols()) {
		column = record.ColumnName(k)
		if values[column], err = arrowValue(record.Column(k), i); err != nil {
			return nil, fmt.Errorf("column %s: %w", column, err)
		}
	}
	return values, nil
}

func (r *Reader) jsonRows(ctx context.Context) iter.Seq2[*row, error] {
	return func(yield func(*row, error) bool) {
		for line, err := range r.shard.Lines(ctx) {
			var values fields
			if err == nil {
				values, err = jsonObject(line.JSON)
				if err != nil {
					err = fmt.Errorf("row %d (line %d): %w", line.Row, line.Number, err)
				}
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(&row{at: line.Row, id: r.place(line.Row), values: values}, nil) {
				return
			}
		}
	}
}

func jsonObject(data []byte) (fields, error) {
	v, err := decodeJSON(data)
	if err != nil {
		return nil, err
	}
	values, ok := v.(fields)
	if !ok {
		return nil, fmt.Errorf("%w: it is %s, want an object", shards.ErrCorrupt, kindOf(v))
	}
	return values, nil
}

// pictures are the extensions of members that are images.
var pictures = []string{"jpg", "jpeg", "png", "webp"}

func (r *Reader) tarRows(ctx context.Context) iter.Seq2[*row, error] {
	return func(yield func(*row, error) bool) {
		for sample, err := range r.shard.Samples(ctx, r.wantedMember) {
			var out *row
			if err == nil {
				out, err = r.sampleRow(sample)
				if err != nil {
					err = fmt.Errorf("row %d: sample %q: %w", sample.Row, sample.Key, err)
				}
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(out, nil) {
				return
			}
		}
	}
}

func (r *Reader) wantedMember(ext string) bool {
	c := r.opt.Columns
	switch {
	case isPicture(ext, c.Image):
		return c.Image != Without
	case isNpy(ext):
		return c.Vector != Without || c.ObjectVector != Without
	}
	return ext == "json"
}

// isPicture tells whether a member is the image: the one with the extension that
// is given, else any of a kind that images are of.
func isPicture(ext, given string) bool {
	if given != "" {
		return ext == given
	}
	return slices.Contains(pictures, ext)
}

func isNpy(ext string) bool { return ext == "npy" || strings.HasSuffix(ext, ".npy") }

// sampleRow reads a sample: an image, JSON that says what is in it, and NumPy
// files of vectors.
func (r *Reader) sampleRow(sample shards.Sample) (*row, error) {
	out := &row{at: sample.Row, id: r.place(sample.Row), key: sample.Key, values: fields{}}
	picture := ""
	for _, m := range sample.Members {
		var err error
		switch {
		case !r.wantedMember(m.Ext):
		case isPicture(m.Ext, r.opt.Columns.Image):
			if picture != "" {
				err = fmt.Errorf("%w: %s is there as well: say which extension is the image's", shards.ErrUnsupported, picture)
			}
			out.data, picture = m.Data, m.Name
		case m.Ext == "json":
			err = out.addJSON(m.Data)
		default:
			err = out.addNpy(m.Data)
		}
		if err != nil {
			return nil, fmt.Errorf("member %q: %w", m.Name, err)
		}
	}
	if c := r.opt.Columns; c.Vector == Without {
		out.vector = nil
	} else if c.ObjectVector == Without {
		out.vectors = nil
	}
	return out, nil
}

// addJSON takes the values of a sample: an object's, or a list of objects.
func (r *row) addJSON(data []byte) error {
	v, err := decodeJSON(data)
	if err != nil {
		return err
	}
	switch v := v.(type) {
	case fields:
		r.values = v
		_, hasObjects := v["objects"]
		annotations, ok := v["annotations"].(list)
		r.coco = ok && !hasObjects && isCOCO(annotations)
	case list:
		r.values = fields{"objects": v}
		if r.coco = isCOCO(v); r.coco {
			r.values = fields{"annotations": v}
		}
	default:
		return fmt.Errorf("%w: it is %s, want an object or a list of objects", shards.ErrColumn, kindOf(v))
	}
	return nil
}

// isCOCO tells COCO's annotations, whose boxes are x, y, width, height, from
// objects of any other kind.
func isCOCO(l list) bool {
	for _, e := range l {
		f, _ := e.(fields)
		_, box := f["bbox"]
		_, category := f["category_id"]
		if !box || !category {
			return false
		}
	}
	return len(l) > 0
}

// addNpy takes vectors: a matrix is of the objects, a single one of the image.
func (r *row) addNpy(data []byte) error {
	vectors, matrix, err := decodeNpy(data)
	switch {
	case err != nil:
		return err
	case matrix && r.vectors == nil:
		r.vectors = vectors
		if vectors == nil {
			r.vectors = [][]float32{}
		}
	case !matrix && r.vector == nil:
		r.vector = vectors[0]
	default:
		return fmt.Errorf("%w: the sample has another such file", shards.ErrUnsupported)
	}
	return nil
}
