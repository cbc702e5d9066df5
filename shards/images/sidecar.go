package images

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	arrowf16 "github.com/apache/arrow/go/v17/arrow/float16"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/half"
)

// Bounds of a sidecar: of the rows that are collected before they are written,
// whichever is reached first, and of a row group.
const (
	sidecarRows       = 256
	sidecarBytes      = 4 << 20
	sidecarGroupBytes = 32 << 20
)

// Validate lists every fault of an encoder's description.
func (e Encoder) Validate() error {
	var faults []error
	if e.Name == "" {
		faults = append(faults, errors.New("encoder without a name"))
	}
	if e.Dim < 1 || e.Dim > 1<<20 {
		faults = append(faults, fmt.Errorf("encoder of dimension %d", e.Dim))
	}
	if e.Type != Float32 && e.Type != Float16 {
		faults = append(faults, fmt.Errorf("vectors of type %q: want %s or %s", e.Type, Float32, Float16))
	}
	return errors.Join(faults...)
}

// SidecarWriter writes the vector sidecar of a work unit: zstd Parquet whose bytes
// depend on the images, their order and the encoder only. It leaves out the
// encoded images and masks.
type SidecarWriter struct {
	out     *shards.RecordWriter
	encoder Encoder
	build   *sidecarBuilder
	last    pipeline.RowID
	rows    int64 // in all
	size    int64 // bytes of the rows in build
}

// NewSidecarWriter begins a sidecar.
func NewSidecarWriter(w io.Writer, encoder Encoder) (*SidecarWriter, error) {
	if err := encoder.Validate(); err != nil {
		return nil, fmt.Errorf("begin vector sidecar: %w", err)
	}
	schema := sidecarSchema(encoder)
	out, err := shards.NewRecordWriter(w, schema, shards.CopyOptions{MaxRowGroupBytes: sidecarGroupBytes})
	if err != nil {
		return nil, fmt.Errorf("begin vector sidecar: %w", err)
	}
	return &SidecarWriter{out: out, encoder: encoder, build: newSidecarBuilder(schema)}, nil
}

