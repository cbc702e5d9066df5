package tokenizer

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// The goldens in testdata come from HF tokenizers 0.23.3; see
// scripts/golden/make_tokenizer.py. Ids and digests must be equal.

const demoFile = "../../configs/demo/tokenizer.json"

// goldenLine is a line of encode.jsonl.gz.
type goldenLine struct {
	Kind string             `json:"kind"`
	Text string             `json:"text"`
	IDs  map[string][]int32 `json:"ids"`
}

// readLines decodes a gzipped JSONL file.
func readLines[T any](t testing.TB, path string) []T {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var lines []T
	decoder := json.NewDecoder(bufio.NewReader(z))
	for decoder.More() {
		var line T
		if err := decoder.Decode(&line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	return lines
}

// goldenFiles returns the JSON of every tokenizer that the goldens use: the
// demo's, nfc-tokenizer.json, and its variants.
func goldenFiles(t testing.TB) map[string][]byte {
	t.Helper()
	demo, err := os.ReadFile(demoFile)
	if err != nil {
		t.Fatal(err)
	}
	base, err := os.ReadFile("testdata/nfc-tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"demo": demo, "nfc": base}
	data, err := os.ReadFile("testdata/variants.json")
	if err != nil {
		t.Fatal(err)
	}
	var variants map[string]map[string]json.RawMessage
	if err := json.Unmarshal(data, &variants); err != nil {
		t.Fatal(err)
	}
	for name, patch := range variants {
		files[name] = patched(t, base, patch)
	}
	return files
}

// patched returns base with some keys replaced; "model.x" is a key of the model.
func patched(t testing.TB, base []byte, patch map[string]json.RawMessage) []byte {
	t.Helper()
	var file, model map[string]json.RawMessage
	if err := json.Unmarshal(base, &file); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(file["model"], &model); err != nil {
		t.Fatal(err)
	}
	for key, value := range patch {
		if inner, ok := strings.CutPrefix(key, "model."); ok {
			model[inner] = value
		} else {
			file[key] = value
		}
	}
	if _, whole := patch["model"]; !whole {
		file["model"] = encodeJSON(t, model)
	}
	return encodeJSON(t, file)
}

func encodeJSON(t testing.TB, value any) []byte {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func goldenTokenizers(t testing.TB) map[string]*Tokenizer {
	t.Helper()
	all := map[string]*Tokenizer{}
	for name, data := range goldenFiles(t) {
		tok, err := Parse(data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[name] = tok
	}
	return all
}

func TestGoldenIDs(t *testing.T) {
	tokenizers := goldenTokenizers(t)
	encoders := map[string]*Encoder{}
	for name, tok := range tokenizers {
		encoders[name] = tok.NewEncoder()
	}
	compared, wrong := map[string]int{}, 0
	for _, line := range readLines[goldenLine](t, "testdata/encode.jsonl.gz") {
		for name, want := range line.IDs {
			compared[name]++
			got := encoders[name].Append(nil, []byte(line.Text))
			if slices.Equal(got, want) {
				continue
			}
			if wrong++; wrong <= 10 {
				t.Errorf("%s %s %.120q\n got %v\nwant %v", name, line.Kind, line.Text, head(got), head(want))
			}
		}
	}
	if wrong > 0 {
		t.Errorf("%d texts differ", wrong)
	}
	for name := range tokenizers {
		if compared[name] < 500 {
			t.Errorf("%s: only %d texts compared", name, compared[name])
		}
	}
}

// TestDecodeUndoesAppend: without a normalizer every text comes back.
func TestDecodeUndoesAppend(t *testing.T) {
	tokenizers := goldenTokenizers(t)
	for _, name := range []string{"demo", "cl100k", "llama3", "gpt2", "whole"} {
		e := tokenizers[name].NewEncoder()
		for _, line := range readLines[goldenLine](t, "testdata/encode.jsonl.gz") {
			if got := tokenizers[name].Decode(e.Append(nil, []byte(line.Text))); got != line.Text {
				t.Errorf("%s: %.200q comes back as %.200q", name, line.Text, got)
			}
		}
	}
}

func TestGoldenDecode(t *testing.T) {
	tokenizers := goldenTokenizers(t)
	lines := readLines[struct {
		Tokenizer string  `json:"tokenizer"`
		IDs       []int32 `json:"ids"`
		Text      string  `json:"text"`
	}](t, "testdata/decode.jsonl.gz")
	for _, line := range lines {
		if got := tokenizers[line.Tokenizer].Decode(line.IDs); got != line.Text {
			t.Errorf("%s %v: got %q, want %q", line.Tokenizer, line.IDs, got, line.Text)
		}
	}
}

// TestGoldenUnicode compares normal forms and word boundaries around every
// code point, block by block.
func TestGoldenUnicode(t *testing.T) {
	want := readLines[map[string][]string](t, "testdata/unicode.json.gz")[0]
	classes := newClassTable()
	nfc := newNFC(classes)
	check := func(name string, appendTo func(out []byte, c rune) []byte) {
		var out []byte
		for i, sum := range want[name] {
			out = out[:0]
			for c := rune(i << 12); c < rune(i+1)<<12; c++ {
				if utf8.ValidRune(c) {
					out = appendTo(out, c)
				}
			}
			if hash := sha256.Sum256(out); hex.EncodeToString(hash[:8]) != sum {
				t.Errorf("%s differs between U+%04X and U+%04X", name, i<<12, i<<12|0xFFF)
			}
		}
	}
	check("nfc", func(out []byte, c rune) []byte {
		for _, around := range [][2]string{{}, {"a\u0345", ""}, {"a", "\u0334"}, {"a", "\u0301"}} {
			text := []byte(around[0] + string(c) + around[1])
			start := len(out)
			out = nfc.append(out, text)
			if nfc.span(text) == len(text) && !bytes.Equal(out[start:], text) {
				t.Errorf("span says that %+q is in form C", text)
			}
			out = append(out, '\n')
		}
		return out
	})
	for name, p := range map[string]pattern{"gpt2": patternGPT2, "cl100k": patternCL100K, "qwen2": patternQwen2} {
		s := scanner{pattern: p, classes: classes}
		check(name, boundaries(s.next))
	}
	s := scanner{classes: classes}
	check("digits", boundaries(func(text []byte, i int) int { return s.nextDigits(text, i, false) }))
	for _, name := range []string{"nfc", "gpt2", "cl100k", "qwen2", "digits"} {
		if len(want[name]) != 0x110000>>12 {
			t.Errorf("%s: golden has %d blocks", name, len(want[name]))
		}
	}
}

// boundaries appends the length of each word of a text around c, 4 bytes each.
func boundaries(next func(text []byte, i int) int) func(out []byte, c rune) []byte {
	return func(out []byte, c rune) []byte {
		s := string(c)
		text := []byte(s + "a" + s + "1" + s + " " + s + "!a'" + s + "a")
		for i := 0; i < len(text); {
			end := next(text, i)
			out = binary.LittleEndian.AppendUint32(out, uint32(end-i))
			i = end
		}
		return out
	}
}
