package shards_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/local"
	"github.com/curate-data/curate/shards/storetest"
)

// seed adds committed inputs to a fuzz corpus.
func seed(f *testing.F, names ...string) {
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join("testdata/inputs", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
}

// fuzzRead reads b as a file of the name: whatever it holds, an error or as
// many rows as were promised.
func fuzzRead(t *testing.T, name string, b []byte, cols shards.Columns) {
	rows, promised, err := countRows(memInput(name, b), cols)
	if err == nil && promised >= 0 && rows != promised {
		t.Errorf("read %d rows, promised %d", rows, promised)
	}
}

func FuzzParquet(f *testing.F) {
	seed(f, "zero-rows.parquet", "required.parquet", "duckdb.parquet", "zero-groups.parquet")
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzRead(t, "f.parquet", b, shards.Columns{Text: "text", ID: "id"})
	})
}

func FuzzArrow(f *testing.F) {
	seed(f, "empty-file.arrow", "empty-stream.arrows", "deltas.arrows", "replaced.arrows", "plain-file.arrow", "lz4-stream.arrows", "view-file.arrow", "polars-lz4.arrow")
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzRead(t, "f.arrow", b, shards.Columns{Text: "text", Domain: "domain"})
	})
}

func FuzzJSONL(f *testing.F) {
	seed(f, "surrogates.jsonl", "not-utf8.jsonl", "spaces.jsonl", "bad-object.jsonl", "bad-two.jsonl")
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzRead(t, "f.jsonl", b, shards.Columns{Text: "text", ID: "meta.id"})
	})
}

func FuzzJSONLZstd(f *testing.F) {
	seed(f, "ascii.jsonl.zst")
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzRead(t, "f.jsonl.zst", b, shards.Columns{Text: "text"})
	})
}

// FuzzJSONText holds the text of a row against encoding/json, which replaces
// what is not Unicode and otherwise must agree.
func FuzzJSONText(f *testing.F) {
	for _, s := range []string{`a\u00e9\n`, `\ud83e\udd8a`, `\ud83e`, `\\\"\/`, "\xff", `\u0000`, `\uD83E\ud83e\uDD8A`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		line := `{"text":"` + s + `"}`
		var want struct{ Text *string }
		if strings.ContainsAny(s, "\n") || json.Unmarshal([]byte(line), &want) != nil || want.Text == nil {
			t.Skip()
		}
		var keys map[string]json.RawMessage
		if json.Unmarshal([]byte(line), &keys) != nil || len(keys) != 1 || keys["text"] == nil {
			t.Skip() // the literal closed the string and went on
		}
		sh, err := shards.Open(context.Background(), memInput("f.jsonl", []byte(line)))
		if err != nil {
			t.Fatal(err)
		}
		defer sh.Close()
		rows, err := readAll(t, sh, shards.Columns{Text: "text"}, 0, 1)
		if err != nil || len(rows) != 1 {
			t.Fatalf("%d rows, error %v", len(rows), err)
		}
		got := *rows[0][0]
		if utf8.ValidString(got) && got != *want.Text {
			t.Errorf("%s: got %q, encoding/json %q", line, got, *want.Text)
		}
		if !utf8.ValidString(got) && !strings.ContainsRune(*want.Text, utf8.RuneError) {
			t.Errorf("%s: got %q, not UTF-8, encoding/json %q", line, got, *want.Text)
		}
	})
}

