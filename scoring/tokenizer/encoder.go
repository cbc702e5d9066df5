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
	window int // bytes of a long word that are merged together

	normal []byte // normalised text
	spaced []byte // text with a space in front

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
func (e *Encoder) Append(dst []int32, text []byte) []int32 {
	if !utf8.Valid(text) {
		text = bytes.ToValidUTF8(text, []byte("\uFFFD"))
	}
	if e.t.raw == nil {
		dst = e.section(dst, text)
	} else {
		e.t.raw.split(text, func(part []byte, id int32) {
			if id >= 0 {
				dst = append(dst, id)
			} else {
				dst = e.section(dst, part)
			}
		})
	}
	e.trim()
	return dst
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
	if cap(e.chain.ids) > 2*defaultWindow {
		e.chain = chain{}
	}
}

// section encodes text that holds no added token of the raw kind.
func (e *Encoder) section(dst []int32, text []byte) []int32 {
	if e.nfc != nil && e.nfc.span(text) < len(text) {
		e.normal = e.nfc.append(e.normal[:0], text)
		text = e.normal
	}
	if e.t.normalized == nil {
		return e.words(dst, text)
	}
	e.t.normalized.split(text, func(part []byte, id int32) {
		if id >= 0 {
			dst = append(dst, id)
		} else {
			dst = e.words(dst, part)
		}
	})
	return dst
}

// words encodes text that holds no added token.
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
		i = end
	}
	return dst
}

// word encodes one word without the cache.
func (e *Encoder) word(dst []int32, word []byte) []int32 {
	if e.t.whole != nil {
		if id, ok := e.t.whole[string(word)]; ok {
			return append(dst, id)
		}
	}
	if len(word) <= shortWord {
		return e.mergeShort(dst, word)
	}
	return e.mergeLong(dst, word)
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
