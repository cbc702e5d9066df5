package shards

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go/format"

	flatbuffers "github.com/google/flatbuffers/go"
)

// unifyMetadata keeps the key-value metadata that the shards agree on.
func (u *UnifiedSchema) unifyMetadata(root *schemaTree, parts []*unifiedPart) error {
	values := map[string]string{}
	var keys, conflicts []string
	hints := 0
	for _, p := range parts {
		for _, kv := range p.meta {
			if kv.Key == arrowSchemaKey {
				hints++
				continue
			}
			old, ok := values[kv.Key]
			if !ok {
				keys = append(keys, kv.Key)
				values[kv.Key] = kv.Value
			} else if old != kv.Value && !slices.Contains(conflicts, kv.Key) {
				conflicts = append(conflicts, kv.Key)
			}
		}
	}
	for _, key := range keys {
		if slices.Contains(conflicts, key) {
			u.Notices = append(u.Notices, fmt.Sprintf("the metadata %q differs between the shards and is left out", key))
			continue
		}
		u.meta = append(u.meta, format.KeyValue{Key: key, Value: values[key]})
	}
	if hints == 0 {
		return nil
	}
	value, problem, err := unifyArrowSchemas(root, parts)
	if err != nil {
		return fmt.Errorf("unify schemas: %w", err)
	}
	if problem != "" {
		u.Notices = append(u.Notices, "the Arrow types that Parquet has no name for are left out: "+problem)
		return nil
	}
	u.meta = append(u.meta, format.KeyValue{Key: arrowSchemaKey, Value: value})
	return nil
}

// arrowHint returns the ARROW:schema of a shard, "" where it has none.
func (p *unifiedPart) arrowHint() string {
	for _, kv := range p.meta {
		if kv.Key == arrowSchemaKey {
			return kv.Value
		}
	}
	return ""
}

// unifyArrowSchemas puts the ARROW:schema of the common schema together from the
// fields of the shards': each from the first shard whose column has the type of
// the common one. problem says why there is none.
func unifyArrowSchemas(root *schemaTree, parts []*unifiedPart) (value, problem string, err error) {
	if same, ok := sameHint(root, parts); ok {
		return same, "", nil
	}
	var fields []arrowFieldSource
	for _, column := range root.children {
		source, ok := hintOf(column, parts)
		if !ok {
			return "", fmt.Sprintf("no shard with an Arrow schema has column %s as it is in the common one", column.el.Name), nil
		}
		fields = append(fields, source)
	}
	err = guard(func() error {
		message, err := joinArrowFields(fields)
		if err == nil {
			value = encodeArrowSchema(message)
		}
		return err
	})
	return value, "", err
}

// sameHint returns the ARROW:schema that all shards have, if it fits.
func sameHint(root *schemaTree, parts []*unifiedPart) (string, bool) {
	for _, p := range parts {
		if p.arrowHint() == "" || p.arrowHint() != parts[0].arrowHint() || !sameColumns(root, p.tree) {
			return "", false
		}
	}
	return parts[0].arrowHint(), true
}

// sameColumns tells whether two trees have the same columns but for what may be
// null.
func sameColumns(a, b *schemaTree) bool {
	if a.leaf != b.leaf || a.leaf && !reflect.DeepEqual(typeOfLeaf(&a.el), typeOfLeaf(&b.el)) {
		return false
	}
	return slices.EqualFunc(a.children, b.children, func(x, y *schemaTree) bool { return x.el.Name == y.el.Name && sameColumns(x, y) })
}

// arrowFieldSource is a field of a shard's Arrow schema.
type arrowFieldSource struct {
	message  []byte
	field    int
	nullable bool
}

// hintOf finds the field for a column of the common schema.
func hintOf(column *schemaTree, parts []*unifiedPart) (arrowFieldSource, bool) {
	for _, p := range parts {
		hint := p.arrowHint()
		if hint == "" {
			continue
		}
		for i, c := range p.tree.children {
			if c.to != column || !sameColumns(c, column) {
				continue
			}
			b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(hint))
			if err != nil {
				continue
			}
			message, err := (&arrowMessages{in: io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b)))}).metadata()
			if err != nil {
				continue
			}
			return arrowFieldSource{message, i, column.el.RepetitionType.V == format.Optional}, true
		}
	}
	return arrowFieldSource{}, false
}

// joinArrowFields returns a schema message of fields of other ones. It panics
// where offsets in those lead outside of them.
func joinArrowFields(sources []arrowFieldSource) ([]byte, error) {
	b := flatbuffers.NewBuilder(1 << 10)
	embedded := map[string]func(int) flatbuffers.UOffsetT{}
	var fields []flatbuffers.UOffsetT
	version := int16(0)
	for id, source := range sources {
		moved := embedded[string(source.message)]
		if moved == nil {
			moved = embedInto(b, source.message)
			embedded[string(source.message)] = moved
		}
		message := flatRoot(source.message)
		schema, ok := message.table(slotHeader)
		if !ok || message.byte(slotKind) != kindSchema {
			return nil, fmt.Errorf("%w: the Arrow message is not a schema", ErrCorrupt)
		}
		if err := checkArrowSchema(schema); err != nil {
			return nil, err
		}
		version = max(version, message.int16(slotVersion))
		var found []flatTable
		if err := schema.tables(slotFields, func(f flatTable) error { found = append(found, f); return nil }); err != nil {
			return nil, err
		}
		if source.field >= len(found) {
			return nil, fmt.Errorf("%w: an Arrow schema of %d fields, want %d", ErrCorrupt, len(found), source.field+1)
		}
		fields = append(fields, moveField(b, found[source.field], moved, source.nullable, int64(id)+1<<32))
	}
	list := b.CreateVectorOfTables(fields)
	b.StartObject(schemaSlots)
	b.PrependUOffsetTSlot(slotFields, list, 0)
	return finishSchemaMessage(b, version, b.EndObject()), nil
}

// Fields of the table DictionaryEncoding.
const slotDictionaryID, slotIndexType, slotOrdered, dictionarySlots = 0, 1, 2, 4

// moveField builds a Field like one in an embedded message, with a dictionary of
// its own: those of two messages may have one number.
func moveField(b *flatbuffers.Builder, f flatTable, moved func(int) flatbuffers.UOffsetT, nullable bool, id int64) flatbuffers.UOffsetT {
	dictionary := flatbuffers.UOffsetT(0)
	if d, ok := f.table(slotDictionary); ok {
		b.StartObject(dictionarySlots)
		b.PrependInt64Slot(slotDictionaryID, id, 0)
		if index, ok := d.table(slotIndexType); ok {
			b.PrependUOffsetTSlot(slotIndexType, moved(index.pos), 0)
		}
		b.PrependBoolSlot(slotOrdered, d.byte(slotOrdered) != 0, false)
		dictionary = b.EndObject()
	}
	b.StartObject(fieldSlots)
	b.PrependBoolSlot(slotNullable, nullable, false)
	b.PrependByteSlot(slotTypeKind, f.byte(slotTypeKind), 0)
	for _, i := range []int{slotName, slotType, slotChildren, slotFieldMetadata} {
		if t, ok := f.table(i); ok { // the offset of a string or a vector is a table's
			b.PrependUOffsetTSlot(i, moved(t.pos), 0)
		}
	}
	if dictionary != 0 {
		b.PrependUOffsetTSlot(slotDictionary, dictionary, 0)
	}
	return b.EndObject()
}
