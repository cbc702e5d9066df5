package images

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
)

// Reader gives the images of one shard. It may be used by several goroutines at
// a time.
type Reader struct {
	shard   *shards.Shard
	in      shards.Input
	opt     Options
	columns []string // of Parquet and Arrow, that are read
	classes []string // names in the file
	holds   bool     // see decoder
	encoder Encoder
}

// Open opens a shard of any format and looks whether its columns are there.
//
// What Options.Columns name must be there; of Parquet and Arrow Open finds out, of
// JSONL and tar the end of Images does.
func Open(ctx context.Context, in shards.Input, opt Options) (*Reader, error) {
	if err := opt.Validate(); err != nil {
		return nil, fmt.Errorf("open images of shard %s: %w", in.Shard, err)
	}
	s, err := shards.Open(ctx, in)
	if err != nil {
		return nil, err
	}
	r := &Reader{shard: s, in: in, opt: opt}
	if in.Format == shards.Parquet || in.Format == shards.Arrow {
		if err = r.inspect(); err != nil {
			err = fmt.Errorf("open images of shard %s: %w", in.Shard, err)
			return nil, errors.Join(err, s.Close())
		}
	}
	return r, nil
}

// Close closes the shard.
func (r *Reader) Close() error { return r.shard.Close() }

// Input returns what the reader was opened from.
func (r *Reader) Input() shards.Input { return r.in }

// Encoder says what made the vectors of a vector sidecar; the zero Encoder for
// other shards.
func (r *Reader) Encoder() Encoder { return r.encoder }

// inspect finds out by the schema what the shard is and which columns are read.
func (r *Reader) inspect() error {
	schema, err := r.shard.Schema()
	if err != nil {
		return err
	}
	if r.encoder, err = readEncoder(schema.Metadata()); err != nil {
		return err
	}
	return r.chooseColumns(schema)
}

// chooseColumns finds out which columns are to be read.
func (r *Reader) chooseColumns(schema *arrow.Schema) error {
	n := newNames(r.opt.Columns, false)
	take := map[string]bool{}
	for role := range roles {
		r.takeColumns(n, role, schema, take)
	}
	if err := r.checkGiven(n, schema); err != nil {
		return err
	}
	r.takePicture(n, schema, take)
	if r.encoder != (Encoder{}) {
		for _, name := range []string{shards.ColumnShard, shards.ColumnRow, rowsColumn, shards.ColumnReason} {
			if !schema.HasField(name) {
				return fmt.Errorf("%w: a vector sidecar without the column %s", shards.ErrCorrupt, name)
			}
			take[name] = true
		}
	}
	for _, f := range schema.Fields() { // in the file's order
		if take[f.Name] {
			r.columns = append(r.columns, f.Name)
			delete(take, f.Name)
		}
	}
	r.columns = append(r.columns, slices.Sorted(maps.Keys(take))...) // paths into structs
	if len(r.columns) == 0 {
		return fmt.Errorf("%w: none of the columns has a usual name; they are %s", shards.ErrColumn, schemaNames(schema))
	}
	var err error
	r.classes, err = r.fileClasses(n, schema)
	return err
}

// takeColumns adds the columns that have a role: of the usual names the first that
// is there, in the nested form and in the flat one.
func (r *Reader) takeColumns(n *names, role role, schema *arrow.Schema, take map[string]bool) {
	if role == imageBytes || n.given[role] == Without {
		return
	}
	if name := n.given[role]; name != "" {
		if hasPath(schema.Fields(), name) {
			take[name] = true
		}
		return
	}
	nested := n.given[objects] != "" || slices.ContainsFunc(n.usual[objects], schema.HasField)
	if role >= objectID && nested {
		return // they are names within objects
	}
	lists := [][]string{n.usual[role]}
	if !nested {
		lists = append(lists, flatNames[role])
	}
	switch role {
	case box: // or its parts
		for _, k := range boxKeys {
			if !slices.ContainsFunc(k.keys[:], func(key string) bool { return !schema.HasField(key) }) {
				for _, key := range k.keys {
					lists = append(lists, []string{key})
				}
			}
		}
	case ignore: // every one counts
		for _, name := range n.usual[role] {
			lists = append(lists, []string{name})
		}
	}
	for _, list := range lists {
		if i := slices.IndexFunc(list, schema.HasField); i >= 0 {
			take[list[i]] = true
		}
	}
}

// checkGiven is an error where a name that was given is not in the schema.
func (r *Reader) checkGiven(n *names, schema *arrow.Schema) error {
	var inObjects []arrow.Field
	for _, name := range append([]string{n.given[objects]}, n.usual[objects]...) {
		if i := schema.FieldIndices(name); len(i) > 0 {
			inObjects = fieldsBelow(schema.Field(i[0]).Type)
			break
		}
	}
	for role := range roles {
		name := n.given[role]
		if name == "" || name == Without {
			continue
		}
		where, have := schema.Fields(), schemaNames(schema)
		if role >= objectID && inObjects != nil {
			where, have = inObjects, fieldNames(inObjects)
		}
		if !hasPath(where, name) {
			return fmt.Errorf("%w %q: there is none of this name; the columns are %s", shards.ErrColumn, name, have)
		}
	}
	return nil
}

