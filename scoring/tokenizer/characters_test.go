package tokenizer

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// The goldens of models of characters come from HF tokenizers 0.23.3; see
// scripts/golden/make_tokenizer_sp.py.

// characterFiles returns the JSON of every model of characters in testdata.
func characterFiles(t testing.TB) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for name, path := range map[string]string{"sp": "testdata/sp-tokenizer.json", "crossing": "testdata/sp-crossing.json"} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = data
	}
	data, err := os.ReadFile("testdata/sp-variants.json")
	if err != nil {
		t.Fatal(err)
	}
	var variants map[string]map[string]json.RawMessage
	if err := json.Unmarshal(data, &variants); err != nil {
		t.Fatal(err)
	}
	for name, patch := range variants {
		files["sp-"+name] = patched(t, files["sp"], patch)
	}
	return files
}

func parseAll(t testing.TB, files map[string][]byte) map[string]*Tokenizer {
	t.Helper()
	all := map[string]*Tokenizer{}
	for name, data := range files {
		tok, err := Parse(data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[name] = tok
	}
	return all
}

func TestCharacterGoldens(t *testing.T) {
	tokenizers := parseAll(t, characterFiles(t))
	compared, wrong := map[string]int{}, 0
	for _, window := range []int{defaultWindow, 3} {
		encoders := map[string]*Encoder{}
		for name, tok := range tokenizers {
			encoders[name] = tok.NewEncoder()
			encoders[name].window = window
		}
		for _, line := range readLines[goldenLine](t, "testdata/sp-encode.jsonl.gz") {
			for name, want := range line.IDs {
				compared[name]++
				got := encoders[name].Append(nil, []byte(line.Text))
				if slices.Equal(got, want) {
					continue
				}
				if wrong++; wrong <= 10 {
					t.Errorf("%s window %d %s %.120q\n got %v\nwant %v", name, window, line.Kind, line.Text, head(got), head(want))
				}
			}
		}
	}
	if wrong > 0 {
		t.Errorf("%d texts differ", wrong)
	}
	for name := range tokenizers {
		if compared[name] < 800 {
			t.Errorf("%s: only %d texts compared", name, compared[name])
		}
	}
}

func TestCharacterDecode(t *testing.T) {
	tokenizers := parseAll(t, characterFiles(t))
	lines := readLines[struct {
		Tokenizer string  `json:"tokenizer"`
		IDs       []int32 `json:"ids"`
		Text      string  `json:"text"`
	}](t, "testdata/sp-decode.jsonl.gz")
	for _, line := range lines {
		if got := tokenizers[line.Tokenizer].Decode(line.IDs); got != line.Text {
			t.Errorf("%s %v: got %q, want %q", line.Tokenizer, line.IDs, got, line.Text)
		}
	}
	if len(lines) < 500 {
		t.Errorf("%d texts", len(lines))
	}
}

// plainCharacters is the slow form of a Llama-style pipeline without added tokens
// that are normalized: a text, or what lies between added tokens, is one word of
// code points, merged pair by pair.
type plainCharacters struct {
	vocab map[string]int32
	ranks map[[2]string]int
	added map[string]int32
	unk   int32
	bytes bool
	fuse  bool
}

func newPlainCharacters(t testing.TB, data []byte) *plainCharacters {
	t.Helper()
	var file struct {
		Added []struct {
			ID      int32  `json:"id"`
			Content string `json:"content"`
		} `json:"added_tokens"`
		Model struct {
			Vocab    map[string]int32 `json:"vocab"`
			Merges   [][2]string      `json:"merges"`
			Unk      string           `json:"unk_token"`
			Fallback bool             `json:"byte_fallback"`
			Fuse     bool             `json:"fuse_unk"`
		} `json:"model"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	p := &plainCharacters{vocab: file.Model.Vocab, ranks: map[[2]string]int{}, added: map[string]int32{}, unk: file.Model.Vocab[file.Model.Unk], bytes: file.Model.Fallback, fuse: file.Model.Fuse}
	for i, pair := range file.Model.Merges {
		p.ranks[pair] = i
	}
	for _, token := range file.Added {
		p.added[token.Content] = token.ID
	}
	return p
}

func (p *plainCharacters) encode(text string) []int32 {
	var out []int32
	cut(text, p.added, func(part string, id int32) {
		if id >= 0 {
			out = append(out, id)
			return
		}
		out = append(out, p.word("▁"+strings.ReplaceAll(part, " ", "▁"))...)
	})
	return out
}

// word merges one word, whose unknown code points fall back to bytes.
func (p *plainCharacters) word(word string) []int32 {
	var parts []string
	for _, c := range word {
		s := string(c)
		if _, ok := p.vocab[s]; ok {
			parts = append(parts, s)
			continue
		}
		for _, b := range []byte(s) {
			parts = append(parts, fmt.Sprintf("<0x%02X>", b))
		}
	}
	return mergePlainly(parts, p.ranks, p.vocab)
}

// TestPlainCharactersGolden: the slow form itself gives HF's ids.
func TestPlainCharactersGolden(t *testing.T) {
	files := characterFiles(t)
	for _, name := range []string{"sp", "crossing", "sp-backwards"} {
		p := newPlainCharacters(t, files[name])
		for _, line := range readLines[goldenLine](t, "testdata/sp-encode.jsonl.gz") {
			want, ok := line.IDs[name]
			if !ok || line.Kind == "document" {
				continue
			}
			if got := p.encode(line.Text); !slices.Equal(got, want) {
				t.Errorf("%s %.120q\n got %v\nwant %v", name, line.Text, head(got), head(want))
			}
		}
	}
}

// drawCharacters makes a model of characters with random merges, some over ▁ and some
// over tokens that are named like bytes.
func drawCharacters(t *rapid.T) []byte {
	vocab := map[string]int32{"<unk>": 0}
	add := func(token string) {
		if _, ok := vocab[token]; !ok {
			vocab[token] = int32(len(vocab))
		}
	}
	for b := range 256 {
		add(fmt.Sprintf("<0x%02X>", b))
	}
	tokens := []string{"▁", "a", "é", "字", "<0x62>"} // b is no token of its own
	for _, token := range tokens {
		add(token)
	}
	merges := [][2]string{}
	for range rapid.IntRange(0, 60).Draw(t, "merges") {
		pair := [2]string{rapid.SampledFrom(tokens).Draw(t, "left"), rapid.SampledFrom(tokens).Draw(t, "right")}
		if token := pair[0] + pair[1]; len(token) <= 30 && !slices.Contains(merges, pair) {
			merges = append(merges, pair)
			if _, ok := vocab[token]; !ok {
				tokens = append(tokens, token)
			}
			add(token)
		}
	}
	order := append([][2]string{}, rapid.Permutation(merges).Draw(t, "order")...)
	data, err := json.Marshal(map[string]any{
		"normalizer": map[string]any{"type": "Sequence", "normalizers": []any{map[string]any{"type": "Prepend", "prepend": "▁"},
			map[string]any{"type": "Replace", "pattern": map[string]any{"String": " "}, "content": "▁"}}},
		"model": map[string]any{"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true, "vocab": vocab, "merges": order},
	})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestCharacterCuts: whatever the merges, cutting the text and windows of any size
// change nothing.
func TestCharacterCuts(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		data := drawCharacters(rt)
		tok, err := Parse(data)
		if err != nil {
			rt.Fatal(err)
		}
		slow, e := newPlainCharacters(t, data), tok.NewEncoder()
		letters := rapid.SampledFrom([][]string{{" ", "a", "b"}, {" ", "▁", "a", "é", "字", "b", "x"}, {"a", "b"}}).Draw(rt, "letters")
		for range 20 {
			text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(letters), 1, 90).Draw(rt, "text"), "")
			e.window = rapid.IntRange(1, 40).Draw(rt, "window")
			if got, want := e.Append(nil, []byte(text)), slow.encode(text); !slices.Equal(got, want) {
				rt.Fatalf("%q with window %d: %v, want %v", text, e.window, got, want)
			}
		}
	})
}

// FuzzCharacters compares models of characters with the slow form.
func FuzzCharacters(f *testing.F) {
	for _, s := range []string{
		"", " ", "  two  spaces ", "the\nend", "▁ ▁", "<s>a</s> b", "字漢 é e\u0301 😀", strings.Repeat("ab", 120), strings.Repeat(" the", 60), "a<0x0A>b\x00", "1984",
	} {
		f.Add(s)
	}
	files := characterFiles(f)
	type pair struct {
		name string
		slow *plainCharacters
		fast *Encoder
	}
	var pairs []pair
	for name, tok := range parseAll(f, map[string][]byte{"sp": files["sp"], "crossing": files["crossing"], "sp-backwards": files["sp-backwards"]}) {
		for _, window := range []int{defaultWindow, 5} {
			e := tok.NewEncoder()
			e.window = window
			pairs = append(pairs, pair{name, newPlainCharacters(f, files[name]), e})
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1000 {
			return
		}
		if !utf8.ValidString(text) {
			text = strings.ToValidUTF8(text, "\uFFFD")
		}
		for _, p := range pairs {
			want := p.slow.encode(text)
			for range 2 { // the second time from the cache
				if got := p.fast.Append(nil, []byte(text)); !slices.Equal(got, want) {
					t.Fatalf("%s %q\n got %v\nwant %v", p.name, text, got, want)
				}
			}
		}
	})
}

// TestCharacterMemory: the memory that a long text takes beside its ids does not grow
// with it, in words or in one.
func TestCharacterMemory(t *testing.T) {
	tokenizers := parseAll(t, characterFiles(t))
	for name, part := range map[string]string{"words": "some words of a text, ", "one word": "therefore", "spaces": " ", "bytes": "字漢", "lines": "a\n"} {
		text := []byte(strings.Repeat(part, 4<<20/len(part)))
		for _, kind := range []string{"sp", "crossing", "sp-first", "sp-flags"} {
			e := tokenizers[kind].NewEncoder()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			e.Each(text, func([]int32) {})
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > 12<<20 {
				t.Errorf("%s %s: allocated %d bytes for a text of %d", kind, name, got, len(text))
			}
		}
	}
}

// TestCharacterFaults: what would lose text or is not known is refused, all at once.
func TestCharacterFaults(t *testing.T) {
	base := characterFiles(t)["sp"]
	for _, c := range []struct {
		patch map[string]string
		want  []string
	}{
		{map[string]string{"model": `{"type":"Unigram","unk_id":0,"vocab":[["a",-1.5]]}`, "normalizer": `{"type":"Precompiled","precompiled_charsmap":""}`,
			"decoder": `{"type":"WordPiece","prefix":"##"}`, "truncation": `{"max_length":5}`},
			[]string{`"Unigram"`, `"Precompiled"`, `"WordPiece"`, "truncation"}},
		{map[string]string{"model": `{"type":"WordLevel","vocab":{"a":0},"unk_token":"a"}`, "pre_tokenizer": `{"type":"Whitespace"}`}, []string{`"WordLevel"`, `"Whitespace"`}},
		{map[string]string{"normalizer": `{"type":"Sequence","normalizers":[{"type":"Lowercase"},{"type":"NFKC"},{"type":"Prepend","prepend":"x"}]}`}, []string{`"Lowercase"`, `"NFKC"`, `prepend "x"`}},
		{map[string]string{"normalizer": `{"type":"Replace","pattern":{"Regex":" +"},"content":"▁"}`}, []string{"Replace", `" +"`}},
		{map[string]string{"pre_tokenizer": `{"type":"Metaspace","replacement":"_","prepend_scheme":"sometimes"}`, "normalizer": `null`}, []string{`replacement "_"`, `"sometimes"`}},
		{map[string]string{"pre_tokenizer": `{"type":"Metaspace","replacement":"▁","prepend_scheme":"first"}`}, []string{"Prepend", "Metaspace"}},
		{map[string]string{"pre_tokenizer": `{"type":"Metaspace","replacement":"▁","add_prefix_space":false}`, "normalizer": `null`}, []string{"contradicts"}},
		{map[string]string{"pre_tokenizer": `{"type":"Split","pattern":{"String":" "},"behavior":"Isolated","invert":false}`, "normalizer": `null`}, []string{"Split at spaces"}},
		{map[string]string{"pre_tokenizer": `{"type":"Split","pattern":{"Regex":"x"},"behavior":"Isolated","invert":false}`}, []string{"Split by", "ByteLevel"}},
		{map[string]string{"model.unk_token": `null`, "model.byte_fallback": `false`}, []string{"would be lost"}},
		{map[string]string{"model.unk_token": `"<none>"`}, []string{`unk_token "<none>"`}},
		{map[string]string{"model.dropout": `0.5`, "model.merges": `[["a","zzz"],["a"]]`}, []string{"dropout", `"zzz"`, "merges[1] has 1 parts"}},
		{map[string]string{"decoder": `{"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"CTC"},{"type":"Strip","content":"ab"}]}`}, []string{`decoders[1] "CTC"`, `content "ab"`}},
	} {
		patch := map[string]json.RawMessage{}
		for key, value := range c.patch {
			patch[key] = json.RawMessage(value)
		}
		_, err := Parse(patched(t, base, patch))
		if err == nil {
			t.Errorf("%v is accepted", c.patch)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v: error does not say %q: %v", c.patch, want, err)
			}
		}
	}
}
