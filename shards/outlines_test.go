package shards

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"
)

// linesOf decompresses JSONL output.
func linesOf(t testing.TB, format OutputFormat, b []byte) []byte {
	t.Helper()
	r := io.Reader(bytes.NewReader(b))
	var err error
	switch format {
	case OutJSONLZstd:
		var z *zstd.Decoder
		if z, err = zstd.NewReader(r); err == nil {
			defer z.Close()
			r = z
		}
	case OutJSONLGzip:
		r, err = gzip.NewReader(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// oddLines are rows whose bytes a decoder would not give back.
var oddLines = []string{
	`{"text":"a"}`, ` { "b" : 1.0e+2 , "a":-0 } `, `{"n":123456789012345678901234567890,"n":2}`, "{\"s\":\"\xff\xc3\\u0041\\/\\ud83e\"}",
	`{}`, `{ }`, "{\"crlf\":[1 , 2]}\r", `{"x":{"color_score":1}}`, "{\"tab\"\t:\tnull}",
}

func TestCopyLinesVerbatim(t *testing.T) {
	input := []byte("\xef\xbb\xbf" + strings.Join(oddLines, "\n\n \n")) // a mark, blank lines, no line feed at the end
	for _, format := range []OutputFormat{OutJSONL, OutJSONLZstd, OutJSONLGzip, OutSame} {
		for name, keep := range map[string]func(int) bool{"all": masks["all"], "third": masks["third"], "none": func(int) bool { return false }} {
			var want strings.Builder
			kept := int64(0)
			for i, line := range oddLines {
				if keep(i) {
					want.WriteString(line + "\n")
					kept++
				}
			}
			got, counts, err := copyBytes(input, JSONL, len(oddLines), keep, CopyOptions{Format: format})
			if err != nil {
				t.Fatal(err)
			}
			if counts.Kept != kept || counts.RowsIn != int64(len(oddLines)) {
				t.Errorf("%s %s: counts %+v", format, name, counts)
			}
			if kept == 0 {
				if len(got) > 0 {
					t.Errorf("%s: %d bytes for no rows", format, len(got))
				}
				continue
			}
			if lines := string(linesOf(t, format, got)); lines != want.String() {
				t.Errorf("%s %s:\n got %q\nwant %q", format, name, lines, want.String())
			}
			again, _, _ := copyBytes(input, JSONL, len(oddLines), keep, CopyOptions{Format: format})
			if !bytes.Equal(got, again) {
				t.Errorf("%s: a second copy has other bytes", format)
			}
		}
	}
}

func TestCopyLinesScore(t *testing.T) {
	input := []byte(strings.Join(oddLines, "\n"))
	got, _, err := copyBytes(input, JSONL, len(oddLines), masks["all"], CopyOptions{Format: OutJSONL, ScoreColumn: "sc\"ö"})
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(strings.TrimSuffix(string(got), "\n"), "\n") {
		comma := ","
		if i == 4 || i == 5 {
			comma = ""
		}
		tail := fmt.Sprintf(`%s"sc\"ö":%v`, comma, float32(i)+0.5)
		if strings.Count(line, tail) != 1 || strings.Replace(line, tail, "", 1) != oddLines[i] {
			t.Errorf("line %d: %q, want %q with %q before the brace", i, line, oddLines[i], tail)
		}
	}
	_, _, err = copyBytes([]byte(`{"color_sc\u006fre":1}`), JSONL, 1, masks["all"], CopyOptions{Format: OutJSONL, ScoreColumn: "color_score"})
	if err == nil || !strings.Contains(err.Error(), "choose another name") {
		t.Errorf("a key of the score's name: %v", err)
	}
	for _, bad := range []string{`{"a":1`, `[1]`, `{"a":\q}`} {
		if _, _, err := copyBytes([]byte(bad), JSONL, 1, masks["all"], CopyOptions{Format: OutJSONL}); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: want ErrCorrupt, got %v", bad, err)
		}
	}
}

func TestJSONScore(t *testing.T) {
	for score, want := range map[float32]string{0.1: "0.1", float32(math.Copysign(0, -1)): "-0.0", 1e-7: "1e-07", 16777216: "16777216.0", 3.4028235e38: "3.4028235e+38"} {
		got, err := appendJSONScore(nil, score)
		if err != nil || string(got) != want || !json.Valid(got) {
			t.Errorf("%v: %s, %v", score, got, err)
		}
	}
	if got, err := appendJSONScore(nil, float32(math.NaN())); err != nil || string(got) != "null" {
		t.Errorf("NaN: %s, %v", got, err)
	}
	if _, err := appendJSONScore(nil, float32(math.Inf(1))); !errors.Is(err, ErrUnsupported) {
		t.Errorf("infinity: %v", err)
	}
}

func TestJSONString(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		var back string
		literal := appendJSONString(nil, []byte(s))
		if err := json.Unmarshal(literal, &back); err != nil || back != s {
			t.Fatalf("%q: %s: %q, %v", s, literal, back, err)
		}
	})
}

