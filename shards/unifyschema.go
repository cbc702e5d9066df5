package shards

import (
	"bytes"
	"fmt"
	"reflect"

	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// schemaTree is a fileSchema as a tree. One of a shard leads, node by node, to
// the one that all shards are written with.
type schemaTree struct {
	el       format.SchemaElement
	raw      []byte // the element's bytes; nil once it has been changed
	children []*schemaTree
	leaf     bool
	first    int // index of the first leaf below
	leaves   int

	shard string      // of the one that gave the type, for errors
	to    *schemaTree // of a shard's tree: the node of the common one; nil for a null that gave way
}

// treeOf returns the tree of a schema, which must have passed leaves.
func treeOf(s fileSchema, shard string) *schemaTree {
	at, leaves := 0, 0
	var build func() *schemaTree
	build = func() *schemaTree {
		t := &schemaTree{el: s.elements[at], raw: s.raw[at], leaf: at > 0 && s.elements[at].Type.Valid, first: leaves, shard: shard}
		at++
		if t.leaf {
			leaves++
		}
		for range t.el.NumChildren.V {
			t.children = append(t.children, build())
		}
		t.leaves = leaves - t.first
		return t
	}
	return build()
}

// copyOf returns a tree of its own for the common schema, and leads t to it.
func (t *schemaTree) copyOf() *schemaTree {
	c := &schemaTree{el: t.el, raw: t.raw, leaf: t.leaf, shard: t.shard}
	for _, child := range t.children {
		c.children = append(c.children, child.copyOf())
	}
	t.to = c
	return c
}

// nullable makes a node optional.
func (t *schemaTree) nullable() {
	if t.el.RepetitionType.V == format.Required {
		t.el.RepetitionType, t.raw = thrift.New(format.Optional), nil
	}
}

func (t *schemaTree) isNull() bool { return t.leaf && typeOfLeaf(&t.el).isNull() }

// merge makes t, a node of the common schema, one that holds the values of p too.
func (t *schemaTree) merge(p *schemaTree, path string) error {
	refuse := func(problem string) error {
		return fmt.Errorf("%w: column %s: %s in shard %s, %s in shard %s%s", ErrUnsupported, path, t.kind(), t.shard, p.kind(), p.shard, problem)
	}
	a, b := t.el.RepetitionType.V, p.el.RepetitionType.V
	if (a == format.Repeated) != (b == format.Repeated) {
		return refuse(": one is repeated, the other is not")
	}
	switch {
	case p.isNull() && !t.isNull(): // its leaves are missing
		t.nullable()
		return nil
	case t.isNull() && !p.isNull():
		wasNull := *t
		*t = *p.copyOf()
		p.to = t
		wasNull.nullable()
		t.nullable()
		return nil
	case t.leaf != p.leaf:
		return refuse("")
	}
	if b == format.Optional {
		t.nullable()
	}
	p.to = t
	if t.leaf {
		return t.mergeLeaf(p, refuse)
	}
	if !reflect.DeepEqual(groupKind(&t.el), groupKind(&p.el)) {
		return refuse("")
	}
	if groupKind(&t.el) != "" { // lists and maps nest in a fixed way, with names that vary
		return t.mergeNested(p, path, refuse)
	}
	return t.mergeFields(p, path)
}

func (t *schemaTree) mergeLeaf(p *schemaTree, refuse func(string) error) error {
	a, b := typeOfLeaf(&t.el), typeOfLeaf(&p.el)
	both, ok := unifyLeaves(a, b)
	if !ok {
		return refuse(", and no type holds both exactly; cast the column in one of them")
	}
	if !reflect.DeepEqual(a, both) {
		setLeafType(&t.el, both)
		t.raw, t.shard = nil, p.shard
	}
	return nil
}

// mergeNested merges the nodes below lists and maps, which have no names.
func (t *schemaTree) mergeNested(p *schemaTree, path string, refuse func(string) error) error {
	if len(t.children) != 1 || len(p.children) != 1 || len(t.children[0].children) != len(p.children[0].children) {
		return refuse(", stored in different ways")
	}
	a, b := t.children[0], p.children[0]
	if a.el.RepetitionType.V != b.el.RepetitionType.V || a.leaf != b.leaf {
		return refuse(", stored in different ways")
	}
	if a.leaf {
		return a.merge(b, path+"."+a.el.Name)
	}
	b.to = a
	for i := range a.children {
		if err := a.children[i].merge(b.children[i], path+"."+a.children[i].el.Name); err != nil {
			return err
		}
	}
	return nil
}

// mergeFields merges the fields of a struct, or of the root, by their names.
// Those that one of both lacks become nullable; new ones come last.
func (t *schemaTree) mergeFields(p *schemaTree, path string) error {
	index := map[string]*schemaTree{}
	for _, c := range t.children {
		if index[c.el.Name] != nil {
			return fmt.Errorf("%w: shard %s has two columns of the name %s", ErrUnsupported, t.shard, joinPath(path, c.el.Name))
		}
		index[c.el.Name] = c
	}
	seen := map[string]bool{}
	for _, c := range p.children {
		name := c.el.Name
		if seen[name] {
			return fmt.Errorf("%w: shard %s has two columns of the name %s", ErrUnsupported, p.shard, joinPath(path, name))
		}
		seen[name] = true
		if old := index[name]; old != nil {
			if err := old.merge(c, joinPath(path, name)); err != nil {
				return err
			}
			continue
		}
		added := c.copyOf()
		added.nullable()
		t.children = append(t.children, added)
	}
	for name, c := range index {
		if !seen[name] {
			c.nullable()
		}
	}
	return nil
}

func joinPath(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// groupKind tells lists and maps from structs, for which it is empty.
func groupKind(el *format.SchemaElement) string {
	switch {
	case is[*format.ListType](&el.LogicalType) || el.LogicalType.Value == nil && el.ConvertedType.Valid && el.ConvertedType.V == deprecated.List:
		return "list"
	case is[*format.MapType](&el.LogicalType) || el.LogicalType.Value == nil && el.ConvertedType.Valid && (el.ConvertedType.V == deprecated.Map || el.ConvertedType.V == deprecated.MapKeyValue):
		return "map"
	}
	return ""
}

// kind names a node's type in errors.
func (t *schemaTree) kind() string {
	if t.leaf {
		return typeOfLeaf(&t.el).String()
	}
	if kind := groupKind(&t.el); kind != "" {
		return kind
	}
	return "struct"
}

// schema returns the common tree as a schema and numbers its leaves.
func (t *schemaTree) schema() (fileSchema, error) {
	var s fileSchema
	leaves := 0
	var walk func(n *schemaTree) error
	walk = func(n *schemaTree) error {
		if !n.leaf && int(n.el.NumChildren.V) != len(n.children) {
			n.el.NumChildren, n.raw = thrift.New(int32(len(n.children))), nil
		}
		if n.raw == nil {
			one, err := newFileSchema([]format.SchemaElement{n.el})
			if err != nil {
				return err
			}
			n.raw = one.raw[0]
		}
		s.elements, s.raw = append(s.elements, n.el), append(s.raw, bytes.Clone(n.raw))
		n.first = leaves
		if n.leaf {
			leaves++
		}
		for _, c := range n.children {
			if err := walk(c); err != nil {
				return err
			}
		}
		n.leaves = leaves - n.first
		return nil
	}
	err := walk(t)
	return s, err
}
