package tokenizer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"sync"
	"unicode/utf8"
)

// Tokenizer is a loaded tokenizer.json. It is immutable and may be shared.
type Tokenizer struct {
	json   []byte
	digest string

	// Vocabulary. An id without a token has the empty string.
	tokens  []string         // by id, as written in the file
	ids     map[string]int32 // tokens of the vocabulary and added tokens
	decoded []string         // by id: the bytes a token stands for
	bytes   [256]int32       // byte-level: id of each byte alone
	runes   *alphabet        // what merging begins with in a model of characters; nil: byte-level
	merges  *mergeTable
	whole   map[string]int32 // words that are one token whatever the merges say; nil unless ignore_merges
	longest int              // bytes of the longest of them

	// Stages before the model.
	raw         *matcher // added tokens looked for in the text as it comes
	nfc         *nfc     // nil: no normalizer
	normalized  *matcher // added tokens looked for in the normalised text
	prefixSpace bool
	digits      digitMode
	scan        scanner
	spaces      spaceRule // of a model of characters
	decoder     []decodeStep

	followersOnce sync.Once // see window.go
	followerLists [][]follower
}

// digitMode is what the Digits pre-tokenizer does before the regex.
type digitMode uint8

const (
	digitsTogether digitMode = iota // there is none
	digitsRuns                      // every run of digits is a word
	digitsApart                     // every digit is a word
)

// Load reads a tokenizer.json file. Errors name the file, the key and the
// value that is not supported.
func Load(path string) (*Tokenizer, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load tokenizer: %w", err)
	}
	t, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("load tokenizer %s: %w", path, err)
	}
	return t, nil
}

// VocabSize is the largest id plus one: how many rows an embedding needs. Ids
// below it may be unused.
func (t *Tokenizer) VocabSize() int { return len(t.tokens) }

// ID returns the id of a token as written in tokenizer.json ("Ġthe", not
// " the"), added tokens included.
func (t *Tokenizer) ID(token string) (int32, bool) {
	id, ok := t.ids[token]
	return id, ok
}

// JSON returns the file's bytes; the caller must not change them.
func (t *Tokenizer) JSON() []byte { return t.json }

// Digest returns the SHA-256 of the file's bytes in hexadecimal.
func (t *Tokenizer) Digest() string { return t.digest }

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Decode returns the text of ids, special tokens included. Unknown ids are
// left out. Bytes that are not UTF-8 become U+FFFD, one for each maximal
// part of a code point, as HF tokenizers does. Where a byte-level tokenizer has no
// normalizer, Decode undoes Append.
func (t *Tokenizer) Decode(ids []int32) string {
	if t.runes != nil {
		return t.decodeCharacters(ids)
	}
	var text []byte
	for _, id := range ids {
		if id >= 0 && int(id) < len(t.decoded) {
			text = append(text, t.decoded[id]...)
		}
	}
	if utf8.Valid(text) {
		return string(text)
	}
	return lossy(text)
}

// lossy replaces what is not UTF-8 as Rust's String::from_utf8_lossy does: one
// U+FFFD for the longest start of a well-formed sequence, else for one byte
// (The Unicode Standard, section 3.9, U+FFFD substitution of maximal subparts).
func lossy(text []byte) string {
	var out []byte
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if r == utf8.RuneError && size == 1 {
			size = subpart(text)
			out = utf8.AppendRune(out, utf8.RuneError)
		} else {
			out = append(out, text[:size]...)
		}
		text = text[size:]
	}
	return string(out)
}

// subpart returns the length of the maximal subpart of an ill-formed sequence
// at the start of text.
func subpart(text []byte) int {
	n := 1 // utf8.FullRune is false while more bytes could complete the rune
	for n <= len(text) && !utf8.FullRune(text[:n]) {
		n++
	}
	return max(n-1, 1)
}
