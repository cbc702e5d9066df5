package shards

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/encoding"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// maxSchemaDepth bounds the nesting of a schema that is accepted.
const maxSchemaDepth = 200

// fileSchema is the schema of a Parquet file as its footer holds it: a flat
// list of elements, depth first, root first. raw holds the thrift bytes of
// each element, so that a copy keeps what this program does not know about:
// new logical types, a field id of 0.
type fileSchema struct {
	elements []format.SchemaElement
	raw      [][]byte
}

// leafColumn is one physical column of a fileSchema.
type leafColumn struct {
	path           []string
	element        *format.SchemaElement
	maxRep, maxDef int
	encoding       encoding.Encoding // of the column in the output; nil means plain
	codec          compress.Codec    // of the column in the output; nil means zstd
}

// name is the dotted path, for errors.
func (c *leafColumn) name() string { return strings.Join(c.path, ".") }

// newFileSchema returns the schema with these elements.
func newFileSchema(elements []format.SchemaElement) (fileSchema, error) {
	s := fileSchema{elements: elements}
	for i := range elements {
		b, err := thrift.Marshal(new(thrift.CompactProtocol), &elements[i])
		if err != nil {
			return fileSchema{}, fmt.Errorf("encode schema element %q: %w", elements[i].Name, err)
		}
		s.raw = append(s.raw, b)
	}
	return s, nil
}

// withColumn returns the schema with one more top-level column at the end.
func (s fileSchema) withColumn(column []format.SchemaElement) (fileSchema, error) {
	root := s.elements[0]
	root.NumChildren = thrift.New(root.NumChildren.V + 1)
	added, err := newFileSchema(append([]format.SchemaElement{root}, column...))
	if err != nil {
		return fileSchema{}, err
	}
	return fileSchema{
		elements: slices.Concat(added.elements[:1], s.elements[1:], added.elements[1:]),
		raw:      slices.Concat(added.raw[:1], s.raw[1:], added.raw[1:]),
	}, nil
}

// topLevel returns the names of the columns below the root.
func (s fileSchema) topLevel() []string {
	var names []string
	for i := 1; i < len(s.elements); i = s.next(i) {
		names = append(names, s.elements[i].Name)
	}
	return names
}

// next returns the index of the element after the subtree at i.
func (s fileSchema) next(i int) int {
	children := int(s.elements[i].NumChildren.V)
	for i++; children > 0 && i < len(s.elements); children-- {
		i = s.next(i)
	}
	return i
}

// leaves returns the physical columns in file order. It is the check of a
// schema that comes from a file: the tree must use up the list exactly.
func (s fileSchema) leaves() ([]*leafColumn, error) {
	if len(s.elements) == 0 {
		return nil, fmt.Errorf("%w: schema without a root", ErrCorrupt)
	}
	var out []*leafColumn
	var walk func(i int, parent leafColumn, depth int) (int, error)
	walk = func(i int, parent leafColumn, depth int) (int, error) {
		if i >= len(s.elements) || depth > maxSchemaDepth {
			return 0, fmt.Errorf("%w: schema nested too deep, or elements missing", ErrCorrupt)
		}
		el := &s.elements[i]
		c := leafColumn{path: append(slices.Clone(parent.path), el.Name), element: el, maxRep: parent.maxRep, maxDef: parent.maxDef}
		switch el.RepetitionType.V {
		case format.Optional:
			c.maxDef++
		case format.Repeated:
			c.maxRep++
			c.maxDef++
		}
		i++
		children := el.NumChildren.V
		if el.Type.Valid {
			if children > 0 {
				return 0, fmt.Errorf("%w: schema: %s has both a type and children", ErrCorrupt, c.name())
			}
			out = append(out, &c)
			return i, nil
		}
		if children <= 0 {
			return 0, fmt.Errorf("%w: schema: %s has neither a type nor children", ErrCorrupt, c.name())
		}
		for ; children > 0; children-- {
			var err error
			if i, err = walk(i, c, depth+1); err != nil {
				return 0, err
			}
		}
		return i, nil
	}
	end := 1
	for range s.elements[0].NumChildren.V {
		var err error
		if end, err = walk(end, leafColumn{}, 1); err != nil {
			return nil, err
		}
	}
	if end != len(s.elements) {
		return nil, fmt.Errorf("%w: schema: %d elements beyond the tree", ErrCorrupt, len(s.elements)-end)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: schema without columns", ErrUnsupported)
	}
	return out, nil
}

