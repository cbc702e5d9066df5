package shards_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"testing"

	"github.com/curate-data/curate/shards"
)

// memStore is a read-only Store of one object.
type memStore struct {
	shards.Store
	content []byte
}

func (s memStore) Open(context.Context, string) (shards.Object, error) {
	return object(s.content), nil
}

// memInput is an Input of some bytes under a file name.
func memInput(name string, b []byte) shards.Input {
	in := shards.Input{Store: memStore{content: b}, Path: name, Shard: name, URI: name, Size: int64(len(b)), Format: shards.Parquet}
	switch {
	case strings.Contains(name, "json"):
		in.Format = shards.JSONL
	case strings.Contains(name, "arrow"), strings.HasSuffix(name, ".feather"):
		in.Format = shards.Arrow
	}
	return in
}

// countRows reads a shard and returns its rows, counted and as promised.
func countRows(in shards.Input, cols shards.Columns) (rows, promised int64, err error) {
	s, err := shards.Open(context.Background(), in)
	if err != nil {
		return 0, 0, err
	}
	defer s.Close()
	for b, err := range s.Batches(context.Background(), cols, 0, s.NumRowGroups()) {
		if err != nil {
			return rows, s.NumRows(), err
		}
		rows += int64(b.NumRows())
		b.Release()
	}
	return rows, s.NumRows(), nil
}

// mutate returns a damaged copy of b and says how it was damaged.
func mutate(r *rand.Rand, b []byte, k int, cut bool) ([]byte, string) {
	b = append([]byte(nil), b...)
	tail := max(0, len(b)-600) // where footers are
	switch {
	case k%5 == 4 && cut:
		n := r.IntN(len(b))
		return b[:n], fmt.Sprintf("cut to %d bytes", n)
	case k%5 == 3:
		i, v := tail+r.IntN(len(b)-tail), byte(r.IntN(256))
		b[i] = v
		return b, fmt.Sprintf("byte %d set to %d", i, v)
	case k%5 == 2:
		i := r.IntN(len(b))
		n := min(len(b)-i, 1+r.IntN(8))
		fill := []byte{0, 0x7F, 0xFF}[r.IntN(3)]
		for j := range n {
			b[i+j] = fill
		}
		return b, fmt.Sprintf("%d bytes at %d set to %d", n, i, fill)
	}
	what := ""
	for range 1 + k%5*2 {
		i, bit := r.IntN(len(b)), r.IntN(8)
		b[i] ^= 1 << bit
		what += fmt.Sprintf("bit %d of byte %d flipped ", bit, i)
	}
	return b, what
}

