package shards

import (
	"encoding/binary"
	"fmt"
	"sort"
)

// jsonNested returns what appends values that have others below them.
func (c *outColumn) jsonNested() jsonAppender {
	inner := make([]jsonAppender, len(c.children))
	for k, child := range c.children {
		inner[k] = child.jsonValue()
	}
	switch c.layout {
	case layoutNull:
		return nil // jsonValue has taken its nulls
	case layoutStruct:
		keys, _ := jsonKeys(c.field.children) // newRowLines has looked at the error
		return func(to []byte, i int) ([]byte, error) { return appendObject(to, keys, inner, c.children, i) }
	case layoutUnion:
		return c.jsonUnion(inner)
	case layoutRunEnd:
		ends := c.children[0]
		return func(to []byte, i int) ([]byte, error) {
			return inner[1](to, sort.Search(ends.n, func(k int) bool { return ends.signed(k) > int64(i) }))
		}
	}
	if c.field.kind == kindMap {
		if key := c.field.children[0].children[0]; key.kind == kindUtf8 || key.kind == kindLargeUtf8 || key.kind == kindUtf8View {
			return c.jsonMap()
		}
	}
	return func(to []byte, i int) ([]byte, error) {
		to = append(to, '[')
		from, end := c.bounds(i)
		var err error
		for k := from; k < end; k++ {
			if k > from {
				to = append(to, ',')
			}
			if to, err = inner[0](to, k); err != nil {
				return nil, err
			}
		}
		return append(to, ']'), nil
	}
}

// jsonMap returns what appends a map with strings for keys as an object. A key
// that is there twice would be lost.
func (c *outColumn) jsonMap() jsonAppender {
	entries := c.children[0]
	keys, items := entries.children[0].jsonValue(), entries.children[1].jsonValue()
	return func(to []byte, i int) ([]byte, error) {
		to = append(to, '{')
		seen := map[string]bool{}
		from, end := c.bounds(i)
		for k := from; k < end; k++ {
			if k > from {
				to = append(to, ',')
			}
			key, err := keys(nil, k)
			if err != nil {
				return nil, err
			}
			switch {
			case seen[string(key)]:
				return nil, fmt.Errorf("%w: a map that has the key %s twice, which a JSON object cannot: write Parquet or Arrow", ErrUnsupported, key)
			case string(key) == "null":
				return nil, fmt.Errorf("%w: a map with a null for a key", ErrCorrupt)
			}
			seen[string(key)] = true
			if to, err = items(append(append(to, key...), ':'), k); err != nil {
				return nil, err
			}
		}
		return append(to, '}'), nil
	}
}

// jsonUnion returns what appends the value of the member that a row has.
func (c *outColumn) jsonUnion(inner []jsonAppender) jsonAppender {
	members := map[byte]int{}
	for k, id := range c.field.typeIDs {
		members[byte(id)] = k
	}
	return func(to []byte, i int) ([]byte, error) {
		at := i
		if c.field.unit == unitDense {
			at = int(binary.LittleEndian.Uint32(c.offsets[4*i:]))
		}
		return inner[members[c.data[i]]](to, at)
	}
}
