package tokenizer

import (
	"fmt"
	"slices"
	"unicode/utf8"
)

// metaspace is what stands for a space in the vocabularies of SentencePiece.
const (
	metaspace     = "▁"
	metaspaceRune = '▁'
)

// What a code point has in place of the id of a token.
const (
	symbolUnknown  = -1 // neither a token nor bytes that are
	symbolFallback = -2 // its bytes are tokens
)

// alphabet knows what merging begins with in a model of characters: each code
// point is the token of that name; failing that its bytes are tokens like <0x0A>;
// failing that it is the unknown token. Immutable.
type alphabet struct {
	index  [0x110000 >> 8]uint16
	pages  []int32    // by code point, two steps of 256: id, symbolUnknown or symbolFallback
	bytes  [256]int32 // ids of <0x00> to <0xFF>, -1: there is none
	unk    int32      // unk_token, -1: there is none
	fuse   bool       // neighbouring unknown code points make one unknown token
	spaces bool       // a space reads as ▁

	crossed pairSet    // symbols that a merge may ever join; see crossedPairs
	cuts    [256]uint8 // where words may be cut, by byte; see words.go
	glued   [256]bool  // by byte: a merge may join a code point that ends so to a ▁ behind it
	runs    bool       // a merge may join ▁ to ▁
}

// options of a model of characters, beside vocabulary and merges.
type alphabetOptions struct {
	fallback bool
	unk      *string // nil: none
	fuse     bool
	spaces   bool
}

// newAlphabet finds the tokens of all code points. Text that would get no
// token at all is an error.
func newAlphabet(ids map[string]int32, opt alphabetOptions) (*alphabet, error) {
	a := &alphabet{unk: -1, fuse: opt.fuse, spaces: opt.spaces}
	if opt.unk != nil {
		id, ok := ids[*opt.unk]
		if !ok {
			return nil, fmt.Errorf("model.unk_token %q is not in model.vocab", *opt.unk)
		}
		a.unk = id
	}
	missing := a.setBytes(ids, opt.fallback)
	if a.unk < 0 && missing > 0 {
		return nil, fmt.Errorf("model.unk_token is null and %d bytes have no token like <0x0A> (byte_fallback %t): characters that are not in model.vocab would be lost",
			missing, opt.fallback)
	}
	none := int32(symbolUnknown)
	if missing == 0 {
		none = symbolFallback
	}
	a.pages = slices.Repeat([]int32{none}, 2*256) // page 0: ASCII, page 1: nothing known
	for i := range a.index[1:] {
		a.index[i+1] = 1
	}
	for token, id := range ids {
		if r, size := utf8.DecodeRuneInString(token); size > 0 && size == len(token) && (r != utf8.RuneError || size > 1) {
			a.set(r, id, none)
		}
	}
	if missing > 0 && missing < len(a.bytes) {
		a.setPartial()
	}
	if a.spaces {
		a.set(' ', a.of(metaspaceRune), none)
	}
	return a, nil
}

// setBytes finds the tokens of bytes and returns how many of those that are in
// UTF-8 text have none.
func (a *alphabet) setBytes(ids map[string]int32, fallback bool) (missing int) {
	for b := range a.bytes {
		a.bytes[b] = -1
		if id, ok := ids[fmt.Sprintf("<0x%02X>", b)]; ok && fallback {
			a.bytes[b] = id
		} else if b != 0xC0 && b != 0xC1 && b < 0xF5 {
			missing++
		}
	}
	return missing
}

// setPartial marks the code points whose bytes all are tokens, where some bytes
// are not.
func (a *alphabet) setPartial() {
	var b [utf8.UTFMax]byte
	for r := rune(0); r <= utf8.MaxRune; r++ {
		if !utf8.ValidRune(r) || a.of(r) >= 0 {
			continue
		}
		n := utf8.EncodeRune(b[:], r)
		if !slices.ContainsFunc(b[:n], func(b byte) bool { return a.bytes[b] < 0 }) {
			a.set(r, symbolFallback, symbolUnknown)
		}
	}
}

// set gives a code point its symbol; none is that of the others of a new page.
func (a *alphabet) set(r rune, id, none int32) {
	page := a.index[r>>8]
	if page == 1 {
		page = uint16(len(a.pages) >> 8)
		a.index[r>>8] = page
		a.pages = append(a.pages, slices.Repeat([]int32{none}, 256)...)
	}
	a.pages[int(page)<<8|int(r&0xff)] = id
}

// of returns the symbol of a code point.
func (a *alphabet) of(r rune) int32 { return a.pages[int(a.index[r>>8])<<8|int(r&0xff)] }

// whole reports whether no text has an unknown code point.
func (a *alphabet) whole() bool { return a.pages[256] == symbolFallback }

// symbolReader is the symbolSource of a model of characters.
type symbolReader struct {
	a      *alphabet
	prefix bool   // a ▁ that the text does not have comes first
	text   []byte // not yet read
	held   bool   // an unknown token is due: HF emits it before the next known code point
}

func (r *symbolReader) more() bool { return r.prefix || len(r.text) > 0 || r.held }

