package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestParseRefuses: what is declared and would change ids is refused, and the
// error names the key and the value.
func TestParseRefuses(t *testing.T) {
	split := func(fields string) string {
		return `{"type":"Sequence","pretokenizers":[{"type":"Split",` + fields + `},{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]}`
	}
	regex := `"pattern":{"Regex":` + string(encodeJSON(t, regexQwen2)) + `}`
	refuses(t, []refusal{
		{"truncation", `{"max_length":512}`, []string{"truncation", "512"}},
		{"padding", `{"strategy":"BatchLongest"}`, []string{"padding", "BatchLongest"}},
		{"surprise", `[1,2]`, []string{`"surprise"`, "[1,2]"}},
		{"normalizer", `{"type":"NFKC"}`, []string{`normalizer "NFKC"`, "NFC"}},
		{"normalizer", `{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Lowercase"}]}`, []string{`"Lowercase" is not supported`}},
		{"normalizer", `{"type":"Sequence","normalizers":[{"type":"Lowercase"}]}`, []string{`"Lowercase" is not supported`}},
		{"normalizer", `{"type":"Replace","pattern":{"String":" "},"content":"▁"}`, []string{`normalizer "Replace"`}}, // with ByteLevel
		{"normalizer", `3`, []string{"normalizer"}},
		{"pre_tokenizer", `null`, []string{"model.unk_token is null", "would be lost"}},
		{"pre_tokenizer", `{"type":"Whitespace"}`, []string{`pre_tokenizer "Whitespace"`, "ByteLevel"}},
		{"pre_tokenizer", `{"type":"Metaspace","replacement":"▁","add_prefix_space":true}`, []string{"would be lost"}},
		{"pre_tokenizer", `{"type":"ByteLevel"}`, []string{"add_prefix_space is missing"}},
		{"pre_tokenizer", `{"type":"ByteLevel","add_prefix_space":1}`, []string{"add_prefix_space is 1"}},
		{"pre_tokenizer", `{"type":"ByteLevel","add_prefix_space":false,"mode":"x"}`, []string{`"mode"`}},
		{"pre_tokenizer", `{"type":"Sequence","pretokenizers":[]}`, []string{"0 entries"}},
		{"pre_tokenizer", split(`"pattern":{"Regex":"\\w+"},"behavior":"Isolated","invert":false`), []string{`"\\w+"`, "Llama 3"}},
		{"pre_tokenizer", split(`"pattern":{"String":" "},"behavior":"Isolated","invert":false`), []string{"pattern", `{"String":" "}`}},
		{"pre_tokenizer", split(regex + `,"behavior":"Removed","invert":false`), []string{`behavior "Removed" with invert false`}},
		{"pre_tokenizer", split(regex + `,"behavior":"MergedWithNext","invert":false`), []string{"MergedWithNext"}},
		{"pre_tokenizer", strings.Replace(split(regex+`,"behavior":"Isolated","invert":false`), `"use_regex":false`, `"use_regex":true`, 1), []string{"use_regex true after Split"}},
		{"pre_tokenizer", strings.Replace(split(regex+`,"behavior":"Isolated","invert":false`), `"add_prefix_space":false`, `"add_prefix_space":true`, 1), []string{"add_prefix_space true after"}},
		{"pre_tokenizer", `{"type":"Sequence","pretokenizers":[{"type":"Punctuation"},{"type":"ByteLevel","add_prefix_space":false}]}`, []string{`pretokenizers[0] "Punctuation"`}},
		{"post_processor", `{"type":"Unknown"}`, []string{`post_processor "Unknown"`}},
		{"post_processor", `{"type":"TemplateProcessing","single":[{"Sequence":{"id":"A"}},{"Sequence":{"id":"A"}}]}`, []string{"the sequence 2 times"}},
		{"post_processor", `{"type":"Sequence","processors":[{"type":"ByteLevel"},{"type":"X"}]}`, []string{`processors[1] "X"`}},
		{"decoder", `{"type":"WordPiece","prefix":"##"}`, []string{`decoder "WordPiece"`}},
	})
}

