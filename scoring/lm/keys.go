package lm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
)

// keys reads a config.json key by key, notes which keys were read, and gathers
// all faults.
type keys struct {
	prefix string // of the names in faults, for an object within config.json
	all    map[string]json.RawMessage
	read   map[string]bool
	faults []error
}

// fault notes a fault; its text begins with the key.
func (k *keys) fault(format string, args ...any) {
	k.faults = append(k.faults, fmt.Errorf("%s"+format, append([]any{k.prefix}, args...)...))
}

// isNull says whether a key is there without a value.
func (k *keys) isNull(key string) bool { return string(k.all[key]) == "null" }

// has says whether a key has a value.
func (k *keys) has(key string) bool {
	_, ok := k.all[key]
	return ok && !k.isNull(key)
}

// get decodes a key into a T; one that is absent or null is absent.
func get[T any](k *keys, key string, absent T) T {
	if k.read[key] = true; !k.has(key) {
		return absent
	}
	var value T
	if err := json.Unmarshal(k.all[key], &value); err != nil {
		k.fault("%s = %s: want %s", key, k.show(key), kindName(reflect.TypeFor[T]()))
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

// optionalCount reads a whole number of at least 1; null is 0.
func (k *keys) optionalCount(key string, absent int) int {
	switch k.read[key] = true; {
	case k.isNull(key):
		return 0
	case !k.has(key):
		return absent
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

// positive reads a number above 0 that has no default.
func (k *keys) positive(key string) float64 {
	x := get(k, key, math.NaN())
	switch {
	case math.IsNaN(x) && !k.has(key):
		k.fault("%s is missing", key)
	case !(x > 0):
		k.fault("%s = %v: want a number above 0", key, x)
	default:
		return x
	}
	return 1
}

func (k *keys) flag(key string, absent bool) bool { return get(k, key, absent) }
func (k *keys) text(key, absent string) string    { return get(k, key, absent) }

// token reads the id of a token: a number, the first of a list, or NoToken for
// null.
func (k *keys) token(key string, absent int) int {
	switch k.read[key] = true; {
	case k.isNull(key):
		return NoToken
	case !bytes.HasPrefix(k.all[key], []byte("[")):
		return get(k, key, absent)
	}
	list := get(k, key, []int{})
	if len(list) == 0 {
		return NoToken
	}
	return list[0]
}

// object reads a key that holds an object, and refuses what is left over of it.
func (k *keys) object(key string, read func(*keys)) {
	inner := &keys{prefix: k.prefix + key + ".", all: get(k, key, map[string]json.RawMessage{}), read: map[string]bool{}}
	read(inner)
	inner.refuseUnread()
	k.faults = append(k.faults, inner.faults...)
}

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
	k.fault("%s = %s is not implemented, only %s", key, shorten(show(value)), strings.Join(texts, " or "))
}

// inert notes keys that do not change losses.
func (k *keys) inert(names ...string) {
	for _, name := range names {
		k.read[name] = true
	}
}

// refuseUnread makes faults of the keys that nobody read: they may change
// losses. Keys without a value, and private ones, which begin with "_", do not.
func (k *keys) refuseUnread() {
	for _, key := range slices.Sorted(maps.Keys(k.all)) {
		if !k.read[key] && k.has(key) && !strings.HasPrefix(key, "_") {
			k.fault("%s = %s is not known here: it may change losses; remove it from config.json if it does not", key, k.show(key))
		}
	}
}

// show returns a key's value for a message.
func (k *keys) show(key string) string { return shorten(string(k.all[key])) }

func shorten(text string) string {
	const most = 80
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
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
