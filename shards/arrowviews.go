package shards

import (
	"encoding/binary"
	"fmt"
)

// viewCounts is how many view columns the record batches of a schema have, and
// the batches of each dictionary. The Arrow library reads the number of data
// buffers of each without asking whether the message has so many numbers.
type viewCounts struct {
	batch      int
	dictionary map[int64]int
}

// countViews counts the view columns of a schema message.
func countViews(message []byte) (*viewCounts, error) {
	schema, err := parseArrowSchema(message)
	if err != nil {
		return nil, err
	}
	v := &viewCounts{dictionary: map[int64]int{}}
	var count func(f *arrowField, to *int)
	count = func(f *arrowField, to *int) {
		if f.dict != nil {
			below := 0
			to = &below
			defer func() { v.dictionary[f.dict.id] = max(v.dictionary[f.dict.id], below) }()
		}
		if f.kind == kindUtf8View || f.kind == kindBinaryView {
			*to++
		}
		for _, c := range f.children {
			count(c, to)
		}
	}
	for _, f := range schema.fields {
		count(f, &v.batch)
	}
	return v, nil
}

// check checks that a message that passed checkArrowMessage has a number for
// each of its view columns.
func (v *viewCounts) check(kind byte, meta []byte) error {
	if v == nil {
		return fmt.Errorf("%w: a batch before the schema", ErrCorrupt)
	}
	header, _ := flatRoot(meta).table(slotHeader)
	want := v.batch
	if kind == kindDictionary {
		want = v.dictionary[header.int64(0)]
		header, _ = header.table(slotData)
	}
	at := header.slot(slotVariadic)
	have := 0
	if at != 0 {
		have = int(binary.LittleEndian.Uint32(meta[at+int(binary.LittleEndian.Uint32(meta[at:])):]))
	}
	if have < want {
		return fmt.Errorf("%w: numbers of data buffers for %d view columns of %d", ErrCorrupt, have, want)
	}
	return nil
}
