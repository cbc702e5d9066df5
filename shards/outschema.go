package shards

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// arrowKind is the type of a field, by its number in Arrow's Schema.fbs.
type arrowKind byte

const (
	kindNull arrowKind = 1 + iota
	kindInt
	kindFloat
	kindBinary
	kindUtf8
	kindBool
	kindDecimal
	kindDate
	kindTime
	kindTimestamp
	kindInterval
	kindList
	kindStruct
	kindUnion
	kindFixedBinary
	kindFixedList
	kindMap
	kindDuration
	kindLargeBinary
	kindLargeUtf8
	kindLargeList
	kindRunEnd
	kindBinaryView
	kindUtf8View
	kindListView
	kindLargeListView
)

// Values of unit, by kind.
const (
	unitHalf, unitSingle, unitDouble            = 0, 1, 2    // of floats
	unitDay, unitDateMilli                      = 0, 1       // of dates
	unitSecond, unitMilli, unitMicro, unitNano  = 0, 1, 2, 3 // of times, timestamps, durations
	unitYearMonth, unitDayTime, unitMonthDayNan = 0, 1, 2    // of intervals
	unitSparse, unitDense                       = 0, 1       // of unions
)

// arrowField is a field of an Arrow schema as its message has it, and so knows
// more types than the Arrow library does. For a dictionary the type is that of
// the values.
type arrowField struct {
	name     string
	nullable bool
	kind     arrowKind
	bits     int  // of integers, times and decimals
	signed   bool // of integers
	unit     int16
	size     int32 // bytes of fixed-size binary, elements of fixed-size lists
	digits   int32 // precision of decimals
	scale    int32 // of decimals
	zone     string
	sorted   bool    // keys of a map
	typeIDs  []int32 // of unions
	dict     *arrowDict
	children []*arrowField
	meta     []KeyValue
}

// arrowDict says that a field's values are in a dictionary.
type arrowDict struct {
	id      int64
	bits    int // of indices
	signed  bool
	ordered bool
}

// arrowSchema is a schema message.
type arrowSchema struct {
	fields  []*arrowField
	meta    []KeyValue
	message []byte // that says the same, nil where it has to be made
	swapped bool   // values are big-endian
}

// parseArrowSchema reads the FlatBuffer of a schema message.
func parseArrowSchema(message []byte) (schema arrowSchema, err error) {
	err = guard(func() error {
		root := flatRoot(message)
		table, ok := root.table(slotHeader)
		if !ok || root.byte(slotKind) != kindSchema {
			return fmt.Errorf("%w: the Arrow message is not a schema", ErrCorrupt)
		}
		if err := checkArrowSchema(table); err != nil {
			return err
		}
		if err := table.tables(slotFields, func(f flatTable) error {
			schema.fields = append(schema.fields, parseArrowField(f))
			return nil
		}); err != nil {
			return err
		}
		schema.meta = flatKeyValues(table, slotMetadata)
		schema.swapped = table.int16(slotEndianness) != 0
		if root.int16(slotVersion) == metadataV5 && !schema.swapped {
			schema.message = message // its record batches would look like ours
		}
		return nil
	})
	return schema, err
}

func parseArrowField(t flatTable) *arrowField {
	f := &arrowField{name: t.text(slotName), nullable: t.byte(slotNullable) != 0, kind: arrowKind(t.byte(slotTypeKind)), meta: flatKeyValues(t, slotFieldMetadata)}
	if of, ok := t.table(slotType); ok {
		f.parseType(of)
	}
	if d, ok := t.table(slotDictionary); ok {
		f.dict = &arrowDict{id: d.int64(0), bits: 32, signed: true, ordered: d.byte(2) != 0}
		if index, ok := d.table(1); ok {
			f.dict.bits, f.dict.signed = int(index.int32(0, 0)), index.byte(1) != 0
		}
	}
	_ = t.tables(slotChildren, func(c flatTable) error {
		f.children = append(f.children, parseArrowField(c))
		return nil
	})
	return f
}

// parseType reads what a type says beyond its kind. Fields that are absent
// have the defaults of Schema.fbs.
func (f *arrowField) parseType(t flatTable) {
	unit := func(absent int16) {
		if f.unit = t.int16(0); t.slot(0) == 0 {
			f.unit = absent
		}
	}
	switch f.kind {
	case kindInt:
		f.bits, f.signed = int(t.int32(0, 0)), t.byte(1) != 0
	case kindFloat, kindInterval:
		unit(0)
	case kindDecimal:
		f.digits, f.scale, f.bits = t.int32(0, 0), t.int32(1, 0), int(t.int32(2, 128))
	case kindDate, kindDuration:
		unit(1)
	case kindTime:
		unit(1)
		f.bits = int(t.int32(1, 32))
	case kindTimestamp:
		unit(0)
		f.zone = t.text(1)
	case kindUnion:
		unit(0)
		ids, n, _ := t.vector(1, 4)
		for i := range n {
			f.typeIDs = append(f.typeIDs, int32(binary.LittleEndian.Uint32(ids[4*i:])))
		}
	case kindFixedBinary, kindFixedList:
		f.size = t.int32(0, 0)
	case kindMap:
		f.sorted = t.byte(0) != 0
	}
}

