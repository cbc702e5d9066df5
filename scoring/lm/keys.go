package lm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// keys reads a config.json key by key, notes which keys were read, and gathers
// all faults.
type keys struct {
	all    map[string]json.RawMessage
	read   map[string]bool
	faults []error
}

func (k *keys) fault(format string, args ...any) {
	k.faults = append(k.faults, fmt.Errorf(format, args...))
}

// has says whether a key is there, null or not.
func (k *keys) has(key string) bool {
	_, ok := k.all[key]
	return ok
}

// get decodes a key into a T; one that is absent or null is absent.
func get[T any](k *keys, key string, absent T) T {
	k.read[key] = true
	raw, ok := k.all[key]
	if !ok || string(raw) == "null" {
		return absent
	}
	var value T
	if err := json.Unmarshal(raw, &value); err != nil {
		k.fault("%s = %s: want %s", key, raw, kindName(reflect.TypeFor[T]()))
		return absent
	}
	return value
}

func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Int:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a text"
	}
	return t.String()
}

// mostCount bounds what a key may count: ids of the largest vocabularies are
// below a hundredth of it.
const mostCount = 1 << 24

// count reads a whole number from 1 to mostCount.
func (k *keys) count(key string, absent int) int {
	n := get(k, key, absent)
	if n < 1 || n > mostCount {
		k.fault("%s = %d: want 1 to %d", key, n, mostCount)
		return 1
	}
	return n
}

// optionalCount reads a whole number of at least 1; null and absent are 0.
func (k *keys) optionalCount(key string) int {
	if k.read[key] = true; !k.has(key) || string(k.all[key]) == "null" {
		return 0
	}
	return k.count(key, 1)
}

// number reads a number of at least 0.
func (k *keys) number(key string, absent float64) float64 {
	x := get(k, key, absent)
	if x < 0 {
		k.fault("%s = %v: want a number of at least 0", key, x)
		return absent
	}
	return x
}

func (k *keys) integer(key string, absent int) int { return get(k, key, absent) }
func (k *keys) flag(key string, absent bool) bool  { return get(k, key, absent) }
func (k *keys) text(key, absent string) string     { return get(k, key, absent) }

// only reads a key of which certain values are implemented. An absent key has
// the value absent, and is refused like that one. Values are as encoding/json
// decodes them; null is nil.
func (k *keys) only(key string, absent any, implemented ...any) {
	k.read[key] = true
	value := absent
	if raw, ok := k.all[key]; ok {
		if err := json.Unmarshal(raw, &value); err != nil {
			k.fault("%s = %s: %w", key, raw, err)
			return
		}
		if string(raw) == "null" {
			value = nil
		}
	}
	if slices.ContainsFunc(implemented, func(want any) bool { return reflect.DeepEqual(value, want) }) {
		return
	}
	var texts []string
	for _, want := range implemented {
		texts = append(texts, show(want))
	}
	k.fault("%s = %s is not implemented, only %s", key, show(value), strings.Join(texts, " or "))
}

// inert notes keys that do not change losses.
func (k *keys) inert(names ...string) {
	for _, name := range names {
		k.read[name] = true
	}
}

// unread lists the keys that nobody read, sorted.
func (k *keys) unread() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(k.all)), func(key string) bool { return k.read[key] })
}

func show(value any) string {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Sprint(value)
	}
	return string(bytes.TrimSpace(text.Bytes()))
}

// parseKeys splits a JSON object into its keys, values without indentation.
func parseKeys(data []byte) (map[string]json.RawMessage, error) {
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, err
	}
	for key, raw := range all {
		var compact bytes.Buffer
		if err := json.Compact(&compact, raw); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		all[key] = compact.Bytes()
	}
	return all, nil
}

// errAll joins the faults.
func (k *keys) errAll() error { return errors.Join(k.faults...) }
