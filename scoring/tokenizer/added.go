package tokenizer

import (
	"bytes"
	"unicode/utf8"
)

// addedToken is one entry of added_tokens.
type addedToken struct {
	ID         int32  `json:"-"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"` // matches only where no word character touches it
	LStrip     bool   `json:"lstrip"`      // swallows white space on its left
	RStrip     bool   `json:"rstrip"`      // swallows white space on its right
	Normalized bool   `json:"normalized"`  // is looked for in the normalised text
}

// matcher finds added tokens in a text: leftmost first, then longest.
type matcher struct {
	classes  *classTable
	tokens   []addedToken
	spaces   bool             // a space of the text reads as ▁
	first    [256]bool        // bytes that begin a token
	only     int              // the one byte that begins all tokens, or -1
	pairs    [1 << 10]uint64  // bit set of two-byte beginnings
	children map[uint64]int32 // trie: node<<8|byte -> node
	ends     map[int32]int    // node -> index in tokens
}

// newMatcher returns nil if there are no tokens. contents[i] is what to look
// for in place of tokens[i].Content; none is empty.
func newMatcher(classes *classTable, tokens []addedToken, contents []string, spaces bool) *matcher {
	if len(tokens) == 0 {
		return nil
	}
	m := &matcher{classes: classes, tokens: tokens, spaces: spaces, only: -1, children: map[uint64]int32{}, ends: map[int32]int{}}
	nodes, beginnings := int32(1), 0
	for i, content := range contents {
		if !m.first[content[0]] {
			m.first[content[0]] = true
			beginnings++
		}
		m.addPairs(content)
		node := int32(0)
		for j := range len(content) {
			edge := uint64(node)<<8 | uint64(content[j])
			child, ok := m.children[edge]
			if !ok {
				child = nodes
				nodes++
				m.children[edge] = child
			}
			node = child
		}
		m.ends[node] = i
	}
	if spaces && m.first[metaspace[0]] {
		m.first[' '] = true
		beginnings++
	}
	if beginnings == 1 {
		m.only = int(contents[0][0])
	}
	return m
}

// addPairs notes the two bytes that content begins with; one byte alone may
// be followed by anything.
func (m *matcher) addPairs(content string) {
	low, high := 0, 255
	if len(content) > 1 {
		low, high = int(content[1]), int(content[1])
	}
	for second := low; second <= high; second++ {
		pair := int(content[0])<<8 | second
		m.pairs[pair>>6] |= 1 << (pair & 63)
	}
}

// find returns the first match in text[i:], or token -1. Where i is -1 a ▁ that
// the text does not have stands before it.
func (m *matcher) find(text []byte, i int) (start, stop, token int) {
	if i < 0 {
		if node := m.walk(0, metaspace); node > 0 {
			if stop, token := m.longest(node, text, 0); token >= 0 {
				return i, stop, token
			}
		}
		i = 0
	}
	for i < len(text) {
		if m.only >= 0 {
			skip := bytes.IndexByte(text[i:], byte(m.only))
			if skip < 0 {
				break
			}
			i += skip
		}
		if m.first[text[i]] && m.mayStart(text, i) {
			if stop, token := m.longest(0, text, i); token >= 0 {
				return i, stop, token
			}
		}
		i++
	}
	return len(text), len(text), -1
}

func (m *matcher) mayStart(text []byte, i int) bool {
	if i+1 >= len(text) || m.spaces && (text[i] == ' ' || text[i+1] == ' ') {
		return true
	}
	pair := int(text[i])<<8 | int(text[i+1])
	return m.pairs[pair>>6]>>(pair&63)&1 != 0
}

// walk returns where part leads to from a node, or -1.
func (m *matcher) walk(node int32, part string) int32 {
	for i := range len(part) {
		child, ok := m.children[uint64(node)<<8|uint64(part[i])]
		if !ok {
			return -1
		}
		node = child
	}
	return node
}

// longest returns the end and index of the longest token that goes on from a node
// at text[i], or -1.
func (m *matcher) longest(node int32, text []byte, i int) (stop, token int) {
	token = -1
	if t, ok := m.ends[node]; ok {
		stop, token = i, t
	}
	for ; i < len(text); i++ {
		child, ok := m.children[uint64(node)<<8|uint64(text[i])]
		if m.spaces && text[i] == ' ' {
			child = m.walk(node, metaspace)
			ok = child >= 0
		}
		if !ok {
			break
		}
		node = child
		if t, ok := m.ends[node]; ok {
			stop, token = i+1, t
		}
	}
	return stop, token
}

// split calls yield with every stretch of text between added tokens (id -1) and
// every added token. from is where the stretch begins in text. A text that a ▁
// stands before, which it does not have, begins at -1. split follows
// AddedVocabulary::find_matches of HF tokenizers step by step, in what rstrip
// and lstrip do to each other as well.
func (m *matcher) split(text []byte, begin int, yield func(part []byte, from int, id int32)) {
	done := begin
	for from := begin; from < len(text); {
		start, stop, index := m.find(text, from)
		if index < 0 {
			break
		}
		from = stop
		token := &m.tokens[index]
		if token.SingleWord && !m.alone(text, max(start, 0), stop) {
			continue
		}
		if token.LStrip {
			start = m.spaceBefore(text, start)
		}
		if token.RStrip {
			stop = m.spaceAfter(text, stop)
		}
		if done < start {
			yield(text[max(done, 0):start], done, -1)
		}
		yield(nil, start, token.ID)
		done = stop
	}
	if done < len(text) {
		yield(text[max(done, 0):], done, -1)
	}
}

// class returns the classes of a code point of the text.
func (m *matcher) class(r rune) uint8 {
	if m.spaces && r == ' ' {
		r = metaspaceRune
	}
	return m.classes.of(r)
}

// alone reports whether no word character touches text[start:stop].
func (m *matcher) alone(text []byte, start, stop int) bool {
	before, sizeBefore := utf8.DecodeLastRune(text[:start])
	after, sizeAfter := utf8.DecodeRune(text[stop:])
	return (sizeBefore == 0 || m.class(before)&classWord == 0) &&
		(sizeAfter == 0 || m.class(after)&classWord == 0)
}

// spaceBefore returns where the white space that ends at text[i] starts.
func (m *matcher) spaceBefore(text []byte, i int) int {
	for i > 0 {
		r, size := utf8.DecodeLastRune(text[:i])
		if m.class(r)&classSpace == 0 {
			break
		}
		i -= size
	}
	return i
}

// spaceAfter returns where the white space that starts at text[i] ends.
func (m *matcher) spaceAfter(text []byte, i int) int {
	for i < len(text) {
		r, size := utf8.DecodeRune(text[i:])
		if m.class(r)&classSpace == 0 {
			break
		}
		i += size
	}
	return i
}
