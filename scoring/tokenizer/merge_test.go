package tokenizer

import (
	"encoding/json"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// drawTokenizer makes a tokenizer whose merges are random in content and in
// order: unlike trained ones, a pair may rank before the pairs it is made of.
func drawTokenizer(t *rapid.T) []byte {
	vocab := map[string]int32{}
	for b := range 256 {
		vocab[string(byteRune(byte(b)))] = int32(b)
	}
	tokens := []string{"a", "b", "c"}
	merges := [][2]string{}
	for range rapid.IntRange(0, 80).Draw(t, "merges") {
		left := rapid.SampledFrom(tokens).Draw(t, "left")
		right := rapid.SampledFrom(tokens).Draw(t, "right")
		if len(left)+len(right) > 12 || slices.Contains(merges, [2]string{left, right}) {
			continue
		}
		merges = append(merges, [2]string{left, right})
		if _, ok := vocab[left+right]; !ok {
			vocab[left+right] = int32(len(vocab))
			tokens = append(tokens, left+right)
		}
	}
	order := append([][2]string{}, rapid.Permutation(merges).Draw(t, "order")...)
	data, err := json.Marshal(map[string]any{
		"pre_tokenizer": map[string]any{"type": "ByteLevel", "add_prefix_space": false},
		"model":         map[string]any{"type": "BPE", "vocab": vocab, "merges": order},
	})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// symbolsOf returns what merging a word begins with.
func symbolsOf(tok *Tokenizer, word string) []int32 {
	if tok.runes != nil {
		return (&symbolReader{a: tok.runes, text: []byte(word)}).read(nil, 4*len(word)+1)
	}
	return (&byteReader{&tok.bytes, []byte(word)}).read(nil, len(word))
}

// TestMergesAgree: array, heap and windows of any size give what naive merging
// gives, under any merges.
func TestMergesAgree(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		data := drawTokenizer(rt)
		tok, err := Parse(data)
		if err != nil {
			rt.Fatal(err)
		}
		slow := newReference(t, data)
		e := tok.NewEncoder()
		letters := rapid.SampledFrom([]string{"a", "ab", "abc"}).Draw(rt, "letters")
		for range 20 {
			word := strings.Join(rapid.SliceOfN(rapid.SampledFrom(strings.Split(letters, "")), 1, 90).Draw(rt, "word"), "")
			want := slow.word(word)
			symbols := symbolsOf(tok, word)
			if got := e.mergeShort(nil, copy(e.shortIDs[:], symbols)); !slices.Equal(got, want) {
				rt.Fatalf("mergeShort(%q) = %v, want %v", word, got, want)
			}
			if got := e.chain.appendAll(nil, tok, symbols); !slices.Equal(got, want) {
				rt.Fatalf("appendAll(%q) = %v, want %v", word, got, want)
			}
			e.window = rapid.IntRange(1, 40).Draw(rt, "window")
			if got := e.mergeLong(nil, &byteReader{&tok.bytes, []byte(word)}); !slices.Equal(got, want) {
				rt.Fatalf("mergeLong(%q) with window %d = %v, want %v", word, e.window, got, want)
			}
		}
	})
}

// TestOutdatedMerge: a merge that was offered before its right symbol changed
// is not done at its old rank. In "abcd", b+c comes first, so a+b is out of
// date when its turn comes, and c+d cannot happen; bc+d must win over a+bc.
func TestOutdatedMerge(t *testing.T) {
	vocab := map[string]int32{}
	for b := range 256 {
		vocab[string(byteRune(byte(b)))] = int32(b)
	}
	for i, token := range []string{"bc", "ab", "bcd", "abc"} {
		vocab[token] = int32(256 + i)
	}
	data := encodeJSON(t, map[string]any{
		"pre_tokenizer": map[string]any{"type": "ByteLevel", "add_prefix_space": false},
		"model": map[string]any{"type": "BPE", "vocab": vocab, "merges": [][2]string{
			{"b", "c"}, {"a", "b"}, {"bc", "d"}, {"a", "bc"}}},
	})
	tok, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	e := tok.NewEncoder()
	want := []int32{vocab["a"], vocab["bcd"]}
	if got := e.chain.appendAll(nil, tok, symbolsOf(tok, "abcd")); !slices.Equal(got, want) {
		t.Errorf("appendAll = %v, want %v", got, want)
	}
	if got := newReference(t, data).word("abcd"); !slices.Equal(got, want) {
		t.Errorf("reference = %v, want %v", got, want)
	}
}

