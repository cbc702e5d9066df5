package shards_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
)

// tokenSequences are two sequences of four tokens, the first one of two
// documents.
func tokenSequences() []pipeline.Sequence {
	return []pipeline.Sequence{
		{Seq: 0, Tokens: []int32{1, 2, 65535, 0}, Pieces: []pipeline.Piece{{Row: 0, ID: "first, \"quoted\"\nid", Tokens: 3}, {Row: 2, Tokens: 1}}},
		{Seq: 3, Tokens: []int32{256, 7, 8, 0}, Pieces: []pipeline.Piece{{Row: 5, ID: "f", Tokens: 4}}},
	}
}

// writeTokens returns the files of the sequences by name.
func writeTokens(t testing.TB, opt shards.TokenOptions, sequences []pipeline.Sequence) map[string][]byte {
	t.Helper()
	names := opt.Format.Files("t")
	buffers := make([]bytes.Buffer, len(names))
	var files []io.Writer
	for i := range buffers {
		files = append(files, &buffers[i])
	}
	writer, err := shards.NewTokenWriter("en/a.parquet", files, opt)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sequences {
		if err := writer.Write(s); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for i, name := range names {
		out[name] = buffers[i].Bytes()
	}
	return out
}

// TestTokenFilesByteForByte spells both layouts out, as docs/FORMAT.md does.
func TestTokenFilesByteForByte(t *testing.T) {
	npy := writeTokens(t, shards.TokenOptions{Format: shards.TokensNPY, Width: 2, SequenceLength: 4}, tokenSequences())
	if want := "\x01\x00\x02\x00\xff\xff\x00\x00\x00\x01\x07\x00\x08\x00\x00\x00"; string(npy["t.npy"]) != want {
		t.Errorf("t.npy: %q, want %q", npy["t.npy"], want)
	}
	compressed, err := gzip.NewReader(bytes.NewReader(npy["t.csv.gz"]))
	if err != nil {
		t.Fatal(err)
	}
	table, err := io.ReadAll(compressed)
	want := "0,3,\"first, \"\"quoted\"\"\nid\",en/a.parquet,0\n3,4,en/a.parquet/2,en/a.parquet,2\n4,8,f,en/a.parquet,5\n"
	if time := npy["t.csv.gz"][4:8]; err != nil || string(table) != want || string(time) != "\x00\x00\x00\x00" {
		t.Errorf("t.csv.gz: %q of time %v, want %q of none; %v", table, time, want, err)
	}
	ds := writeTokens(t, shards.TokenOptions{Format: shards.TokensDS, Width: 4, SequenceLength: 4, Tokenizer: "gpt2"}, tokenSequences())
	for name, want := range map[string]string{
		"t.ds":          "\x01\x00\x00\x00\x02\x00\x00\x00\xff\xff\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x07\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00",
		"t.ds.index":    "\x04\x00\x00\x00\x00\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00",
		"t.ds.metadata": "gpt2|4\n8\n8.00 T",
	} {
		if string(ds[name]) != want {
			t.Errorf("%s: %q, want %q", name, ds[name], want)
		}
	}
}

// TestTokenWriterRefuses: an id that does not fit is an error, never cut off.
func TestTokenWriterRefuses(t *testing.T) {
	opt := shards.TokenOptions{Format: shards.TokensNPY, Width: 2, SequenceLength: 2}
	for _, c := range []struct {
		tokens []int32
		want   string
	}{{[]int32{1, 65536}, "65536"}, {[]int32{-1, 1}, "-1"}, {[]int32{1, 2, 3}, "3 tokens"}} {
		writer, err := shards.NewTokenWriter("a", []io.Writer{io.Discard, io.Discard}, opt)
		if err != nil {
			t.Fatal(err)
		}
		if err := writer.Write(pipeline.Sequence{Tokens: c.tokens}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want an error with %q", c.tokens, err, c.want)
		}
	}
	if _, err := shards.NewTokenWriter("a", []io.Writer{io.Discard}, opt); err == nil {
		t.Error("one file for two: no error")
	}
	err := shards.TokenOptions{Format: "bin", Width: 3, Tokenizer: "a|b"}.Validate()
	if err == nil || len(err.(interface{ Unwrap() []error }).Unwrap()) != 4 {
		t.Errorf("got %v, want four faults", err)
	}
	for vocabulary, want := range map[int]int{50280: 2, 65536: 2, 65537: 4, 100278: 4} {
		if got := shards.TokenWidth(vocabulary); got != want {
			t.Errorf("TokenWidth(%d) = %d, want %d", vocabulary, got, want)
		}
	}
}

// fileStore is a Store of files in memory, to be read.
type fileStore struct {
	shards.Store
	files map[string][]byte
}

func (s fileStore) Open(_ context.Context, name string) (shards.Object, error) {
	content, ok := s.files[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return object(content), nil
}

func checkFiles(files map[string][]byte, opt shards.TokenOptions) ([]int64, error) {
	return shards.CheckTokens(context.Background(), fileStore{files: files}, "t", opt)
}

func zipped(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestCheckTokens passes what the writer wrote and finds what contradicts.
func TestCheckTokens(t *testing.T) {
	npy := shards.TokenOptions{Format: shards.TokensNPY, Width: 2, SequenceLength: 4}
	ds := shards.TokenOptions{Format: shards.TokensDS, Width: 4, SequenceLength: 4, Tokenizer: "gpt2"}
	for _, c := range []struct {
		opt  shards.TokenOptions
		rows []int64
	}{{npy, []int64{2, 3}}, {ds, []int64{2, 2, 3}}} {
		if rows, err := checkFiles(writeTokens(t, c.opt, tokenSequences()), c.opt); err != nil || !slices.Equal(rows, c.rows) {
			t.Errorf("%s: rows %v, %v, want %v", c.opt.Format, rows, err, c.rows)
		}
	}
	index := func(ends ...byte) []byte {
		var b []byte
		for _, end := range ends {
			b = append(b, end, 0, 0, 0, 0, 0, 0, 0)
		}
		return b
	}
	for _, c := range []struct {
		opt  shards.TokenOptions
		file string
		with []byte
	}{
		{npy, "t.npy", nil},
		{npy, "t.npy", make([]byte, 15)},
		{npy, "t.npy", make([]byte, 24)},
		{npy, "t.csv.gz", []byte("0,8,a,b,0\n")},
		{npy, "t.csv.gz", zipped(t, "0,4,a,b,0\n")},            // ends early
		{npy, "t.csv.gz", zipped(t, "0,8,a,b,0\n")},            // crosses a sequence
		{npy, "t.csv.gz", zipped(t, "0,4,a,b,0\n5,8,a,b,0\n")}, // a gap
		{npy, "t.csv.gz", zipped(t, "0,4,a,b,0\n4,4,a,b,0\n4,8,a,b,0\n")},
		{npy, "t.csv.gz", zipped(t, "0,4,a,b,0\n4,8,a,b,x\n")},
		{npy, "t.csv.gz", zipped(t, "0,4,a,b,0\n4,8,a,b,-1\n")},
		{npy, "t.csv.gz", zipped(t, "0,4,a,b,0\n4,8,a,b\n")},
		{npy, "t.csv.gz", zipped(t, "0,4,a,b,0\n4,8,\"a,b,0\n")},
		{ds, "t.ds.index", index(4)},
		{ds, "t.ds.index", index(4, 7)},
		{ds, "t.ds.index", index(8, 4)},
		{ds, "t.ds.metadata", []byte("gpt2|2\n8\n8.00 T")},
		{ds, "t.ds.metadata", []byte("gpt2|4\n9\n9.00 T")},
		{ds, "t.ds.metadata", []byte("gpt2")},
	} {
		files := writeTokens(t, c.opt, tokenSequences())
		files[c.file] = c.with
		if rows, err := checkFiles(files, c.opt); !errors.Is(err, shards.ErrCorrupt) {
			t.Errorf("%s of %q: rows %v, %v, want ErrCorrupt", c.file, c.with, rows, err)
		}
	}
	files := writeTokens(t, npy, tokenSequences())
	delete(files, "t.csv.gz")
	if _, err := checkFiles(files, npy); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without t.csv.gz: %v", err)
	}
}

// TestMetadataCountsLikeHumanize compares with what Python's
// humanize.metric(n, unit="T") gives (4.17.0).
func TestMetadataCountsLikeHumanize(t *testing.T) {
	for tokens, want := range map[int]string{
		2: "2.00 T", 10: "10.0 T", 998: "998 T", 1000: "1.00 kT", 1234: "1.23 kT", 9996: "10.0 kT", 65536: "65.5 kT", 123456: "123 kT",
		999998: "1.00 MT", 1234567: "1.23 MT", 99960000: "100 MT",
	} {
		opt := shards.TokenOptions{Format: shards.TokensDS, Width: 2, SequenceLength: tokens, Tokenizer: "x"}
		files := writeTokens(t, opt, []pipeline.Sequence{{Tokens: make([]int32, tokens), Pieces: []pipeline.Piece{{Tokens: tokens}}}})
		if got := string(files["t.ds.metadata"]); got != fmt.Sprintf("x|2\n%d\n%s", tokens, want) {
			t.Errorf("%d tokens: %q, want %q", tokens, got, want)
		}
	}
}

// FuzzCheckTokens puts any bytes beside two good sequences: an error or not,
// no panic, and no rows but the right ones.
func FuzzCheckTokens(f *testing.F) {
	npy := shards.TokenOptions{Format: shards.TokensNPY, Width: 2, SequenceLength: 4}
	ds := shards.TokenOptions{Format: shards.TokensDS, Width: 2, SequenceLength: 4, Tokenizer: "gpt2"}
	wholeNPY, wholeDS := writeTokens(f, npy, tokenSequences()), writeTokens(f, ds, tokenSequences())
	f.Add(wholeNPY["t.csv.gz"], wholeDS["t.ds.index"], wholeDS["t.ds.metadata"])
	f.Add(zipped(f, "0,4,a,b,0\n4,8,\"a\n"), []byte{1}, []byte("|2\n8\n"))
	f.Add(zipped(f, "0,9223372036854775807,a,b,0\n"), bytes.Repeat([]byte{255}, 16), []byte{})
	f.Fuzz(func(t *testing.T, table, index, metadata []byte) {
		files := map[string][]byte{
			"t.npy": wholeNPY["t.npy"], "t.csv.gz": table,
			"t.ds": wholeDS["t.ds"], "t.ds.index": index, "t.ds.metadata": metadata,
		}
		if rows, err := checkFiles(files, npy); err == nil && (rows[0] != 2 || rows[1] < 2 || rows[1] > 8) {
			t.Errorf("npy: rows %v", rows)
		}
		if rows, err := checkFiles(files, ds); err == nil && (!slices.Equal(rows, []int64{2, 2, 3}) || !bytes.Equal(index, wholeDS["t.ds.index"])) {
			t.Errorf("ds: rows %v of index %v", rows, index)
		}
	})
}
