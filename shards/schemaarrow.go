package shards

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	flatbuffers "github.com/google/flatbuffers/go"
)

// arrowSchemaKey is the metadata entry in which Arrow keeps the types that
// Parquet cannot say: base64 of an IPC schema message.
const arrowSchemaKey = "ARROW:schema"

// More field numbers of Arrow's format/{Message,Schema}.fbs, the numbers of
// fields of their tables, and values of a union and an enum.
const (
	slotVersion, messageSlots                                  = 0, 5
	slotFooterSchema                                           = 1
	slotEndianness, slotFeatures, schemaSlots                  = 0, 3, 4
	slotName, slotNullable, slotTypeKind, slotType, fieldSlots = 0, 1, 2, 3, 7
	typeFloatingPoint, precisionSingle                         = 3, 1
	typeInt, typeList                                          = 2, 12
)

// addArrowField adds a nullable float32 field to the end of an ARROW:schema
// value. The message is edited in place of being decoded and built again, so
// that types this program's Arrow library does not know survive: new tables
// are put in front of the old bytes and point into them.
func addArrowField(value string, opt CopyOptions) (edited string, err error) {
	message, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
	if err != nil {
		return "", fmt.Errorf("%w: base64: %w", ErrCorrupt, err)
	}
	section := io.NewSectionReader(bytes.NewReader(message), 0, int64(len(message)))
	old, err := (&arrowMessages{in: section}).metadata()
	if err != nil {
		return "", noEOF(err)
	}
	err = guard(func() error {
		b, err := appendField(old, opt)
		edited = encodeArrowSchema(b)
		return err
	})
	return edited, err
}

// encodeArrowSchema returns the ARROW:schema value of a schema message: base64
// of the length, padded to 8 bytes, and the FlatBuffer.
func encodeArrowSchema(message []byte) string {
	n := (len(message) + 7) &^ 7
	b := binary.LittleEndian.AppendUint32(nil, arrowContinue)
	b = binary.LittleEndian.AppendUint32(b, uint32(n))
	b = append(append(b, message...), make([]byte, n-len(message))...)
	return base64.StdEncoding.EncodeToString(b)
}

// appendField returns the FlatBuffer of a schema message with one more field.
// It panics where offsets in the message lead outside of it.
func appendField(old []byte, opt CopyOptions) ([]byte, error) {
	message := flatRoot(old)
	schema, ok := message.table(slotHeader)
	if !ok || message.byte(slotKind) != kindSchema {
		return nil, fmt.Errorf("%w: the Arrow message is not a schema", ErrCorrupt)
	}
	if err := checkArrowSchema(schema); err != nil {
		return nil, err
	}
	b, moved := embedFlat(old)
	var fields []flatbuffers.UOffsetT
	if err := schema.tables(slotFields, func(f flatTable) error {
		fields = append(fields, moved(f.pos))
		return nil
	}); err != nil {
		return nil, err
	}
	fields = append(fields, opt.buildField(b))
	list := b.CreateVectorOfTables(fields)

	b.StartObject(schemaSlots)
	b.PrependInt16Slot(slotEndianness, schema.int16(slotEndianness), 0)
	b.PrependUOffsetTSlot(slotFields, list, 0)
	for _, i := range []int{slotMetadata, slotFeatures} {
		if t, ok := schema.table(i); ok { // a vector's offset is a table's
			b.PrependUOffsetTSlot(i, moved(t.pos), 0)
		}
	}
	return finishSchemaMessage(b, message.int16(slotVersion), b.EndObject()), nil
}

// embedFlat begins a FlatBuffer that holds an old one, and returns how offsets
// in the old one are those of the new one.
func embedFlat(old []byte) (b *flatbuffers.Builder, moved func(pos int) flatbuffers.UOffsetT) {
	b = flatbuffers.NewBuilder(len(old) + 512)
	return b, embedInto(b, old)
}

// embedInto is embedFlat for a FlatBuffer that has begun.
func embedInto(b *flatbuffers.Builder, old []byte) (moved func(pos int) flatbuffers.UOffsetT) {
	b.Prep(8, len(old)) // the old bytes keep their alignment
	end := int(b.CreateByteVector(old)) - 4
	return func(pos int) flatbuffers.UOffsetT { return flatbuffers.UOffsetT(end - pos) } // the builder counts from the end
}

// finishSchemaMessage returns the message of a schema that b holds.
func finishSchemaMessage(b *flatbuffers.Builder, version int16, schema flatbuffers.UOffsetT) []byte {
	b.StartObject(messageSlots)
	b.PrependInt16Slot(slotVersion, version, 0)
	b.PrependByteSlot(slotKind, kindSchema, 0)
	b.PrependUOffsetTSlot(slotHeader, schema, 0)
	b.Finish(b.EndObject())
	return b.FinishedBytes()
}

// footerSchema returns a schema message with the schema of a file's footer. It
// panics where offsets in the footer lead outside of it.
func footerSchema(footer flatTable) ([]byte, error) {
	schema, ok := footer.table(slotFooterSchema)
	if !ok {
		return nil, fmt.Errorf("%w: the footer of the Arrow file has no schema", ErrCorrupt)
	}
	if err := checkArrowSchema(schema); err != nil {
		return nil, err
	}
	b, moved := embedFlat(footer.b)
	return finishSchemaMessage(b, footer.int16(slotVersion), moved(schema.pos)), nil
}

// int16 returns field i, 0 when it is absent.
func (t flatTable) int16(i int) int16 {
	if at := t.slot(i); at != 0 {
		return int16(binary.LittleEndian.Uint16(t.b[at:]))
	}
	return 0
}

// buildField builds the Field of the column that a copy adds.
func (o CopyOptions) buildField(b *flatbuffers.Builder) flatbuffers.UOffsetT {
	if o.ids == nil {
		return buildFloatField(b, o.ScoreColumn)
	}
	b.StartObject(2)
	b.PrependInt32Slot(0, 32, 0)
	b.PrependBoolSlot(1, true, false) // signed
	integer := b.EndObject()
	b.StartObject(0)
	list := b.EndObject()
	element := buildField(b, "element", typeInt, integer, nil)
	return buildField(b, o.ids.name, typeList, list, []flatbuffers.UOffsetT{element})
}

// buildFloatField builds the Field of a nullable float32 column.
func buildFloatField(b *flatbuffers.Builder, name string) flatbuffers.UOffsetT {
	b.StartObject(1)
	b.PrependInt16Slot(0, precisionSingle, 0)
	return buildField(b, name, typeFloatingPoint, b.EndObject(), nil)
}

// buildField builds a nullable Field.
func buildField(b *flatbuffers.Builder, name string, kind byte, of flatbuffers.UOffsetT, below []flatbuffers.UOffsetT) flatbuffers.UOffsetT {
	text := b.CreateString(name)
	children := b.CreateVectorOfTables(below)
	b.StartObject(fieldSlots)
	b.PrependUOffsetTSlot(slotName, text, 0)
	b.PrependBoolSlot(slotNullable, true, false)
	b.PrependByteSlot(slotTypeKind, kind, 0)
	b.PrependUOffsetTSlot(slotType, of, 0)
	b.PrependUOffsetTSlot(slotChildren, children, 0)
	return b.EndObject()
}
