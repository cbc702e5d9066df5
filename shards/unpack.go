package shards

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/parquet-go/parquet-go/format"
)

// unpackedObject is a Parquet file as it would be had some of its column chunks
// been stored in a plainer way: those that parquet-go v0.32 reads wrongly or not
// at all (see mustUnpack). Their pages are uncompressed in it, and where their
// encoding is the trouble, that is PLAIN.
//
// The bytes of the file come first, as they are. Each such chunk has a range of
// its own behind them, and the footer comes last. Pages are unpacked when they
// are read, and the last ones kept. How long a chunk is can only be told by
// reading it: its range is what it may need, and an empty page fills the rest.
type unpackedObject struct {
	Object // the file as it is stored
	chunks []*packedChunk
	footer []byte
	end    int64 // offset of the footer
	cache  pageCache
}

// unpackColumns returns the view of a file in which the columns that need it are
// unpacked, nil where none does. The footer, decoded in meta, must have passed
// checkFooter.
func unpackColumns(obj Object, meta *format.FileMetaData) (*unpackedObject, error) {
	leaves, err := fileSchema{elements: meta.Schema}.leaves()
	if err != nil {
		return nil, nil // who needs all columns says so
	}
	needed := false
	for c, leaf := range leaves {
		needed = needed || mustUnpack(meta, c, leaf)
	}
	if !needed {
		return nil, nil
	}
	footer, err := decodeFooter(obj) // a copy that may be changed
	if err != nil {
		return nil, err
	}
	u := &unpackedObject{Object: obj, end: obj.Size()}
	u.cache.limit = 2*len(leaves) + 8 // enough for two that read all columns side by side
	groups := footer.meta.RowGroups
	for c, leaf := range leaves {
		if !mustUnpack(&footer.meta, c, leaf) {
			continue
		}
		for g := range groups {
			if c < len(groups[g].Columns) && canUnpack(groups[g].Columns[c].MetaData.Codec) {
				u.add(&groups[g].Columns[c], leaf)
			}
		}
	}
	// The indexes tell where pages are stored, and readers want those of all
	// columns or none.
	for g := range groups {
		for c := range groups[g].Columns {
			column := &groups[g].Columns[c]
			column.OffsetIndexOffset, column.OffsetIndexLength = 0, 0
			column.ColumnIndexOffset, column.ColumnIndexLength = 0, 0
		}
	}
	if u.footer, err = encodeFooter(&footer.meta, footer.schema); err != nil {
		return nil, err
	}
	u.footer = binary.LittleEndian.AppendUint32(u.footer, uint32(len(u.footer)))
	u.footer = append(u.footer, "PAR1"...)
	return u, nil
}

// mustUnpack tells whether parquet-go cannot be left to read a column:
//
//   - LZ4_RAW: its codec returns memory that was never written where a page
//     shrank to more than a third, and grows its buffer without end on a damaged
//     page; LZ4 (Hadoop's) it does not know;
//   - a codec that is not the same in all row groups: it takes the first for all;
//   - booleans in runs: it decodes a run of true as one true and seven false;
//   - 32-bit integers in deltas of up to 64 bits, as DuckDB writes them: it
//     decodes wider ones than 32 bits as something else.
func mustUnpack(file *format.FileMetaData, column int, leaf *leafColumn) bool {
	groups, suspect := file.RowGroups, repackOf(leaf)
	if suspect == format.DeltaBinaryPacked && slices.ContainsFunc(narrowDeltas, func(w string) bool { return strings.HasPrefix(file.CreatedBy, w) }) ||
		suspect == format.RLE && strings.HasPrefix(file.CreatedBy, "curate version") { // our tables, whose footers do not say that booleans are plain
		suspect = format.Plain
	}
	for g := range groups {
		if column >= len(groups[g].Columns) || column >= len(groups[0].Columns) {
			continue // refused elsewhere
		}
		meta := &groups[g].Columns[column].MetaData
		codec := meta.Codec
		if codec == format.Lz4Raw || codec == format.Lz4 || codec != groups[0].Columns[column].MetaData.Codec {
			return true
		}
		if suspect != format.Plain && dataEncoded(meta, suspect) {
			return true
		}
	}
	return false
}

// narrowDeltas are the beginnings of the names of writers whose deltas of 32-bit
// integers have 32 bits, as the format says. It saves time to know them. curate
// is none: it copies pages of others as they are.
var narrowDeltas = []string{"parquet-cpp", "parquet-mr", "parquet-rs", "Polars"}

// repackOf returns the encoding of data pages of a column that parquet-go reads
// wrongly, or PLAIN where there is none.
func repackOf(leaf *leafColumn) format.Encoding {
	switch {
	case leaf.element.Type.V == format.Boolean:
		return format.RLE
	case leaf.element.Type.V == format.Int32:
		return format.DeltaBinaryPacked
	}
	return format.Plain
}

