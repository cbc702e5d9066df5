package shards

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// Limits on the schema of a JSONL file, far above what tables have.
const (
	maxJSONDepth   = 64
	maxJSONColumns = 20_000 // distinct paths; more means that keys are data
)

// jsonKind is a type of JSON values; numbers are two.
type jsonKind int

const (
	jsonBool jsonKind = iota
	jsonInt
	jsonFloat
	jsonString
	jsonObject
	jsonList
	jsonKinds
)

var jsonKindNames = [jsonKinds]string{"true or false", "an integer", "a number with a fraction", "a string", "an object", "a list"}

// jsonType is what the values at one path have been so far.
type jsonType struct {
	path    string
	first   [jsonKinds]int64 // line of the first value of each kind, 0 for none
	wide    int64            // line of the first integer that a double cannot hold exactly
	fields  []*jsonType      // of objects, in the order of their first appearance
	index   map[string]int   // of fields
	element *jsonType        // of lists
}

// jsonSchema infers the types of the rows of a JSONL file.
type jsonSchema struct {
	root  jsonType
	paths int
}

// observe takes one line into account.
func (s *jsonSchema) observe(line []byte, number int64) error {
	w, err := walkObject(line)
	if err != nil {
		return err
	}
	return s.value(&s.root, w, number, 0)
}

func (s *jsonSchema) value(t *jsonType, w *jsonWalk, line int64, depth int) error {
	if depth > maxJSONDepth {
		return fmt.Errorf("column %s: %w: nested deeper than %d", t.path, ErrUnsupported, maxJSONDepth)
	}
	switch c := w.kind(); c {
	case '{':
		t.see(jsonObject, line)
		return w.object(func(key []byte) error {
			field, err := s.field(t, key)
			if err != nil {
				return err
			}
			return s.value(field, w, line, depth+1)
		})
	case '[':
		t.see(jsonList, line)
		if t.element == nil {
			t.element = &jsonType{path: t.path + "[]"}
		}
		return w.list(func() error { return s.value(t.element, w, line, depth+1) })
	case '"':
		t.see(jsonString, line)
		w.str()
	case 't', 'f':
		t.see(jsonBool, line)
		w.scalar()
	case 'n':
		w.scalar()
	default:
		return t.number(string(w.scalar()), line)
	}
	return nil
}

func (t *jsonType) see(k jsonKind, line int64) {
	if t.first[k] == 0 {
		t.first[k] = line
	}
}

// field returns the type of a key of an object.
func (s *jsonSchema) field(t *jsonType, key []byte) (*jsonType, error) {
	if i, ok := t.index[string(key)]; ok {
		return t.fields[i], nil
	}
	path := strings.TrimPrefix(t.path+"."+string(key), ".")
	if !utf8.Valid(key) {
		return nil, fmt.Errorf("column %q: %w: a key that is not Unicode", path, ErrUnsupported)
	}
	if s.paths++; s.paths > maxJSONColumns {
		return nil, fmt.Errorf("column %s: %w: more than %d different keys; are they data?", path, ErrUnsupported, maxJSONColumns)
	}
	if t.index == nil {
		t.index = map[string]int{}
	}
	t.index[string(key)] = len(t.fields)
	t.fields = append(t.fields, &jsonType{path: path})
	return t.fields[len(t.fields)-1], nil
}

// number takes a number into account, which must fit int64 or float64.
func (t *jsonType) number(literal string, line int64) error {
	if !isJSONInt(literal) {
		t.see(jsonFloat, line)
		if _, err := strconv.ParseFloat(literal, 64); err != nil {
			return fmt.Errorf("column %s: %w: %s is too large for a double; store it as a string", t.path, ErrUnsupported, literal)
		}
		return nil
	}
	t.see(jsonInt, line)
	v, err := strconv.ParseInt(literal, 10, 64)
	if err != nil {
		return fmt.Errorf("column %s: %w: %s does not fit 64 bits; store it as a string", t.path, ErrUnsupported, literal)
	}
	if t.wide == 0 && !exactDouble(v) {
		t.wide = line
	}
	return nil
}

