package shards

import (
	"encoding/binary"
	"fmt"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// Limits on what a file may claim. They are far above what writers make and
// keep a hostile file from taking all memory.
const (
	maxFooterBytes = 512 << 20 // bytes; 100,000 row groups of 20 columns have about 300 MB
	maxPage        = 1 << 30   // bytes of one page, uncompressed
)

// expands reports whether so few compressed bytes can stand for so many: zstd's
// densest block is 4 bytes for 128 KiB. Brotli alone can be denser.
func expands(compressed, raw int64) bool { return raw <= 64<<10+compressed*(32<<10) }

// checkFooter checks magic bytes and the length and structure of a Parquet
// footer before anything is decoded from it.
func checkFooter(obj Object) error {
	size := obj.Size()
	var head, tail [8]byte
	if size < 12 {
		return fmt.Errorf("%w: %d bytes are too few for Parquet", ErrCorrupt, size)
	}
	if _, err := obj.ReadAt(head[:4], 0); err != nil {
		return fmt.Errorf("read Parquet magic: %w", err)
	}
	if _, err := obj.ReadAt(tail[:], size-8); err != nil {
		return fmt.Errorf("read Parquet footer length: %w", err)
	}
	switch start, end := string(head[:4]), string(tail[4:]); {
	case start == "PARE" || end == "PARE":
		return fmt.Errorf("%w: the Parquet footer is encrypted", ErrUnsupported)
	case start != "PAR1":
		return fmt.Errorf("%w: not Parquet, it begins with %q", ErrCorrupt, start)
	case end != "PAR1":
		return fmt.Errorf("%w: not Parquet or cut short, it ends with %q", ErrCorrupt, end)
	}
	length := int64(binary.LittleEndian.Uint32(tail[:4]))
	if length > size-12 || length > maxFooterBytes {
		return fmt.Errorf("%w: Parquet footer of %d bytes in a file of %d", ErrCorrupt, length, size)
	}
	footer := make([]byte, length)
	if _, err := obj.ReadAt(footer, size-8-length); err != nil {
		return fmt.Errorf("read Parquet footer: %w", err)
	}
	if err := checkThrift(footer); err != nil {
		return fmt.Errorf("check Parquet footer: %w", err)
	}
	var meta format.FileMetaData
	var protocol thrift.CompactProtocol
	if err := thrift.NewDecoder(protocol.NewReaderFromBytes(footer)).Decode(&meta); err != nil {
		return fmt.Errorf("%w: decode Parquet footer: %w", ErrCorrupt, err)
	}
	if err := checkMetadata(&meta, size-8-length); err != nil {
		return err
	}
	return checkEmptyGroups(obj, &meta)
}

// checkEmptyGroups makes sure that row groups without rows, which nobody reads,
// have none in their pages.
func checkEmptyGroups(obj Object, meta *format.FileMetaData) error {
	for g := range meta.RowGroups {
		group := &meta.RowGroups[g]
		if group.NumRows > 0 {
			continue
		}
		for c := range group.Columns {
			chunk := &group.Columns[c].MetaData
			if chunk.NumValues != 0 {
				return fmt.Errorf("%w: row group %d of no rows: column %d has %d values", ErrCorrupt, g, c, chunk.NumValues)
			}
			if err := checkPageHeaders(obj, chunk); err != nil {
				return fmt.Errorf("row group %d of no rows: column %d: %w", g, c, err)
			}
		}
	}
	return nil
}

// checkMetadata checks what a footer says against the end of the data.
func checkMetadata(meta *format.FileMetaData, end int64) error {
	if meta.EncryptionAlgorithm.Value != nil {
		return fmt.Errorf("%w: the Parquet columns are encrypted", ErrUnsupported)
	}
	total := int64(0)
	for g := range meta.RowGroups {
		group := &meta.RowGroups[g]
		if group.NumRows < 0 {
			return fmt.Errorf("%w: row group %d claims %d rows", ErrCorrupt, g, group.NumRows)
		}
		total += group.NumRows
		for c := range group.Columns {
			if err := checkChunkRange(&group.Columns[c], end); err != nil {
				return fmt.Errorf("row group %d: column %d: %w", g, c, err)
			}
		}
	}
	if total != meta.NumRows {
		return fmt.Errorf("%w: the footer claims %d rows, its row groups %d", ErrCorrupt, meta.NumRows, total)
	}
	return nil
}

// checkChunkRange checks that a column chunk lies between the magic and the footer.
func checkChunkRange(chunk *format.ColumnChunk, end int64) error {
	meta := &chunk.MetaData
	start := chunkStart(meta)
	switch {
	case chunk.FilePath != "":
		return fmt.Errorf("%w: the data is in another file, %q", ErrUnsupported, chunk.FilePath)
	case chunk.CryptoMetadata.Value != nil:
		return fmt.Errorf("%w: the column is encrypted", ErrUnsupported)
	case start < 4 || meta.TotalCompressedSize < 0 || meta.TotalCompressedSize > end-start,
		meta.DataPageOffset < start && meta.NumValues > 0:
		return fmt.Errorf("%w: its pages are said to be at %d, %d bytes, but data ends at %d",
			ErrCorrupt, start, meta.TotalCompressedSize, end)
	case meta.NumValues < 0:
		return fmt.Errorf("%w: it claims %d values", ErrCorrupt, meta.NumValues)
	}
	return nil
}

// chunkStart returns the offset of a chunk's first page.
func chunkStart(meta *format.ColumnMetaData) int64 {
	if meta.DictionaryPageOffset != 0 {
		return meta.DictionaryPageOffset
	}
	return meta.DataPageOffset
}

// checkStorage refuses a column that parquet-go cannot decode, or would decode
// wrongly.
func (r *parquetReader) checkStorage(l *leaf) error {
	groups := r.file.Metadata().RowGroups
	for g := range groups {
		if err := checkCodec(groups[g].Columns[l.column].MetaData.Codec, groups[0].Columns[l.column].MetaData.Codec); err != nil {
			return fmt.Errorf("row group %d: column %s: %w", g, l.name, err)
		}
	}
	return nil
}

// checkPages checks the page headers of a flat column chunk, where values are
// as many as rows.
func (r *parquetReader) checkPages(l *leaf, group int) error {
	rowGroup := &r.file.Metadata().RowGroups[group]
	meta := &rowGroup.Columns[l.column].MetaData
	if meta.NumValues != rowGroup.NumRows {
		return fmt.Errorf("%w: %d values for %d rows", ErrCorrupt, meta.NumValues, rowGroup.NumRows)
	}
	return checkPageHeaders(r.obj, meta)
}

// checkPage checks one page header and returns the number of its values.
func checkPage(h *format.PageHeader, codec format.CompressionCodec) (int64, error) {
	possible := codec == format.Brotli || expands(int64(h.CompressedPageSize), int64(h.UncompressedPageSize))
	if h.CompressedPageSize < 0 || h.UncompressedPageSize < 0 || h.UncompressedPageSize > maxPage || !possible {
		return 0, fmt.Errorf("%w: it claims %d bytes, %d uncompressed", ErrCorrupt, h.CompressedPageSize, h.UncompressedPageSize)
	}
	values := int32(0)
	switch {
	case h.Type == format.DataPage && h.DataPageHeader.Valid:
		values = h.DataPageHeader.V.NumValues
	case h.Type == format.DataPageV2 && h.DataPageHeaderV2.Valid:
		values = h.DataPageHeaderV2.V.NumValues
		if nulls := h.DataPageHeaderV2.V.NumNulls; nulls < 0 || nulls > values {
			return 0, fmt.Errorf("%w: it claims %d nulls of %d values", ErrCorrupt, nulls, values)
		}
	case h.Type == format.DictionaryPage && h.DictionaryPageHeader.Valid:
		// A value takes at least one byte, or four with its length.
		if n := h.DictionaryPageHeader.V.NumValues; n < 0 || n > h.UncompressedPageSize {
			return 0, fmt.Errorf("%w: it claims %d dictionary values in %d bytes", ErrCorrupt, n, h.UncompressedPageSize)
		}
		return 0, nil
	default:
		return 0, fmt.Errorf("%w: page of type %s", ErrCorrupt, h.Type)
	}
	if values < 0 {
		return 0, fmt.Errorf("%w: it claims %d values", ErrCorrupt, values)
	}
	return int64(values), nil
}
