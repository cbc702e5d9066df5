package shards

import (
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// shredRows is how many rows are taken apart before they are written.
const shredRows = 1024

// shredKind is how the values of a shredNode nest.
type shredKind int

const (
	shredLeaf  shredKind = iota
	shredGroup           // one value of each child
	shredList            // children: the element
	shredMap             // children: key and value
)

// shredNode is a node of the schema that rows of Arrow and JSON are taken
// apart by, into Parquet's columns of values with repetition and definition
// levels (Melnik et al., "Dremel", VLDB 2010, section 4). What Parquet nests in
// three levels, the list, its repeated group and the element, is one shredList.
type shredNode struct {
	name     string
	kind     shredKind
	optional bool
	fieldID  int32
	children []*shredNode
	element  format.SchemaElement // of a leaf: its type; the rest is filled in
	first    int                  // index of the first leaf below
	leaves   int                  // number of leaves below
	repeated int                  // lists and maps above
}

// place numbers the leaves below a node, from first on.
func (n *shredNode) place(first, repeated int) int {
	n.first, n.repeated = first, repeated
	if n.kind == shredLeaf {
		n.leaves = 1
		return 1
	}
	if n.kind != shredGroup {
		repeated++
	}
	n.leaves = 0
	for _, c := range n.children {
		n.leaves += c.place(first+n.leaves, repeated)
	}
	return n.leaves
}

// schemaOf returns the Parquet schema of a root group: names and annotations
// as pyarrow writes them, which are those of the format's LogicalTypes.md.
func schemaOf(root *shredNode) (fileSchema, error) {
	elements := []format.SchemaElement{{
		Name: "schema", NumChildren: thrift.New(int32(len(root.children))), RepetitionType: thrift.New(format.Required),
	}}
	for _, c := range root.children {
		elements = c.appendElements(elements)
	}
	return newFileSchema(elements)
}

func (n *shredNode) appendElements(to []format.SchemaElement) []format.SchemaElement {
	repetition := format.Required
	if n.optional {
		repetition = format.Optional
	}
	el := n.element
	el.Name, el.FieldID, el.RepetitionType = n.name, n.fieldID, thrift.New(repetition)
	repeated := format.SchemaElement{RepetitionType: thrift.New(format.Repeated), NumChildren: thrift.New(int32(len(n.children)))}
	switch n.kind {
	case shredLeaf:
		return append(to, el)
	case shredGroup:
		el.NumChildren = thrift.New(int32(len(n.children)))
		to = append(to, el)
	case shredList:
		el.NumChildren = thrift.New(int32(1))
		el.ConvertedType, el.LogicalType.Value = thrift.New(deprecated.List), &format.ListType{}
		repeated.Name = "list"
		to = append(to, el, repeated)
	case shredMap:
		el.NumChildren = thrift.New(int32(1))
		el.ConvertedType, el.LogicalType.Value = thrift.New(deprecated.Map), &format.MapType{}
		repeated.Name = "key_value"
		to = append(to, el, repeated)
	}
	for _, c := range n.children {
		to = c.appendElements(to)
	}
	return to
}

// shredder collects the values of some rows, by leaf.
type shredder struct {
	columns [][]parquet.Value
	rows    int
	size    int64 // raw bytes of the values that are not null
}

func newShredder(root *shredNode) *shredder {
	return &shredder{columns: make([][]parquet.Value, root.place(0, 0))}
}

// null adds, to every leaf below n, that its value is missing at a level.
func (s *shredder) null(n *shredNode, rep, def int) {
	for i := n.first; i < n.first+n.leaves; i++ {
		s.columns[i] = append(s.columns[i], parquet.NullValue().Level(rep, def, i))
	}
}

// add adds the value of leaf n.
func (s *shredder) add(n *shredNode, v parquet.Value, rep, def int) {
	s.columns[n.first] = append(s.columns[n.first], v.Level(rep, def, n.first))
	s.size += rawSize(&v)
}

// full tells whether the rows are enough to be written.
func (s *shredder) full(w rowSink) bool { return s.rows >= shredRows || s.size >= w.window() }

// writeTo moves the rows to a file, with a score each if it has a column for
// them.
func (s *shredder) writeTo(w rowSink, scores []float32, hasScore bool) error {
	for i, values := range s.columns {
		if err := w.write(i, values); err != nil {
			return err
		}
		clear(values)
		s.columns[i] = values[:0]
	}
	if hasScore {
		if err := w.writeScores(scores); err != nil {
			return err
		}
	}
	rows := s.rows
	s.rows, s.size = 0, 0
	return w.endRows(int64(rows))
}

// shredWriter begins a file for rows of this schema: strings and the leaves in
// dictionaries get dictionaries, which end at dictionaryBytes.
func shredWriter(root *shredNode, target copyTarget, meta []format.KeyValue) (*rowWriter, error) {
	schema, err := schemaOf(root)
	if err != nil {
		return nil, err
	}
	return beginCopy(target, schema, meta)
}

// beginCopy begins a file of this schema, which is no copy of one input's: with
// the score column, and dictionaries for strings, which end at dictionaryBytes.
func beginCopy(target copyTarget, schema fileSchema, meta []format.KeyValue) (*rowWriter, error) {
	meta, err := copiedMetadata(meta, target.opt)
	if err != nil {
		return nil, err
	}
	if target.opt.addedColumn() != "" {
		if schema, err = withAdded(schema, target.opt); err != nil {
			return nil, err
		}
	}
	leaves, err := schema.leaves()
	if err != nil {
		return nil, err
	}
	for _, c := range leaves {
		if c.element.Type.V == format.ByteArray {
			c.encoding = &parquet.RLEDictionary
		}
	}
	return newCopyWriter(target, schema, leaves, meta)
}