// isJSONInt tells integers from other numbers. Minus zero is a double.
func isJSONInt(literal string) bool { return !strings.ContainsAny(literal, ".eE") && literal != "-0" }

// exactDouble tells whether a double can hold an integer.
func exactDouble(v int64) bool {
	f := float64(v)
	return f != math.MaxInt64+1 && int64(f) == v
}

// jsonNode is the node of a type, with what JSON needs to find its children.
type jsonNode struct {
	*shredNode
	path   string
	fields []*jsonNode    // of an object
	index  map[string]int // of fields
	seen   []int64        // by field: the last object, by number, that had it
	object int64          // number of the current object
	inner  *jsonNode      // of a list
}

// nodes returns the tree that lines are shredded by, or an error that names a
// column with values of different types.
func (s *jsonSchema) nodes() (*jsonNode, error) {
	if len(s.root.fields) == 0 {
		return nil, fmt.Errorf("%w: no row has a key", ErrUnsupported)
	}
	root, err := s.root.node("")
	if err != nil {
		return nil, err
	}
	root.optional = false
	return root, nil
}

func (t *jsonType) node(name string) (*jsonNode, error) {
	kind, found, err := t.kind()
	if err != nil {
		return nil, err
	}
	n := &jsonNode{shredNode: &shredNode{name: name, optional: true}, path: t.path, index: t.index}
	set := func(physical format.Type, logical format.LogicalTypeValue) {
		n.element.Type, n.element.LogicalType.Value = thrift.New(physical), logical
	}
	switch {
	case !found:
		set(format.Int32, &format.NullType{})
	case kind == jsonObject && len(t.fields) == 0:
		n.shredNode.kind = shredMap // always {}: a group must have a field, a map may be empty
		n.children = emptyMapEntries()
	case kind == jsonObject:
		n.shredNode.kind, n.seen = shredGroup, make([]int64, len(t.fields))
		names := make([]string, len(t.fields))
		for key, i := range t.index {
			names[i] = key
		}
		for i, f := range t.fields {
			child, err := f.node(names[i])
			if err != nil {
				return nil, err
			}
			n.fields, n.children = append(n.fields, child), append(n.children, child.shredNode)
		}
	case kind == jsonList:
		n.shredNode.kind = shredList
		if n.inner, err = t.element.node("element"); err != nil {
			return nil, err
		}
		n.children = []*shredNode{n.inner.shredNode}
	case kind == jsonBool:
		set(format.Boolean, nil)
	case kind == jsonInt:
		set(format.Int64, nil)
	case kind == jsonFloat:
		set(format.Double, nil)
	case kind == jsonString:
		set(format.ByteArray, &format.StringType{})
		n.element.ConvertedType = thrift.New(deprecated.UTF8)
	}
	return n, nil
}

// emptyMapEntries are key and value of a map that never has any.
func emptyMapEntries() []*shredNode {
	key, value := &shredNode{name: "key"}, &shredNode{name: "value", optional: true}
	key.element.Type, key.element.LogicalType.Value = thrift.New(format.ByteArray), &format.StringType{}
	key.element.ConvertedType = thrift.New(deprecated.UTF8)
	value.element.Type, value.element.LogicalType.Value = thrift.New(format.Int32), &format.NullType{}
	return []*shredNode{key, value}
}

// kind returns the one kind of the values; integers may be doubles where all
// of them are exact. Not found means that all values are null.
func (t *jsonType) kind() (kind jsonKind, found bool, err error) {
	for k, line := range t.first {
		if line == 0 {
			continue
		}
		if found && !(kind == jsonInt && jsonKind(k) == jsonFloat) {
			return 0, false, fmt.Errorf("column %s: %w: %s in line %d, but %s in line %d; a column has one type",
				t.path, ErrUnsupported, jsonKindNames[kind], t.first[kind], jsonKindNames[k], line)
		}
		kind, found = jsonKind(k), true
	}
	if kind == jsonFloat && t.wide > 0 {
		return 0, false, fmt.Errorf("column %s: %w: the integer in line %d does not fit the doubles of the column (a fraction in line %d); store them as strings",
			t.path, ErrUnsupported, t.wide, t.first[jsonFloat])
	}
	return kind, found, nil
}
