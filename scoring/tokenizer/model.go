package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxID bounds ids, so that a bad file cannot ask for absurd amounts of memory;
// the largest vocabularies in use have under 300,000.
const maxID = 1<<22 - 1

// parseModel reads the model: vocabulary, merges, and the options that say what
// merging begins with.
func (t *Tokenizer) parseModel(data []byte, level level) error {
	if isNull(data) {
		return errors.New("model is missing")
	}
	var header struct {
		Type *string `json:"type"`
	}
	if err := json.Unmarshal(data, &header); err != nil {
		return fmt.Errorf("model is not an object: %w", err)
	}
	if header.Type != nil && *header.Type != "BPE" {
		return fmt.Errorf("model.type %q is not supported (supported: BPE)", *header.Type)
	}
	fields, err := object(data, "model", "type", "dropout", "unk_token", "continuing_subword_prefix",
		"end_of_word_suffix", "fuse_unk", "byte_fallback", "ignore_merges", "vocab", "merges")
	if fields == nil {
		return err
	}
	faults := []error{err, checkModelOptions(fields)}
	if err := t.parseVocab(fields["vocab"]); err != nil {
		return errors.Join(append(faults, err)...)
	}
	faults = append(faults, t.parseMerges(fields["merges"]))
	switch level {
	case byteLevel:
		faults = append(faults, t.parseBytes())
	case characterLevel:
		faults = append(faults, t.parseAlphabet(fields))
	}
	ignoreMerges, err := field(fields, "model", "ignore_merges", false)
	if err := errors.Join(append(faults, err)...); err != nil {
		return err
	}
	if ignoreMerges {
		t.setWhole()
	}
	return nil
}

// parseAlphabet reads what a model of characters begins with.
func (t *Tokenizer) parseAlphabet(fields map[string]json.RawMessage) error {
	fallback, err1 := field(fields, "model", "byte_fallback", false)
	fuse, err2 := field(fields, "model", "fuse_unk", false)
	unk, err3 := field[*string](fields, "model", "unk_token", nil)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	opt := alphabetOptions{fallback: fallback, unk: unk, fuse: fuse, spaces: t.spaces.replace}
	runes, err := newAlphabet(t.ids, opt)
	if err != nil || t.merges == nil {
		return err
	}
	runes.setCuts(t.merges, t.tokens)
	t.runes = runes
	return nil
}

// setWhole fills whole, for ignore_merges.
func (t *Tokenizer) setWhole() {
	t.whole = make(map[string]int32, len(t.ids))
	for token, id := range t.ids {
		if t.runes == nil {
			word, ok := unmapBytes(token)
			if !ok {
				continue
			}
			token = word
		}
		t.whole[token] = id
		t.longest = max(t.longest, len(token))
	}
}

// checkModelOptions refuses what changes ids. In a byte-level model every byte has
// a token, so unk_token, fuse_unk and byte_fallback have nothing to do.
func checkModelOptions(fields map[string]json.RawMessage) error {
	var faults []error
	for _, key := range []string{"continuing_subword_prefix", "end_of_word_suffix"} {
		value, err := field(fields, "model", key, "")
		if err == nil && value != "" {
			err = fmt.Errorf("model.%s %q is not supported (supported: null or empty)", key, value)
		}
		faults = append(faults, err)
	}
	dropout, err := field(fields, "model", "dropout", 0.0)
	if err == nil && dropout != 0 {
		err = fmt.Errorf("model.dropout %v is not supported: ids would be random (supported: null)", dropout)
	}
	return errors.Join(append(faults, err)...)
}

// parseVocab fills tokens and ids.
func (t *Tokenizer) parseVocab(data []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return errors.New("model.vocab is missing or is not an object")
	}
	t.ids = map[string]int32{}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return fmt.Errorf("model.vocab: %w", err)
		}
		value, err := decoder.Token()
		if err != nil {
			return fmt.Errorf("model.vocab: %w", err)
		}
		token := key.(string) // json.Decoder gives strings as keys
		number, _ := value.(json.Number)
		id, err := parseID(number.String())
		if err != nil {
			return fmt.Errorf("model.vocab: token %q: %w", token, err)
		}
		if err := t.setToken(token, id); err != nil {
			return fmt.Errorf("model.vocab: %w", err)
		}
	}
	return nil
}

func parseID(text string) (int32, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 0 || id > maxID {
		return 0, fmt.Errorf("id %q is not an integer from 0 to %d", text, maxID)
	}
	return int32(id), nil
}

// setToken adds a token; neither it nor its id may be there already.
func (t *Tokenizer) setToken(token string, id int32) error {
	if other, ok := t.ids[token]; ok {
		return fmt.Errorf("token %q is there twice, with ids %d and %d", token, other, id)
	}
	for int(id) >= len(t.tokens) {
		t.tokens = append(t.tokens, make([]string, max(1, min(int(id)+1-len(t.tokens), len(t.tokens)+1024)))...)
	}
	if other := t.tokens[id]; other != "" {
		return fmt.Errorf("tokens %q and %q have the same id %d", other, token, id)
	}
	t.tokens[id], t.ids[token] = token, id
	return nil
}

