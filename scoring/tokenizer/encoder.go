package tokenizer

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// keepScratch is the scratch memory in bytes that an Encoder holds on to
// between calls; what one large document needed beyond it is let go.
const keepScratch = 1 << 20

// Encoder encodes texts. It serves one goroutine; make one for each. Its word
// cache takes 4 MiB and its scratch memory stays below about 10 MiB.
type Encoder struct {
	t      *Tokenizer
	nfc    *nfc // nil: no normalizer
	cache  *wordCache
	chain  chain
	window int               // symbols of a long word that are merged together
	sink   func(ids []int32) // of Each; nil in Append

	normal  []byte  // normalised text
	spaced  []byte  // text with a space in front
	symbols []int32 // of a long word

	shortIDs    [shortWord]int32
	shortMerges [shortWord]uint64
}

// NewEncoder returns an Encoder for one goroutine.
func (t *Tokenizer) NewEncoder() *Encoder {
	e := &Encoder{t: t, cache: new(wordCache), window: defaultWindow}
	if t.nfc != nil {
		e.nfc = t.nfc.encoder()
	}
	return e
}

// Append appends the ids of text to dst and returns it. text is UTF-8; stretches
// that are not are read as one U+FFFD each. No special tokens are added,
// but those written out in the text are found, as HF tokenizers does.
//
// Beside dst it takes a few MiB, whatever the length of text or of its words. Text
// that is not UTF-8, or not in form C where the tokenizer asks for that, is copied.
func (e *Encoder) Append(dst []int32, text []byte) []int32 {
	if !utf8.Valid(text) {
		text = bytes.ToValidUTF8(text, []byte("\uFFFD"))
	}
	if e.t.raw == nil {
		dst = e.section(dst, text, true)
	} else {
		e.t.raw.split(text, 0, func(part []byte, from int, id int32) {
			if id >= 0 {
				dst = e.drain(append(dst, id))
			} else {
				dst = e.section(dst, part, from == 0)
			}
		})
	}
	e.trim()
	return dst
}

// eachIDs is how many ids Each hands out at a time, or some more.
const eachIDs = 1 << 14

// Each gives the ids that Append would append to yield, about 16,384 at a time, which
// are valid until it returns. Memory does not grow with the text.
func (e *Encoder) Each(text []byte, yield func(ids []int32)) {
	e.sink = yield
	defer func() { e.sink = nil }()
	if rest := e.Append(nil, text); len(rest) > 0 {
		yield(rest)
	}
}

// drain hands ids out if they are enough and somebody wants them.
func (e *Encoder) drain(ids []int32) []int32 {
	if e.sink == nil || len(ids) < eachIDs {
		return ids
	}
	e.sink(ids)
	return ids[:0]
}

// trim lets go of memory that only a very large text needs.
func (e *Encoder) trim() {
	if cap(e.normal) > keepScratch {
		e.normal = nil
	}
	if cap(e.spaced) > keepScratch {
		e.spaced = nil
	}
	if e.nfc != nil && cap(e.nfc.runes) > keepScratch/8 {
		e.nfc.runes = nil
	}
	if cap(e.symbols) > 2*defaultWindow {
		e.symbols = nil
	}
	if cap(e.chain.ids) > 2*defaultWindow {
		e.chain = chain{}
	}
}

// section encodes text that holds no added token of the raw kind. first: it is the
// beginning of the whole text.
func (e *Encoder) section(dst []int32, text []byte, first bool) []int32 {
	if e.nfc != nil && e.nfc.span(text) < len(text) {
		e.normal = e.nfc.append(e.normal[:0], text)
		text = e.normal
	}
	begin := 0
	if e.t.spaces.prepend == prependNormalizer && len(text) > 0 {
		begin = -1
	}
	if e.t.normalized == nil {
		return e.stretch(dst, text, begin < 0, first)
	}
	e.t.normalized.split(text, begin, func(part []byte, from int, id int32) {
		if id >= 0 {
			dst = e.drain(append(dst, id))
		} else {
			dst = e.stretch(dst, part, from < 0, first && from == 0)
		}
	})
	return dst
}

// stretch encodes text that holds no added token. prefix: the normalizer has put a
// ▁ before it.
func (e *Encoder) stretch(dst []int32, text []byte, prefix, first bool) []int32 {
	if e.t.runes == nil {
		return e.words(dst, text)
	}
	switch e.t.spaces.prepend {
	case prependFirst:
		prefix = first && !e.t.runes.spaceFirst(text)
	case prependAlways:
		prefix = !e.t.runes.spaceFirst(text)
	}
	return e.characters(dst, text, prefix)
}

