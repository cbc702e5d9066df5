package shards

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// unquote returns the bytes of a JSON string literal, which must be valid
// JSON. Unlike encoding/json it keeps what is not Unicode as it is, so that it
// can be counted rather than replaced: bytes that are not UTF-8 stay, and a
// lone surrogate becomes the three bytes that UTF-8 forbids for it. The result
// may share memory with the literal.
func unquote(literal []byte) []byte {
	s := literal[1 : len(literal)-1]
	next := bytes.IndexByte(s, '\\')
	if next < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for next >= 0 {
		out = append(out, s[:next]...)
		var n int
		out, n = appendEscape(out, s[next:])
		s = s[next+n:]
		next = bytes.IndexByte(s, '\\')
	}
	return append(out, s...)
}

// appendEscape appends what the escape at the beginning of s stands for and
// returns its length.
func appendEscape(out, s []byte) ([]byte, int) {
	switch c := s[1]; c {
	case 'n':
		return append(out, '\n'), 2
	case 't':
		return append(out, '\t'), 2
	case 'r':
		return append(out, '\r'), 2
	case 'b':
		return append(out, '\b'), 2
	case 'f':
		return append(out, '\f'), 2
	case 'u':
	default: // \" \\ \/
		return append(out, c), 2
	}
	r := hex4(s[2:6])
	if !utf16.IsSurrogate(r) {
		return utf8.AppendRune(out, r), 6
	}
	if len(s) >= 12 && s[6] == '\\' && s[7] == 'u' {
		if pair := utf16.DecodeRune(r, hex4(s[8:12])); pair != utf8.RuneError {
			return utf8.AppendRune(out, pair), 12
		}
	}
	return append(out, 0xE0|byte(r>>12), 0x80|byte(r>>6)&0x3F, 0x80|byte(r)&0x3F), 6
}

// hex4 is the value of four hexadecimal digits.
func hex4(s []byte) rune {
	r := rune(0)
	for _, c := range s {
		r <<= 4
		switch {
		case c <= '9':
			r |= rune(c - '0')
		case c <= 'F':
			r |= rune(c - 'A' + 10)
		default:
			r |= rune(c - 'a' + 10)
		}
	}
	return r
}