// takePicture adds the column of images, or the part of it that is needed.
func (r *Reader) takePicture(n *names, schema *arrow.Schema, take map[string]bool) {
	name := n.given[imageBytes]
	if name == Without {
		return
	}
	for i := 0; name == "" && i < len(n.usual[imageBytes]); i++ {
		if schema.HasField(n.usual[imageBytes][i]) {
			name = n.usual[imageBytes][i]
		}
	}
	if name == "" || !hasPath(schema.Fields(), name) {
		return
	}
	sized := true
	for _, of := range []role{width, height} {
		found := false
		for _, column := range append([]string{n.given[of]}, n.usual[of]...) {
			found = found || take[column]
		}
		sized = sized && found
	}
	if r.opt.Data || !sized || r.in.Format == shards.Arrow {
		take[name] = true
		return
	}
	r.holds = true
	if i := schema.FieldIndices(name); len(i) > 0 {
		switch t := schema.Field(i[0]).Type.(type) {
		case *arrow.StructType:
			if _, ok := t.FieldByName("path"); ok {
				take[name+".path"] = true
			}
		case *arrow.BinaryType, *arrow.LargeBinaryType, *arrow.BinaryViewType:
		default:
			take[name], r.holds = true, false // a path
		}
	}
}

// fileClasses returns the names of classes that the file has.
func (r *Reader) fileClasses(n *names, schema *arrow.Schema) ([]string, error) {
	candidates := func(role role) []string {
		if n.given[role] != "" {
			return []string{n.given[role]}
		}
		return n.usual[role]
	}
	for _, c := range candidates(class) {
		for _, o := range candidates(objects) {
			if !schema.HasField(o) {
				continue
			}
			if list, err := hubClasses(schema.Metadata(), o, c); list != nil || err != nil {
				return list, err
			}
		}
		if list, err := hubClasses(schema.Metadata(), c); list != nil || err != nil {
			return list, err
		}
	}
	return nil, nil
}

// fieldsBelow returns the fields of a struct, or of the elements of a list.
func fieldsBelow(t arrow.DataType) []arrow.Field {
	switch t := t.(type) {
	case *arrow.StructType:
		return t.Fields()
	case arrow.ListLikeType:
		return fieldsBelow(t.Elem())
	}
	return nil
}

// hasPath tells whether a name, or a path into structs, leads to a field.
func hasPath(list []arrow.Field, path string) bool {
	for _, f := range list {
		if f.Name == path {
			return true
		}
	}
	for _, f := range list {
		if rest, ok := strings.CutPrefix(path, f.Name+"."); ok && hasPath(fieldsBelow(f.Type), rest) {
			return true
		}
	}
	return false
}

func schemaNames(schema *arrow.Schema) string { return fieldNames(schema.Fields()) }

func fieldNames(list []arrow.Field) string {
	var names []string
	for _, f := range list {
		names = append(names, f.Name)
	}
	return strings.Join(names, ", ")
}

// Images yields the images of the shard, in the order of their rows. In the flat
// form an image's RowID is that of its first row. A yielded image is the
// receiver's. After an error nothing more is yielded.
//
// Errors name the shard, the row, the object and the column. An image keeps what
// is wrong with single objects and can be counted: boxes, scores and vectors that
// are not numbers, vectors that are null (nil) or of any length. What cannot be
// understood is an error: a class that is null, a box of other than 4 numbers, two
// objects of one id.
//
// Memory is a few rows of Parquet, a line, a sample, or a record batch of Arrow;
// in the flat form some 50 bytes for each image as well.
func (r *Reader) Images(ctx context.Context) iter.Seq2[*pipeline.Image, error] {
	return func(yield func(*pipeline.Image, error) bool) {
		for s, err := range r.spans(ctx) {
			if err == nil && s.last > s.first {
				s.img.Rows = s.last - s.first + 1
			}
			if !yield(s.img, err) {
				return
			}
		}
	}
}

// decoder begins to read the shard.
func (r *Reader) decoder() *decoder {
	d := newDecoder(r.opt)
	d.holds = r.holds
	if d.classes.list == nil {
		d.classes.list = r.classes
	}
	return d
}

// checkSeen is an error where a name that was given was in no row.
func (d *decoder) checkSeen(schema bool) error {
	if schema || !d.rows {
		return nil
	}
	for role := range roles {
		given := d.names.given[role]
		optional := role >= objectID && !d.objects // there were none to have it
		if given != "" && given != Without && !optional && !d.names.seen[role] && !d.flat.seen[role] {
			return d.names.missing(role)
		}
	}
	return nil
}
