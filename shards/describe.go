package shards

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
)

// Column is a top-level column of a shard.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"` // as the format writes it, nested types in full
}

// describer is a formatReader that knows the columns without reading rows.
type describer interface{ columnTypes() []Column }

// Columns returns the top-level columns, none for formats without a schema.
func (s *Shard) Columns() []Column {
	if d, ok := s.reader.(describer); ok {
		return d.columnTypes()
	}
	return nil
}

func (r *parquetReader) columnTypes() []Column {
	var columns []Column
	for _, field := range r.file.Schema().Fields() {
		column := Column{Name: field.Name()}
		if err := guard(func() error { column.Type = describeType(field); return nil }); err != nil {
			column.Type = "invalid" // reading it says why
		}
		columns = append(columns, column)
	}
	return columns
}

// describeType writes a Parquet type on one line.
func describeType(node parquet.Node) string {
	name := ""
	if node.Leaf() {
		name = node.Type().String()
	} else {
		for _, field := range node.Fields() {
			if name != "" {
				name += ", "
			}
			name += field.Name() + ": " + describeType(field)
		}
		name = "{" + name + "}"
	}
	switch {
	case node.Optional():
		name += "?"
	case node.Repeated():
		name += "[]"
	}
	return name
}

// CheckRows reads a file that CopyKept wrote to its end and returns the number
// of rows: every page of every column of Parquet, every line of JSONL, every
// value of Arrow, every sample of a tar. That a column has other rows than the file says is an error.
func CheckRows(ctx context.Context, store Store, name string) (int64, error) {
	obj, err := store.Open(ctx, name)
	if err != nil {
		return 0, err
	}
	defer obj.Close()
	if format, _, _ := formatOf(name); format == JSONL || format == Arrow || format == Tar {
		return checkOtherRows(ctx, Input{Store: store, Path: name, Shard: name, Format: format, Size: obj.Size()}, obj)
	}
	r, err := openParquet(obj)
	if err != nil {
		return 0, err
	}
	for group, rows := range r.rows {
		for column := range r.file.RowGroups()[group].ColumnChunks() {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			var found int64
			err := guard(func() (err error) {
				if err = r.checkChunk(group, column); err == nil {
					found, err = r.countPages(group, column)
				}
				return err
			})
			if err == nil && found != rows {
				err = fmt.Errorf("%w: %d rows, the footer says %d", ErrCorrupt, found, rows)
			}
			if err != nil {
				return 0, fmt.Errorf("row group %d column %d: %w", group, column, err)
			}
		}
	}
	return r.numRows(), nil
}

// checkChunk checks a column chunk of any kind before it is decoded.
func (r *parquetReader) checkChunk(group, column int) error {
	groups := r.file.Metadata().RowGroups
	meta := &groups[group].Columns[column].MetaData
	if err := checkCodec(meta.Codec, groups[0].Columns[column].MetaData.Codec); err != nil {
		return err
	}
	return checkPageHeaders(r.obj, meta)
}

// countPages decodes the pages of a column chunk and adds up their rows.
func (r *parquetReader) countPages(group, column int) (rows int64, err error) {
	pages, err := pagesOf(r.obj, r.file.RowGroups()[group].ColumnChunks()[column], &r.file.Metadata().RowGroups[group].Columns[column].MetaData)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, pages.Close()) }()
	for {
		page, err := pages.ReadPage()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		rows += page.NumRows()
		parquet.Release(page)
	}
}