// sidecarSchema is the schema of a sidecar, see FORMAT.md.
func sidecarSchema(e Encoder) *arrow.Schema {
	float := arrow.DataType(arrow.PrimitiveTypes.Float32)
	if e.Type == Float16 {
		float = arrow.FixedWidthTypes.Float16
	}
	vector := arrow.FixedSizeListOfField(int32(e.Dim), arrow.Field{Name: "element", Type: float})
	box := arrow.FixedSizeListOfField(4, arrow.Field{Name: "element", Type: arrow.PrimitiveTypes.Float32})
	object := arrow.StructOf(
		arrow.Field{Name: "id", Type: arrow.BinaryTypes.String},
		arrow.Field{Name: "class", Type: arrow.BinaryTypes.String},
		arrow.Field{Name: "score", Type: arrow.PrimitiveTypes.Float32},
		arrow.Field{Name: "box", Type: box},
		arrow.Field{Name: "area", Type: arrow.PrimitiveTypes.Float32, Nullable: true},
		arrow.Field{Name: "source", Type: arrow.BinaryTypes.String, Nullable: true},
		arrow.Field{Name: "ignore", Type: arrow.FixedWidthTypes.Boolean},
		arrow.Field{Name: "vec", Type: vector, Nullable: true},
	)
	meta := arrow.NewMetadata([]string{encoderKey, dimKey, vectorKey}, []string{e.Name, strconv.Itoa(e.Dim), string(e.Type)})
	return arrow.NewSchema([]arrow.Field{
		{Name: shards.ColumnShard, Type: arrow.BinaryTypes.String},
		{Name: shards.ColumnRow, Type: arrow.PrimitiveTypes.Int64},
		{Name: "image_id", Type: arrow.BinaryTypes.String},
		{Name: "group", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "width", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
		{Name: "height", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
		{Name: "vec", Type: vector, Nullable: true},
		{Name: "unlabelled", Type: arrow.ListOfNonNullable(arrow.BinaryTypes.String), Nullable: true},
		{Name: "objects", Type: arrow.ListOfNonNullable(object)},
		{Name: rowsColumn, Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: shards.ColumnReason, Type: arrow.BinaryTypes.String, Nullable: true},
	}, &meta)
}

// Write appends an image, which comes after those before it in (shard, row) order
// and may be changed afterwards. A vector is nil, or of the encoder's dimension;
// numbers that are not finite are written as they are, but a finite one that is
// too large for the type is an error.
func (w *SidecarWriter) Write(img *pipeline.Image) error {
	if w.rows > 0 && w.last.Compare(img.RowID) >= 0 {
		return fmt.Errorf("write vectors of row %d of %s: it comes after row %d of %s: images come by shard and row", img.Row, img.Shard, w.last.Row, w.last.Shard)
	}
	if err := w.check(img); err != nil {
		return fmt.Errorf("write vectors of row %d of %s: %w", img.Row, img.Shard, err)
	}
	w.build.add(img)
	w.last = pipeline.RowID{Shard: img.Shard, Row: img.Row}
	w.rows++
	w.size += int64((1+len(img.Objects))*w.encoder.Dim*w.encoder.Type.size() + 64*len(img.Objects))
	if w.build.rows == sidecarRows || w.size >= sidecarBytes {
		return w.flush()
	}
	return nil
}

// check refuses what the columns cannot hold.
func (w *SidecarWriter) check(img *pipeline.Image) error {
	if img.Shard == "" || img.ID == "" || img.Width < 0 || img.Height < 0 || img.Width > math.MaxInt32 || img.Height > math.MaxInt32 {
		return fmt.Errorf("image %q of shard %q, %d x %d pixels: want both names and a size", img.ID, img.Shard, img.Width, img.Height)
	}
	if err := w.fits(img.Vector); err != nil {
		return err
	}
	for i := range img.Objects {
		if err := w.fits(img.Objects[i].Vector); err != nil {
			return fmt.Errorf("object %d: %w", i, err)
		}
	}
	return nil
}

func (w *SidecarWriter) fits(vector []float32) error {
	if vector != nil && len(vector) != w.encoder.Dim {
		return fmt.Errorf("a vector of %d numbers, want %d", len(vector), w.encoder.Dim)
	}
	if w.encoder.Type == Float16 {
		for _, f := range vector {
			if half.FromFloat32(f)&0x7FFF == 0x7C00 && !math.IsInf(float64(f), 0) {
				return fmt.Errorf("%g is too large for %s: use %s", f, Float16, Float32)
			}
		}
	}
	return nil
}

func (w *SidecarWriter) flush() error {
	record := w.build.record()
	defer record.Release()
	w.size = 0
	if err := w.out.Write(record); err != nil {
		return fmt.Errorf("write vector sidecar: %w", err)
	}
	return nil
}

// Close writes the footer. It does not close the underlying writer. Without
// images nothing is written.
func (w *SidecarWriter) Close() error {
	if w.build.rows > 0 {
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.build.Release()
	if err := w.out.Close(); err != nil {
		return fmt.Errorf("close vector sidecar: %w", err)
	}
	return nil
}

// sidecarBuilder builds records of a sidecar's schema.
type sidecarBuilder struct {
	*array.RecordBuilder
	rows    int
	objects *array.ListBuilder
	object  *array.StructBuilder
}

func newSidecarBuilder(schema *arrow.Schema) *sidecarBuilder {
	b := &sidecarBuilder{RecordBuilder: array.NewRecordBuilder(memory.DefaultAllocator, schema)}
	b.objects = b.Field(8).(*array.ListBuilder)
	b.object = b.objects.ValueBuilder().(*array.StructBuilder)
	return b
}

func (b *sidecarBuilder) record() arrow.Record {
	b.rows = 0
	return b.NewRecord()
}

func (b *sidecarBuilder) add(img *pipeline.Image) {
	b.rows++
	b.Field(0).(*array.StringBuilder).Append(img.Shard)
	b.Field(1).(*array.Int64Builder).Append(img.Row)
	b.Field(2).(*array.StringBuilder).Append(img.ID)
	appendText(b.Field(3), img.Group)
	for i, pixels := range []int{img.Width, img.Height} {
		if f := b.Field(4 + i).(*array.Int32Builder); pixels > 0 {
			f.Append(int32(pixels))
		} else {
			f.AppendNull()
		}
	}
	appendVector(b.Field(6), img.Vector)
	classes := b.Field(7).(*array.ListBuilder)
	if classes.Append(img.Unlabelled != nil); img.Unlabelled != nil {
		for _, c := range img.Unlabelled {
			classes.ValueBuilder().(*array.StringBuilder).Append(c)
		}
	}
	if rows := b.Field(9).(*array.Int64Builder); img.Rows > 1 {
		rows.Append(img.Rows)
	} else {
		rows.AppendNull()
	}
	appendText(b.Field(10), string(img.Reason))
	b.objects.Append(true)
	for i := range img.Objects {
		b.addObject(&img.Objects[i])
	}
}

func (b *sidecarBuilder) addObject(o *pipeline.Object) {
	f := b.object.FieldBuilder
	b.object.Append(true)
	f(0).(*array.StringBuilder).Append(o.ID)
	f(1).(*array.StringBuilder).Append(o.Class)
	f(2).(*array.Float32Builder).Append(o.Score)
	appendVector(f(3), []float32{o.Box.X1, o.Box.Y1, o.Box.X2, o.Box.Y2})
	if area := f(4).(*array.Float32Builder); o.Area != 0 {
		area.Append(o.Area)
	} else {
		area.AppendNull()
	}
	appendText(f(5), o.Source)
	f(6).(*array.BooleanBuilder).Append(o.Ignore)
	appendVector(f(7), o.Vector)
}

// appendText appends a string, null where it is empty.
func appendText(b array.Builder, s string) {
	if s == "" {
		b.AppendNull()
		return
	}
	b.(*array.StringBuilder).Append(s)
}

// appendVector appends a list of a fixed size, null where there is none.
func appendVector(b array.Builder, vector []float32) {
	l := b.(*array.FixedSizeListBuilder)
	if vector == nil {
		l.AppendNull()
		return
	}
	l.Append(true)
	switch values := l.ValueBuilder().(type) {
	case *array.Float32Builder:
		values.AppendValues(vector, nil)
	case *array.Float16Builder:
		for _, f := range vector {
			values.Append(arrowf16.FromBits(half.FromFloat32(f)))
		}
	}
}
