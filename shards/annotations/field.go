package annotations

import (
	"bytes"
	"encoding/json"
	"errors"
)

// field returns the value of a key of an object, the last one where it comes
// several times, nil where it does not. raw must be valid JSON, as a Decoder gives
// it: field only looks for where values end, which is several times faster than
// decoding, and files have millions of annotations.
func field(raw json.RawMessage, key string) (json.RawMessage, error) {
	if len(raw) == 0 || raw[0] != '{' {
		return nil, errors.New("want an object, found " + brief(raw))
	}
	var found json.RawMessage
	for at := afterSpace(raw, 1); at < len(raw) && raw[at] == '"'; {
		end := afterString(raw, at)
		name := raw[at:end]
		at = afterSpace(raw, afterSpace(raw, end)+1) // the colon
		end = afterValue(raw, at)
		if isKey(name, key) {
			found = raw[at:end]
		}
		at = afterSpace(raw, afterSpace(raw, end)+1) // the comma, or the end
	}
	return found, nil
}

// isKey says whether a quoted name is a key.
func isKey(name json.RawMessage, key string) bool {
	if bytes.IndexByte(name, '\\') < 0 {
		return string(name[1:len(name)-1]) == key
	}
	unquoted, err := text(name)
	return err == nil && unquoted == key
}

// afterSpace returns the first offset from at on that is not white space.
func afterSpace(raw []byte, at int) int {
	for at < len(raw) && (raw[at] == ' ' || raw[at] == '\n' || raw[at] == '\t' || raw[at] == '\r') {
		at++
	}
	return at
}

// afterString returns the offset after a string that begins at an offset.
func afterString(raw []byte, at int) int {
	for at++; at < len(raw); at++ {
		switch raw[at] {
		case '\\':
			at++
		case '"':
			return at + 1
		}
	}
	return len(raw)
}

// afterValue returns the offset after a value that begins at an offset.
func afterValue(raw []byte, at int) int {
	for depth := 0; at < len(raw); {
		switch raw[at] {
		case '"':
			at = afterString(raw, at)
		case '{', '[':
			depth++
			at++
			continue
		case '}', ']':
			depth--
			at++
		case ',', ':', ' ', '\n', '\t', '\r':
			at++
			continue
		default: // a number or a word
			for at < len(raw) && bytes.IndexByte([]byte(",:]} \n\t\r"), raw[at]) < 0 {
				at++
			}
		}
		if depth == 0 {
			return at
		}
	}
	return len(raw)
}

// idField returns the id at a key of an object.
func idField(raw json.RawMessage, key string) (string, error) {
	value, err := field(raw, key)
	if err != nil {
		return "", err
	}
	return idText(value)
}
