package tokenizer

import (
	"bytes"
	"unicode/utf8"
)

// A model of characters merges a whole text at once, as SentencePiece does. But
// most symbols are never joined by any merge: with a vocabulary that was trained
// on words no merge goes over the border between a letter and a ▁. There the
// text is cut, and what lies between is looked up in the cache like the words
// of a byte-level model. Ids do not depend on where it is cut, or whether.

// prependMode says when a ▁ is put in front of a text.
type prependMode uint8

const (
	prependNever      prependMode = iota
	prependNormalizer             // of every stretch between added tokens that are not normalized
	prependAlways                 // of every stretch between added tokens, unless it has one (Metaspace)
	prependFirst                  // only of the beginning of the text, unless it has one (Metaspace)
)

// spaceRule is what becomes of spaces before the model.
type spaceRule struct {
	prepend prependMode
	replace bool // they become ▁
	early   bool // they do so before added tokens are looked for: by the normalizer
	idle    bool // the pre-tokenizer splits at spaces, so that replace must leave none
	pieces  bool // every ▁ begins a text of its own for the model (Metaspace with split)
}

// Bits of alphabet.cuts.
const (
	cutBefore = 1 << iota // no merge joins the byte's symbol to what stands before it
	cutAfter              // nor to what follows
	cutSpace              // the byte is a ▁ or begins one, perhaps
)

// setCuts finds out where words may be cut.
func (a *alphabet) setCuts(merges *mergeTable, tokens []string) {
	pairs := a.crossedPairs(merges, tokens)
	a.crossed = newPairSet(pairs)
	space := a.of(metaspaceRune)
	joinsLeft, joinsRight, joinsSpace := map[int32]bool{}, map[int32]bool{}, map[int32]bool{}
	for pair := range pairs {
		left, right := int32(pair>>32), int32(uint32(pair))
		joinsRight[left], joinsLeft[right] = true, true
		if right == space {
			joinsSpace[left] = true
		}
	}
	for b := range a.cuts {
		id := a.bytes[b]
		if b < utf8.RuneSelf && a.of(rune(b)) != symbolFallback {
			id = a.of(rune(b))
		}
		// A code point that is no token may be held back or wait: see symbolReader.
		if id >= 0 && b < utf8.RuneSelf && (a.whole() || a.of(rune(b)) >= 0) {
			if !joinsLeft[id] {
				a.cuts[b] |= cutBefore
			}
			if !joinsRight[id] {
				a.cuts[b] |= cutAfter
			}
		}
		a.glued[b] = space < 0 || joinsSpace[a.unk] || joinsSpace[a.bytes[b]] || joinsSpace[id]
	}
	for id := range joinsSpace {
		if token := tokens[id]; id != space && token != "" {
			a.glued[token[len(token)-1]] = true
		}
	}
	a.runs = space < 0 || joinsSpace[space]
	a.cuts[metaspace[0]] = cutSpace
	if a.spaces {
		a.cuts[' '] = cutSpace
	}
}

// space returns the length of the ▁ at text[i], 0 if there is none. i < len(text).
func (a *alphabet) space(text []byte, i int) int {
	if text[i] == ' ' && a.spaces {
		return 1
	}
	if text[i] == metaspace[0] && i+len(metaspace) <= len(text) && text[i+1] == metaspace[1] && text[i+2] == metaspace[2] {
		return len(metaspace)
	}
	return 0
}

// wordEnd returns where the word that begins at text[i] may be cut off; i < len(text).
func (a *alphabet) wordEnd(text []byte, i int, pieces bool) int {
	kind := a.cuts[text[i]]
	if kind == 0 {
		return a.restEnd(text, i+1, -1, pieces)
	}
	if n := a.space(text, i); n > 0 {
		return a.restEnd(text, i+n, i+n, pieces)
	}
	if kind&cutAfter != 0 {
		return i + 1
	}
	return a.restEnd(text, i+1, -1, pieces)
}