// TestParseRefusesModels is the same for the model and the added tokens.
func TestParseRefusesModels(t *testing.T) {
	token := func(fields string) string {
		return `[{"id":0,"content":"<|endoftext|>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true` + fields + `}]`
	}
	refuses(t, []refusal{
		{"model", `null`, []string{"model is missing"}},
		{"model", `{"type":"WordPiece","vocab":{}}`, []string{`model.type "WordPiece"`, "BPE"}},
		{"model", `{"type":"Unigram","unk_id":0,"vocab":[["a",-1.5]]}`, []string{`"Unigram"`}},
		{"model", `{"type":"BPE","vocab":{"a":0},"merges":[]}`, []string{"no token for the bytes", "and 237 more"}},
		{"model", `{"type":"BPE","vocab":[1],"merges":[]}`, []string{"model.vocab"}},
		{"model", `{"type":"BPE","vocab":{"a":-1},"merges":[]}`, []string{`token "a"`, `"-1"`}},
		{"model", `{"type":"BPE","vocab":{"a":99999999999999999999},"merges":[]}`, []string{`token "a"`, "99999999999999999999"}},
		{"model", `{"type":"BPE","vocab":{"a":4194304},"merges":[]}`, []string{"4194303"}},
		{"model", `{"type":"BPE","vocab":{"a":1.5},"merges":[]}`, []string{`"1.5"`}},
		{"model", `{"type":"BPE","vocab":{"a":"b"},"merges":[]}`, []string{`token "a"`}},
		{"model", `{"type":"BPE","vocab":{"a":0,"a":1},"merges":[]}`, []string{`"a" is there twice`}},
		{"model", `{"type":"BPE","vocab":{"a":0,"b":0},"merges":[]}`, []string{`"a" and "b" have the same id 0`}},
		{"model.dropout", `0.1`, []string{"model.dropout 0.1"}},
		{"model.continuing_subword_prefix", `"##"`, []string{"continuing_subword_prefix", "##"}},
		{"model.end_of_word_suffix", `"</w>"`, []string{"end_of_word_suffix", "</w>"}},
		{"model.new_option", `true`, []string{`"new_option"`}},
		{"model.merges", `null`, []string{"model.merges is missing"}},
		{"model.merges", `["a b c"]`, []string{"merges[0] has 3 parts"}},
		{"model.merges", `[["a"]]`, []string{"merges[0] has 1 parts"}},
		{"model.merges", `["ab"]`, []string{"merges[0] has 1 parts"}},
		{"model.merges", `[["a","b"],"c d"]`, []string{"model.merges is neither"}},
		{"model.merges", `[["a","zzzz"]]`, []string{`merges[0]`, `"zzzz"`}},
		{"model.merges", `[["q","z"]]`, []string{`needs the token "qz"`}},
		{"model.vocab", `null`, []string{"model.vocab"}},
		{"added_tokens", `{}`, []string{"added_tokens is not a list"}},
		{"added_tokens", token(`,"extra":1`), []string{"added_tokens[0]", `"extra"`}},
		{"added_tokens", `[{"id":0,"content":"x"}]`, []string{"added_tokens[0].single_word is missing"}},
		{"added_tokens", strings.Replace(token(""), `"id":0`, `"id":7`, 1), []string{"has id 7", "gives it 0"}},
		{"added_tokens", strings.Replace(token(""), "<|endoftext|>", "<new>", 1), []string{"has id 0", "gives it 900"}},
		{"added_tokens", strings.Replace(token(""), `"id":0`, `"id":-1`, 1), []string{`"-1"`}},
		{"added_tokens", strings.Replace(token(""), `"lstrip":false`, `"lstrip":"no"`, 1), []string{"added_tokens[0]"}},
	})
}

// refusal is a value of a key that must be refused, and what the error says.
type refusal struct {
	key, value string
	want       []string
}

func refuses(t *testing.T, cases []refusal) {
	t.Helper()
	base := goldenFiles(t)["nfc"]
	for _, c := range cases {
		_, err := Parse(patched(t, base, map[string]json.RawMessage{c.key: json.RawMessage(c.value)}))
		if err == nil {
			t.Errorf("%s = %s is accepted", c.key, c.value)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s = %s: error does not say %q: %v", c.key, c.value, want, err)
			}
		}
	}
}

// TestParseAccepts: spellings that mean the same give the same ids.
func TestParseAccepts(t *testing.T) {
	base := goldenFiles(t)["nfc"]
	want, err := Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Model struct {
			Merges [][2]string `json:"merges"`
		} `json:"model"`
	}
	if err := json.Unmarshal(base, &file); err != nil {
		t.Fatal(err)
	}
	lines := []string{"#version: 0.2"}
	for _, pair := range file.Model.Merges {
		lines = append(lines, pair[0]+" "+pair[1])
	}
	text := []byte("It's   naïve: café 1984, 字!\n\n<|endoftext|>")
	for _, c := range []struct{ key, value string }{
		{"model.merges", string(encodeJSON(t, lines))},
		{"model.dropout", `0.0`}, {"model.unk_token", `"<unk>"`}, {"model.fuse_unk", `true`},
		{"model.continuing_subword_prefix", `""`}, {"model.byte_fallback", `true`}, {"model.type", `"BPE"`},
		{"post_processor", `{"type":"Sequence","processors":[{"type":"ByteLevel"},{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>"}},{"Sequence":{"id":"A"}}]}]}`},
		{"decoder", `null`}, {"pre_tokenizer", `{"type":"ByteLevel","add_prefix_space":false}`},
		{"pre_tokenizer", `{"type":"Sequence","pretokenizers":[{"type":"ByteLevel","add_prefix_space":false}]}`},
	} {
		got, err := Parse(patched(t, base, map[string]json.RawMessage{c.key: json.RawMessage(c.value)}))
		if err != nil {
			t.Errorf("%s: %v", c.key, err)
			continue
		}
		if a, b := got.NewEncoder().Append(nil, text), want.NewEncoder().Append(nil, text); !slices.Equal(a, b) {
			t.Errorf("%s = %.40s: ids %v, want %v", c.key, c.value, a, b)
		}
	}
}