// FuzzJSONFields holds the fields that are found in an object against
// encoding/json, which has them all.
func FuzzJSONFields(f *testing.F) {
	for _, s := range []string{`{"text":"a","id":1}`, ` { "x" : [ {"text":"\\"} , "]" ] , "text" : "\"}" , "te\u0078t":"2"}`, `{"text":{"text":"x"}}`, `{}`,
		`{"text":"","id":-1,"a":{"b":{"c":"d"}},"l":[],"o":{}}`, `{"id":"1","text":null,"a":null}`, `{"a.b.c":"x","text":"\\\\\""}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		var want struct{ Text, ID *string }
		var keys map[string]json.RawMessage
		if strings.ContainsAny(line, "\n") || json.Unmarshal([]byte(line), &keys) != nil || keys == nil || !utf8.ValidString(line) || strings.Contains(line, `\ud`) || strings.Contains(line, `\uD`) {
			t.Skip()
		}
		for key, to := range map[string]**string{"text": &want.Text, "id": &want.ID} {
			if keys[key] != nil && json.Unmarshal(keys[key], to) != nil {
				t.Skip() // not a string: tested elsewhere
			}
		}
		in := memInput("f.jsonl", []byte(line))
		sh, err := shards.Open(context.Background(), in)
		if err != nil {
			t.Fatal(err)
		}
		defer sh.Close()
		rows, err := readAll(t, sh, shards.Columns{Text: "text", ID: "id"}, 0, 1)
		if (keys["text"] == nil || keys["id"] == nil) != errors.Is(err, shards.ErrColumn) || err != nil && !errors.Is(err, shards.ErrColumn) {
			t.Fatalf("%s: error %v", line, err)
		}
		if len(rows) != 1 || !equalStrings(rows[0][0], want.Text) || !equalStrings(rows[0][1], want.ID) {
			t.Errorf("%s: got %v", line, rows)
		}
	})
}

func equalStrings(a, b *string) bool { return a == b || a != nil && b != nil && *a == *b }

func FuzzScores(f *testing.F) {
	b, err := os.ReadFile("testdata/scores.parquet")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		for s, err := range shards.ReadScores(context.Background(), object(b)) {
			if err != nil {
				return
			}
			if len(s.Seq) != s.Len() || len(s.ID) != s.Len() || len(s.Domain) != s.Len() || len(s.TokenCount) != s.Len() ||
				len(s.Prior) != s.Len() || len(s.Conditional) != s.Len() || len(s.Color) != s.Len() || len(s.Reason) != s.Len() {
				t.Fatal("columns of different lengths")
			}
		}
	})
}

func FuzzJSONLGzip(f *testing.F) {
	seed(f, "utf8.jsonl.gz", "empty.jsonl.gz", "bad-cut.jsonl.gz")
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzRead(t, "f.jsonl.gz", b, shards.Columns{Text: "text"})
	})
}

// FuzzArrowFile and FuzzArrowStream begin with what the two forms begin with,
// so that no time goes into finding that out.
func FuzzArrowFile(f *testing.F) {
	for _, name := range []string{"empty-file.arrow", "lz4-file.arrow", "nested-file.arrow"} {
		b, err := os.ReadFile(filepath.Join("testdata/inputs", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[8 : len(b)-6])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = append(append([]byte("ARROW1\x00\x00"), b...), "ARROW1"...)
		fuzzRead(t, "f.arrow", b, shards.Columns{Text: "text", ID: "id"})
	})
}

func FuzzArrowStream(f *testing.F) {
	for _, name := range []string{"deltas.arrows", "replaced.arrows", "empty-stream.arrows"} {
		b, err := os.ReadFile(filepath.Join("testdata/inputs", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[4:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzRead(t, "f.arrows", append([]byte{0xFF, 0xFF, 0xFF, 0xFF}, b...), shards.Columns{Text: "text", Domain: "domain"})
	})
}

func FuzzSelection(f *testing.F) {
	var b bytes.Buffer
	w := shards.NewSelectionWriter(&b, nil)
	err := w.Write(&pipeline.Decisions{
		Shard: "a", Row: []int64{0, 1, 5}, Seq: []int32{0, 0, 0}, Keep: []bool{true, false, true},
		Reason: []pipeline.Reason{"", pipeline.BelowCut, ""}, Score: []float32{1, float32(math.NaN()), -2},
	})
	if err := errors.Join(err, w.Close()); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		last := pipeline.RowID{Row: -1}
		for d, err := range shards.ReadSelection(context.Background(), object(b)) {
			if err != nil {
				return
			}
			if n := len(d.Row); len(d.Seq) != n || len(d.Keep) != n || len(d.Reason) != n || len(d.Score) != n {
				t.Fatal("columns of different lengths")
			}
			for i, row := range d.Row {
				id := pipeline.RowID{Shard: d.Shard, Row: row, Seq: d.Seq[i]}
				if last.Row >= 0 && last.Compare(id) >= 0 {
					t.Fatalf("%v comes after %v", id, last)
				}
				last = id
				if d.Keep[i] != (d.Reason[i] == "") {
					t.Fatalf("%v: keep %t, reason %q", id, d.Keep[i], d.Reason[i])
				}
			}
		}
	})
}

// FuzzManifest: what is read can be written, and is then the same.
func FuzzManifest(f *testing.F) {
	store := local.New(f.TempDir())
	if err := shards.WriteManifest(context.Background(), store, "m", goodManifest()); err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(storetest.Get(f, store, "m")))
	f.Add([]byte(`{"format":1,"units":[{"file":"../x"}],"counts":{"rows_in":0}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		ctx := context.Background()
		m, err := shards.ReadManifest(ctx, memStore{content: b}, "m")
		if err != nil {
			return
		}
		for _, u := range m.Units {
			if u.File != "" && !fs.ValidPath(u.File) || u.Shard != "" && !fs.ValidPath(u.Shard) {
				t.Errorf("a unit %q of shard %q", u.File, u.Shard)
			}
		}
		if err := m.Counts.Check(); err != nil {
			t.Error(err)
		}
		store := local.New(t.TempDir())
		if err := shards.WriteManifest(ctx, store, "m", m); err != nil {
			t.Fatal(err)
		}
		again := storetest.Get(t, store, "m")
		if m, err = shards.ReadManifest(ctx, store, "m"); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(store.Remove(ctx, "m"), shards.WriteManifest(ctx, store, "m", m)); err != nil {
			t.Fatal(err)
		}
		if got := storetest.Get(t, store, "m"); got != again {
			t.Errorf("a manifest changes by being read:\n%s\n%s", again, got)
		}
	})
}

