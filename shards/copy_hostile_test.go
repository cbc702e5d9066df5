package shards

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go/format"
)

// hostileFiles are the type files that mutants are made of: together they have
// all encodings, codecs, page versions and kinds of nesting.
var hostileFiles = []string{
	"struct_deep", "list_list", "map_list", "dictionary", "decimal256", "float16", "int96", "schema_required_field_ids",
	"encoding_delta_byte_stream_split", "encoding_plain_v2_pages", "encoding_dictionary_fallback",
	"codec_none", "codec_snappy", "codec_gzip", "codec_brotli",
}

func typeFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/types/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// checkCopy copies a file that may be damaged: it must give an error, or as
// many rows as were kept.
func checkCopy(t testing.TB, input []byte, f Format, keep func(int) bool) (failed bool) {
	t.Helper()
	return checkCopyWith(t, input, f, keep, CopyOptions{ScoreColumn: "color_score"})
}

// checkCopyWith is checkCopy with options. What was spliced may hold pages that
// cannot be decoded: an error says so when the copy is read.
func checkCopyWith(t testing.TB, input []byte, f Format, keep func(int) bool, opt CopyOptions) (failed bool) {
	t.Helper()
	got, counts, err := copyBytes(input, f, 50, keep, opt)
	if err != nil {
		return true
	}
	kept := int64(0)
	for row := range 50 {
		if keep(row) {
			kept++
		}
	}
	if counts.RowsIn != 50 || counts.Kept != kept {
		t.Errorf("no error, but counts %+v, want %d of 50 kept", counts, kept)
		return false
	}
	_, again, err := copyBytes(got, Parquet, int(kept), masks["all"], CopyOptions{})
	if err != nil && opt.SpliceBytes > 0 {
		return false
	}
	if kept > 0 && (err != nil || again.Kept != kept) {
		t.Errorf("no error, but the output cannot be copied: counts %+v, %v", again, err)
	}
	return false
}

func TestCopyTruncatedFails(t *testing.T) {
	for _, name := range []string{"struct_deep.parquet", "encoding_plain_v2_pages.parquet", "all.arrow", "all.arrows"} {
		input, format := typeFile(t, name), Parquet
		if !strings.HasSuffix(name, ".parquet") {
			format = Arrow
		}
		for n := 0; n < len(input); n += 1 + len(input)/300 {
			if !checkCopy(t, input[:n], format, masks["all"]) {
				t.Errorf("%s cut to %d of %d bytes: no error", name, n, len(input))
			}
		}
	}
}

// TestCopyMutants flips bytes, in the whole file and in the footer alone, by a
// fixed seed.
func TestCopyMutants(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	failed, mutants := 0, 0
	for _, name := range hostileFiles {
		input := typeFile(t, name+".parquet")
		for i := range 60 {
			b := slices.Clone(input)
			from := 0
			if i%2 == 1 {
				from = len(b) - 8 - int(b[len(b)-8]) - int(b[len(b)-7])<<8
			}
			for range 1 + rng.IntN(4) {
				b[from+rng.IntN(len(b)-from)] ^= 1 << rng.IntN(8)
			}
			mutants++
			if checkCopy(t, b, Parquet, masks["third"]) {
				failed++
			}
			checkCopyWith(t, b, Parquet, splicedMasks()["splice most"], spliceAll)
		}
	}
	for i := range 400 {
		b := slices.Clone(typeFile(t, []string{"all.arrow", "all.arrows"}[i%2]))
		for range 1 + rng.IntN(4) {
			b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
		}
		mutants++
		if checkCopy(t, b, Arrow, masks["third"]) {
			failed++
		}
	}
	if failed < mutants/4 {
		t.Errorf("only %d of %d mutants were refused: are they mutants?", failed, mutants)
	}
	t.Logf("%d of %d mutants refused", failed, mutants)
}

// FuzzCopyArrow: any bytes give an error or the right number of rows.
func FuzzCopyArrow(f *testing.F) {
	f.Add(typeFile(f, "all.arrows"))
	f.Fuzz(func(t *testing.T, input []byte) { checkCopy(t, input, Arrow, masks["third"]) })
}

// FuzzCopyParquet: any bytes give an error or the right number of rows.
func FuzzCopyParquet(f *testing.F) {
	for _, name := range hostileFiles {
		f.Add(typeFile(f, name+".parquet"))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		checkCopy(t, input, Parquet, masks["third"])
		checkCopyWith(t, input, Parquet, masks["all"], spliceAll)
	})
}

// FuzzCheckRows: pages of any bytes give an error or the footer's rows.
func FuzzCheckRows(f *testing.F) {
	for _, name := range hostileFiles {
		f.Add(typeFile(f, name+".parquet"))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := CheckRows(context.Background(), mutantStore{content: b}, "x.parquet")
		if err == nil && n < 0 {
			t.Errorf("%d rows", n)
		}
	})
}

// FuzzParquetFooter: any footer behind good pages.
func FuzzParquetFooter(f *testing.F) {
	b := typeFile(f, "struct_deep.parquet")
	end := len(b) - 8
	start := end - int(binary.LittleEndian.Uint32(b[end:]))
	f.Add(b[start:end])
	f.Fuzz(func(t *testing.T, footer []byte) {
		file := append(append([]byte{}, b[:start]...), footer...)
		file = append(binary.LittleEndian.AppendUint32(file, uint32(len(footer))), "PAR1"...)
		checkCopy(t, file, Parquet, masks["third"])
	})
}

// FuzzPageHeaders: the walk of any chunk ends.
func FuzzPageHeaders(f *testing.F) {
	b := typeFile(f, "string.parquet")
	f.Add(b[4:600], int64(20), int32(format.Zstd))
	f.Fuzz(func(t *testing.T, chunk []byte, values int64, codec int32) {
		meta := &format.ColumnMetaData{TotalCompressedSize: int64(len(chunk)), NumValues: values, Codec: format.CompressionCodec(codec)}
		_ = checkPageHeaders(bytesObject(chunk), meta)
	})
}
