package images

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/curate-data/curate/shards"
)

// hubKey is the metadata entry in which Hugging Face datasets keep their features.
const hubKey = "huggingface"

// classNames gives classes their names.
type classNames struct {
	list []string         // by number; nil where nobody says
	ids  map[int64]string // of the row's own categories, as in COCO; nil for none
	kept map[string]string
}

// name returns the name of a class.
func (c *classNames) name(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", errors.New("it is null; leave the object out, or give it a class")
	case string:
		return c.keep(v)
	case []byte:
		return c.keep(string(v))
	}
	n, ok := integerOf(v)
	if !ok {
		return "", fmt.Errorf("it is %s, want a name or a whole number", kindOf(v))
	}
	switch {
	case c.ids != nil:
		name, ok := c.ids[n]
		if !ok {
			return "", fmt.Errorf("%d is in none of the row's categories", n)
		}
		return c.keep(name)
	case c.list == nil:
		return c.keep(strconv.FormatInt(n, 10))
	case n < 0 || n >= int64(len(c.list)):
		return "", fmt.Errorf("it is %d, and there are names for 0 to %d", n, len(c.list)-1)
	}
	return c.list[n], nil
}

// keep returns one string for all objects of a class.
func (c *classNames) keep(name string) (string, error) {
	if name == "" {
		return "", errors.New("it is an empty string")
	}
	if kept, ok := c.kept[name]; ok {
		return kept, nil
	}
	if c.kept == nil {
		c.kept = map[string]string{}
	}
	c.kept[name] = name
	return name, nil
}

// categories reads COCO's list of {id, name}; nil for anything else.
func categories(v any) (map[int64]string, error) {
	l, ok := v.(list)
	if !ok || len(l) == 0 {
		return nil, nil
	}
	ids := make(map[int64]string, len(l))
	for i, e := range l {
		f, ok := e.(fields)
		if !ok {
			return nil, nil
		}
		id, okID := integerOf(f["id"])
		name, okName := f["name"].(string)
		if !okID || !okName {
			return nil, nil
		}
		if other, ok := ids[id]; ok && other != name {
			return nil, fmt.Errorf("%w: category %d: the id %d is both %q and %q", shards.ErrCorrupt, i, id, other, name)
		}
		ids[id] = name
	}
	return ids, nil
}

// hubClasses returns the class names that a file's metadata has for a column of
// objects, or for a property of them; nil for none.
func hubClasses(meta arrow.Metadata, path ...string) ([]string, error) {
	text, ok := meta.GetValue(hubKey)
	if !ok {
		return nil, nil
	}
	var hub struct {
		Info struct{ Features any }
	}
	if err := json.Unmarshal([]byte(text), &hub); err != nil {
		return nil, fmt.Errorf("%w: metadata %s: %w", shards.ErrCorrupt, hubKey, err)
	}
	return featureNames(hub.Info.Features, path), nil
}

// featureNames follows a path through features, past the lists on its way.
func featureNames(feature any, path []string) []string {
	switch f := feature.(type) {
	case []any:
		if len(f) == 1 {
			return featureNames(f[0], path)
		}
	case map[string]any:
		kind, _ := f["_type"].(string)
		if inner, ok := f["feature"]; ok && kind != "" {
			return featureNames(inner, path)
		}
		if len(path) > 0 {
			return featureNames(f[path[0]], path[1:])
		}
		if kind != "ClassLabel" {
			return nil
		}
		list, _ := f["names"].([]any)
		var names []string
		for _, e := range list {
			name, _ := e.(string)
			names = append(names, name)
		}
		return names
	}
	return nil
}
