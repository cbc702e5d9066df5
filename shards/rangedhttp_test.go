package shards

import (
	"fmt"
	"strings"
	"testing"
)

// FuzzContentRange reads headers of strange stores: what is accepted is a range.
func FuzzContentRange(f *testing.F) {
	for _, header := range []string{"bytes 0-9/100", "bytes 0-9/*", "bytes */100", "bytes 9-0/100", "bytes -1-5/10", "", "bytes 0-99/10", "bytes 0-9223372036854775807/9223372036854775807"} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		from, to, size, err := parseContentRange(header)
		if err == nil && (from < 0 || to < from || size < to) {
			t.Errorf("%q: %d to %d of %d", header, from, to, size)
		}
		if size, tail, err := ReadTail(strings.NewReader("0123456789"), 10, header, 10); err == nil && (int64(len(tail)) > size || len(tail) > 10) {
			t.Errorf("%q: %d bytes of %d", header, len(tail), size)
		}
		if err == nil && CheckRange(to-from, header, from, to-from) != nil {
			t.Errorf("%q is not its own range", header)
		}
	})
}

func TestReadTail(t *testing.T) {
	for name, c := range map[string]struct {
		body   string
		length int64
		header string
		size   int64
		tail   string
		fails  bool
	}{
		"end":       {"56789", 5, "bytes 5-9/10", 10, "56789", false},
		"whole":     {"0123", 4, "", 4, "0123", false},
		"cut":       {"567", 5, "bytes 5-9/10", 10, "", false},
		"too large": {"0123456789ab", 12, "", 12, "", false},
		"too long":  {"567890", 5, "bytes 5-9/10", 10, "", false},
		"no length": {"0123", -1, "", 0, "", true},
		"not end":   {"4567", 4, "bytes 4-7/10", 0, "", true},
	} {
		size, tail, err := ReadTail(strings.NewReader(c.body), c.length, c.header, 10)
		if size != c.size || string(tail) != c.tail || (err != nil) != c.fails {
			t.Errorf("%s: %s", name, fmt.Sprint(size, " ", string(tail), " ", err))
		}
	}
}
