package shards

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"
	"github.com/parquet-go/parquet-go/format"
)

const (
	// readBuffers is the memory for reads from a file, of all columns together.
	readBuffers = 4 << 20
	// lookAhead is the most rows of a row group that is looked at as a whole,
	// 5 bytes each: larger ones are not spliced.
	lookAhead = 1 << 20
)

// copyParquet copies the kept rows of a Parquet file. Every column is read and
// written by its values; the schema is copied byte by byte.
//
// Memory: the footer, one decoded page and its dictionary per column of the
// input, one open page per column and the compressed pages of one row group of
// the output.
func copyParquet(ctx context.Context, in *parquetReader, target copyTarget) error {
	footer, err := readFooter(in.obj)
	if err != nil {
		return err
	}
	out, err := beginParquetCopy(in.obj, footer, target)
	if err != nil {
		return err
	}
	splice, err := spliceStored(in.obj, footer, out, target.opt)
	if err != nil {
		return err
	}
	err = walkGroups(in.obj, footer, out.leaves[:footer.columns], func(g int, walk *groupWalk) error {
		return splice.copy(ctx, g, walk, target)
	})
	if err != nil {
		return err
	}
	if err := target.rows.end(); err != nil {
		return err
	}
	return guard(out.finish)
}

// spliceStored makes the splicer of a file: it copies what is stored, also where
// pages are unpacked to be read.
func spliceStored(obj Object, footer *parquetFooter, out *rowWriter, opt CopyOptions) (*splicer, error) {
	unpacked, ok := obj.(*unpackedObject)
	if !ok {
		return newSplicer(obj, footer, out, opt)
	}
	stored, err := readFooter(unpacked.Object)
	if errors.Is(err, ErrUnsupported) {
		return &splicer{out: out}, nil // a codec that is not written
	}
	if err != nil {
		return nil, err
	}
	return newSplicer(unpacked.Object, stored, out, opt)
}

// copy splices a row group if all of it is kept, or copies the rows that are.
func (s *splicer) copy(ctx context.Context, g int, walk *groupWalk, target copyTarget) error {
	next, score := target.rows.take, target.opt.addedColumn() != ""
	if n := walk.meta.NumRows; s.able && n > 0 && n <= lookAhead && (target.opt.ids == nil || rawBytes(walk.meta) <= spliceTokens) {
		keep, scores, err := target.rows.take(int(n))
		if err != nil {
			return err
		}
		if int64(len(scores)) == n && s.takes() {
			if !score {
				scores = nil
			}
			return s.splice(ctx, g, scores, walk.pages)
		}
		next = replay(keep, scores)
	}
	return walk.run(ctx, next, copySink{s.out, s.out, score})
}

// replay hands out decisions that were taken before.
func replay(keep []bool, scores []float32) func(n int) ([]bool, []float32, error) {
	return func(n int) ([]bool, []float32, error) {
		run := keep[:n]
		kept := 0
		for _, k := range run {
			if k {
				kept++
			}
		}
		s := scores[:kept]
		keep, scores = keep[n:], scores[kept:]
		return run, s, nil
	}
}

// reopenNarrow opens a file that openParquet accepted with smaller reads: all
// of its columns are read at the same time.
func reopenNarrow(obj Object, columns int) (file *parquet.File, err error) {
	buffer := min(scanBuffer, max(16<<10, readBuffers/columns))
	err = guard(func() error {
		file, err = parquet.OpenFile(obj, obj.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.ReadBufferSize(buffer))
		return err
	})
	return file, err
}

// beginParquetCopy makes the writer for a copy of the file with this footer.
func beginParquetCopy(obj Object, footer *parquetFooter, target copyTarget) (*rowWriter, error) {
	schema := footer.schema
	inputs, err := schema.leaves()
	if err != nil {
		return nil, err
	}
	encodings := make([]encoding.Encoding, len(inputs), len(inputs)+1)
	for i := range inputs {
		encodings[i] = outputEncoding(footer.meta.RowGroups, i)
		if encodings[i] != &parquet.RLEDictionary {
			continue
		}
		many, err := repeats(obj, &footer.meta.RowGroups[0].Columns[i].MetaData)
		if err != nil {
			return nil, fmt.Errorf("column %s: header of page 0: %w", inputs[i].name(), err)
		}
		if !many {
			encodings[i] = nil
		}
	}
	meta, err := copiedMetadata(footer.meta.KeyValueMetadata, target.opt)
	if err != nil {
		return nil, err
	}
	if target.opt.addedColumn() != "" {
		if schema, err = withAdded(schema, target.opt); err != nil {
			return nil, err
		}
		encodings = append(encodings, nil)
	}
	leaves, err := schema.leaves()
	if err != nil {
		return nil, err
	}
	for i, c := range leaves {
		c.encoding = encodings[i]
	}
	return newCopyWriter(target, schema, leaves, meta)
}

// withAdded adds the column that a copy adds to a schema.
func withAdded(schema fileSchema, opt CopyOptions) (fileSchema, error) {
	name := opt.addedColumn()
	if slices.Contains(schema.topLevel(), name) {
		what := "score"
		if opt.ids != nil {
			what = "ids"
		}
		return fileSchema{}, fmt.Errorf("add %s column %q: the input has a column of this name; choose another name for the %s", what, name, what)
	}
	return schema.withColumn(opt.addedElements())
}

// copiedMetadata is the key-value metadata of the output.
func copiedMetadata(input []format.KeyValue, opt CopyOptions) ([]format.KeyValue, error) {
	var out []format.KeyValue
	for _, kv := range input {
		if slices.ContainsFunc(opt.KeyValues, func(o KeyValue) bool { return o.Key == kv.Key }) {
			continue
		}
		if kv.Key == arrowSchemaKey && opt.addedColumn() != "" {
			value, err := addArrowField(kv.Value, opt)
			if err != nil {
				return nil, fmt.Errorf("add column %q to the metadata %s: %w", opt.addedColumn(), kv.Key, err)
			}
			kv.Value = value
		}
		out = append(out, kv)
	}
	for _, kv := range opt.KeyValues {
		out = append(out, format.KeyValue{Key: kv.Key, Value: kv.Value})
	}
	return out, nil
}

// copySink writes the kept rows of row groups to a Parquet file.
type copySink struct {
	rowSink            // out, or what turns values into those of out
	out     *rowWriter // knows how large its rows were so far
	score   bool
}

func (c copySink) windowRows(perRow int64) int64 { return c.out.windowRows(perRow) }

func (c copySink) begin([]bool) {}

func (c copySink) end(scores []float32) error {
	if c.score {
		if err := c.writeScores(scores); err != nil {
			return err
		}
	}
	return c.endRows(int64(len(scores)))
}

// writeScores writes the last column, which copies add.
func (w *rowWriter) writeScores(scores []float32) error {
	if w.ids != nil {
		return w.ids.write(w, len(scores))
	}
	column := len(w.leaves) - 1
	values := make([]parquet.Value, len(scores))
	for i, s := range scores {
		if isNaN32(s) {
			values[i] = parquet.NullValue().Level(0, 0, column)
		} else {
			values[i] = parquet.FloatValue(s).Level(0, 1, column)
		}
	}
	return w.write(column, values)
}
