package shards

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"
)

// assembly is a node of a Parquet schema as Arrow has it: what Parquet says in
// three levels, the list, its repeated group and the element, is one node.
type assembly struct {
	field    *arrowField
	element  *format.SchemaElement // of a leaf
	list     bool                  // the child is the element
	def      int                   // the definition level of a value that is there, maybe empty
	rep      int                   // of a list: the repetition level of its second element
	leaf     int                   // the first leaf below
	leaves   int
	children []*assembly
}

// parquetTable returns what pyarrow makes of a Parquet schema and of the Arrow
// schema that is kept beside it, if one is.
func parquetTable(footer *parquetFooter) (schema arrowSchema, nodes []*assembly, err error) {
	b := assemblyBuilder{s: footer.schema}
	for i := 1; i < len(b.s.elements); {
		var n *assembly
		if n, i, err = b.node(i, 0, 0); err != nil {
			return schema, nil, err
		}
		nodes = append(nodes, n)
		schema.fields = append(schema.fields, n.field)
	}
	for _, kv := range footer.meta.KeyValueMetadata {
		if kv.Key != arrowSchemaKey {
			schema.meta = append(schema.meta, KeyValue{kv.Key, kv.Value})
			continue
		}
		stored, err := storedSchema(kv.Value)
		if err != nil {
			return schema, nil, fmt.Errorf("metadata %s: %w", kv.Key, err)
		}
		for i, f := range schema.fields {
			if i < len(stored.fields) && stored.fields[i].name == f.name {
				f.restore(stored.fields[i])
			}
		}
	}
	id := int64(0)
	for _, f := range schema.fields {
		f.numberDicts(&id)
	}
	return schema, nodes, nil
}

// storedSchema decodes an ARROW:schema value.
func storedSchema(value string) (arrowSchema, error) {
	message, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
	if err != nil {
		return arrowSchema{}, fmt.Errorf("%w: base64: %w", ErrCorrupt, err)
	}
	section := io.NewSectionReader(bytes.NewReader(message), 0, int64(len(message)))
	meta, err := (&arrowMessages{in: section}).metadata()
	if err != nil {
		return arrowSchema{}, noEOF(err)
	}
	return parseArrowSchema(meta)
}

func (f *arrowField) numberDicts(id *int64) {
	if f.dict != nil {
		f.dict.id = *id
		*id++
	}
	for _, c := range f.children {
		c.numberDicts(id)
	}
}

// assemblyBuilder walks schema elements, depth first.
type assemblyBuilder struct {
	s      fileSchema
	leaves int
}

// node builds the node of element i, below the given levels, and returns the
// index of the element after it.
func (b *assemblyBuilder) node(i, rep, def int) (*assembly, int, error) {
	el := &b.s.elements[i]
	if el.RepetitionType.V == format.Repeated { // a list without an annotation
		n := &assembly{field: b.fieldOf(i, kindList), list: true, def: def, rep: rep + 1, leaf: b.leaves}
		child, next, err := b.element(i, rep+1, def+1)
		if err != nil {
			return nil, 0, err
		}
		child.field.meta = nil
		return n.over(child), next, nil
	}
	if el.RepetitionType.V == format.Optional {
		def++
	}
	if el.Type.Valid {
		return b.leafNode(i, def)
	}
	lt := el.LogicalType.Value
	if is[*format.MapType](&el.LogicalType) || lt == nil && el.ConvertedType.Valid &&
		(el.ConvertedType.V == deprecated.Map || el.ConvertedType.V == deprecated.MapKeyValue) {
		return b.mapNode(i, rep, def)
	}
	if is[*format.ListType](&el.LogicalType) || lt == nil && el.ConvertedType.Valid && el.ConvertedType.V == deprecated.List {
		return b.listNode(i, rep, def)
	}
	return b.group(i, rep, def)
}

// over puts a list above its element.
func (n *assembly) over(child *assembly) *assembly {
	n.children, n.leaves = []*assembly{child}, child.leaves
	n.field.children = []*arrowField{child.field}
	return n
}

// element builds the node of a repeated element as the element of a list.
func (b *assemblyBuilder) element(i, rep, def int) (*assembly, int, error) {
	if b.s.elements[i].Type.Valid {
		return b.leafNode(i, def)
	}
	return b.group(i, rep, def)
}

// group builds a struct; its levels are counted by the caller.
func (b *assemblyBuilder) group(i, rep, def int) (*assembly, int, error) {
	n := &assembly{field: b.fieldOf(i, kindStruct), def: def, leaf: b.leaves}
	next := i + 1
	for range b.s.elements[i].NumChildren.V {
		child, after, err := b.node(next, rep, def)
		if err != nil {
			return nil, 0, err
		}
		next = after
		n.children, n.field.children = append(n.children, child), append(n.field.children, child.field)
		n.leaves += child.leaves
	}
	return n, next, nil
}

// listNode builds what is annotated as a list, in the forms of the format's
// LogicalTypes.md, backward compatibility rules included.
func (b *assemblyBuilder) listNode(i, rep, def int) (*assembly, int, error) {
	el := &b.s.elements[i]
	if el.NumChildren.V != 1 || b.s.elements[i+1].RepetitionType.V != format.Repeated {
		return nil, 0, fmt.Errorf("%w: schema: the list %s has no one repeated child", ErrUnsupported, el.Name)
	}
	n := &assembly{field: b.fieldOf(i, kindList), list: true, def: def, rep: rep + 1, leaf: b.leaves}
	repeated := &b.s.elements[i+1]
	build, at := b.element, i+1
	if !repeated.Type.Valid && repeated.NumChildren.V == 1 &&
		(b.s.elements[i+2].RepetitionType.V == format.Repeated || repeated.Name != "array" && repeated.Name != el.Name+"_tuple") {
		build, at = b.node, i+2
	}
	child, next, err := build(at, rep+1, def+1)
	if err != nil {
		return nil, 0, err
	}
	return n.over(child), next, nil
}