func TestLoad(t *testing.T) {
	data, err := os.ReadFile(demoFile)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := Load(demoFile)
	if err != nil {
		t.Fatal(err)
	}
	if tok.VocabSize() != 4096 {
		t.Errorf("VocabSize() = %d, want 4096", tok.VocabSize())
	}
	for token, want := range map[string]int32{"<|endoftext|>": 0, "<|padding|>": 1} {
		if id, ok := tok.ID(token); !ok || id != want {
			t.Errorf("ID(%q) = %d, %t, want %d", token, id, ok, want)
		}
	}
	if _, ok := tok.ID("no such token"); ok {
		t.Error("ID finds a token that is not there")
	}
	// sha256sum configs/demo/tokenizer.json
	if want := "3d284acaf03f561532915035ad3973da2d803796146fda046292f61c86715a74"; tok.Digest() != want {
		t.Errorf("Digest() = %s, want %s", tok.Digest(), want)
	}
	if string(tok.JSON()) != string(data) {
		t.Error("JSON() is not the file")
	}
	if _, err := Load("testdata/none.json"); err == nil || !strings.Contains(err.Error(), "none.json") {
		t.Errorf("missing file: %v", err)
	}
	cut := filepath.Join(t.TempDir(), "cut.json")
	for _, size := range []int{0, 1, 100, len(data) / 2, len(data) - 1} {
		if err := os.WriteFile(cut, data[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(cut); err == nil || !strings.Contains(err.Error(), "cut.json") {
			t.Errorf("file cut to %d bytes: %v", size, err)
		}
	}
}

// TestAppendInvalidUTF8: what is not UTF-8 reads as U+FFFD.
func TestAppendInvalidUTF8(t *testing.T) {
	for name, tok := range goldenTokenizers(t) {
		e := tok.NewEncoder()
		got := e.Append([]int32{7}, []byte("a\xff\xfe b\xe5\xad"))
		if want := e.Append([]int32{7}, []byte("a\uFFFD b\uFFFD")); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// FuzzParse: a hostile file gives an error or a tokenizer that works.
func FuzzParse(f *testing.F) {
	files := goldenFiles(f)
	small := patched(f, files["nfc"], map[string]json.RawMessage{"model.merges": json.RawMessage(`[["a","b"]]`)})
	f.Add(small)
	f.Add(files["flags"])
	for _, s := range []string{
		``, `null`, `[]`, `{}`, `{"model":{}}`, `{"model":{"type":"BPE","vocab":{"a":2147483647},"merges":["a a"]}}`,
		`{"model":{"type":"BPE","vocab":{"a":-5},"merges":[[]]}}`, `{"model":{"vocab":{"":0},"merges":[["",""]]}}`,
		`{"added_tokens":[{"id":4294967295,"content":"\ud800"}],"model":null,"pre_tokenizer":{"type":"Sequence","pretokenizers":[null,{}]}}`,
		`{"normalizer":{"type":"Sequence","normalizers":[{"type":"Sequence","normalizers":[]}]},"post_processor":{"type":"Sequence","processors":[null]}}`,
	} {
		f.Add([]byte(s))
	}
	text := []byte("It's a naïve <|endoftext|> 1984\n\n  e\u0301 abab \xff")
	f.Fuzz(func(t *testing.T, data []byte) {
		tok, err := Parse(data)
		if err != nil {
			if tok != nil {
				t.Error("an error and a tokenizer")
			}
			return
		}
		ids := tok.NewEncoder().Append(nil, text)
		for _, id := range ids {
			if id < 0 || int(id) >= tok.VocabSize() {
				t.Errorf("id %d is outside of the vocabulary of %d", id, tok.VocabSize())
			}
		}
		_ = tok.Decode(append(ids, -1, 1<<30))
	})
}
