package shards

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
	"github.com/pierrec/lz4/v4"
)

// storedPage is a page of a Parquet file.
type storedPage struct {
	group, column int
	at, body      int64 // offsets of its header and of its body
	header        format.PageHeader
}

// storedPages lists the pages of a file.
func storedPages(t *testing.T, b []byte) (pages []storedPage) {
	t.Helper()
	footer, err := decodeFooter(bytesObject(b))
	if err != nil {
		t.Fatal(err)
	}
	for g := range footer.meta.RowGroups {
		for c := range footer.meta.RowGroups[g].Columns {
			err := eachHeader(bytesObject(b), &footer.meta.RowGroups[g].Columns[c].MetaData, func(at, body int64, h *format.PageHeader) error {
				pages = append(pages, storedPage{g, c, at, body, *h})
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return pages
}

// TestChecksums flips bits in pages that have a checksum: each is an error.
func TestChecksums(t *testing.T) {
	files := 0
	for _, path := range encodingFiles(t) {
		input, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		pages := slices.DeleteFunc(storedPages(t, input), func(p storedPage) bool {
			return p.header.CRC == 0 || p.header.CompressedPageSize == 0
		})
		if len(pages) == 0 {
			continue
		}
		files++
		for i := 0; i < len(pages); i += 1 + len(pages)/12 {
			p := pages[i]
			bit := (i * 7919) % (8 * int(p.header.CompressedPageSize))
			damaged := slices.Clone(input)
			damaged[p.body+int64(bit/8)] ^= 1 << (bit % 8)
			if _, _, err := copyBytes(damaged, Parquet, 200, masks["all"], CopyOptions{}); err == nil {
				t.Errorf("%s: page %d of %d (%s): bit %d is flipped and nobody saw it", path, i, len(pages), p.header.Type, bit)
			}
		}
	}
	if files < 20 {
		t.Errorf("only %d files have checksums", files)
	}
}

// toHadoop stores an LZ4_RAW file as Hadoop's LZ4: two blocks to a page where
// raw says so, else one block without a frame, as early versions of parquet-cpp did.
func toHadoop(t *testing.T, b []byte, raw bool) []byte {
	t.Helper()
	footer, err := decodeFooter(bytesObject(b))
	if err != nil {
		t.Fatal(err)
	}
	out := []byte("PAR1")
	last := [2]int{-1, -1}
	for _, p := range storedPages(t, b) {
		meta := &footer.meta.RowGroups[p.group].Columns[p.column].MetaData
		if last != [2]int{p.group, p.column} {
			last = [2]int{p.group, p.column}
			if meta.DictionaryPageOffset != 0 {
				meta.DictionaryPageOffset = int64(len(out))
			}
			meta.DataPageOffset, meta.Codec, meta.TotalCompressedSize = int64(len(out)), format.Lz4, 0
		}
		body := b[p.body : p.body+int64(p.header.CompressedPageSize)]
		if !raw {
			content := make([]byte, p.header.UncompressedPageSize)
			if err := unpackLZ4(content, body); err != nil {
				t.Fatal(err)
			}
			body = nil
			for _, part := range [][]byte{content[:len(content)/3], content[len(content)/3:]} {
				packed := make([]byte, lz4.CompressBlockBound(len(part)))
				n, err := lz4.CompressBlock(part, packed, nil)
				if err != nil {
					t.Fatal(err)
				}
				if n == 0 { // it cannot be compressed: literals only
					packed, n = literals(part), len(literals(part))
				}
				body = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(body, uint32(len(part))), uint32(n))
				body = append(body, packed[:n]...)
			}
		}
		p.header.CompressedPageSize, p.header.CRC = int32(len(body)), int32(crc32.ChecksumIEEE(body))
		header, err := thrift.Marshal(new(thrift.CompactProtocol), &p.header)
		if err != nil {
			t.Fatal(err)
		}
		out = append(append(out, header...), body...)
		meta.TotalCompressedSize += int64(len(header) + len(body))
	}
	tail, err := encodeFooter(&footer.meta, footer.schema)
	if err != nil {
		t.Fatal(err)
	}
	out = append(out, tail...)
	return append(binary.LittleEndian.AppendUint32(out, uint32(len(tail))), "PAR1"...)
}

// literals is an LZ4 block of bytes as they are.
func literals(b []byte) []byte {
	if len(b) < 15 {
		return append([]byte{byte(len(b)) << 4}, b...)
	}
	out, left := []byte{0xF0}, len(b)-15
	for ; left >= 255; left -= 255 {
		out = append(out, 255)
	}
	return append(append(out, byte(left)), b...)
}

func TestHadoopLZ4(t *testing.T) {
	input, err := os.ReadFile("testdata/types/codec_lz4.parquet")
	if err != nil {
		t.Fatal(err)
	}
	rows := storedRows(t, readable(t, input))
	dir := t.TempDir()
	var jobs strings.Builder
	for name, raw := range map[string]bool{"framed": false, "raw": true} {
		old := toHadoop(t, input, raw)
		checkCopies(t, old, rows)
		path := filepath.Join(dir, "lz4_"+name+".parquet")
		if err := os.WriteFile(path, old, 0o600); err != nil {
			t.Fatal(err)
		}
		addCompareJobs(t, &jobs, dir, path, Parquet, 50)
	}
	if os.Getenv("CURATE_PYTHON") != "" { // which reads both forms too
		comparePython(t, "compare_rows.py", dir, jobs.String())
	}
}

// TestCodecOfEachRowGroup reads a file whose row groups have different codecs.
func TestCodecOfEachRowGroup(t *testing.T) {
	files := map[string][]byte{}
	for _, codec := range []string{"codec_snappy", "codec_gzip", "codec_lz4", "codec_none", "codec_brotli"} {
		b, err := os.ReadFile("testdata/types/" + codec + ".parquet")
		if err != nil {
			t.Fatal(err)
		}
		files[codec] = b
	}
	first := files["codec_snappy"]
	rows := storedRows(t, first)
	joined := slices.Clone(first)
	footer := footerOf(t, first)
	for g, codec := range []string{"codec_snappy", "codec_gzip", "codec_brotli"} {
		other, err := decodeFooter(bytesObject(files[codec]))
		if err != nil {
			t.Fatal(err)
		}
		for c := range footer.meta.RowGroups[g].Columns {
			meta := &other.meta.RowGroups[g].Columns[c].MetaData
			from := chunkStart(meta)
			shift := int64(len(joined)) - from
			joined = append(joined, files[codec][from:from+meta.TotalCompressedSize]...)
			meta.DataPageOffset += shift
			if meta.DictionaryPageOffset != 0 {
				meta.DictionaryPageOffset += shift
			}
		}
		footer.meta.RowGroups[g] = other.meta.RowGroups[g]
	}
	tail, err := encodeFooter(&footer.meta, footer.schema)
	if err != nil {
		t.Fatal(err)
	}
	joined = append(binary.LittleEndian.AppendUint32(append(joined, tail...), uint32(len(tail))), "PAR1"...)
	checkCopies(t, joined, rows)
}

// TestUnpackedReadAt reads the view of a file in pieces of any size, by several
// goroutines, and with a cache that holds one page.
func TestUnpackedReadAt(t *testing.T) {
	input, err := os.ReadFile("testdata/encodings/plain-v2-lz4.parquet")
	if err != nil {
		t.Fatal(err)
	}
	want := readable(t, input)
	r, err := openParquet(bytesObject(input))
	if err != nil {
		t.Fatal(err)
	}
	view := r.obj.(*unpackedObject)
	view.cache.limit = 1
	var group sync.WaitGroup
	for size := 1; size < 3000; size = 3*size + 1 {
		group.Go(func() {
			p := make([]byte, size)
			for at := int64(0); at < int64(len(want)); at += int64(size) {
				n, err := view.ReadAt(p, at)
				if !bytes.Equal(p[:n], want[at:min(at+int64(size), int64(len(want)))]) || n < size && err != io.EOF {
					t.Errorf("%d bytes at %d: got %d, %v", size, at, n, err)
					return
				}
			}
		})
	}
	group.Wait()
	if n, err := view.ReadAt(make([]byte, 1), int64(len(want))); n != 0 || err != io.EOF {
		t.Errorf("at the end: %d bytes, %v", n, err)
	}
}

// TestDamagedLZ4 cuts and changes LZ4 pages without checksums: an error or
// other values, no panic and no memory beyond what the header says.
func TestDamagedLZ4(t *testing.T) {
	input, err := os.ReadFile("testdata/types/codec_lz4.parquet")
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, p := range storedPages(t, input) {
		for k := range p.header.CompressedPageSize {
			damaged := slices.Clone(input)
			damaged[p.body+int64(k)] ^= 0xFF
			if _, _, err := copyBytes(damaged, Parquet, 50, masks["all"], CopyOptions{}); err != nil {
				refused++
			}
			if k > 8 {
				break
			}
		}
	}
	if refused < 50 {
		t.Errorf("only %d damaged files refused", refused)
	}
}

func TestRuns(t *testing.T) {
	for _, c := range []struct {
		runs []byte
		n    int64
		want []byte
		bad  bool
	}{
		{[]byte{20, 1}, 10, []byte{0xFF, 0x03}, false},
		{[]byte{6, 1, 3, 0b10110100, 4, 1}, 13, []byte{0b10100111, 0b00011101}, false},
		{[]byte{6, 0, 255, 255, 255, 255, 15, 0}, 3, []byte{0}, false}, // what comes after the last value
		{[]byte{4, 1}, 3, nil, true},
		{[]byte{0, 1}, 3, nil, true},
		{[]byte{255, 255, 255, 255, 15, 1}, 3, nil, true},
		{[]byte{3}, 3, nil, true},
		{nil, 1, nil, true},
	} {
		b := append(binary.LittleEndian.AppendUint32(nil, uint32(len(c.runs))), c.runs...)
		got, err := plainBooleans(nil, b, c.n)
		if c.bad != (err != nil) || !c.bad && !bytes.Equal(got, c.want) {
			t.Errorf("%v: got %08b, %v, want %08b", c.runs, got, err, c.want)
		}
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%v: %v is not ErrCorrupt", c.runs, err)
		}
	}
}

// FuzzUnpack reads files that need unpacking: an error or as many rows as
// the footer says.
func FuzzUnpack(f *testing.F) {
	for _, name := range []string{"encodings/rle-v1-lz4", "encodings/rle-v2-zstd", "encodings/noise-v2-lz4", "types/codec_lz4"} {
		b, err := os.ReadFile("testdata/" + name + ".parquet")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := openBytes(b, Parquet)
		if err != nil {
			return
		}
		s.Memory = memory.DefaultAllocator
		if n := s.NumRows(); n > 1000 {
			return
		}
		var out bytes.Buffer
		_, _ = CopyKept(context.Background(), s, decide(int(s.NumRows()), masks["all"]), &out, CopyOptions{})
	})
}
