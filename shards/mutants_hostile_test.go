package shards

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mutantSource is a good file that mutants are made of.
type mutantSource struct {
	file string // below testdata; its ending says the format
	cols Columns
	rows int64
}

// mutantSources are the files of the drill: between them plain, snappy, zstd,
// brotli and LZ4, plain, dictionary and delta encodings, both page versions,
// flat columns, structs and lists, one and many row groups.
var mutantSources = []mutantSource{
	{"inputs/snappy.parquet", Columns{"text", "id", "domain"}, 40},
	{"inputs/groups-zstd-v2.parquet", Columns{"text", "id", "domain"}, 40},
	{"inputs/delta.parquet", Columns{"text", "id", "domain"}, 40},
	{"inputs/nested.parquet", Columns{"meta.inner.text", "id", "meta.lang"}, 40},
	{"types/struct_deep.parquet", Columns{"v.s.t.u", "id", ""}, 50},
	{"types/codec_brotli.parquet", Columns{"s", "id", ""}, 50},
	{"inputs/dictionary-file.arrow", Columns{"text", "id", "domain"}, 40},
	{"inputs/lz4-stream.arrows", Columns{"text", "id", "domain"}, 40},
	{"inputs/utf8.jsonl.gz", Columns{"text", "id", "domain"}, 40},
	{"inputs/ascii.jsonl.zst", Columns{"text", "id", "domain"}, 40},
}

// moreMutantSources join the drill under CURATE_FULL=1.
var moreMutantSources = []mutantSource{
	{"types/codec_gzip.parquet", Columns{"s", "id", ""}, 50},
	{"types/codec_none.parquet", Columns{"s", "id", ""}, 50},
	{"types/encoding_delta_byte_stream_split.parquet", Columns{"s", "id", ""}, 50},
	{"types/encoding_dictionary_fallback.parquet", Columns{"s", "id", ""}, 50},
	{"types/encoding_plain_v2_pages.parquet", Columns{"s", "id", ""}, 50},
	{"types/map_list.parquet", Columns{"v.key_value.key", "id", ""}, 50},
	{"types/list_list.parquet", Columns{"id", "id", ""}, 50},
	{"inputs/plain-index-crc.parquet", Columns{"text", "id", "domain"}, 40},
	{"inputs/gzip-small-pages.parquet", Columns{"text", "id", "domain"}, 40},
	{"inputs/zstd-file.arrow", Columns{"text", "id", "domain"}, 40},
	{"inputs/nested-stream.arrows", Columns{"meta.inner.text", "id", "meta.lang"}, 40},
	{"types/all.arrow", Columns{"text", "", ""}, 50},
	{"encodings/noise-v2-lz4.parquet", Columns{"v", "id", ""}, 200},
	{"encodings/rle-v1-lz4.parquet", Columns{"id", "id", ""}, 200},
	{"encodings/duckdb-v2-lz4_raw.parquet", Columns{"s_some", "id", ""}, 200},
	{"tars/pax.tar.gz", Columns{"txt", "__key__", ""}, 23},
	{"tars/gnu.tar", Columns{"txt", "__key__", ""}, 23},
}

// mutant is one damaged file.
type mutant struct {
	mutantSource
	number int // in the drill
	what   string
	bytes  []byte
}

// name is the mutant's file name, the ending included.
func (m *mutant) name() string { return fmt.Sprintf("m%05d-%s", m.number, filepath.Base(m.file)) }

// mutants makes the same damaged files every time.
func mutants(t testing.TB, full bool) []mutant {
	t.Helper()
	sources, each := mutantSources, 25
	if full {
		sources, each = append(slices.Clone(mutantSources), moreMutantSources...), 250
	}
	var all []mutant
	for i, source := range sources {
		whole, err := os.ReadFile(filepath.Join("testdata", source.file))
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(250, uint64(i)))
		for k := range each {
			b, what := damage(r, whole, k)
			all = append(all, mutant{source, len(all), what, b})
		}
	}
	return all
}

// damage returns a damaged copy of b and how it was damaged: by k in turn bytes
// flipped, the footer's bytes flipped, the end cut off, bytes put in, and
// something that looks like a length changed.
func damage(r *rand.Rand, whole []byte, k int) ([]byte, string) {
	b := slices.Clone(whole)
	switch k % 5 {
	case 0:
		return b, "flip" + flip(r, b, 1+r.IntN(4))
	case 1:
		footer := b[len(b)-footerLength(b):]
		return b, "footer" + flip(r, footer, 1+r.IntN(3))
	case 2:
		n := r.IntN(len(b))
		return b[:n], fmt.Sprintf("cut to %d", n)
	case 3:
		at, more := r.IntN(len(b)), make([]byte, 1+r.IntN(64))
		if r.IntN(2) == 0 {
			for i := range more {
				more[i] = byte(r.Uint32())
			}
		} else {
			copy(more, b[r.IntN(len(b)):]) // a part of the file, twice
		}
		return slices.Insert(b, at, more...), fmt.Sprintf("insert %d at %d", len(more), at)
	default:
		return b, "length" + lengthEdit(r, b)
	}
}

func flip(r *rand.Rand, b []byte, n int) string {
	what := ""
	for range n {
		i, bit := r.IntN(len(b)), r.IntN(8)
		b[i] ^= 1 << bit
		what += fmt.Sprintf(" %d.%d", i, bit)
	}
	return what
}

// footerLength is how many bytes at the end hold a footer, as the Parquet or
// Arrow file says, or a trailer.
func footerLength(b []byte) int {
	end := len(b)
	switch {
	case bytes.HasSuffix(b, []byte("PAR1")):
		return min(end, 8+int(binary.LittleEndian.Uint32(b[end-8:])))
	case bytes.HasSuffix(b, []byte("ARROW1")):
		return min(end, 10+int(binary.LittleEndian.Uint32(b[end-10:])))
	}
	return min(end, 16)
}

// lengthEdit puts a number that is out of bounds where lengths and counts are:
// in the footer, at the beginning, or at the beginning of a page or message.
func lengthEdit(r *rand.Rand, b []byte) string {
	at := r.IntN(min(len(b), 64))
	if r.IntN(3) > 0 {
		at = len(b) - 1 - r.IntN(footerLength(b))
	}
	numbers := [][]byte{
		{0xFF, 0xFF, 0xFF, 0x7F}, {0xFF, 0xFF, 0xFF, 0xFF}, {0, 0, 0, 0x80}, {0, 0, 0, 0}, {0, 0, 0, 0x40},
		{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F}, {0xFE, 0xFF, 0xFF, 0xFF, 0x0F}, // a varint of 2^31-1, zigzag
		{0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01}, {0x80, 0x80, 0x80, 0x80, 0x04},
	}
	n := copy(b[at:], numbers[r.IntN(len(numbers))])
	return fmt.Sprintf(" %d bytes at %d", n, at)
}

// TestMutantsAreTheSame: the drill's figures are about these very files.
func TestMutantsAreTheSame(t *testing.T) {
	first, again := mutants(t, false), mutants(t, false)
	if len(first) != 250 {
		t.Errorf("%d mutants, want 250", len(first))
	}
	kinds := map[string]int{}
	for i, m := range first {
		if !bytes.Equal(m.bytes, again[i].bytes) {
			t.Fatalf("mutant %d differs between two calls", i)
		}
		kind, _, _ := strings.Cut(m.what, " ")
		kinds[kind]++
	}
	for _, kind := range []string{"flip", "footer", "cut", "insert", "length"} {
		if kinds[kind] != 50 {
			t.Errorf("%d mutants of kind %s, want 50", kinds[kind], kind)
		}
	}
}
