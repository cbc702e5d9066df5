package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
)

const supportedNormalizers = "null, NFC; without ByteLevel also Prepend of ▁ and Replace of a space by ▁; Sequence of these"

// parseNormalizer reads the normalizer: NFC, and what LlamaTokenizer makes of
// spaces.
func (t *Tokenizer) parseNormalizer(data []byte, level level) error {
	list, what, err := sequenceOf(data, "normalizer", "normalizers")
	if err != nil {
		return err
	}
	var faults []error
	for i, entry := range list {
		at := what
		if at != "normalizer" {
			at = fmt.Sprintf("%s[%d]", what, i)
		}
		faults = append(faults, t.parseOneNormalizer(entry, at, level))
	}
	if t.spaces.idle && !t.spaces.replace {
		faults = append(faults, errors.New("pre_tokenizer Split at spaces is not supported without a normalizer that replaces them"))
	}
	return errors.Join(faults...)
}

// sequenceOf returns the entries of a Sequence, or the one object that there is,
// and what to call them.
func sequenceOf(data []byte, what, key string) ([]json.RawMessage, string, error) {
	if isNull(data) {
		return nil, what, nil
	}
	kind, err := kindOf(data, what)
	if err != nil || kind != "Sequence" {
		return []json.RawMessage{data}, what, err
	}
	fields, err := object(data, what, "type", key)
	if err != nil {
		return nil, what, err
	}
	list, err := field[[]json.RawMessage](fields, what, key, nil)
	return list, what + "." + key, err
}

func (t *Tokenizer) parseOneNormalizer(data []byte, what string, level level) error {
	kind, err := kindOf(data, what)
	if err != nil {
		return err
	}
	switch {
	case kind == "NFC":
		if t.nfc == nil {
			t.nfc = newNFC(t.scan.classes)
		}
		_, err = object(data, what, "type")
		return err
	case kind == "Prepend" && level != byteLevel:
		return t.parsePrepend(data, what)
	case kind == "Replace" && level != byteLevel:
		if err := isReplace(data, what, " ", metaspace); err != nil {
			return err
		}
		t.spaces.early, t.spaces.replace = true, true
		return nil
	}
	return fmt.Errorf("%s %q is not supported (supported: %s)", what, kind, supportedNormalizers)
}

func (t *Tokenizer) parsePrepend(data []byte, what string) error {
	fields, err := object(data, what, "type", "prepend")
	if err != nil {
		return err
	}
	text, err := field(fields, what, "prepend", "")
	switch {
	case err != nil:
		return err
	case text != metaspace:
		return fmt.Errorf("%s.prepend %q is not supported (supported: ▁)", what, text)
	case t.spaces.prepend == prependNormalizer:
		return fmt.Errorf("%s: a second Prepend is not supported", what)
	case t.spaces.prepend != prependNever:
		return fmt.Errorf("%s Prepend is not supported together with a Metaspace that prepends", what)
	}
	t.spaces.prepend = prependNormalizer
	return nil
}

// isReplace makes sure that a Replace is of one string by another.
func isReplace(data []byte, what, from, to string) error {
	fields, err := object(data, what, "type", "pattern", "content")
	if err != nil {
		return err
	}
	var pattern struct{ String *string }
	content, err := field(fields, what, "content", "")
	if err != nil {
		return err
	}
	if json.Unmarshal(fields["pattern"], &pattern) != nil || pattern.String == nil || *pattern.String != from || content != to {
		return fmt.Errorf("%s Replace of %s by %q is not supported (supported: {\"String\": %q} by %q)", what, brief(fields["pattern"]), content, from, to)
	}
	return nil
}