func (r *symbolReader) read(dst []int32, limit int) []int32 {
	if r.prefix && len(dst) < limit {
		r.prefix = false
		dst = r.add(dst, r.a.of(metaspaceRune), []byte(metaspace))
	}
	for len(r.text) > 0 && len(dst) < limit {
		c, size := rune(r.text[0]), 1
		if c >= utf8.RuneSelf {
			c, size = utf8.DecodeRune(r.text)
		}
		dst = r.add(dst, r.a.of(c), r.text[:size])
		r.text = r.text[size:]
	}
	if len(r.text) == 0 && !r.prefix {
		dst = r.release(dst)
	}
	return dst
}

// add appends the symbols of a code point.
func (r *symbolReader) add(dst []int32, id int32, code []byte) []int32 {
	switch {
	case id >= 0:
		return append(r.release(dst), id)
	case id == symbolFallback:
		for _, b := range code { // HF lets an unknown token that is due wait
			dst = append(dst, r.a.bytes[b])
		}
	case r.a.unk >= 0:
		if !r.a.fuse {
			dst = r.release(dst)
		}
		r.held = true
	}
	return dst
}

// release appends the unknown token that is due, if one is.
func (r *symbolReader) release(dst []int32) []int32 {
	if r.held {
		r.held = false
		dst = append(dst, r.a.unk)
	}
	return dst
}

// pairSet is a set of pairs of ids.
type pairSet struct {
	slots []uint64 // pair + 1; 0: empty. At most half full.
	shift uint
}

func newPairSet(pairs map[uint64]struct{}) pairSet {
	t := newMergeTable(len(pairs))
	s := pairSet{slots: make([]uint64, len(t.slots)), shift: t.shift}
	for pair := range pairs {
		i := pair * hashFactor >> s.shift
		for s.slots[i] != 0 {
			i = (i + 1) & uint64(len(s.slots)-1)
		}
		s.slots[i] = pair + 1
	}
	return s
}

func (s *pairSet) has(left, right int32) bool {
	pair := pairOf(left, right)
	for i := pair * hashFactor >> s.shift; ; i = (i + 1) & uint64(len(s.slots)-1) {
		if slot := s.slots[i]; slot == 0 || slot == pair+1 {
			return slot != 0
		}
	}
}

// crossedPairs returns the pairs of symbols that a merge may ever join: those of
// a symbol that the left part of a merge may end with, and one that its right part
// may begin with. Between any other two symbols the text can be cut.
func (a *alphabet) crossedPairs(merges *mergeTable, tokens []string) map[uint64]struct{} {
	var all []mergeSlot
	for _, slot := range merges.slots {
		if slot.merge != noMerge {
			all = append(all, slot)
		}
	}
	result := func(s mergeSlot) int32 { return int32(uint32(s.merge)) }
	// The parts of a token are shorter, so they come before it.
	slices.SortFunc(all, func(a, b mergeSlot) int { return len(tokens[result(a)]) - len(tokens[result(b)]) })
	symbols := a.symbols(len(tokens))
	first, last := newSymbolEnds(symbols), newSymbolEnds(symbols)
	for grew := true; grew; {
		grew = false
		for _, s := range all {
			grew = first.inherit(result(s), s.left()) || grew
			grew = last.inherit(result(s), s.right()) || grew
		}
	}
	pairs := map[uint64]struct{}{}
	for _, s := range all {
		for _, l := range last.of(s.left()) {
			for _, r := range first.of(s.right()) {
				pairs[pairOf(l, r)] = struct{}{}
			}
		}
	}
	return pairs
}

// symbols says of every id whether merging may begin with it.
func (a *alphabet) symbols(size int) []bool {
	symbols := make([]bool, size)
	for _, ids := range [][]int32{a.pages, a.bytes[:], {a.unk}} {
		for _, id := range ids {
			if id >= 0 {
				symbols[id] = true
			}
		}
	}
	return symbols
}

// symbolEnds has for every token the symbols that it may begin (or end) with:
// one, but where tokens are merged from others that are named like bytes.
type symbolEnds struct {
	one  []int32 // -1: none
	more map[int32][]int32
}

func newSymbolEnds(symbols []bool) *symbolEnds {
	s := &symbolEnds{one: make([]int32, len(symbols)), more: map[int32][]int32{}}
	for id, is := range symbols {
		s.one[id] = -1
		if is {
			s.one[id] = int32(id)
		}
	}
	return s
}

func (s *symbolEnds) of(id int32) []int32 {
	if more, ok := s.more[id]; ok {
		return more
	}
	if s.one[id] < 0 {
		return nil
	}
	return s.one[id : id+1]
}

// inherit gives a merged token the ends of its part and reports what is new.
func (s *symbolEnds) inherit(id, part int32) (grew bool) {
	if s.one[id] >= 0 && s.one[id] == s.one[part] && s.more[part] == nil {
		return false
	}
	for _, end := range s.of(part) {
		switch {
		case slices.Contains(s.of(id), end):
			continue
		case s.one[id] < 0:
			s.one[id] = end
		default:
			s.more[id] = append(slices.Clone(s.of(id)), end)
		}
		grew = true
	}
	return grew
}
