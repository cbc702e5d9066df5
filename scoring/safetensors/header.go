package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

const (
	maxHeader = 100 << 20 // the format's own bound
	maxNamed  = 10        // tensors in one message, where the cause is one
)

// Open reads the header of a file of size bytes. All faults of it are named at once.
func Open(data io.ReaderAt, size int64) (*File, error) {
	var prefix [8]byte
	if size < 8 {
		return nil, fmt.Errorf("read safetensors header: the file has %d bytes: truncated", size)
	}
	if n, err := data.ReadAt(prefix[:], 0); n < len(prefix) {
		return nil, fmt.Errorf("read safetensors header: %w", err)
	}
	length := binary.LittleEndian.Uint64(prefix[:])
	if length > maxHeader || int64(length) > size-8 {
		return nil, fmt.Errorf("read safetensors header: it claims %d bytes, the file has %d: truncated, or no safetensors file", length, size)
	}
	raw := make([]byte, length)
	if n, err := data.ReadAt(raw, 8); n < len(raw) {
		return nil, fmt.Errorf("read safetensors header: %w", err)
	}
	entries, err := parseHeader(raw)
	if err != nil {
		return nil, fmt.Errorf("parse safetensors header: %w", err)
	}
	p := &part{data: data, start: 8 + int64(length), size: size - 8 - int64(length)}
	if err := checkLayout(entries, p.size); err != nil {
		return nil, err
	}
	for name, e := range entries {
		e.part = p
		entries[name] = e
	}
	return &File{entries}, nil
}

// parseHeader reads the tensors of a header. A name may come once.
func parseHeader(raw []byte) (map[string]entry, error) {
	entries := map[string]entry{}
	var faults []error
	err := eachMember(raw, func(name string, value json.RawMessage) {
		if name == "__metadata__" {
			return
		}
		var e entry
		if err := json.Unmarshal(value, &e); err != nil {
			faults = append(faults, fmt.Errorf("tensor %q: %w", name, err))
			return
		}
		if _, twice := entries[name]; twice {
			faults = append(faults, fmt.Errorf("tensor %q is there twice", name))
		}
		entries[name] = e
	})
	return entries, errors.Join(append(faults, err)...)
}

// eachMember calls use for each member of a JSON object, in order, those that
// come twice included.
func eachMember(raw []byte, use func(name string, value json.RawMessage)) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	first, err := decoder.Token()
	if err == nil && first != json.Delim('{') {
		err = errors.New("it is no JSON object")
	}
	if err != nil {
		return err
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return err
		}
		use(name.(string), value) // the decoder allows nothing else
	}
	if _, err := decoder.Token(); err != nil { // the closing brace
		return err
	}
	if rest := bytes.TrimSpace(raw[decoder.InputOffset():]); len(rest) > 0 {
		return errors.New("something follows the JSON object")
	}
	return nil
}

// checkLayout wants the tensors to cover the data without gaps and overlaps, as
// the format's own library does.
func checkLayout(entries map[string]entry, size int64) error {
	names := slices.SortedFunc(maps.Keys(entries), func(a, b string) int {
		x, y := entries[a].Offsets, entries[b].Offsets
		return cmp.Or(cmp.Compare(x[0], y[0]), cmp.Compare(x[1], y[1]), strings.Compare(a, b))
	})
	var faults []error
	var cut []string
	end := int64(0)
	for _, name := range names {
		e := entries[name]
		from, to := e.Offsets[0], e.Offsets[1]
		switch want, known := e.bytes(); {
		case from < 0 || to < from:
			faults = append(faults, fmt.Errorf("tensor %s lies at bytes %d to %d of data", name, from, to))
			continue
		case known && to-from != want:
			faults = append(faults, fmt.Errorf("tensor %s has %d bytes, its shape %v of %s takes %d", name, to-from, e.Shape, e.DType, want))
		case from != end:
			faults = append(faults, fmt.Errorf("tensor %s begins at byte %d of data, the one before it ends at %d", name, from, end))
		}
		if to > size {
			cut = append(cut, name)
		}
		end = max(end, to)
	}
	switch {
	case len(cut) > 0:
		faults = append(faults, fmt.Errorf("truncated: the tensors take %d bytes, the file has %d of them; missing or cut: %s", end, size, several(cut)))
	case len(faults) == 0 && end < size:
		faults = append(faults, fmt.Errorf("%d bytes follow the last tensor", size-end))
	}
	return errors.Join(faults...)
}

// several names some things, and how many more there are.
func several(names []string) string {
	if len(names) <= maxNamed {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNamed], ", "), len(names)-maxNamed)
}

// bytes is what a tensor takes; known is false for types that are not read. A
// shape that no file can hold takes -1 bytes.
func (e entry) bytes() (n int64, known bool) {
	n = width(e.DType)
	if n == 0 {
		return 0, false
	}
	for _, dim := range e.Shape {
		if dim < 0 || dim > 0 && n > (1<<62)/dim {
			return -1, true
		}
		n *= dim
	}
	return n, true
}