// dataEncoded tells whether data pages of a chunk may have an encoding. Where
// the footer only lists encodings, levels count as well.
func dataEncoded(meta *format.ColumnMetaData, encoding format.Encoding) bool {
	if len(meta.EncodingStats) == 0 {
		return slices.Contains(meta.Encoding, encoding)
	}
	return slices.ContainsFunc(meta.EncodingStats, func(s format.PageEncodingStats) bool { return s.Encoding == encoding })
}

// add gives a chunk a range of the unpacked file and changes its metadata to
// say so.
func (u *unpackedObject) add(column *format.ColumnChunk, leaf *leafColumn) {
	meta := &column.MetaData
	c := &packedChunk{
		codec: meta.Codec, leaf: leaf, stored: chunkStart(meta), size: meta.TotalCompressedSize, start: u.end, found: u.end,
		end: u.end + unpackedBound(meta, leaf),
	}
	u.chunks = append(u.chunks, c)
	u.end = c.end
	if meta.DictionaryPageOffset != 0 {
		meta.DictionaryPageOffset = c.start
	}
	meta.DataPageOffset = c.start // that a dictionary page comes first is seen there
	meta.Codec, meta.TotalCompressedSize, meta.TotalUncompressedSize = format.Uncompressed, c.end-c.start, c.end-c.start
}

// unpackedBound is more than the bytes that a chunk needs unpacked, if its
// footer is right: a page header grows by a few bytes, and pages are as many as
// values at most, but for empty ones; values whose encoding changes need bytes.
func unpackedBound(meta *format.ColumnMetaData, leaf *leafColumn) int64 {
	values := max(0, meta.NumValues)
	bound := max(0, meta.TotalUncompressedSize) + min(meta.TotalCompressedSize, 16*values) + 1024
	switch repackOf(leaf) {
	case format.RLE:
		bound += values
	case format.DeltaBinaryPacked:
		bound += 4 * values
	}
	return min(bound, maxUnpacked)
}

// maxUnpacked bounds what one column chunk may unpack to.
const maxUnpacked = 1 << 40

// Size is the size of the unpacked file.
func (u *unpackedObject) Size() int64 { return u.end + int64(len(u.footer)) }

// ReadAt implements io.ReaderAt.
func (u *unpackedObject) ReadAt(p []byte, at int64) (n int, err error) {
	if at < 0 {
		return 0, fmt.Errorf("read unpacked Parquet at %d: negative offset", at)
	}
	for n < len(p) && err == nil {
		var k int
		k, err = u.readPart(p[n:], at+int64(n))
		n += k
	}
	if n == len(p) {
		return n, nil
	}
	return n, err
}

// readPart reads from the one part of the unpacked file that has the offset.
func (u *unpackedObject) readPart(p []byte, at int64) (int, error) {
	switch size := u.Object.Size(); {
	case at >= u.Size():
		return 0, io.EOF
	case at >= u.end:
		return copy(p, u.footer[at-u.end:]), nil
	case at < size:
		p = p[:min(int64(len(p)), size-at)]
		n, err := u.Object.ReadAt(p, at)
		if n == len(p) {
			err = nil // the end of the file is not that of the unpacked one
		}
		return n, err
	}
	i := sort.Search(len(u.chunks), func(i int) bool { return u.chunks[i].end > at })
	return u.chunks[i].readAt(u, p, at)
}

// Prefetch implements prefetcher for Objects that do.
func (u *unpackedObject) Prefetch(ranges []Range) {
	fetch, ok := u.Object.(prefetcher)
	if !ok {
		return
	}
	var stored []Range
	for _, r := range ranges {
		if r.Offset < u.Object.Size() {
			stored = append(stored, r)
		}
		for _, c := range u.chunks {
			if r.Offset < c.end && r.Offset+r.Length > c.start {
				stored = append(stored, Range{c.stored, c.size})
			}
		}
	}
	fetch.Prefetch(stored)
}

// pageCache keeps the pages that were unpacked last, since one read may end in
// the middle of a page.
type pageCache struct {
	mu    sync.Mutex
	limit int
	pages []*packedPage // the one that was used last is at the end
}

// content returns the body of a page, from the cache or by the call.
func (c *pageCache) content(p *packedPage, unpack func() ([]byte, error)) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.content == nil {
		content, err := unpack()
		if err != nil {
			return nil, err
		}
		p.content = content
	}
	c.use(p)
	return p.content, nil
}

// use puts a page at the end of the queue and lets those at its front go. Their
// content stays valid for who reads it.
func (c *pageCache) use(p *packedPage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pages = append(slices.DeleteFunc(c.pages, func(other *packedPage) bool { return other == p }), p)
	for len(c.pages) > c.limit {
		// Pages are locked before the cache, so that this one may not wait for a
		// page: one that is in use goes another time.
		if old := c.pages[0]; old.mu.TryLock() {
			old.content = nil
			old.mu.Unlock()
		}
		c.pages = c.pages[1:]
	}
}

// drop lets a page go that was read to its end.
func (c *pageCache) drop(p *packedPage) {
	c.mu.Lock()
	c.pages = slices.DeleteFunc(c.pages, func(other *packedPage) bool { return other == p })
	c.mu.Unlock()
	p.mu.Lock()
	p.content = nil
	p.mu.Unlock()
}
