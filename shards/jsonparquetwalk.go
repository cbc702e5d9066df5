package shards

import "bytes"

// jsonWalk goes through a line of JSON that json.Valid accepts, value by value.
type jsonWalk struct {
	b   []byte
	pos int
}

// walkObject begins a walk through a line, which must be one JSON object.
func walkObject(line []byte) (*jsonWalk, error) {
	if err := checkObject(line); err != nil {
		return nil, err
	}
	w := &jsonWalk{b: line}
	w.kind()
	return w, nil
}

// kind returns the first byte of the next value.
func (w *jsonWalk) kind() byte {
	for w.b[w.pos] == ' ' || w.b[w.pos] == '\t' || w.b[w.pos] == '\r' || w.b[w.pos] == '\n' {
		w.pos++
	}
	return w.b[w.pos]
}

// object calls f for each key, unquoted; f goes over the value.
func (w *jsonWalk) object(f func(key []byte) error) error {
	w.pos++ // {
	for w.kind() != '}' {
		key := unquote(w.str())
		w.kind()
		w.pos++ // :
		if err := f(key); err != nil {
			return err
		}
		if w.kind() == ',' {
			w.pos++
		}
	}
	w.pos++
	return nil
}

// list calls f for each element; f goes over it.
func (w *jsonWalk) list(f func() error) error {
	w.pos++ // [
	for w.kind() != ']' {
		if err := f(); err != nil {
			return err
		}
		if w.kind() == ',' {
			w.pos++
		}
	}
	w.pos++
	return nil
}

// str goes over a string and returns it with its quotes.
func (w *jsonWalk) str() []byte {
	w.kind()
	start := w.pos
	for w.pos++; w.b[w.pos] != '"'; w.pos++ {
		if w.b[w.pos] == '\\' {
			w.pos++
		}
	}
	w.pos++
	return w.b[start:w.pos]
}

// scalar goes over a number, true, false or null and returns it.
func (w *jsonWalk) scalar() []byte {
	start := w.pos
	if n := bytes.IndexAny(w.b[start:], ",]} \t\r\n"); n >= 0 {
		w.pos += n
	} else {
		w.pos = len(w.b)
	}
	return w.b[start:w.pos]
}
