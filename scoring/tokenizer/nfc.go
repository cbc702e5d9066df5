package tokenizer

import (
	"cmp"
	"slices"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Hangul syllables compose by arithmetic (The Unicode Standard, section 3.12).
const (
	hangulS, hangulL, hangulV, hangulT     = 0xAC00, 0x1100, 0x1161, 0x11A7
	hangulLs, hangulVs, hangulTs, hangulSs = 19, 21, 28, 19 * 21 * 28
)

// nfc is Unicode normalisation form C as HF tokenizers does it, with the
// Unicode version of its tables: what those do not know stays as it is. Single
// decompositions come from x/text. Its NFC itself cannot be used: it breaks up
// runs of more than 30 marks, and it composes across planes (U+10041 U+0301).
type nfc struct {
	classes   *classTable
	combining map[rune]uint8 // canonical combining class, if not 0
	parts     map[rune][]rune
	pairs     map[[2]rune]rune
	runes     []mark // scratch
}

// mark is a code point with its combining class.
type mark struct {
	r   rune
	ccc uint8
}

// newNFC builds the tables and notes in classes which code
// points need a second look.
func newNFC(classes *classTable) *nfc {
	n := &nfc{classes: classes, combining: map[rune]uint8{}, parts: map[rune][]rune{}, pairs: map[[2]rune]rune{}}
	for _, r := range normalRanges {
		if r[0] == hangulS {
			continue
		}
		for c := r[0]; c <= r[1]; c++ {
			n.add(c)
		}
	}
	for pair := range n.pairs {
		classes.add(pair[1], classSlow|classBackward)
	}
	for c := rune(hangulV); c < hangulV+hangulVs; c++ {
		classes.add(c, classSlow|classBackward)
	}
	for c := rune(hangulT + 1); c < hangulT+hangulTs; c++ {
		classes.add(c, classSlow|classBackward)
	}
	return n
}

func (n *nfc) add(c rune) {
	s := string(c)
	properties := norm.NFD.PropertiesString(s)
	if ccc := properties.CCC(); ccc != 0 {
		n.combining[c] = ccc
		n.classes.add(c, classSlow)
	}
	parts := []rune(string(properties.Decomposition()))
	if len(parts) == 0 {
		return
	}
	n.parts[c] = parts
	if norm.NFC.String(s) != s {
		n.classes.add(c, classSlow|classChanges)
		return
	}
	last := len(parts) - 1
	first, _ := utf8.DecodeRuneInString(norm.NFC.String(string(parts[:last])))
	n.pairs[[2]rune{first, parts[last]}] = c
}

// encoder returns an nfc with its own scratch memory.
func (n *nfc) encoder() *nfc {
	own := *n
	own.runes = nil
	return &own
}

// span returns how much of text, from its start, is in form C whatever
// follows; len(text) if all of it is.
func (n *nfc) span(text []byte) int {
	start := 0 // of the last code point that nothing before it can change
	var last uint8
	for i := 0; i < len(text); {
		if text[i] < utf8.RuneSelf {
			start, last = i, 0
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		class := n.classes.of(r)
		switch {
		case class&classSlow == 0:
			start, last = i, 0
		case class&(classChanges|classBackward) != 0:
			return start
		default:
			ccc := n.combining[r]
			if ccc < last {
				return start
			}
			last = ccc
		}
		i += size
	}
	return len(text)
}

// append appends the form C of text to dst.
func (n *nfc) append(dst, text []byte) []byte {
	for {
		same := n.span(text)
		dst = append(dst, text[:same]...)
		text = text[same:]
		if len(text) == 0 {
			return dst
		}
		_, end := utf8.DecodeRune(text)
		for end < len(text) {
			r, size := utf8.DecodeRune(text[end:])
			if n.classes.of(r)&classSlow == 0 {
				break
			}
			end += size
		}
		dst = n.compose(dst, text[:end])
		text = text[end:]
	}
}

// compose appends the form C of one cluster: a code point and the marks that
// follow it. No byte of it is ASCII but the first.
func (n *nfc) compose(dst, cluster []byte) []byte {
	n.runes = n.runes[:0]
	for len(cluster) > 0 {
		r, size := utf8.DecodeRune(cluster)
		n.decompose(r)
		cluster = cluster[size:]
	}
	sortMarks(n.runes)
	starter, last := -1, -1 // last: combining class of the code point before, -1 at the starter
	kept := n.runes[:0]
	for _, m := range n.runes {
		if starter >= 0 && last < int(m.ccc) {
			if c, ok := n.pair(kept[starter].r, m.r); ok {
				kept[starter].r = c
				continue
			}
		}
		last = int(m.ccc)
		if m.ccc == 0 {
			starter, last = len(kept), -1
		}
		kept = append(kept, m)
	}
	for _, m := range kept {
		dst = utf8.AppendRune(dst, m.r)
	}
	return dst
}

// decompose appends the full decomposition of r to n.runes.
func (n *nfc) decompose(r rune) {
	if s := r - hangulS; s >= 0 && s < hangulSs {
		n.runes = append(n.runes, mark{r: hangulL + s/(hangulVs*hangulTs)}, mark{r: hangulV + s/hangulTs%hangulVs})
		if s%hangulTs != 0 {
			n.runes = append(n.runes, mark{r: hangulT + s%hangulTs})
		}
		return
	}
	parts, ok := n.parts[r]
	if !ok {
		n.runes = append(n.runes, mark{r, n.combining[r]})
		return
	}
	for _, part := range parts {
		n.runes = append(n.runes, mark{part, n.combining[part]})
	}
}

// pair returns the composition of two code points.
func (n *nfc) pair(a, b rune) (rune, bool) {
	if a >= hangulL && a < hangulL+hangulLs && b >= hangulV && b < hangulV+hangulVs {
		return hangulS + ((a-hangulL)*hangulVs+b-hangulV)*hangulTs, true
	}
	if s := a - hangulS; s >= 0 && s < hangulSs && s%hangulTs == 0 && b > hangulT && b < hangulT+hangulTs {
		return a + b - hangulT, true
	}
	c, ok := n.pairs[[2]rune{a, b}]
	return c, ok
}

// sortMarks puts every run of marks into the order of their combining classes.
func sortMarks(runes []mark) {
	for i := 0; i < len(runes); {
		end := i + 1
		if runes[i].ccc != 0 {
			for end < len(runes) && runes[end].ccc != 0 {
				end++
			}
			slices.SortStableFunc(runes[i:end], func(a, b mark) int { return cmp.Compare(a.ccc, b.ccc) })
		}
		i = end
	}
}
