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

// parseModel reads the model: vocabulary, merges, and options that must not
// change ids.
func (t *Tokenizer) parseModel(data []byte) error {
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
	if err != nil {
		return err
	}
	if err := checkModelOptions(fields); err != nil {
		return err
	}
	if err := t.parseVocab(fields["vocab"]); err != nil {
		return err
	}
	if err := t.parseMerges(fields["merges"]); err != nil {
		return err
	}
	ignoreMerges, err := field(fields, "model", "ignore_merges", false)
	if err != nil || !ignoreMerges {
		return err
	}
	t.whole = make(map[string]int32, len(t.ids))
	for token, id := range t.ids {
		if word, ok := unmapBytes(token); ok {
			t.whole[word] = id
		}
	}
	return nil
}

// checkModelOptions refuses what changes ids. Every byte must have a token, so
// unk_token, fuse_unk and byte_fallback have nothing to do.
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

// parseVocab fills tokens, ids, decoded and bytes.
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
	return t.parseBytes()
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
		if len(missing) > 5 {
			missing = append(missing[:5], fmt.Sprintf("and %d more", len(missing)-5))
		}
		return fmt.Errorf("model.vocab has no token for the bytes %s: not a byte-level vocabulary, or trained without the byte alphabet (text would be lost)",
			strings.Join(missing, ", "))
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
	t.merges = newMergeTable(len(pairs))
	for rank, pair := range pairs {
		if len(pair) != 2 {
			return fmt.Errorf("model.merges[%d] has %d parts, must have 2: %q", rank, len(pair), pair)
		}
		var ids [3]int32
		for i, token := range []string{pair[0], pair[1], pair[0] + pair[1]} {
			id, ok := t.ids[token]
			if !ok {
				return fmt.Errorf("model.merges[%d] %q needs the token %q, which is not in model.vocab", rank, pair, token)
			}
			ids[i] = id
		}
		t.merges.put(pairOf(ids[0], ids[1]), int32(rank), ids[2])
	}
	return nil
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
	for i, entry := range entries {
		token, err := parseAddedToken(entry, fmt.Sprintf("added_tokens[%d]", i))
		if err != nil {
			return err
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
			return fmt.Errorf("added_tokens[%d] %q has id %d, but HF tokenizers gives it %d", i, token.Content, token.ID, id)
		}
		if !known {
			if err := t.setToken(token.Content, id); err != nil {
				return fmt.Errorf("added_tokens[%d]: %w", i, err)
			}
		}
		if at, ok := added[token.Content]; ok {
			tokens[at] = token
			continue
		}
		added[token.Content] = len(tokens)
		tokens = append(tokens, token)
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
			if t.nfc != nil {
				content = string(t.nfc.append(nil, []byte(content)))
			}
			normalized, normalizedContents = append(normalized, token), append(normalizedContents, content)
		} else {
			raw, rawContents = append(raw, token), append(rawContents, content)
		}
		t.decoded[token.ID] = decodeToken(content)
	}
	t.raw = newMatcher(t.scan.classes, raw, rawContents)
	t.normalized = newMatcher(t.scan.classes, normalized, normalizedContents)
}
