package shards

import (
	"encoding/binary"
	"fmt"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// parquetFooter is the footer of a Parquet file, with the bytes of its schema.
type parquetFooter struct {
	meta    format.FileMetaData
	schema  fileSchema
	columns int    // leaf columns
	raw     []byte // the encoded footer
	start   int64  // its offset in the file
}

// decode decodes what v has of the footer.
func (f *parquetFooter) decode(v any) error {
	err := guard(func() error {
		return thrift.NewDecoder(new(thrift.CompactProtocol).NewReaderFromBytes(f.raw)).Decode(v)
	})
	if err != nil {
		return fmt.Errorf("%w: decode Parquet footer: %w", ErrCorrupt, err)
	}
	return nil
}

// readFooter reads the footer of a file that passed checkFooter, and checks
// the schema and what every column chunk says against it.
func readFooter(obj Object) (*parquetFooter, error) {
	f, err := decodeFooter(obj)
	if err != nil {
		return nil, err
	}
	return f, f.checkColumns()
}

// decodeFooter reads the footer of a file that passed checkFooter.
func decodeFooter(obj Object) (*parquetFooter, error) {
	var tail [8]byte
	if _, err := obj.ReadAt(tail[:], obj.Size()-8); err != nil {
		return nil, fmt.Errorf("read Parquet footer length: %w", err)
	}
	b := make([]byte, binary.LittleEndian.Uint32(tail[:4]))
	if _, err := obj.ReadAt(b, obj.Size()-8-int64(len(b))); err != nil {
		return nil, fmt.Errorf("read Parquet footer: %w", err)
	}
	f := &parquetFooter{raw: b, start: obj.Size() - 8 - int64(len(b))}
	if err := thrift.NewDecoder(new(thrift.CompactProtocol).NewReaderFromBytes(b)).Decode(&f.meta); err != nil {
		return nil, fmt.Errorf("%w: decode Parquet footer: %w", ErrCorrupt, err)
	}
	raw, _, _, err := schemaBytes(b)
	if err != nil {
		return nil, err
	}
	if len(raw) != len(f.meta.Schema) {
		return nil, fmt.Errorf("%w: %d schema elements, decoded %d", ErrCorrupt, len(raw), len(f.meta.Schema))
	}
	f.schema = fileSchema{elements: f.meta.Schema, raw: raw}
	return f, nil
}

// checkColumns checks the columns of all row groups: that they are those of
// the schema, and stored in a way that can be read.
func (f *parquetFooter) checkColumns() error {
	leaves, err := f.schema.leaves()
	if err != nil {
		return err
	}
	f.columns = len(leaves)
	for g := range f.meta.RowGroups {
		columns := f.meta.RowGroups[g].Columns
		if len(columns) != len(leaves) {
			return fmt.Errorf("%w: row group %d has %d columns, the schema %d", ErrCorrupt, g, len(columns), len(leaves))
		}
		for i, leaf := range leaves {
			meta := &columns[i].MetaData
			if meta.Type != leaf.element.Type.V {
				return fmt.Errorf("%w: row group %d: column %s: stored as %v, the schema says %v", ErrCorrupt, g, leaf.name(), meta.Type, leaf.element.Type.V)
			}
			if err := checkCodec(meta.Codec, f.meta.RowGroups[0].Columns[i].MetaData.Codec); err != nil {
				return fmt.Errorf("row group %d: column %s: %w", g, leaf.name(), err)
			}
		}
	}
	return nil
}

// checkCodec refuses what parquet-go cannot decompress. It takes the codec of
// the first row group for all.
func checkCodec(codec, first format.CompressionCodec) error {
	switch codec {
	case format.Uncompressed, format.Snappy, format.Gzip, format.Brotli, format.Zstd:
	default:
		return fmt.Errorf("%w: compression %s; rewrite the file with zstd or snappy", ErrUnsupported, codec)
	}
	if codec != first {
		return fmt.Errorf("%w: compression %s, but %s in row group 0", ErrUnsupported, codec, first)
	}
	return nil
}

// schemaBytes returns the thrift bytes of the schema elements of an encoded
// footer, and where the list, its header included, begins and ends.
func schemaBytes(footer []byte) (raw [][]byte, start, end int, err error) {
	t := thriftWalk{footer}
	at := func() int { return len(footer) - len(t.rest) }
	for id := int64(0); ; {
		head, err := t.byte()
		if err != nil || head == 0 {
			return nil, 0, 0, fmt.Errorf("%w: Parquet footer without a schema", ErrCorrupt)
		}
		if head>>4 > 0 {
			id += int64(head >> 4)
		} else {
			v, err := t.varint()
			if err != nil {
				return nil, 0, 0, fmt.Errorf("%w: Parquet footer: %w", ErrCorrupt, err)
			}
			id = int64(v>>1) ^ -int64(v&1)
		}
		kind := head & 15
		if id == 2 && kind == thriftList {
			break
		}
		if kind == thriftTrue || kind == thriftFalse {
			continue
		}
		if err := t.value(kind, 0); err != nil {
			return nil, 0, 0, fmt.Errorf("%w: Parquet footer: %w", ErrCorrupt, err)
		}
	}
	start = at()
	head, err := t.byte()
	n := uint64(head >> 4)
	if err == nil && n == 15 {
		n, err = t.varint()
	}
	for ; err == nil && n > 0; n-- {
		from := at()
		if err = t.value(head&15, 0); err == nil {
			raw = append(raw, footer[from:at()])
		}
	}
	if err != nil {
		return nil, 0, 0, fmt.Errorf("%w: Parquet schema: %w", ErrCorrupt, err)
	}
	return raw, start, at(), nil
}

// encodeFooter returns the bytes of a footer whose schema is s, byte for byte.
func encodeFooter(meta *format.FileMetaData, s fileSchema) ([]byte, error) {
	meta.Schema = s.elements
	b, err := thrift.Marshal(new(thrift.CompactProtocol), meta)
	if err != nil {
		return nil, fmt.Errorf("encode Parquet footer: %w", err)
	}
	return replaceSchema(b, s)
}

// replaceSchema puts the elements of s in the place of those of an encoded footer.
func replaceSchema(b []byte, s fileSchema) ([]byte, error) {
	_, start, end, err := schemaBytes(b)
	if err != nil {
		return nil, err
	}
	out := append([]byte(nil), b[:start]...)
	if n := len(s.raw); n < 15 {
		out = append(out, byte(n)<<4|thriftStruct)
	} else {
		out = binary.AppendUvarint(append(out, 0xF0|thriftStruct), uint64(n))
	}
	for _, el := range s.raw {
		out = append(out, el...)
	}
	return append(out, b[end:]...), nil
}
