package shards

import "bytes"

// Reading valid JSON without decoding it: only the columns that are asked for
// are looked at, and long texts are passed over at the speed of a byte search.
// All functions want JSON that json.Valid has accepted.

// field returns the value of a key of an object, without spaces around it; of
// several the last one counts, as in encoding/json.
func field(object []byte, key string) (value []byte, ok bool) {
	eachField(object, func(k, v []byte) {
		if string(k[1:len(k)-1]) == key || bytes.IndexByte(k, '\\') >= 0 && string(unquote(k)) == key {
			value, ok = v, true
		}
	})
	return value, ok
}

// eachField calls f with the key, a string literal, and the value of each
// member of an object.
func eachField(object []byte, f func(key, value []byte)) {
	rest := trimSpace(trimSpace(object)[1:])
	for rest[0] != '}' {
		n := valueEnd(rest)
		key := rest[:n]
		rest = trimSpace(trimSpace(rest[n:])[1:]) // the colon
		n = valueEnd(rest)
		f(key, rest[:n])
		if rest = trimSpace(rest[n:]); rest[0] == ',' {
			rest = trimSpace(rest[1:])
		}
	}
}

// trimSpace removes leading JSON white space.
func trimSpace(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\n' || b[0] == '\t' || b[0] == '\r') {
		b = b[1:]
	}
	return b
}

// valueEnd returns the length of the value that b begins with.
func valueEnd(b []byte) int {
	switch b[0] {
	case '"':
		return stringEnd(b)
	case '{', '[':
		return nestedEnd(b)
	}
	if n := bytes.IndexAny(b, ",]} \t\r\n"); n >= 0 {
		return n
	}
	return len(b)
}

// stringEnd returns the length of the string literal that b begins with.
func stringEnd(b []byte) int {
	for end := 1; ; end++ {
		end += bytes.IndexByte(b[end:], '"')
		backslashes := 0
		for b[end-1-backslashes] == '\\' {
			backslashes++
		}
		if backslashes%2 == 0 {
			return end + 1
		}
	}
}

// nestedEnd returns the length of the object or list that b begins with.
func nestedEnd(b []byte) int {
	for depth, i := 0, 0; ; i++ {
		switch b[i] {
		case '"':
			i += stringEnd(b[i:]) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
}
