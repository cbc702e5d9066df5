package shards

import (
	"fmt"
	"io"
)

// What stores that speak HTTP make of an answer to a request for a range: of
// its Content-Length, and of its Content-Range, which is empty where the store
// sends the whole object instead.

// ReadTail reads an answer to a request for the last limit bytes of an object.
// size is the object's; tail is its end, or nil when it could not be read,
// which is no error: the object is read when it is needed.
func ReadTail(body io.Reader, length int64, contentRange string, limit int64) (size int64, tail []byte, err error) {
	size, from := length, int64(0)
	if contentRange != "" {
		var to int64
		if from, to, size, err = parseContentRange(contentRange); err != nil {
			return 0, nil, err
		}
		if to != size {
			return 0, nil, fmt.Errorf("the end was asked for, the store answered with range %q", contentRange)
		}
	}
	if size < 0 {
		return 0, nil, fmt.Errorf("the store does not say how long the object is")
	}
	if size-from > limit {
		return size, nil, nil // the store does not know ranges from the end
	}
	tail = make([]byte, size-from)
	if _, err := io.ReadFull(body, tail); err != nil {
		return size, nil, nil
	}
	if expectEnd(body, nil) != nil {
		return size, nil, nil
	}
	return size, tail, nil
}

// CheckRange wants an answer to hold length bytes from offset on.
func CheckRange(got int64, contentRange string, offset, length int64) error {
	if contentRange == "" && offset == 0 && got == length {
		return nil
	}
	from, to, _, err := parseContentRange(contentRange)
	if err != nil || from != offset || to != offset+length {
		return fmt.Errorf("bytes %d to %d were asked for, the store answered with range %q: it does not serve ranges", offset, offset+length, contentRange)
	}
	return nil
}

// parseContentRange reads "bytes 0-9/100" as 0, 10, 100.
func parseContentRange(header string) (from, to, size int64, err error) {
	if _, err := fmt.Sscanf(header, "bytes %d-%d/%d", &from, &to, &size); err != nil {
		return 0, 0, 0, fmt.Errorf("range %q: %w", header, err)
	}
	to++
	if from < 0 || to < from || size < to {
		return 0, 0, 0, fmt.Errorf("range %q contradicts itself", header)
	}
	return from, to, size, nil
}
