package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Parse reads the bytes of a tokenizer.json. Everything that is declared there and
// would change ids is either done exactly or refused, with the key, its
// value and what is supported; all faults of a file are reported together.
func Parse(data []byte) (*Tokenizer, error) {
	file, err := object(data, "the file", "version", "truncation", "padding", "added_tokens",
		"normalizer", "pre_tokenizer", "post_processor", "decoder", "model")
	if err != nil {
		return nil, fmt.Errorf("parse tokenizer: %w", err)
	}
	classes := newClassTable()
	t := &Tokenizer{json: data, digest: digestOf(data), scan: scanner{classes: classes}}
	err = errors.Join(
		checkNull(file, "truncation", "curate does not cut documents: set it to null"),
		checkNull(file, "padding", "curate packs sequences itself: set it to null"),
		t.parseNormalizer(file["normalizer"]),
		t.parsePreTokenizer(file["pre_tokenizer"]),
		checkPostProcessor(file["post_processor"], "post_processor"),
		checkDecoder(file["decoder"]),
		t.parseModel(file["model"]),
	)
	if err == nil {
		err = t.parseAddedTokens(file["added_tokens"])
	}
	if err != nil {
		return nil, fmt.Errorf("parse tokenizer: %w", err)
	}
	return t, nil
}

// object decodes a JSON object that may have only the given keys.
func object(data []byte, what string, keys ...string) (map[string]json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, fmt.Errorf("%s is not a JSON object: %w", what, err)
	}
	var faults []error
	for key, value := range fields {
		if !slices.Contains(keys, key) {
			faults = append(faults, fmt.Errorf("%s has the key %q (%s), which is not supported (supported: %s)",
				what, key, brief(value), strings.Join(keys, ", ")))
		}
	}
	slices.SortFunc(faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return fields, errors.Join(faults...)
}

// typed decodes an object with a "type" key.
func typed(data []byte, what string, keys ...string) (kind string, fields map[string]json.RawMessage, err error) {
	var header struct {
		Type *string `json:"type"`
	}
	if err := json.Unmarshal(data, &header); err != nil {
		return "", nil, fmt.Errorf("%s is not an object with a type: %w", what, err)
	}
	if header.Type == nil {
		return "", nil, fmt.Errorf("%s has no type: %s", what, brief(data))
	}
	fields, err = object(data, what+" ("+*header.Type+")", append(keys, "type")...)
	return *header.Type, fields, err
}

// field decodes fields[key] into a value of type T, or returns missing if it is not there.
func field[T any](fields map[string]json.RawMessage, what, key string, missing T) (T, error) {
	data, ok := fields[key]
	if !ok {
		return missing, nil
	}
	var value T
	if err := json.Unmarshal(data, &value); err != nil {
		return missing, fmt.Errorf("%s.%s is %s: %w", what, key, brief(data), err)
	}
	return value, nil
}

func isNull(data []byte) bool {
	return len(data) == 0 || string(bytes.TrimSpace(data)) == "null"
}

// brief shows the start of a value in an error.
func brief(data []byte) string {
	const limit = 60
	if len(data) > limit {
		return strings.ToValidUTF8(string(data[:limit]), "") + "..."
	}
	return string(data)
}

func checkNull(fields map[string]json.RawMessage, key, why string) error {
	if isNull(fields[key]) {
		return nil
	}
	return fmt.Errorf("%s is %s; %s", key, brief(fields[key]), why)
}

func (t *Tokenizer) parseNormalizer(data []byte) error {
	if isNull(data) {
		return nil
	}
	kind, fields, err := typed(data, "normalizer", "normalizers")
	switch {
	case err != nil && kind != "NFC" && kind != "Sequence":
		return fmt.Errorf("normalizer %q is not supported (supported: null, NFC)", kind)
	case err != nil:
		return err
	case kind == "NFC":
		t.nfc = newNFC(t.scan.classes)
		return nil
	case kind == "Sequence":
		list, err := field[[]json.RawMessage](fields, "normalizer", "normalizers", nil)
		if err != nil {
			return err
		}
		if len(list) == 1 {
			return t.parseNormalizer(list[0])
		}
	}
	return fmt.Errorf("normalizer %s is not supported (supported: null, NFC)", brief(data))
}

// checkPostProcessor accepts what only adds special tokens or trims offsets:
// neither touches ids with add_special_tokens=False.
func checkPostProcessor(data []byte, what string) error {
	if isNull(data) {
		return nil
	}
	var p struct {
		Type       string                       `json:"type"`
		Processors []json.RawMessage            `json:"processors"`
		Single     []map[string]json.RawMessage `json:"single"`
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	switch p.Type {
	case "ByteLevel", "RobertaProcessing", "BertProcessing":
		return nil
	case "TemplateProcessing":
		sequences := 0
		for _, piece := range p.Single {
			if _, ok := piece["Sequence"]; ok {
				sequences++
			}
		}
		if sequences != 1 {
			return fmt.Errorf("%s.single has %d times the sequence, must have it once", what, sequences)
		}
		return nil
	case "Sequence":
		var faults []error
		for i, inner := range p.Processors {
			faults = append(faults, checkPostProcessor(inner, fmt.Sprintf("%s.processors[%d]", what, i)))
		}
		return errors.Join(faults...)
	}
	return fmt.Errorf("%s %q is not supported (supported: null, ByteLevel, TemplateProcessing, RobertaProcessing, BertProcessing, Sequence of these)", what, p.Type)
}

func checkDecoder(data []byte) error {
	if isNull(data) {
		return nil
	}
	kind, _, err := typed(data, "decoder", "add_prefix_space", "trim_offsets", "use_regex")
	if kind != "" && kind != "ByteLevel" {
		return fmt.Errorf("decoder %q is not supported (supported: null, ByteLevel)", kind)
	}
	return err
}
