package shards

import (
	"encoding/binary"
	"fmt"
)

// Wire types of the Thrift compact protocol
// (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md).
const (
	thriftTrue, thriftFalse            = 1, 2
	thriftI8, thriftI16, thriftI32     = 3, 4, 5
	thriftI64, thriftDouble            = 6, 7
	thriftBinary, thriftList           = 8, 9
	thriftSet, thriftMap, thriftStruct = 10, 11, 12
	thriftUUID                         = 13
)

// maxThriftDepth bounds nesting; the Parquet footer needs about 8.
const maxThriftDepth = 32

// checkThrift walks one compact-protocol struct, which must fill b but for a
// signature after it. A decoder allocates what a list's header claims: here
// each element must have its bytes, so what it allocates is a small multiple
// of the file's own length.
func checkThrift(b []byte) error {
	t := thriftWalk{b}
	if err := t.structure(0); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return nil
}

type thriftWalk struct{ rest []byte }

func (t *thriftWalk) structure(depth int) error {
	if depth > maxThriftDepth {
		return fmt.Errorf("nested deeper than %d", maxThriftDepth)
	}
	for {
		head, err := t.byte()
		if err != nil || head == 0 {
			return err
		}
		if head>>4 == 0 { // long form: the field id follows
			if _, err := t.varint(); err != nil {
				return err
			}
		}
		// A boolean field has its value in its type.
		if kind := head & 15; kind != thriftTrue && kind != thriftFalse {
			if err := t.value(kind, depth); err != nil {
				return err
			}
		}
	}
}

// value skips one value of a kind.
func (t *thriftWalk) value(kind byte, depth int) error {
	switch kind {
	case thriftTrue, thriftFalse, thriftI8:
		return t.skip(1)
	case thriftI16, thriftI32, thriftI64:
		_, err := t.varint()
		return err
	case thriftDouble:
		return t.skip(8)
	case thriftUUID:
		return t.skip(16)
	case thriftBinary:
		n, err := t.varint()
		if err != nil {
			return err
		}
		return t.skip(n)
	case thriftList, thriftSet:
		return t.list(depth + 1)
	case thriftMap:
		return t.mapping(depth + 1)
	case thriftStruct:
		return t.structure(depth + 1)
	}
	return fmt.Errorf("unknown type %d", kind)
}

func (t *thriftWalk) list(depth int) error {
	if depth > maxThriftDepth {
		return fmt.Errorf("nested deeper than %d", maxThriftDepth)
	}
	head, err := t.byte()
	if err != nil {
		return err
	}
	n := uint64(head >> 4)
	if n == 15 {
		if n, err = t.varint(); err != nil {
			return err
		}
	}
	if n > uint64(len(t.rest)) {
		return fmt.Errorf("%w: list of %d elements in %d bytes", errCutShort, n, len(t.rest))
	}
	for range n {
		if err := t.value(head&15, depth); err != nil {
			return err
		}
	}
	return nil
}

func (t *thriftWalk) mapping(depth int) error {
	if depth > maxThriftDepth {
		return fmt.Errorf("nested deeper than %d", maxThriftDepth)
	}
	n, err := t.varint()
	if err != nil || n == 0 {
		return err
	}
	if n > uint64(len(t.rest)) {
		return fmt.Errorf("%w: map of %d pairs in %d bytes", errCutShort, n, len(t.rest))
	}
	kinds, err := t.byte()
	if err != nil {
		return err
	}
	for range n {
		if err := t.value(kinds>>4, depth); err != nil {
			return err
		}
		if err := t.value(kinds&15, depth); err != nil {
			return err
		}
	}
	return nil
}

func (t *thriftWalk) byte() (byte, error) {
	if len(t.rest) == 0 {
		return 0, errCutShort
	}
	b := t.rest[0]
	t.rest = t.rest[1:]
	return b, nil
}

func (t *thriftWalk) varint() (uint64, error) {
	v, n := binary.Uvarint(t.rest)
	if n <= 0 {
		return 0, errCutShort
	}
	t.rest = t.rest[n:]
	return v, nil
}

func (t *thriftWalk) skip(n uint64) error {
	if n > uint64(len(t.rest)) {
		return errCutShort
	}
	t.rest = t.rest[n:]
	return nil
}

// errCutShort says that a structure passes the end of its bytes.
var errCutShort = fmt.Errorf("cut short")
