package tokenizer

import (
	"bytes"
	"unicode/utf8"
)

// The pre-tokenisation regexes that have a scanner, as they are written in
// tokenizer.json files.
const (
	regexGPT2   = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	regexCL100K = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	regexQwen2  = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// pattern names a scanner.
type pattern uint8

const (
	patternWhole  pattern = iota // no regex: the text is one word
	patternGPT2                  // GPT-2, GPT-NeoX, OLMo 1
	patternCL100K                // GPT-4, dolma2, Llama 3
	patternQwen2                 // as cl100k, but every digit is a word
)

// patternOf returns the scanner of a regex.
func patternOf(regex string) (pattern, bool) {
	switch regex {
	case regexGPT2:
		return patternGPT2, true
	case regexCL100K:
		return patternCL100K, true
	case regexQwen2:
		return patternQwen2, true
	}
	return patternWhole, false
}

// scanner cuts text into words. Each regex covers every text without gaps, so
// a word is given by its end.
type scanner struct {
	pattern pattern
	classes *classTable
}

// next returns the end of the word that starts at text[i]; i < len(text).
func (s *scanner) next(text []byte, i int) int {
	switch s.pattern {
	case patternGPT2:
		return s.nextGPT2(text, i)
	case patternCL100K:
		return s.nextCL100K(text, i, 3)
	case patternQwen2:
		return s.nextCL100K(text, i, 1)
	}
	return len(text)
}

// class returns the classes and size of the code point at text[i]; i < len(text).
func (s *scanner) class(text []byte, i int) (uint8, int) {
	if b := text[i]; b < utf8.RuneSelf {
		return s.classes.pages[b], 1
	}
	r, size := utf8.DecodeRune(text[i:])
	return s.classes.of(r), size
}

// run returns the end of the longest run of code points of one kind from text[i].
func (s *scanner) run(text []byte, i int, kind uint8) int {
	ascii := (*[256]uint8)(s.classes.pages)
	for i < len(text) {
		if b := text[i]; b < utf8.RuneSelf {
			if ascii[b]&classKind != kind {
				return i
			}
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		if s.classes.of(r)&classKind != kind {
			return i
		}
		i += size
	}
	return i
}

// nextGPT2 scans regexGPT2.
func (s *scanner) nextGPT2(text []byte, i int) int {
	if text[i] == '\'' {
		if n := contraction(text[i+1:]); n > 0 {
			return i + 1 + n
		}
	}
	class, size := s.class(text, i)
	if text[i] == ' ' && i+1 < len(text) {
		if after, n := s.class(text, i+1); after&classSpace == 0 {
			return s.run(text, i+1+n, after&classKind)
		}
	}
	end := s.run(text, i+size, class&classKind)
	if class&classSpace != 0 {
		return beforeWord(text, i, end)
	}
	return end
}

// nextCL100K scans regexCL100K, with at most digits numbers to a word.
func (s *scanner) nextCL100K(text []byte, i, digits int) int {
	c := text[i]
	if c == '\'' {
		if n := foldedContraction(text[i+1:]); n > 0 {
			return i + 1 + n
		}
	}
	class, size := s.class(text, i)
	switch {
	case class&classLetter != 0:
		return s.run(text, i+size, classLetter)
	case class&classNumber != 0:
		return s.numbers(text, i+size, digits-1)
	}
	var after uint8 = classSpace
	n := 0
	if i+size < len(text) {
		after, n = s.class(text, i+size)
	}
	switch {
	case after&classLetter != 0 && c != '\r' && c != '\n':
		return s.run(text, i+size+n, classLetter)
	case class&classSpace == 0:
		return newlines(text, s.run(text, i+size, 0))
	case c == ' ' && after&classKind == 0:
		return newlines(text, s.run(text, i+1+n, 0))
	}
	end := s.run(text, i, classSpace)
	if last := bytes.LastIndexAny(text[i:end], "\r\n"); last >= 0 {
		return i + last + 1
	}
	return beforeWord(text, i, end)
}

// numbers returns the end of at most limit more numbers from text[i].
func (s *scanner) numbers(text []byte, i, limit int) int {
	for ; limit > 0 && i < len(text); limit-- {
		class, size := s.class(text, i)
		if class&classNumber == 0 {
			return i
		}
		i += size
	}
	return i
}

// beforeWord is `\s+(?!\S)|\s+` on the white space text[i:end]: all of it at
// the end of the text, else it leaves its last code point to the next word,
// unless it has only that one.
func beforeWord(text []byte, i, end int) int {
	if end == len(text) {
		return end
	}
	_, size := utf8.DecodeLastRune(text[i:end])
	if end-size > i {
		return end - size
	}
	return end
}

// newlines returns the end of the line ends that start at text[i].
func newlines(text []byte, i int) int {
	for i < len(text) && (text[i] == '\r' || text[i] == '\n') {
		i++
	}
	return i
}

// contraction returns the length of s, t, re, ve, m, ll or d at the start of text.
func contraction(text []byte) int {
	if len(text) == 0 {
		return 0
	}
	switch text[0] {
	case 's', 't', 'm', 'd':
		return 1
	}
	if len(text) > 1 {
		switch string(text[:2]) {
		case "re", "ve", "ll":
			return 2
		}
	}
	return 0
}

// foldedContraction is contraction under case folding, in which the long s
// (U+017F) is an s.
func foldedContraction(text []byte) int {
	if bytes.HasPrefix(text, []byte("ſ")) {
		return len("ſ")
	}
	var lower [2]byte
	for i := range min(len(text), len(lower)) {
		lower[i] = text[i]
		if 'A' <= text[i] && text[i] <= 'Z' {
			lower[i] += 'a' - 'A'
		}
	}
	return contraction(lower[:min(len(text), len(lower))])
}

// nextDigits returns the end of the stretch at text[i] that the Digits
// pre-tokenizer leaves whole: digits or no digits.
func (s *scanner) nextDigits(text []byte, i int, individual bool) int {
	class, size := s.class(text, i)
	first := class & classDigit
	i += size
	if first != 0 && individual {
		return i
	}
	for i < len(text) {
		class, size := s.class(text, i)
		if class&classDigit != first {
			return i
		}
		i += size
	}
	return i
}