// int32 returns field i, or what it is when it is absent.
func (t flatTable) int32(i int, absent int32) int32 {
	if at := t.slot(i); at != 0 {
		return int32(binary.LittleEndian.Uint32(t.b[at:]))
	}
	return absent
}

// text returns the string of field i.
func (t flatTable) text(i int) string {
	b, _, _ := t.vector(i, 1)
	return string(b)
}

// flatKeyValues returns the KeyValue tables of field i.
func flatKeyValues(t flatTable, i int) (list []KeyValue) {
	_ = t.tables(i, func(kv flatTable) error {
		list = append(list, KeyValue{kv.text(0), kv.text(1)})
		return nil
	})
	return list
}

// unknown says why values of a field, or of one below it, cannot be written.
func (f *arrowField) unknown() error {
	if f.layout() == layoutNone {
		return fmt.Errorf("column %s: %w: Arrow type number %d, or one of %d bits", f.name, ErrUnsupported, f.kind, f.bits)
	}
	want := -1
	switch f.kind {
	case kindList, kindLargeList, kindFixedList, kindMap, kindListView, kindLargeListView:
		want = 1
	case kindRunEnd:
		want = 2
	case kindStruct, kindUnion:
		want = len(f.children)
	default:
		want = 0
	}
	switch {
	case len(f.children) != want, f.kind == kindMap && len(f.children[0].children) != 2, f.size < 0:
		return fmt.Errorf("column %s: %w: an Arrow type of kind %d with %d children and size %d", f.name, ErrCorrupt, f.kind, len(f.children), f.size)
	case f.dict != nil && !slices.Contains([]int{8, 16, 32, 64}, f.dict.bits):
		return fmt.Errorf("column %s: %w: dictionary indices of %d bits", f.name, ErrCorrupt, f.dict.bits)
	}
	for _, c := range f.children {
		if err := c.unknown(); err != nil {
			return fmt.Errorf("column %s: %w", f.name, err)
		}
	}
	return nil
}

// layout is how the values of a field lie in buffers.
type layout int

const (
	layoutNone     layout = iota // not known
	layoutNull                   // nothing
	layoutBool                   // bits
	layoutFixed                  // width bytes each
	layoutVar32                  // offsets of 4 bytes, bytes
	layoutVar64                  // offsets of 8 bytes, bytes
	layoutView                   // views of 16 bytes, bytes
	layoutStruct                 // children
	layoutList32                 // offsets of 4 bytes, one child
	layoutList64                 // offsets of 8 bytes, one child
	layoutListSize               // one child with size elements each
	layoutViews32                // offsets and sizes of 4 bytes, one child
	layoutViews64                // offsets and sizes of 8 bytes, one child
	layoutUnion                  // type ids, offsets if dense; children
	layoutRunEnd                 // children: where runs end, their values
)

func (f *arrowField) layout() layout {
	switch f.kind {
	case kindNull:
		return layoutNull
	case kindBool:
		return layoutBool
	case kindBinary, kindUtf8:
		return layoutVar32
	case kindLargeBinary, kindLargeUtf8:
		return layoutVar64
	case kindBinaryView, kindUtf8View:
		return layoutView
	case kindStruct:
		return layoutStruct
	case kindList, kindMap:
		return layoutList32
	case kindLargeList:
		return layoutList64
	case kindFixedList:
		return layoutListSize
	case kindListView:
		return layoutViews32
	case kindLargeListView:
		return layoutViews64
	case kindUnion:
		return layoutUnion
	case kindRunEnd:
		return layoutRunEnd
	}
	if f.width() > 0 || f.kind == kindFixedBinary {
		return layoutFixed
	}
	return layoutNone
}

// width is the size in bytes of a value of fixed size, 0 for others.
func (f *arrowField) width() int {
	switch f.kind {
	case kindInt, kindTime:
		if slices.Contains([]int{8, 16, 32, 64}, f.bits) {
			return f.bits / 8
		}
	case kindFloat:
		if f.unit >= unitHalf && f.unit <= unitDouble {
			return 2 << f.unit
		}
	case kindDecimal:
		if slices.Contains([]int{32, 64, 128, 256}, f.bits) {
			return f.bits / 8
		}
	case kindDate:
		return 4 + 4*int(f.unit&1)
	case kindTimestamp, kindDuration:
		return 8
	case kindInterval:
		if f.unit >= unitYearMonth && f.unit <= unitMonthDayNan {
			return 4 << f.unit
		}
	case kindFixedBinary:
		return int(f.size)
	}
	return 0
}