// FuzzOutJSONL copies whatever lines there are: an error, or the kept ones byte
// for byte, and with a score the same but for it.
func FuzzOutJSONL(f *testing.F) {
	for _, line := range oddLines {
		f.Add([]byte(line+"\n{\"a\":1}\n"), uint8(3))
	}
	f.Add([]byte("{\"a\":1}\n[]\n"), uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, mask uint8) {
		s, err := openBytes(b, JSONL)
		if err != nil {
			return
		}
		var rows []string
		if err := s.reader.(*jsonlReader).eachLine(t.Context(), func(line []byte, _ int64) error {
			rows = append(rows, string(line))
			return nil
		}); err != nil {
			return
		}
		keep := func(i int) bool { return mask>>(i%8)&1 == 1 }
		got, _, err := copyBytes(b, JSONL, len(rows), keep, CopyOptions{Format: OutJSONL})
		scored, _, scoredErr := copyBytes(b, JSONL, len(rows), keep, CopyOptions{Format: OutJSONL, ScoreColumn: "\x01score"})
		want, valid := "", true
		for i, row := range rows {
			if keep(i) {
				want += row + "\n"
				valid = valid && json.Valid([]byte(row)) && strings.HasPrefix(strings.TrimLeft(row, " \t\r"), "{")
			}
		}
		if (err == nil) != valid {
			t.Fatalf("valid is %t, but the copy says %v", valid, err)
		}
		if err != nil {
			return
		}
		if string(got) != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if scoredErr != nil {
			return // it has the key
		}
		for i, line := range strings.Split(strings.TrimSuffix(string(scored), "\n"), "\n") {
			if line != "" && !json.Valid([]byte(line)) {
				t.Errorf("line %d with a score is not JSON: %q", i, line)
			}
		}
	})
}

// TestCopyLinesPeers has Python's json, pyarrow and DuckDB read what was written.
func TestCopyLinesPeers(t *testing.T) {
	python := needPython(t)
	input, err := os.ReadFile(jsonRows + ".jsonl")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, format := range []OutputFormat{OutJSONL, OutJSONLZstd, OutJSONLGzip} {
		got, _, err := copyBytes(input, JSONL, 50, masks["third"], CopyOptions{Format: format, ScoreColumn: "color_score"})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "out."+string(format)), got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(python, "testdata/read_lines.py", jsonRows+".jsonl", dir).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestOutputNames(t *testing.T) {
	for _, c := range []struct {
		format     OutputFormat
		shard, out string
	}{
		{"", "a/b.jsonl.gz", "a/b.parquet"}, {OutParquet, "b.pq", "b.parquet"}, {OutParquet, "b.parquet", "b.parquet"},
		{OutJSONL, "b.parquet", "b.jsonl"}, {OutJSONLZstd, "b.jsonl", "b.jsonl.zst"}, {OutJSONLGzip, "b.json.zst", "b.jsonl.gz"},
		{OutArrowFile, "b.feather", "b.arrow"}, {OutArrowStream, "b.arrow", "b.arrows"}, {OutSame, "b.ndjson.gz", "b.ndjson.gz"},
	} {
		if got := c.format.Name(c.shard); got != c.out {
			t.Errorf("%s as %q: %s, want %s", c.shard, c.format, got, c.out)
		}
	}
	if err := OutputFormat("csv").Validate(); err == nil || !strings.Contains(err.Error(), "jsonl.zst") {
		t.Errorf("csv: %v", err)
	}
}
