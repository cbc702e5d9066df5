package images

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/curate-data/curate/shards"
)

// maxNesting is how deep lists and objects of JSON may lie in each other.
const maxNesting = 64

// decodeJSON returns a JSON value. Numbers without fraction or exponent are
// integers, as far as they fit. Of a key that an object has twice the last one
// counts.
func decodeJSON(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := decodeValue(d, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: JSON: %w", shards.ErrCorrupt, noEnd(err))
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: JSON: something follows the value", shards.ErrCorrupt)
	}
	return v, nil
}

func noEnd(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func decodeValue(d *json.Decoder, depth int) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case json.Delim:
		if depth == maxNesting {
			return nil, fmt.Errorf("more than %d lists and objects in each other", maxNesting)
		}
		if t == '{' {
			return decodeObject(d, depth)
		}
		return decodeList(d, depth)
	case json.Number:
		return number(string(t))
	}
	return token, nil // nil, a bool or a string
}

func number(text string) (any, error) {
	if !strings.ContainsAny(text, ".eE") {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n, nil
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, fmt.Errorf("the number %s is too large", text)
	}
	return f, nil
}

func decodeObject(d *json.Decoder, depth int) (any, error) {
	f := fields{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		if f[key.(string)], err = decodeValue(d, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return f, err
}

// decodeList returns a list, as numbers if it holds nothing else.
func decodeList(d *json.Decoder, depth int) (any, error) {
	l := list{}
	integers, numbers := true, true
	for d.More() {
		v, err := decodeValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		_, isInt := v.(int64)
		_, isFloat := v.(float64)
		integers, numbers = integers && isInt, numbers && (isInt || isFloat)
		l = append(l, v)
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	switch {
	case len(l) == 0 || !numbers:
		return l, nil
	case integers:
		out := make([]int64, len(l))
		for i, v := range l {
			out[i] = v.(int64)
		}
		return out, nil
	}
	out := make([]float64, len(l))
	for i, v := range l {
		out[i], _ = floatOf(v)
	}
	return out, nil
}