// restEnd is wordEnd for a word that has begun before text[i]. spaceEnd is i if a
// ▁ stands there, else -1.
func (a *alphabet) restEnd(text []byte, i, spaceEnd int, pieces bool) int {
	for ; i < len(text); i++ {
		kind := a.cuts[text[i]]
		if kind == 0 {
			continue
		}
		if kind&cutSpace != 0 {
			n := a.space(text, i)
			if n == 0 {
				continue // some other code point
			}
			joined := a.runs
			if i != spaceEnd {
				joined = a.glued[text[i-1]]
			}
			if pieces || !joined {
				return i
			}
			spaceEnd = i + n
			i += n - 1
			continue
		}
		if kind&cutBefore != 0 {
			return i
		}
		return i + 1
	}
	return i
}

// characters encodes text that holds no added token with a model of characters.
// prefix: a ▁ that it does not have stands before it.
func (e *Encoder) characters(dst []int32, text []byte, prefix bool) []int32 {
	a, pieces := e.t.runes, e.t.spaces.pieces
	if e.t.whole != nil {
		return e.wholePieces(dst, text, prefix)
	}
	if prefix {
		end := a.restEnd(text, 0, 0, pieces)
		dst = e.prefixed(dst, text[:end])
		text = text[end:]
	}
	return e.scanCharacters(dst, text, pieces)
}

// scanCharacters encodes the words of text.
func (e *Encoder) scanCharacters(dst []int32, text []byte, pieces bool) []int32 {
	a := e.t.runes
	for i := 0; i < len(text); {
		end := a.wordEnd(text, i, pieces)
		if b := text[i]; end == i+1 && b < utf8.RuneSelf && a.pages[b] >= 0 {
			dst = append(dst, a.pages[b])
		} else if end-i <= maxCachedWord {
			dst = e.cached(dst, text, i, end)
		} else {
			dst = e.mergeLong(dst, &symbolReader{a: a, text: text[i:end]})
		}
		dst = e.drain(dst)
		i = end
	}
	return dst
}

// prefixed encodes a ▁ and the rest of its word.
func (e *Encoder) prefixed(dst []int32, rest []byte) []int32 {
	if len(rest)+len(metaspace) > maxCachedWord {
		return e.mergeLong(dst, &symbolReader{a: e.t.runes, prefix: true, text: rest})
	}
	word := append(append(e.spaced[:0], metaspace...), rest...)
	e.spaced = word
	return e.cached(dst, word, 0, len(word))
}

// wholePieces encodes what the model gets at a time: one token if it is one, else
// its words.
func (e *Encoder) wholePieces(dst []int32, text []byte, prefix bool) []int32 {
	for len(text) > 0 || prefix {
		end := len(text)
		if e.t.spaces.pieces {
			end = e.t.runes.pieceEnd(text, prefix)
		}
		piece := text[:end]
		text = text[end:]
		if id, ok := e.wholeToken(piece, prefix); ok {
			dst = e.drain(append(dst, id))
			prefix = false
			continue
		}
		if prefix {
			first := e.t.runes.restEnd(piece, 0, 0, false)
			dst = e.prefixed(dst, piece[:first])
			piece, prefix = piece[first:], false
		}
		dst = e.scanCharacters(dst, piece, false)
	}
	return dst
}

// pieceEnd returns where the piece that begins a text ends: before the next ▁.
func (a *alphabet) pieceEnd(text []byte, prefix bool) int {
	i := 0
	if !prefix {
		i = max(1, a.space(text, 0))
	}
	for i < len(text) && (a.cuts[text[i]]&cutSpace == 0 || a.space(text, i) == 0) {
		i++
	}
	return i
}

// wholeToken looks a piece up in the vocabulary.
func (e *Encoder) wholeToken(piece []byte, prefix bool) (int32, bool) {
	if len(piece) > e.t.longest {
		return 0, false
	}
	word := e.spaced[:0]
	if prefix {
		word = append(word, metaspace...)
	}
	if e.t.runes.spaces {
		for _, b := range piece {
			if b == ' ' {
				word = append(word, metaspace...)
			} else {
				word = append(word, b)
			}
		}
	} else {
		word = append(word, piece...)
	}
	e.spaced = word
	id, ok := e.t.whole[string(word)]
	return id, ok
}

// spaceFirst reports whether text begins with a ▁.
func (a *alphabet) spaceFirst(text []byte) bool {
	return bytes.HasPrefix(text, []byte(metaspace)) || a.spaces && bytes.HasPrefix(text, []byte{' '})
}