// parseBytes notes the token of each byte and what every token stands for.
func (t *Tokenizer) parseBytes() error {
	var missing []string
	for b := range 256 {
		id, ok := t.ids[string(byteRune(byte(b)))]
		t.bytes[b] = id
		if !ok && b != 0xC0 && b != 0xC1 && b < 0xF5 { // those are in no UTF-8 text
			missing = append(missing, fmt.Sprintf("%q (0x%02X)", byteRune(byte(b)), b))
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("model.vocab has no token for the bytes %s: not a byte-level vocabulary, or trained without the byte alphabet (text would be lost)",
			listSome(missing))
	}
	t.decoded = make([]string, len(t.tokens))
	for id, token := range t.tokens {
		t.decoded[id] = decodeToken(token)
	}
	return nil
}

// parseMerges fills the merge table from "a b" strings or [a, b] pairs.
func (t *Tokenizer) parseMerges(data []byte) error {
	var pairs [][]string
	if isNull(data) {
		return errors.New("model.merges is missing")
	}
	if err := json.Unmarshal(data, &pairs); err != nil {
		var lines []string
		if json.Unmarshal(data, &lines) != nil {
			return fmt.Errorf("model.merges is neither a list of \"a b\" nor of [\"a\", \"b\"]: %w", err)
		}
		pairs = make([][]string, 0, len(lines))
		for _, line := range lines {
			if !strings.HasPrefix(line, "#version") {
				pairs = append(pairs, strings.Split(line, " "))
			}
		}
	}
	merges := newMergeTable(len(pairs))
	var faults []string
	for rank, pair := range pairs {
		if fault := t.putMerge(merges, rank, pair); fault != "" {
			faults = append(faults, fault)
		}
	}
	if len(faults) > 0 {
		return errors.New(listSome(faults))
	}
	t.merges = merges
	return nil
}

// putMerge adds a merge, or says what is wrong with it.
func (t *Tokenizer) putMerge(merges *mergeTable, rank int, pair []string) (fault string) {
	if len(pair) != 2 {
		return fmt.Sprintf("model.merges[%d] has %d parts, must have 2: %q", rank, len(pair), pair)
	}
	var ids [3]int32
	for i, token := range []string{pair[0], pair[1], pair[0] + pair[1]} {
		id, ok := t.ids[token]
		if !ok {
			return fmt.Sprintf("model.merges[%d] %q needs the token %q, which is not in model.vocab", rank, pair, token)
		}
		ids[i] = id
	}
	merges.put(pairOf(ids[0], ids[1]), int32(rank), ids[2])
	return ""
}

// parseAddedTokens adds the entries of added_tokens as AddedVocabulary of HF
// tokenizers does, and builds the matchers.
func (t *Tokenizer) parseAddedTokens(data []byte) error {
	var entries []json.RawMessage
	if !isNull(data) {
		if err := json.Unmarshal(data, &entries); err != nil {
			return fmt.Errorf("added_tokens is not a list: %w", err)
		}
	}
	next := int32(len(t.ids)) // the id HF gives to the next unknown token
	added := map[string]int{}
	var tokens []addedToken
	var faults []error
	for i, entry := range entries {
		token, err := parseAddedToken(entry, fmt.Sprintf("added_tokens[%d]", i))
		if err != nil {
			faults = append(faults, err)
			continue
		}
		if token.Content == "" {
			continue // HF ignores it
		}
		id, known := t.ids[token.Content]
		if !known {
			id = next
			next++
		}
		if id != token.ID {
			faults = append(faults, fmt.Errorf("added_tokens[%d] %q has id %d, but HF tokenizers gives it %d", i, token.Content, token.ID, id))
			continue
		}
		if !known {
			if err := t.setToken(token.Content, id); err != nil {
				faults = append(faults, fmt.Errorf("added_tokens[%d]: %w", i, err))
				continue
			}
		}
		if at, ok := added[token.Content]; ok {
			tokens[at] = token
			continue
		}
		added[token.Content] = len(tokens)
		tokens = append(tokens, token)
	}
	if len(faults) > 0 {
		return joinSome(faults)
	}
	t.setAddedTokens(tokens)
	return nil
}

func parseAddedToken(data []byte, what string) (addedToken, error) {
	fields, err := object(data, what, "id", "content", "single_word", "lstrip", "rstrip", "normalized", "special")
	if err != nil {
		return addedToken{}, err
	}
	for _, key := range []string{"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"} {
		if isNull(fields[key]) {
			return addedToken{}, fmt.Errorf("%s.%s is missing", what, key)
		}
	}
	var token addedToken
	id, err := parseID(string(fields["id"]))
	if err != nil {
		return addedToken{}, fmt.Errorf("%s: %w", what, err)
	}
	if err := json.Unmarshal(data, &token); err != nil {
		return addedToken{}, fmt.Errorf("%s: %w", what, err)
	}
	token.ID = id
	if !utf8.ValidString(token.Content) {
		return addedToken{}, fmt.Errorf("%s.content is not UTF-8", what)
	}
	return token, nil
}

// setAddedTokens builds the two matchers and what added tokens decode to.
func (t *Tokenizer) setAddedTokens(tokens []addedToken) {
	var raw, normalized []addedToken
	var rawContents, normalizedContents []string
	for len(t.decoded) < len(t.tokens) {
		t.decoded = append(t.decoded, "")
	}
	for _, token := range tokens {
		content := token.Content
		if token.Normalized {
			content = t.normalize(content)
			normalized, normalizedContents = append(normalized, token), append(normalizedContents, content)
		} else {
			raw, rawContents = append(raw, token), append(rawContents, content)
		}
		if t.runes == nil {
			t.decoded[token.ID] = decodeToken(content)
		}
	}
	t.raw = newMatcher(t.scan.classes, raw, rawContents, false)
	t.normalized = newMatcher(t.scan.classes, normalized, normalizedContents, t.spaces.early)
}

// normalize returns what the normalizer makes of a text, as HF does with the
// contents of added tokens: a Prepend goes before them as well.
func (t *Tokenizer) normalize(text string) string {
	if t.nfc != nil {
		text = string(t.nfc.append(nil, []byte(text)))
	}
	if t.spaces.early {
		text = strings.ReplaceAll(text, " ", metaspace)
	}
	if t.spaces.prepend == prependNormalizer {
		text = metaspace + text
	}
	return text
}