// listStore has a list file and, beside it, any object that is asked for.
type listStore struct {
	memStore
	at string
}

func (s listStore) List(_ context.Context, prefix string) ([]shards.ObjectInfo, error) {
	if prefix == "" {
		return []shards.ObjectInfo{{Name: "a.parquet"}, {Name: "b/c.jsonl"}}, nil
	}
	return []shards.ObjectInfo{{Name: prefix, Size: 1}}, nil
}

// FuzzList: whatever a list says, a shard has a name that stays inside an
// output folder, and no two have the same.
func FuzzList(f *testing.F) {
	for _, s := range []string{"a.parquet\nb/c.jsonl\n", "# comment\n\n../x.parquet", "/etc/passwd.jsonl", "s3://b/../../x.parquet\n", "a/../../b.parquet", "**/*.parquet", "s3://key:secret@b/x.parquet", "..\\x.parquet", "./././a.jsonl", "~/x.jsonl\r\n", "@other"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		locate := func(_ context.Context, place string) (shards.Store, string, error) {
			if place == "list" {
				return memStore{content: b}, "list", nil
			}
			if strings.HasSuffix(place, "/") || place == "." {
				return listStore{at: place}, "", nil
			}
			return listStore{at: path.Dir(place)}, path.Base(place), nil
		}
		inputs, err := shards.ListInputs(context.Background(), locate, []string{"@list"})
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, in := range inputs {
			if !fs.ValidPath(in.Shard) || in.Shard == "." || seen[in.Shard] {
				t.Errorf("a shard %q of %s", in.Shard, in.URI)
			}
			seen[in.Shard] = true
			if strings.Contains(in.URI, "@") && strings.Contains(in.URI, "://") {
				t.Errorf("a URI with credentials: %s", in.URI)
			}
		}
	})
}