// words encodes text that holds no added token with a byte-level model.
func (e *Encoder) words(dst []int32, text []byte) []int32 {
	if len(text) == 0 {
		return dst
	}
	if e.t.prefixSpace && text[0] != ' ' {
		e.spaced = append(append(e.spaced[:0], ' '), text...)
		text = e.spaced
	}
	if e.t.digits == digitsTogether {
		return e.scan(dst, text)
	}
	for i := 0; i < len(text); {
		end := e.t.scan.nextDigits(text, i, e.t.digits == digitsApart)
		dst = e.scan(dst, text[i:end])
		i = end
	}
	return dst
}

// scan encodes the words of text.
func (e *Encoder) scan(dst []int32, text []byte) []int32 {
	for i := 0; i < len(text); {
		end := e.t.scan.next(text, i)
		if end == i+1 {
			dst = append(dst, e.t.bytes[text[i]])
		} else if end-i <= maxCachedWord {
			dst = e.cached(dst, text, i, end)
		} else {
			dst = e.word(dst, text[i:end])
		}
		dst = e.drain(dst)
		i = end
	}
	return dst
}

// word encodes one word without the cache.
func (e *Encoder) word(dst []int32, word []byte) []int32 {
	if e.t.runes != nil { // whole tokens were looked for: a word is not all that the model gets
		symbols := symbolReader{a: e.t.runes, text: word}
		return e.mergeShort(dst, len(symbols.read(e.shortIDs[:0], shortWord)))
	}
	if e.t.whole != nil {
		if id, ok := e.t.whole[string(word)]; ok {
			return append(dst, id)
		}
	}
	if len(word) > shortWord {
		return e.mergeLong(dst, &byteReader{&e.t.bytes, word})
	}
	for i, b := range word {
		e.shortIDs[i] = e.t.bytes[b]
	}
	return e.mergeShort(dst, len(word))
}

// Size of the word cache: 1<<cacheBits entries of 64 bytes.
const (
	cacheBits     = 16
	maxCachedWord = 32
	maxCachedIDs  = 7
)

// wordCache remembers the ids of words. A word has one place; the last one
// that needs it has it.
type wordCache [1 << cacheBits]cacheEntry

// cacheEntry fills one cache line. key is the word, padded with zeros.
type cacheEntry struct {
	key   [maxCachedWord / 8]uint64
	ids   [maxCachedIDs]int32
	len   uint16 // of the word; 0: empty entry
	count uint16 // of ids
}

// cached encodes text[i:end], a word of at most maxCachedWord bytes.
func (e *Encoder) cached(dst []int32, text []byte, i, end int) []int32 {
	key := wordKey(text, i, end)
	entry := &e.cache[hashKey(&key)>>(64-cacheBits)]
	if n := end - i; int(entry.len) == n && entry.key[0] == key[0] && (n <= 8 || entry.key == key) {
		if entry.count == 1 {
			return append(dst, entry.ids[0])
		}
		return append(dst, entry.ids[:entry.count]...)
	}
	before := len(dst)
	dst = e.word(dst, text[i:end])
	if ids := dst[before:]; len(ids) <= maxCachedIDs {
		entry.key, entry.len, entry.count = key, uint16(end-i), uint16(len(ids))
		copy(entry.ids[:], ids)
	}
	return dst
}

// wordKey returns text[i:end] padded with zeros to maxCachedWord bytes.
func wordKey(text []byte, i, end int) (key [maxCachedWord / 8]uint64) {
	var tail [maxCachedWord]byte
	word := tail[:]
	if i+maxCachedWord <= len(text) {
		word = text[i : i+maxCachedWord]
	} else {
		copy(word, text[i:end])
	}
	n := end - i
	key[0] = binary.LittleEndian.Uint64(word)
	if n <= 8 {
		key[0] &= ^uint64(0) >> (64 - 8*uint(n))
		return key
	}
	for k := 1; ; k++ {
		key[k] = binary.LittleEndian.Uint64(word[8*k:])
		if n <= 8*k+8 {
			key[k] &= ^uint64(0) >> (64 - 8*uint(n-8*k))
			return key
		}
	}
}

// hashKey mixes a key; its high bits are good.
func hashKey(key *[maxCachedWord / 8]uint64) uint64 {
	const m = 0x9E3779B97F4A7C15
	h := key[0] * m
	if key[1] != 0 {
		h = (h ^ h>>32 ^ key[1]) * m
		h = (h ^ h>>32 ^ key[2]) * m
		h = (h ^ h>>32 ^ key[3]) * m
	}
	return (h ^ h>>29) * m
}
