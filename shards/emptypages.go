package shards

import (
	"errors"
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// fullPages shows a column chunk without its data pages of version 2 that have
// no values: pyarrow ends some lists with one, and parquet-go panics at it.
type fullPages struct {
	obj   Object
	empty []Range // pages that are left out, in order
	end   int64   // of the chunk, without them
}

// pagesOf returns the pages of a column chunk whose headers passed
// checkPageHeaders. obj and meta are those that the file was opened with.
func pagesOf(obj Object, chunk parquet.ColumnChunk, meta *format.ColumnMetaData) (*parquet.FilePages, error) {
	pages := &fullPages{obj: obj, end: chunkStart(meta) + meta.TotalCompressedSize}
	err := eachHeader(obj, meta, func(at, body int64, header *format.PageHeader) error {
		switch {
		case header.Type == format.DataPage:
			return io.EOF // a chunk has pages of one version
		case header.Type == format.DataPageV2 && header.DataPageHeaderV2.V.NumValues == 0:
			length := body + int64(header.CompressedPageSize) - at
			pages.empty = append(pages.empty, Range{at, length})
			pages.end -= length
		}
		return nil
	})
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	file := chunk.(*parquet.FileColumnChunk)
	if len(pages.empty) == 0 {
		return file.PagesFrom(obj), nil
	}
	return file.PagesFrom(pages), nil
}

// ReadAt implements io.ReaderAt.
func (f *fullPages) ReadAt(p []byte, at int64) (n int, err error) {
	for n < len(p) {
		if at >= f.end {
			return n, io.EOF
		}
		from, length := at, f.end-at
		for _, gap := range f.empty {
			if gap.Offset > from {
				length = min(length, gap.Offset-from)
				break
			}
			from += gap.Length
		}
		part := p[n:min(int64(len(p)), int64(n)+length)]
		k, err := f.obj.ReadAt(part, from)
		n, at = n+k, at+int64(k)
		if k < len(part) {
			return n, err
		}
	}
	return n, nil
}
