package shards

import (
	flatbuffers "github.com/google/flatbuffers/go"
)

// Further numbers of Arrow's Schema.fbs and Message.fbs.
const (
	metadataV5     = 4
	slotDictionary = 4 // of a field
)

// encode returns the FlatBuffer of a schema message, which is the input's where
// nothing was changed.
func (s arrowSchema) encode() []byte {
	if s.message != nil {
		return s.message
	}
	b := flatbuffers.NewBuilder(1024)
	fields := encodeFields(b, s.fields)
	meta := encodeKeyValues(b, s.meta)
	b.StartObject(schemaSlots)
	b.PrependInt16Slot(slotEndianness, 0, 1) // written though it is the default, as Arrow's own do
	b.PrependUOffsetTSlot(slotFields, fields, 0)
	b.PrependUOffsetTSlot(slotMetadata, meta, 0)
	schema := b.EndObject()
	b.StartObject(messageSlots)
	b.PrependInt16Slot(slotVersion, metadataV5, 0)
	b.PrependByteSlot(slotKind, kindSchema, 0)
	b.PrependUOffsetTSlot(slotHeader, schema, 0)
	b.PrependInt64Slot(slotBody, 0, 1)
	b.Finish(b.EndObject())
	return b.FinishedBytes()
}

func encodeFields(b *flatbuffers.Builder, fields []*arrowField) flatbuffers.UOffsetT {
	tables := make([]flatbuffers.UOffsetT, len(fields))
	for i, f := range fields {
		tables[i] = f.encode(b)
	}
	return b.CreateVectorOfTables(tables)
}

// encodeKeyValues returns 0, which no table is at, for none.
func encodeKeyValues(b *flatbuffers.Builder, list []KeyValue) flatbuffers.UOffsetT {
	if len(list) == 0 {
		return 0
	}
	tables := make([]flatbuffers.UOffsetT, len(list))
	for i, kv := range list {
		key, value := b.CreateString(kv.Key), b.CreateString(kv.Value)
		b.StartObject(2)
		b.PrependUOffsetTSlot(0, key, 0)
		b.PrependUOffsetTSlot(1, value, 0)
		tables[i] = b.EndObject()
	}
	return b.CreateVectorOfTables(tables)
}

func (f *arrowField) encode(b *flatbuffers.Builder) flatbuffers.UOffsetT {
	children := encodeFields(b, f.children)
	meta := encodeKeyValues(b, f.meta)
	name := b.CreateString(f.name)
	of := f.encodeType(b)
	var dict flatbuffers.UOffsetT
	if f.dict != nil {
		index := encodeInt(b, f.dict.bits, f.dict.signed)
		b.StartObject(4)
		b.PrependInt64Slot(0, f.dict.id, -1)
		b.PrependUOffsetTSlot(1, index, 0)
		b.PrependBoolSlot(2, f.dict.ordered, false)
		dict = b.EndObject()
	}
	b.StartObject(fieldSlots)
	b.PrependUOffsetTSlot(slotName, name, 0)
	b.PrependBoolSlot(slotNullable, f.nullable, false)
	b.PrependByteSlot(slotTypeKind, byte(f.kind), 0)
	b.PrependUOffsetTSlot(slotType, of, 0)
	b.PrependUOffsetTSlot(slotDictionary, dict, 0)
	b.PrependUOffsetTSlot(slotChildren, children, 0)
	b.PrependUOffsetTSlot(slotFieldMetadata, meta, 0)
	return b.EndObject()
}

func encodeInt(b *flatbuffers.Builder, bits int, signed bool) flatbuffers.UOffsetT {
	b.StartObject(2)
	b.PrependInt32Slot(0, int32(bits), 0)
	b.PrependBoolSlot(1, signed, false)
	return b.EndObject()
}

// encodeType is the reverse of parseType.
func (f *arrowField) encodeType(b *flatbuffers.Builder) flatbuffers.UOffsetT {
	var zone, ids flatbuffers.UOffsetT
	if f.zone != "" {
		zone = b.CreateString(f.zone)
	}
	if f.kind == kindInt {
		return encodeInt(b, f.bits, f.signed)
	}
	if f.typeIDs != nil {
		b.StartVector(4, len(f.typeIDs), 4)
		for i := range f.typeIDs {
			b.PrependInt32(f.typeIDs[len(f.typeIDs)-1-i])
		}
		ids = b.EndVector(len(f.typeIDs))
	}
	b.StartObject(3)
	switch f.kind {
	case kindFloat, kindInterval:
		b.PrependInt16Slot(0, f.unit, 0)
	case kindDecimal:
		b.PrependInt32Slot(0, f.digits, 0)
		b.PrependInt32Slot(1, f.scale, 0)
		b.PrependInt32Slot(2, int32(f.bits), 128)
	case kindDate, kindDuration:
		b.PrependInt16Slot(0, f.unit, 1)
	case kindTime:
		b.PrependInt16Slot(0, f.unit, 1)
		b.PrependInt32Slot(1, int32(f.bits), 32)
	case kindTimestamp:
		b.PrependInt16Slot(0, f.unit, 0)
		b.PrependUOffsetTSlot(1, zone, 0)
	case kindUnion:
		b.PrependInt16Slot(0, f.unit, 0)
		b.PrependUOffsetTSlot(1, ids, 0)
	case kindFixedBinary, kindFixedList:
		b.PrependInt32Slot(0, f.size, 0)
	case kindMap:
		b.PrependBoolSlot(0, f.sorted, false)
	}
	return b.EndObject()
}