// TestHostile damages every input in many ways. Reading must never panic, and
// must not end well with another number of rows than the file had.
func TestHostile(t *testing.T) {
	golden := loadGolden(t)
	perFile := 40
	if testing.Short() {
		perFile = 10
	}
	var names []string
	for name, in := range golden.Inputs {
		if in.Error == "" {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	failed, read := 0, 0
	for _, name := range names {
		in := golden.Inputs[name]
		whole, err := os.ReadFile(filepath.Join("testdata/inputs", name))
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(11, uint64(len(whole))))
		// Lines that are lost from the end of plain text leave no trace.
		cut := !strings.HasPrefix(filepath.Ext(name), ".json") && !strings.HasSuffix(name, ".ndjson")
		for k := range perFile {
			b, what := mutate(r, whole, k, cut)
			rows, _, err := countRows(memInput(name, b), in.columns())
			switch want := int64(len(golden.Tables[in.Rows])); {
			case err != nil:
				failed++
			case rows != want:
				t.Errorf("%s with %s: read %d rows of %d without an error", name, what, rows, want)
			default:
				read++
			}
		}
	}
	t.Logf("%d files damaged: %d refused, %d read with all their rows", failed+read, failed, read)
	if failed < (failed+read)/4 {
		t.Errorf("only %d of %d damaged files were refused", failed, failed+read)
	}
}

// TestHostileCounts lowers, one at a time, everything in a file that looks like
// its number of rows.
func TestHostileCounts(t *testing.T) {
	golden := loadGolden(t)
	for name, count := range map[string][2]string{
		"plain-file.arrow":        {"\x28\x00\x00\x00\x00\x00\x00\x00", "\x27\x00\x00\x00\x00\x00\x00\x00"}, // int64 40, 39
		"plain-stream.arrows":     {"\x28\x00\x00\x00\x00\x00\x00\x00", "\x27\x00\x00\x00\x00\x00\x00\x00"},
		"lz4-file.arrow":          {"\x07\x00\x00\x00\x00\x00\x00\x00", "\x06\x00\x00\x00\x00\x00\x00\x00"},
		"plain-index-crc.parquet": {"\x50", "\x4e"}, // zigzag varints of 40, 39
		"groups-zstd-v2.parquet":  {"\x0e", "\x0c"},
		"required.parquet":        {"\x50", "\x4e"},
	} {
		in := golden.Inputs[name]
		whole, err := os.ReadFile(filepath.Join("testdata/inputs", name))
		if err != nil {
			t.Fatal(err)
		}
		refused := 0
		for at := 0; at < len(whole); at++ {
			i := bytes.Index(whole[at:], []byte(count[0]))
			if i < 0 {
				break
			}
			at += i
			b := append(append(append([]byte(nil), whole[:at]...), count[1]...), whole[at+len(count[1]):]...)
			rows, _, err := countRows(memInput(name, b), in.columns())
			if want := int64(len(golden.Tables[in.Rows])); err == nil && rows != want {
				t.Errorf("%s with a lower count at %d: read %d rows of %d without an error", name, at, rows, want)
			}
			if err != nil {
				refused++
			}
		}
		if refused < 3 {
			t.Errorf("%s: only %d lower counts were refused", name, refused)
		}
	}
}

// TestHostileMemory damages lengths in footers and headers and bounds what
// reading allocates.
func TestHostileMemory(t *testing.T) {
	golden := loadGolden(t)
	for _, name := range []string{"snappy.parquet", "groups-zstd-v2.parquet", "delta.parquet", "zstd-file.arrow", "lz4-stream.arrows", "dictionary-file.arrow"} {
		whole, err := os.ReadFile(filepath.Join("testdata/inputs", name))
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(12, 0))
		for k := range 100 {
			b, what := mutate(r, whole, 2+k%2, false)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			countRows(memInput(name, b), golden.Inputs[name].columns())
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > 64<<20 {
				t.Errorf("%s with %s: allocated %d MB for a file of %d KB", name, what, got>>20, len(whole)>>10)
			}
		}
	}
}

func TestOpenMissing(t *testing.T) {
	in := inputOf(t, "testdata/inputs/snappy.parquet")
	in.Path = "nope.parquet"
	if _, err := shards.Open(context.Background(), in); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got error %v", err)
	}
}

// upStore lists objects whose names lead upwards, as keys of a bucket may.
type upStore struct {
	memStore
	names []string
}

func (s upStore) List(context.Context, string) ([]shards.ObjectInfo, error) {
	var infos []shards.ObjectInfo
	for _, name := range s.names {
		infos = append(infos, shards.ObjectInfo{Name: name, Size: 1})
	}
	return infos, nil
}

// TestListedNamesStayInside: an object whose key has .. elements is refused,
// however it is listed; its output would be outside the output folder.
func TestListedNamesStayInside(t *testing.T) {
	for _, name := range []string{"../x.parquet", "a/../../x.parquet", "/x.parquet", "a//x.parquet", "./x.parquet", "a/./x.parquet"} {
		locate := func(_ context.Context, place string) (shards.Store, string, error) {
			if strings.HasSuffix(place, ".parquet") && place != "s3://b/pool/**" {
				return upStore{names: []string{name}}, name, nil
			}
			return upStore{names: []string{"good.parquet", name}}, "", nil
		}
		for _, arg := range []string{"s3://b/pool/", "s3://b/pool/x.parquet"} {
			inputs, err := shards.ListInputs(context.Background(), locate, []string{arg})
			if err == nil {
				t.Errorf("%s with object %q: shards %v", arg, name, inputs)
			}
		}
	}
}
