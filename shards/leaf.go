package shards

import (
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"
)

// leaf is a flat column: one value per row, maybe null, maybe inside structs.
type leaf struct {
	name   string
	column int // index among the file's leaf columns
	render func(parquet.Value) string
	full   int  // definition level of a value
	null   bool // its type says that it has no values
}

// textPlan holds the leaves of text, id and domain; nil where none is wanted.
type textPlan [3]*leaf

// plan finds the columns and checks that their types will do.
func (r *parquetReader) plan(cols Columns) (textPlan, error) {
	var plan textPlan
	for i, name := range []string{cols.Text, cols.ID, cols.Domain} {
		if name == "" && i > 0 {
			continue
		}
		column, err := r.lookup(name)
		if err != nil {
			return plan, err
		}
		l := &leaf{name: name, column: column.Index(), render: renderer(column), full: column.MaxDefinitionLevel(), null: allNull(column)}
		if problem := unsuitable(column, l.render, i == 0); problem != "" {
			return plan, columnError(name, problem, r.columns())
		}
		if err := r.checkStorage(l); err != nil {
			return plan, err
		}
		plan[i] = l
	}
	return plan, nil
}

// lookup finds a column by its name or dotted path. A name that contains dots
// itself wins over a path.
func (r *parquetReader) lookup(name string) (*parquet.Column, error) {
	if c := r.file.Root().Column(name); c != nil {
		return c, nil
	}
	c := r.file.Root()
	for part := range strings.SplitSeq(name, ".") {
		if c = c.Column(part); c == nil {
			return nil, columnError(name, "there is no such column", r.columns())
		}
	}
	return c, nil
}

// unsuitable says why a column cannot be read as text, or as id or domain.
func unsuitable(c *parquet.Column, render func(parquet.Value) string, text bool) string {
	switch {
	case c.MaxRepetitionLevel() > 0 || c.Repeated():
		return "it is inside a list, where a row has no single value"
	case !c.Leaf() && is[*format.ListType](c.Type().LogicalType()):
		return "it is a list, where a row has no single value"
	case !c.Leaf() && is[*format.MapType](c.Type().LogicalType()):
		return "it is a map, where a row has no single value"
	case !c.Leaf():
		return "it is a struct, name one of its fields"
	case allNull(c):
		return ""
	case render == nil:
		return "its type is " + typeName(c) + ", want a string"
	case text && c.Type().Kind() != parquet.ByteArray:
		return "its type is " + typeName(c) + ", want string or binary"
	}
	return ""
}

// allNull reports whether a column's type says that all its values are null, as
// writers have it that saw no other.
func allNull(c *parquet.Column) bool { return is[*format.NullType](c.Type().LogicalType()) }

func typeName(c *parquet.Column) string { return strings.ToLower(c.Type().String()) }

// is reports whether a logical type is of one kind.
func is[T format.LogicalTypeValue](lt *format.LogicalType) bool {
	if lt == nil {
		return false
	}
	_, ok := lt.Value.(T)
	return ok
}

// renderer returns how values of a column become strings: bytes as they are,
// integers in decimal, UUIDs in their usual form; nil for all other types.
func renderer(c *parquet.Column) func(parquet.Value) string {
	if !c.Leaf() {
		return nil
	}
	lt, signed := c.Type().LogicalType(), true
	if is[*format.IntType](lt) {
		signed = lt.Value.(*format.IntType).IsSigned
	}
	plainInt := (lt == nil || lt.Value == nil || is[*format.IntType](lt)) && integerConverted(c.Type().ConvertedType())
	switch kind := c.Type().Kind(); {
	case kind == parquet.ByteArray && !is[*format.DecimalType](lt) && !decimal(c.Type().ConvertedType()):
		return func(v parquet.Value) string { return string(v.ByteArray()) }
	case kind == parquet.Int32 && plainInt && signed:
		return func(v parquet.Value) string { return strconv.FormatInt(int64(v.Int32()), 10) }
	case kind == parquet.Int32 && plainInt:
		return func(v parquet.Value) string { return strconv.FormatUint(uint64(v.Uint32()), 10) }
	case kind == parquet.Int64 && plainInt && signed:
		return func(v parquet.Value) string { return strconv.FormatInt(v.Int64(), 10) }
	case kind == parquet.Int64 && plainInt:
		return func(v parquet.Value) string { return strconv.FormatUint(v.Uint64(), 10) }
	case is[*format.UUIDType](lt) && c.Type().Length() == 16:
		return func(v parquet.Value) string { return uuid(v.ByteArray()) }
	}
	return nil
}

