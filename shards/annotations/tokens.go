package annotations

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

const (
	// maxValue bounds in bytes one value of a list that is read one by one: an
	// image, an annotation. COCO's largest has 100 kB.
	maxValue = 16 << 20
	// maxKeys bounds the keys of the object at the top of a file.
	maxKeys = 10000
)

// tokens reads JSON piece by piece: of the file, no more is in memory than one
// value of a list.
type tokens struct {
	dec  *json.Decoder
	in   *limited
	base int64           // offset in the file at which dec began
	raw  json.RawMessage // last value
}

// newTokens reads what r gives, which begins at byte base of its file.
func newTokens(ctx context.Context, r io.Reader, base int64) *tokens {
	in := &limited{ctx: ctx, r: r}
	return &tokens{dec: json.NewDecoder(in), in: in, base: base}
}

// limited stops a decoder that would hold too much.
type limited struct {
	ctx         context.Context
	r           io.Reader
	read, limit int64
}

var errTooLong = fmt.Errorf("a value has more than %d bytes", maxValue)

// Read implements io.Reader.
func (l *limited) Read(p []byte) (int, error) {
	if l.ctx.Err() != nil {
		return 0, context.Cause(l.ctx)
	}
	if l.read >= l.limit {
		return 0, errTooLong
	}
	n, err := l.r.Read(p[:min(int64(len(p)), l.limit-l.read)])
	l.read += int64(n)
	return n, err
}

// arm allows another value to be read.
func (t *tokens) arm() { t.in.limit = t.dec.InputOffset() + maxValue + 1<<16 }

// fail says where in the file an error came up.
func (t *tokens) fail(err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	var place *placedError
	if errors.As(err, &place) {
		return err
	}
	return &placedError{t.base + t.dec.InputOffset(), err}
}

// placedError is an error at an offset of a file.
type placedError struct {
	offset int64
	err    error
}

// Error implements error.
func (e *placedError) Error() string { return fmt.Sprintf("near byte %d: %v", e.offset, e.err) }

// Unwrap returns the cause.
func (e *placedError) Unwrap() error { return e.err }

func (t *tokens) token() (json.Token, error) {
	t.arm()
	token, err := t.dec.Token()
	if err != nil {
		return nil, t.fail(err)
	}
	return token, nil
}

// more says whether the list or object has another element.
func (t *tokens) more() bool {
	t.arm()
	return t.dec.More()
}

// top returns the delimiter that the file's value begins with, 0 for a value
// that is neither an object nor a list.
func (t *tokens) top() (json.Delim, error) {
	token, err := t.token()
	if err != nil {
		return 0, err
	}
	delim, _ := token.(json.Delim)
	return delim, nil
}

// object calls visit for each key of an object, whose "{" was read; visit reads
// the value. A key that comes twice is an error.
func (t *tokens) object(visit func(key string) error) error {
	seen := make(map[string]bool)
	for t.more() {
		token, err := t.token()
		if err != nil {
			return err
		}
		key, _ := token.(string)
		if seen[key] {
			return t.fail(fmt.Errorf("the key %q comes twice", key))
		}
		if seen[key] = true; len(seen) > maxKeys {
			return t.fail(fmt.Errorf("an object has more than %d keys", maxKeys))
		}
		if err := visit(key); err != nil {
			return err
		}
	}
	_, err := t.token()
	return err
}

// list calls visit for each element of a list, whose "[" was not read, with the
// offset in the file at which it begins; null is an empty list. raw is valid until
// the next element.
func (t *tokens) list(visit func(start int64, raw json.RawMessage) error) error {
	token, err := t.token()
	if err != nil || token == nil {
		return err
	}
	if token != json.Delim('[') {
		return t.fail(fmt.Errorf("want a list, found %v", token))
	}
	return t.elements(visit)
}

// elements is list after its "[".
func (t *tokens) elements(visit func(start int64, raw json.RawMessage) error) error {
	for t.more() {
		start, err := t.value()
		if err != nil {
			return err
		}
		if err := visit(start, t.raw); err != nil {
			return t.fail(err)
		}
	}
	_, err := t.token()
	return err
}

// value reads a whole value into t.raw and returns the offset of its first byte.
func (t *tokens) value() (int64, error) {
	t.arm()
	if err := t.dec.Decode(&t.raw); err != nil {
		return 0, t.fail(err)
	}
	return t.base + t.dec.InputOffset() - int64(len(t.raw)), nil
}

// skip passes over a value: a list or an object of any size, whose elements are
// no larger than maxValue.
func (t *tokens) skip() error {
	token, err := t.token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('['):
		return t.elements(func(int64, json.RawMessage) error { return nil })
	case json.Delim('{'):
		for t.more() {
			if _, err := t.token(); err != nil { // the key
				return err
			}
			if _, err := t.value(); err != nil {
				return err
			}
		}
		_, err = t.token()
	}
	return err
}

// end wants nothing after the value at the top.
func (t *tokens) end() error {
	t.arm()
	switch token, err := t.dec.Token(); {
	case err == io.EOF:
		return nil
	case err != nil:
		return t.fail(err)
	default:
		return t.fail(fmt.Errorf("%v follows after the end of the value", token))
	}
}
