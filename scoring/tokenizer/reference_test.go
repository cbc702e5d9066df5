package tokenizer

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// reference is the plain, slow form of the same semantics, written apart from
// the fast path: regular expressions where that has scanners, x/text where
// that has its own NFC, strings and maps where that has ids and hashes, and
// quadratic merging. It knows added tokens without flags.
type reference struct {
	vocab      map[string]int32
	ranks      map[[2]string]int
	head, tail *regexp.Regexp // alternatives before and after `\s+(?!\S)`
	nfc        bool
	raw        map[string]int32
	normalized map[string]int32
}

// newReference reads a tokenizer.json whose merges are pairs.
func newReference(t testing.TB, data []byte) *reference {
	t.Helper()
	var file struct {
		Normalizer   json.RawMessage `json:"normalizer"`
		PreTokenizer json.RawMessage `json:"pre_tokenizer"`
		Added        []struct {
			ID         int32  `json:"id"`
			Content    string `json:"content"`
			Normalized bool   `json:"normalized"`
		} `json:"added_tokens"`
		Model struct {
			Vocab  map[string]int32 `json:"vocab"`
			Merges [][2]string      `json:"merges"`
		} `json:"model"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	r := &reference{vocab: file.Model.Vocab, ranks: map[[2]string]int{}, raw: map[string]int32{}, normalized: map[string]int32{}}
	r.nfc = strings.Contains(string(file.Normalizer), "NFC")
	for i, pair := range file.Model.Merges {
		r.ranks[pair] = i
	}
	for _, token := range file.Added {
		if token.Normalized {
			r.normalized[token.Content] = token.ID
		} else {
			r.raw[token.Content] = token.ID
		}
	}
	contraction := `'s|'t|'re|'ve|'m|'ll|'d`
	gpt2 := contraction + `| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+`
	cl100k := `(?i:` + contraction + `)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+`
	r.head = compile(gpt2)
	if strings.Contains(string(file.PreTokenizer), "{1,3}") {
		r.head = compile(cl100k)
	}
	r.tail = compile(`\s+`)
	return r
}

// compile puts the classes of tables.go in place of \p{L}, \p{N} and \s.
func compile(pattern string) *regexp.Regexp {
	class := func(ranges [][2]rune) string {
		var b strings.Builder
		for _, r := range ranges {
			fmt.Fprintf(&b, `\x{%X}-\x{%X}`, r[0], r[1])
		}
		return b.String()
	}
	l, n, s := class(letterRanges), class(numberRanges), class(spaceRanges)
	// Inside brackets the class goes in bare, outside in brackets of its own.
	pattern = strings.NewReplacer(
		`[^\s\p{L}\p{N}]`, `[^`+s+l+n+`]`, `[^\r\n\p{L}\p{N}]`, `[^\r\n`+l+n+`]`,
		`\p{L}`, `[`+l+`]`, `\p{N}`, `[`+n+`]`, `\s`, `[`+s+`]`).Replace(pattern)
	return regexp.MustCompile(`^(?:` + pattern + `)`)
}

// encode returns the ids of text; false where x/text is known to normalise in
// another way than HF.
func (r *reference) encode(text string) ([]int32, bool) {
	var out []int32
	ok := true
	cut(text, r.raw, func(part string, id int32) {
		if id >= 0 {
			out = append(out, id)
			return
		}
		if r.nfc {
			ok = ok && plainNFC(part)
			part = norm.NFC.String(part)
		}
		cut(part, r.normalized, func(part string, id int32) {
			if id >= 0 {
				out = append(out, id)
				return
			}
			for part != "" {
				word := part[:r.match(part)]
				out = append(out, r.word(word)...)
				part = part[len(word):]
			}
		})
	})
	return out, ok
}

// plainNFC reports whether x/text and HF agree on text: nothing from another
// plane, no mark that HF's older tables do not know, no long run of marks.
func plainNFC(text string) bool {
	marks := 0
	for _, c := range text {
		known := slices.ContainsFunc(normalRanges, func(r [2]rune) bool { return r[0] <= c && c <= r[1] })
		properties := norm.NFD.PropertiesString(string(c))
		if marks++; properties.CCC() == 0 && properties.Decomposition() == nil {
			marks = 0
		} else if !known {
			return false
		}
		if c > 0xFFFF || marks > 8 {
			return false
		}
	}
	return true
}

// cut calls yield with the added tokens of text and what lies between them,
// looking at every place for the longest one.
func cut(text string, tokens map[string]int32, yield func(part string, id int32)) {
	start := 0
	for i := 0; i < len(text); {
		longest := ""
		for token := range tokens {
			if strings.HasPrefix(text[i:], token) && len(token) > len(longest) {
				longest = token
			}
		}
		if longest == "" {
			i++
			continue
		}
		if start < i {
			yield(text[start:i], -1)
		}
		yield("", tokens[longest])
		i += len(longest)
		start = i
	}
	if start < len(text) {
		yield(text[start:], -1)
	}
}

// match returns the length of the first word of text.
func (r *reference) match(text string) int {
	if m := r.head.FindString(text); m != "" {
		return len(m)
	}
	spaces := []rune(r.tail.FindString(text))
	for n := len(spaces); n > 0; n-- { // \s+(?!\S), giving back one at a time
		length := len(string(spaces[:n]))
		if length == len(text) || r.tail.MatchString(text[length:]) {
			return length
		}
	}
	return len(string(spaces))
}

// word returns the ids of a word.
func (r *reference) word(word string) []int32 {
	var parts []string
	for i := range len(word) {
		parts = append(parts, string(byteRune(word[i])))
	}
	return mergePlainly(parts, r.ranks, r.vocab)
}

// mergePlainly merges the parts of a word: again and again the pair of the lowest
// rank, leftmost first.
func mergePlainly(parts []string, ranks map[[2]string]int, vocab map[string]int32) []int32 {
	for {
		best, at := -1, 0
		for i := range len(parts) - 1 {
			if rank, ok := ranks[[2]string{parts[i], parts[i+1]}]; ok && (best < 0 || rank < best) {
				best, at = rank, i
			}
		}
		if best < 0 {
			break
		}
		parts = slices.Replace(parts, at, at+2, parts[at]+parts[at+1])
	}
	var ids []int32
	for _, part := range parts {
		ids = append(ids, vocab[part])
	}
	return ids
}

// TestReferenceGolden: the slow reference itself gives HF's ids.
func TestReferenceGolden(t *testing.T) {
	files := goldenFiles(t)
	for _, name := range []string{"demo", "nfc", "gpt2", "cl100k"} {
		r := newReference(t, files[name])
		skipped := 0
		lines := readLines[goldenLine](t, "testdata/encode.jsonl.gz")
		for _, line := range lines {
			if line.Kind == "document" {
				continue
			}
			want, ok := line.IDs[name]
			if !ok {
				continue
			}
			got, ok := r.encode(line.Text)
			if !ok {
				skipped++
			} else if !slices.Equal(got, want) {
				t.Errorf("%s %.120q\n got %v\nwant %v", name, line.Text, head(got), head(want))
			}
		}
		if skipped > len(lines)/2 {
			t.Errorf("%s: skipped %d of %d", name, skipped, len(lines))
		}
	}
}

// FuzzEncode compares the fast path with the reference, for the four kinds of
// pipeline, and the two ways of merging with each other.
func FuzzEncode(f *testing.F) {
	for _, s := range []string{
		"", "Hello, world! It's 1234 o'clock.", "x  y\t\n\n z \r\n", "'S 'LL 'ſ don'T", "é e\u0301 \u1100\u1161\u11a8 \u212b",
		"<|endoftext|>a<|padding|>    |||EMAIL_ADDRESS|||", "ḍ̇ q\u0307\u0323", strings.Repeat("ab", 120), "字漢字 १२३ \u3000x",
	} {
		f.Add(s)
	}
	files := goldenFiles(f)
	type pair struct {
		name string
		slow *reference
		fast *Encoder
	}
	var pairs []pair
	for _, name := range []string{"demo", "nfc", "gpt2", "cl100k"} {
		tok, err := Parse(files[name])
		if err != nil {
			f.Fatal(err)
		}
		pairs = append(pairs, pair{name, newReference(f, files[name]), tok.NewEncoder()})
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 2000 {
			return
		}
		if !utf8.ValidString(text) {
			text = strings.ToValidUTF8(text, "\uFFFD")
		}
		for _, p := range pairs {
			want, ok := p.slow.encode(text)
			if !ok {
				continue
			}
			for range 2 { // the second time from the cache
				if got := p.fast.Append(nil, []byte(text)); !slices.Equal(got, want) {
					t.Fatalf("%s %q\n got %v\nwant %v", p.name, text, got, want)
				}
			}
			if p.fast.nfc == nil {
				if got := p.fast.t.Decode(want); got != text {
					t.Fatalf("%s %q comes back as %q", p.name, text, got)
				}
			}
		}
	})
}