// tree returns the schema in parquet-go's terms: names, repetition and the
// physical types that values are compared and encoded as. The footer gets the
// elements themselves, see finishFile.
func (s fileSchema) tree(leaves []*leafColumn) (*parquet.Schema, error) {
	byElement := make(map[*format.SchemaElement]*leafColumn, len(leaves))
	for _, c := range leaves {
		byElement[c.element] = c
	}
	var build func(i int) (*schemaNode, int, error)
	build = func(i int) (*schemaNode, int, error) {
		el := &s.elements[i]
		if c := byElement[el]; c != nil {
			t, err := physicalType(el)
			return &schemaNode{Node: parquet.Leaf(t), element: el, encoding: c.encoding, codec: c.codec}, i + 1, err
		}
		n := &schemaNode{Node: parquet.Group{}, element: el}
		i++
		for range el.NumChildren.V {
			child, next, err := build(i)
			if err != nil {
				return nil, 0, err
			}
			n.fields = append(n.fields, child)
			i = next
		}
		return n, i, nil
	}
	root, _, err := build(0)
	if err != nil {
		return nil, err
	}
	return parquet.NewSchema(s.elements[0].Name, root), nil
}

// schemaNode is a parquet.Field that keeps the order of its children, which
// parquet.Group does not.
type schemaNode struct {
	parquet.Node
	element  *format.SchemaElement
	fields   []parquet.Field
	encoding encoding.Encoding
	codec    compress.Codec
}

func (n *schemaNode) Name() string                           { return n.element.Name }
func (n *schemaNode) Fields() []parquet.Field                { return n.fields }
func (n *schemaNode) Encoding() encoding.Encoding            { return n.encoding }
func (n *schemaNode) Compression() compress.Codec            { return n.codec }
func (n *schemaNode) Value(base reflect.Value) reflect.Value { return base }
func (n *schemaNode) Optional() bool                         { return n.repetition() == format.Optional }
func (n *schemaNode) Repeated() bool                         { return n.repetition() == format.Repeated }
func (n *schemaNode) Required() bool                         { return n.repetition() == format.Required }
func (n *schemaNode) repetition() format.FieldRepetitionType { return n.element.RepetitionType.V }

// physicalType returns the type that values of a leaf are stored as.
func physicalType(el *format.SchemaElement) (parquet.Type, error) {
	switch el.Type.V {
	case format.Boolean:
		return parquet.BooleanType, nil
	case format.Int32:
		if unsigned(el) {
			return parquet.Uint(32).Type(), nil
		}
		return parquet.Int32Type, nil
	case format.Int64:
		if unsigned(el) {
			return parquet.Uint(64).Type(), nil
		}
		return parquet.Int64Type, nil
	case format.Int96:
		return parquet.Int96Type, nil
	case format.Float:
		return parquet.FloatType, nil
	case format.Double:
		return parquet.DoubleType, nil
	case format.ByteArray:
		return parquet.ByteArrayType, nil
	case format.FixedLenByteArray:
		if el.TypeLength.V <= 0 {
			return nil, fmt.Errorf("%w: schema: %s has a fixed length of %d bytes", ErrCorrupt, el.Name, el.TypeLength.V)
		}
		return parquet.FixedLenByteArrayType(int(el.TypeLength.V)), nil
	}
	return nil, fmt.Errorf("%w: schema: %s has the unknown physical type %d", ErrUnsupported, el.Name, el.Type.V)
}

// floating tells whether a column holds floats of 32 or 64 bits.
func floating(el *format.SchemaElement) bool {
	return el.Type.V == format.Float || el.Type.V == format.Double
}

// unsigned tells whether an integer column is compared as unsigned.
func unsigned(el *format.SchemaElement) bool {
	if t, ok := el.LogicalType.Value.(*format.IntType); ok {
		return !t.IsSigned
	}
	if !el.ConvertedType.Valid {
		return false
	}
	switch el.ConvertedType.V {
	case deprecated.Uint8, deprecated.Uint16, deprecated.Uint32, deprecated.Uint64:
		return true
	}
	return false
}

// ordered tells whether parquet-go compares values of the column as the
// format's specification says, so that bounds may be written. It does not for
// decimals in bytes (two's complement), FLOAT16 and INT96; intervals and
// unknown types have no order at all.
func ordered(el *format.SchemaElement) bool {
	switch el.Type.V {
	case format.Int96:
		return false
	case format.ByteArray, format.FixedLenByteArray:
		switch el.LogicalType.Value.(type) {
		case *format.StringType, *format.EnumType, *format.JsonType, *format.BsonType, *format.UUIDType:
			return true
		case nil:
			return !el.ConvertedType.Valid || el.ConvertedType.V == deprecated.UTF8 ||
				el.ConvertedType.V == deprecated.Enum || el.ConvertedType.V == deprecated.Json || el.ConvertedType.V == deprecated.Bson
		}
		return false
	}
	return true
}