func decimal(t *deprecated.ConvertedType) bool { return t != nil && *t == deprecated.Decimal }

// integerConverted reports whether a converted type is none or an integer's.
func integerConverted(t *deprecated.ConvertedType) bool {
	return t == nil || slices.Contains([]deprecated.ConvertedType{
		deprecated.Int8, deprecated.Int16, deprecated.Int32, deprecated.Int64,
		deprecated.Uint8, deprecated.Uint16, deprecated.Uint32, deprecated.Uint64,
	}, *t)
}

func uuid(b []byte) string {
	s := hex.EncodeToString(b)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// cursor reads the values of one leaf in one row group, one per row.
type cursor struct {
	leaf   *leaf
	pages  *parquet.FilePages
	page   parquet.Page
	values parquet.ValueReader
	buffer [256]parquet.Value
	ready  []parquet.Value // part of buffer not yet handed out
}

// newCursor begins to read a column whose page headers have been checked.
func (r *parquetReader) newCursor(l *leaf, group int) (*cursor, error) {
	chunk := r.file.RowGroups()[group].ColumnChunks()[l.column]
	pages, err := pagesOf(r.obj, chunk, &r.file.Metadata().RowGroups[group].Columns[l.column].MetaData)
	if err != nil {
		return nil, fmt.Errorf("column %s: %w", l.name, err)
	}
	return &cursor{leaf: l, pages: pages}, nil
}

// next returns the next row's value, valid until the next call.
func (c *cursor) next() (parquet.Value, error) {
	v, err := c.peek()
	c.advance()
	return v, err
}

// peek returns the next row's value without passing over it.
func (c *cursor) peek() (parquet.Value, error) {
	if len(c.ready) == 0 {
		if err := c.more(); err != nil {
			return parquet.Value{}, err
		}
	}
	return c.ready[0], nil
}

// some returns the values of one or more of the next limit rows, valid until
// the next call.
func (c *cursor) some(limit int64) ([]parquet.Value, error) {
	if len(c.ready) == 0 {
		if err := c.more(); err != nil {
			return nil, err
		}
	}
	n := min(limit, int64(len(c.ready)))
	vs := c.ready[:n]
	c.ready = c.ready[n:]
	return vs, nil
}

// more makes ready at least one value; that there is none is an error.
func (c *cursor) more() error {
	err := guard(c.fill)
	if err == io.EOF {
		err = fmt.Errorf("%w: fewer values than rows", ErrCorrupt)
	}
	if err != nil {
		return fmt.Errorf("column %s: %w", c.leaf.name, err)
	}
	return nil
}

// advance passes over the value that peek returned.
func (c *cursor) advance() {
	if len(c.ready) > 0 {
		c.ready = c.ready[1:]
	}
}

// fill reads the next values, from the next page when this one is used up.
func (c *cursor) fill() error {
	for {
		if c.values == nil {
			page, err := c.pages.ReadPage()
			if err != nil {
				return err
			}
			c.page, c.values = page, page.Values()
		}
		n, err := c.values.ReadValues(c.buffer[:])
		if n > 0 {
			c.ready = c.buffer[:n]
			if c.leaf.null && slices.ContainsFunc(c.ready, func(v parquet.Value) bool { return v.DefinitionLevel() == c.leaf.full }) {
				return fmt.Errorf("%w: a value in a column of type null", ErrCorrupt)
			}
			return nil
		}
		if err != io.EOF {
			if err == nil {
				err = io.ErrNoProgress
			}
			return err
		}
		parquet.Release(c.page)
		c.page, c.values = nil, nil
	}
}

// expectEnd is an error when the column has more values than rows.
func (c *cursor) expectEnd() error {
	if c == nil {
		return nil
	}
	if len(c.ready) > 0 {
		return fmt.Errorf("column %s: %w: more values than rows", c.leaf.name, ErrCorrupt)
	}
	switch err := guard(c.fill); err {
	case io.EOF:
		return nil
	case nil:
		return fmt.Errorf("column %s: %w: more values than rows", c.leaf.name, ErrCorrupt)
	default:
		return fmt.Errorf("column %s: %w", c.leaf.name, err)
	}
}

// close gives the page's memory back. After a panic in the decoder its
// reference counts may be off, hence the guard.
func (c *cursor) close() {
	if c == nil {
		return
	}
	guard(func() error {
		if c.page != nil {
			parquet.Release(c.page)
		}
		return c.pages.Close()
	})
}