// TestCacheTellsWordsApart: words that share a place in the cache, or a
// padded key, or their first eight bytes, keep their own ids.
func TestCacheTellsWordsApart(t *testing.T) {
	tok := goldenTokenizers(t)["demo"]
	e := tok.NewEncoder()
	slot := func(word string) uint64 {
		key := wordKey([]byte(word), 0, len(word))
		return hashKey(&key) >> (64 - cacheBits)
	}
	words := []string{"\x01\x02", "\x01\x02\x00", "\x01\x02\x00\x00", " because!!"}
	for i := 0; len(words) < 6; i++ { // two more in the place of the last one
		if word := " because" + string([]byte{'a' + byte(i%26), 'a' + byte(i/26%26), 'a' + byte(i/676%26), 'a' + byte(i/17576)}); slot(word) == slot(words[3]) {
			words = append(words, word)
		}
	}
	for range 3 {
		for _, word := range words {
			if got, want := e.cached(nil, []byte(word), 0, len(word)), e.word(nil, []byte(word)); !slices.Equal(got, want) {
				t.Errorf("%q: cached %v, want %v", word, got, want)
			}
		}
	}
}

// TestWindowsAdvance: on words of a real vocabulary nearly all of a window is
// final, so that a word of any length takes one window's memory.
func TestWindowsAdvance(t *testing.T) {
	tok := goldenTokenizers(t)["demo"]
	rng := rand.New(rand.NewPCG(1, 2))
	random := make([]byte, 1<<12)
	for i := range random {
		random[i] = byte('a' + rng.IntN(26))
	}
	var c chain
	for name, word := range map[string]string{
		"one letter": strings.Repeat("a", 1<<12), "equals": strings.Repeat("=", 1<<12), "spaces": strings.Repeat(" ", 1<<12),
		"two letters": strings.Repeat("he", 1<<11), "random": string(random), "bytes": strings.Repeat("\xe5\xad\x97", 1<<12/3),
	} {
		for _, following := range symbolsOf(tok, word[:3]) {
			_, used := c.appendWindow(nil, tok, symbolsOf(tok, word), following)
			if used < len(word)*9/10 {
				t.Errorf("%s: %d of %d bytes are final", name, used, len(word))
			}
		}
	}
}

// TestLongWord: the memory that a long word takes beyond its ids does not grow with it.
func TestLongWord(t *testing.T) {
	const size = 64 * defaultWindow / 2
	tok := goldenTokenizers(t)["demo"]
	text := []byte(strings.Repeat("abracadabra", size/11+1)[:size])
	ids := make([]int32, 0, size)
	e := tok.NewEncoder()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	ids = e.Append(ids, text)
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 64*defaultWindow {
		t.Errorf("allocated %d bytes for a word of %d", got, size)
	}
	if tok.Decode(ids) != string(text) {
		t.Error("the word does not come back")
	}
}

// TestAppendAllocatesNothing: text that fits dst is encoded without allocation.
func TestAppendAllocatesNothing(t *testing.T) {
	tokenizers := goldenTokenizers(t)
	text := []byte(strings.Repeat("The quick brown fox's 1234 jumps; über naïve café 字.\n\n  \tUncommonlylongishwords!", 20))
	for _, name := range []string{"demo", "nfc", "cl100k", "llama3", "digits", "prefix"} {
		e := tokenizers[name].NewEncoder()
		ids := e.Append(nil, text)
		if n := testing.AllocsPerRun(20, func() { ids = e.Append(ids[:0], text) }); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
