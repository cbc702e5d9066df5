package tokenizer

// Classes of a code point, one bit each. The tables say which engine of HF
// tokenizers each class is taken from; they are pinned, so ids do not change
// with the Unicode version of the Go toolchain.
const (
	classLetter   = 1 << iota // \p{L}
	classNumber               // \p{N}
	classSpace                // \s
	classWord                 // \w, beside a single_word token
	classDigit                // what the Digits pre-tokenizer cuts out
	classSlow                 // NFC has to look closer: a mark, or a code point that may change
	classBackward             // may compose with a code point before it
	classChanges              // is never part of NFC text

	// classKind tells letters, numbers, white space and the rest (0) apart.
	classKind = classLetter | classNumber | classSpace
)

// classTable maps code points to classes in two steps of 256. Page 0 comes
// first, so pages[b] is the class of the ASCII byte b.
type classTable struct {
	index [0x110000 >> 8]uint16
	pages []uint8
}

// newClassTable builds the table from the ranges in tables.go.
func newClassTable() *classTable {
	t := &classTable{pages: make([]uint8, 2*256)} // page 0: ASCII, page 1: no class at all
	for i := range t.index[1:] {
		t.index[i+1] = 1
	}
	for _, set := range []struct {
		ranges [][2]rune
		class  uint8
	}{
		{letterRanges, classLetter}, {numberRanges, classNumber}, {spaceRanges, classSpace},
		{wordRanges, classWord}, {digitRanges, classDigit},
	} {
		for _, r := range set.ranges {
			for c := r[0]; c <= r[1]; c++ {
				t.add(c, set.class)
			}
		}
	}
	return t
}

func (t *classTable) add(c rune, class uint8) {
	page := t.index[c>>8]
	if page == 1 {
		page = uint16(len(t.pages) >> 8)
		t.index[c>>8] = page
		t.pages = append(t.pages, make([]uint8, 256)...)
	}
	t.pages[int(page)<<8|int(c&0xff)] |= class
}

// of returns the classes of a code point.
func (t *classTable) of(c rune) uint8 {
	return t.pages[int(t.index[c>>8])<<8|int(c&0xff)]
}
