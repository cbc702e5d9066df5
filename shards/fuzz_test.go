package shards_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/curate-data/curate/shards"
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
