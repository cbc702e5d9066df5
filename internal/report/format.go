package report

import (
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	minus = "\u2212" // wider than a hyphen, aligns with digits
	nbsp  = "\u00a0"
)

// count writes n with thousands separators.
func count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = minus, digits[1:]
	}
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return sign + b.String()
}

// compact writes a number of an axis in at most five characters: 1,500 is 1.5k.
func compact(x float64) string {
	for _, s := range []struct {
		from float64
		name string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if math.Abs(x) >= s.from {
			return decimal(x/s.from, 4) + s.name
		}
	}
	return decimal(x, 4)
}

// decimal writes x with up to prec significant digits and no trailing zeros.
func decimal(x float64, prec int) string {
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', prec, 64), 64)
	if err != nil {
		return "?" // not reached: the text comes from FormatFloat
	}
	return strings.Replace(strconv.FormatFloat(rounded, 'f', -1, 64), "-", minus, 1)
}

// fixed writes x with a fixed number of decimals, or an en dash when it is not
// a finite number.
func fixed(x float64, decimals int) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return "\u2013"
	}
	if math.Abs(x) >= 1e9 { // nothing that is sensible here
		return strings.ReplaceAll(strconv.FormatFloat(x, 'e', 2, 64), "-", minus)
	}
	s := strconv.FormatFloat(x, 'f', decimals, 64)
	if rest, negative := strings.CutPrefix(s, "-"); negative {
		if strings.Trim(rest, "0.") == "" {
			return rest // no negative zero
		}
		return minus + rest
	}
	return s
}

// signed is fixed with a sign in front of positive numbers too.
func signed(x float64, decimals int) string {
	s := fixed(x, decimals)
	if x > 0 && !math.IsInf(x, 0) && strings.Trim(s, "0.") != "" {
		return "+" + s
	}
	return s
}

// percent writes part of whole: one decimal, more below 0.1 %, none where it
// would be zero. An empty whole gives an en dash.
func percent(part, whole int64) string {
	if whole == 0 {
		return "\u2013"
	}
	return share(float64(part) / float64(whole))
}

// evenly is percent for a column: always one decimal, so that points align.
func evenly(part, whole int64) string {
	x := 100 * float64(part) / float64(whole)
	switch {
	case whole == 0:
		return "\u2013"
	case x > 0 && x < 0.05:
		return "<0.1" + nbsp + "%"
	}
	return fixed(x, 1) + nbsp + "%"
}

func share(fraction float64) string {
	x := fraction * 100
	s := strings.TrimSuffix(strconv.FormatFloat(x, 'f', 1, 64), ".0")
	if x > 0 && x < 0.1 {
		s = decimal(x, 2)
	}
	if s == "100" && fraction < 1 {
		s = "99.9" // never claims all of it
	}
	return s + nbsp + "%"
}

// lift writes how many times larger after is than before.
func lift(ratio float64) string {
	switch {
	case math.IsNaN(ratio) || math.IsInf(ratio, 0):
		return "\u2013"
	case ratio >= 100:
		return "\u00d7" + count(int64(math.Round(ratio)))
	case ratio >= 10:
		return "\u00d7" + fixed(ratio, 1)
	}
	return "\u00d7" + fixed(ratio, 2)
}

// clean makes text safe to look at: bytes that are not UTF-8 and code points
// that no text may hold become U+FFFD, control characters become their
// pictures, and characters that reorder their neighbours are spelled out.
// Line ends become \n; \n and \t stay.
func clean(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\r\n", "\n")
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range s {
		switch {
		case r == '\n' || r == '\t':
			b.WriteRune(r)
		case r == '\r' || r == '\u0085' || r == '\u2028' || r == '\u2029':
			b.WriteByte('\n')
		case r < 0x20:
			b.WriteRune(0x2400 + r)
		case r == 0x7f:
			b.WriteRune('\u2421')
		case unicode.Is(unicode.Bidi_Control, r) && r != '\u200e' && r != '\u200f' && r != '\u061c':
			b.WriteString("[U+" + strings.ToUpper(strconv.FormatInt(int64(r), 16)) + "]")
		case unicode.IsControl(r) || unicode.Is(unicode.Noncharacter_Code_Point, r):
			b.WriteRune(utf8.RuneError)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// name is clean for a short text that stands in a line; long ones lose their
// middle. An empty one becomes the text of ifEmpty.
func name(s, ifEmpty string) string {
	const most = 64
	if len(s) > 4*utf8.UTFMax*most { // enough bytes for both ends
		s = s[:utf8.UTFMax*most] + s[len(s)-utf8.UTFMax*most:]
	}
	runes := []rune(strings.Join(strings.Fields(clean(s)), " "))
	if len(runes) == 0 {
		return ifEmpty
	}
	if len(runes) > most {
		return string(runes[:most/2]) + "\u2026" + string(runes[len(runes)-most/2+1:])
	}
	return string(runes)
}

// sentence is clean for a text of a line or two; long ones lose their end. An
// empty one becomes the text of ifEmpty.
func sentence(s, ifEmpty string) string {
	const most = 300
	if len(s) > utf8.UTFMax*most {
		s = s[:utf8.UTFMax*most]
	}
	runes := []rune(strings.Join(strings.Fields(clean(s)), " "))
	if len(runes) == 0 {
		return ifEmpty
	}
	if len(runes) > most {
		return string(runes[:most-1]) + "\u2026"
	}
	return string(runes)
}

// Lengths of the text of a sample: what is seen at once, and all that is shown.
const (
	headRunes = 440
	headLines = 12
	mostBytes = 6000
)

// excerpt splits a text into what is seen at once and what unfolds, and says
// how many bytes at its end are not shown at all.
func excerpt(text string) (head, rest string, left int) {
	if len(text) > mostBytes {
		end := mostBytes
		for end > mostBytes-utf8.UTFMax && !utf8.RuneStart(text[end]) {
			end--
		}
		text, left = text[:end], len(text)-end
	}
	text = strings.TrimSpace(clean(text))
	cut := headEnd(text)
	return strings.TrimRightFunc(text[:cut], unicode.IsSpace), text[cut:], left
}

// headEnd returns where the head of a text ends: after headLines lines or near
// headRunes characters, at a space where there is one. A text that is only a
// little longer is all head.
func headEnd(text string) int {
	runes, lines, space, cut := 0, 0, -1, -1
	for i, r := range text {
		if r == '\n' {
			lines++
			if lines == headLines && cut < 0 {
				return i
			}
		}
		if runes > headRunes/2 && runes <= headRunes && unicode.IsSpace(r) {
			space = i
		}
		if runes == headRunes {
			cut = i
			if space > 0 {
				cut = space
			}
		}
		if runes == headRunes*5/4 {
			return cut
		}
		runes++
	}
	return len(text)
}
