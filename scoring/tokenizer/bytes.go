package tokenizer

// byteRune is the code point that stands for a byte in a byte-level vocabulary:
// itself if printable in Latin-1, else one from U+0100 on, in order (GPT-2's
// bytes_to_unicode).
func byteRune(b byte) rune {
	switch {
	case b < '!':
		return 0x100 + rune(b)
	case b <= '~':
		return rune(b)
	case b <= 0xA0:
		return 0x100 + 33 + rune(b) - 0x7F
	case b == 0xAD:
		return 0x100 + 33 + 34
	}
	return rune(b)
}

// runeByte is the inverse of byteRune.
func runeByte(r rune) (byte, bool) {
	switch {
	case r < 0x100:
		return byte(r), byteRune(byte(r)) == r
	case r < 0x100+33:
		return byte(r - 0x100), true
	case r < 0x100+33+34:
		return byte(r - 0x100 - 33 + 0x7F), true
	}
	return 0xAD, r == 0x100+33+34
}

// unmapBytes returns the bytes a byte-level token stands for; false if it has
// a code point that stands for none.
func unmapBytes(token string) (string, bool) {
	out := make([]byte, 0, len(token))
	for _, r := range token {
		b, ok := runeByte(r)
		if !ok {
			return "", false
		}
		out = append(out, b)
	}
	return string(out), true
}

// decodeToken is unmapBytes, or the token itself.
func decodeToken(token string) string {
	if out, ok := unmapBytes(token); ok {
		return out
	}
	return token
}
