package shards

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	flatbuffers "github.com/google/flatbuffers/go"
)

// arrowSchemaKey is the metadata entry in which Arrow keeps the types that
// Parquet cannot say: base64 of an IPC schema message.
const arrowSchemaKey = "ARROW:schema"

// Slots of the tables of Arrow's Message.fbs and Schema.fbs, and the values of
// their unions and enums that are used here.
// https://github.com/apache/arrow/tree/main/format
const (
	messageVersion, messageHeaderType, messageHeader, messageBodyLength = 0, 1, 2, 3
	messageSlots                                                        = 5
	headerSchema                                                        = 1

	schemaEndianness, schemaFields, schemaMetadata, schemaFeatures = 0, 1, 2, 3
	schemaSlots                                                    = 4

	fieldName, fieldNullable, fieldTypeType, fieldType, fieldChildren = 0, 1, 2, 3, 5
	fieldSlots                                                        = 7
	typeFloatingPoint                                                 = 3
	precisionSingle                                                   = 1
)

// addArrowField adds a nullable float32 field to the end of an ARROW:schema
// value. The message is edited in place of being decoded and built again, so
// that types this program's Arrow library does not know survive: new tables
// are put in front of the old bytes and point into them.
func addArrowField(value, name string) (string, error) {
	message, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
	if err != nil {
		return "", fmt.Errorf("decode base64: %w", err)
	}
	old, err := unwrapIPC(message)
	if err != nil {
		return "", err
	}
	var edited []byte
	err = guard(func() error {
		edited, err = appendField(old, name)
		return err
	})
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(wrapIPC(edited)), nil
}

// unwrapIPC returns the flatbuffer of an encapsulated IPC message.
func unwrapIPC(b []byte) ([]byte, error) {
	if len(b) >= 8 && binary.LittleEndian.Uint32(b) == 0xFFFFFFFF {
		b = b[4:]
	}
	if len(b) < 4 {
		return nil, errors.New("read Arrow schema: message too short")
	}
	n := binary.LittleEndian.Uint32(b)
	if b = b[4:]; uint64(n) > uint64(len(b)) || n < 8 {
		return nil, fmt.Errorf("read Arrow schema: message of %d bytes in %d", n, len(b))
	}
	return b[:n], nil
}

// wrapIPC makes an encapsulated message, padded to 8 bytes, of a flatbuffer.
func wrapIPC(flat []byte) []byte {
	n := (len(flat) + 7) &^ 7
	out := binary.LittleEndian.AppendUint32(nil, 0xFFFFFFFF)
	out = binary.LittleEndian.AppendUint32(out, uint32(n))
	return append(append(out, flat...), make([]byte, n-len(flat))...)
}

// appendField returns the flatbuffer of a schema message with one more field.
// It panics where offsets in the message lead outside of it.
func appendField(old []byte, name string) ([]byte, error) {
	message := flatbuffers.Table{Bytes: old, Pos: flatbuffers.GetUOffsetT(old)}
	slot := func(t *flatbuffers.Table, i int) flatbuffers.UOffsetT {
		return flatbuffers.UOffsetT(t.Offset(flatbuffers.VOffsetT(4 + 2*i)))
	}
	header := slot(&message, messageHeader)
	if kind := slot(&message, messageHeaderType); header == 0 || kind == 0 || message.GetByte(message.Pos+kind) != headerSchema {
		return nil, errors.New("the Arrow message is not a schema")
	}
	schema := flatbuffers.Table{Bytes: old, Pos: message.Indirect(message.Pos + header)}

	b := flatbuffers.NewBuilder(len(old) + 512)
	b.Prep(8, len(old)) // the old bytes keep their alignment
	base := b.CreateByteVector(old) - 4
	at := func(pos flatbuffers.UOffsetT) flatbuffers.UOffsetT { return base - pos } // where old byte pos is now

	var fields []flatbuffers.UOffsetT
	if o := slot(&schema, schemaFields); o != 0 {
		start := schema.Vector(o)
		for i := range schema.VectorLen(o) {
			fields = append(fields, at(schema.Indirect(start+flatbuffers.UOffsetT(4*i))))
		}
	}
	fields = append(fields, buildFloatField(b, name))
	b.StartVector(4, len(fields), 4)
	for _, f := range slices.Backward(fields) {
		b.PrependUOffsetT(f)
	}
	list := b.EndVector(len(fields))

	b.StartObject(schemaSlots)
	if o := slot(&schema, schemaEndianness); o != 0 {
		b.PrependInt16Slot(schemaEndianness, schema.GetInt16(schema.Pos+o), 0)
	}
	b.PrependUOffsetTSlot(schemaFields, list, 0)
	for _, i := range []int{schemaMetadata, schemaFeatures} {
		if o := slot(&schema, i); o != 0 {
			b.PrependUOffsetTSlot(i, at(schema.Indirect(schema.Pos+o)), 0)
		}
	}
	newSchema := b.EndObject()

	b.StartObject(messageSlots)
	if o := slot(&message, messageVersion); o != 0 {
		b.PrependInt16Slot(messageVersion, message.GetInt16(message.Pos+o), 0)
	}
	b.PrependByteSlot(messageHeaderType, headerSchema, 0)
	b.PrependUOffsetTSlot(messageHeader, newSchema, 0)
	b.PrependInt64Slot(messageBodyLength, 0, 0)
	b.Finish(b.EndObject())
	return b.FinishedBytes(), nil
}

// buildFloatField builds the Field of a nullable float32 column.
func buildFloatField(b *flatbuffers.Builder, name string) flatbuffers.UOffsetT {
	text := b.CreateString(name)
	b.StartVector(4, 0, 4)
	children := b.EndVector(0)
	b.StartObject(1)
	b.PrependInt16Slot(0, precisionSingle, 0)
	float := b.EndObject()
	b.StartObject(fieldSlots)
	b.PrependUOffsetTSlot(fieldName, text, 0)
	b.PrependBoolSlot(fieldNullable, true, false)
	b.PrependByteSlot(fieldTypeType, typeFloatingPoint, 0)
	b.PrependUOffsetTSlot(fieldType, float, 0)
	b.PrependUOffsetTSlot(fieldChildren, children, 0)
	return b.EndObject()
}