// mapNode builds what is annotated as a map, as a list where it has no values
// or keys may be null, which Arrow's maps do not know.
func (b *assemblyBuilder) mapNode(i, rep, def int) (*assembly, int, error) {
	el := &b.s.elements[i]
	if el.NumChildren.V != 1 || b.s.elements[i+1].NumChildren.V != 2 || b.s.elements[i+1].RepetitionType.V != format.Repeated ||
		b.s.elements[i+2].RepetitionType.V != format.Required {
		return b.listNode(i, rep, def)
	}
	n := &assembly{field: b.fieldOf(i, kindMap), list: true, def: def, rep: rep + 1, leaf: b.leaves}
	entries, next, err := b.group(i+1, rep+1, def+1)
	if err != nil {
		return nil, 0, err
	}
	entries.field.name = el.Name
	return n.over(entries), next, nil
}

func (b *assemblyBuilder) leafNode(i, def int) (*assembly, int, error) {
	n := &assembly{field: b.fieldOf(i, 0), element: &b.s.elements[i], def: def, leaf: b.leaves, leaves: 1}
	b.leaves++
	return n, i + 1, n.field.setLeaf(n.element)
}

// fieldOf begins the field of an element. An element's field id is metadata.
func (b *assemblyBuilder) fieldOf(i int, kind arrowKind) *arrowField {
	el := &b.s.elements[i]
	f := &arrowField{name: el.Name, nullable: el.RepetitionType.V == format.Optional, kind: kind}
	if hasFieldID(b.s.raw[i]) && el.FieldID >= 0 {
		f.meta = []KeyValue{{fieldIDKey, strconv.Itoa(int(el.FieldID))}}
	}
	return f
}

// hasFieldID looks for field 9 of an encoded schema element: decoded, an id of
// 0 looks like none.
func hasFieldID(raw []byte) bool {
	t := thriftWalk{raw}
	for id := int64(0); ; {
		head, err := t.byte()
		if err != nil || head == 0 {
			return false
		}
		if id += int64(head >> 4); head>>4 == 0 {
			v, err := t.varint()
			if err != nil {
				return false
			}
			id = int64(v>>1) ^ -int64(v&1)
		}
		if id == 9 {
			return true
		}
		if kind := head & 15; kind != thriftTrue && kind != thriftFalse && t.value(kind, 0) != nil {
			return false
		}
	}
}

// restore gives back what Parquet cannot say: types of the Arrow schema that
// the file was written from, where values are stored alike (pyarrow's
// ApplyOriginalMetadata).
func (f *arrowField) restore(from *arrowField) {
	if f.restoresChildren(from) {
		f.kind, f.size, f.sorted = from.kind, from.size, from.sorted
		for i, c := range f.children {
			c.restore(from.children[i])
		}
	}
	bytes := f.kind == kindBinary || f.kind == kindUtf8
	switch {
	case from.dict != nil && bytes:
		f.dict = &arrowDict{bits: from.dict.bits, signed: from.dict.signed, ordered: from.dict.ordered}
	case from.dict != nil:
	case f.kind == kindTimestamp && from.kind == kindTimestamp && f.zone == "UTC" && from.zone != "":
		f.zone = from.zone
	case f.kind == kindInt && f.bits == 64 && f.signed && from.kind == kindDuration:
		f.kind, f.unit = from.kind, from.unit
	case f.kind == kindBinary && (from.kind == kindLargeBinary || from.kind == kindBinaryView),
		f.kind == kindUtf8 && (from.kind == kindLargeUtf8 || from.kind == kindUtf8View):
		f.kind = from.kind
	case f.kind == kindDecimal && from.kind == kindDecimal && f.digits == from.digits && f.scale == from.scale:
		f.bits = from.bits
	}
	f.restoreMeta(from)
}

func (f *arrowField) restoresChildren(from *arrowField) bool {
	if len(f.children) == 0 || len(f.children) != len(from.children) || from.dict != nil {
		return false
	}
	switch f.kind {
	case kindStruct, kindMap:
		return from.kind == f.kind
	case kindList:
		return slices.Contains([]arrowKind{kindList, kindLargeList, kindFixedList, kindListView, kindLargeListView}, from.kind)
	}
	return false
}

// Metadata that names an extension type.
const (
	extensionName = "ARROW:extension:name"
	extensionMeta = "ARROW:extension:metadata"
)

// restoreMeta adds a field's own metadata; that it is an extension only where
// the storage is what it was.
func (f *arrowField) restoreMeta(from *arrowField) {
	var meta []KeyValue
	for _, kv := range from.meta {
		own := slices.ContainsFunc(f.meta, func(m KeyValue) bool { return m.Key == kv.Key })
		if extension := kv.Key == extensionName || kv.Key == extensionMeta; !own && (!extension || f.stores(from)) {
			meta = append(meta, kv)
		}
	}
	f.meta = append(meta, f.meta...)
}

// stores tells whether two fields have the same type, names of elements aside.
func (f *arrowField) stores(other *arrowField) bool {
	a, b := *f, *other
	if (a.dict == nil) != (b.dict == nil) || len(a.children) != len(b.children) || a.kind != b.kind || a.bits != b.bits || a.signed != b.signed ||
		a.unit != b.unit || a.size != b.size || a.digits != b.digits || a.scale != b.scale || a.zone != b.zone {
		return false
	}
	for i := range a.children {
		if !a.children[i].stores(b.children[i]) {
			return false
		}
	}
	return true
}
