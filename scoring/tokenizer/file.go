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
	level, preFault := t.parsePreTokenizer(file["pre_tokenizer"])
	err = errors.Join(
		checkNull(file, "truncation", "curate does not cut documents: set it to null"),
		checkNull(file, "padding", "curate packs sequences itself: set it to null"),
		t.parseNormalizer(file["normalizer"], level),
		preFault,
		checkPostProcessor(file["post_processor"]),
		t.parseDecoder(file["decoder"], level),
		t.parseModel(file["model"], level),
	)
	if err == nil {
		err = t.parseAddedTokens(file["added_tokens"])
	}
	if err != nil {
		return nil, fmt.Errorf("parse tokenizer: %w", err)
	}
	return t, nil
}

// level is what the symbols of a model are.
type level uint8

const (
	unknownLevel   level = iota // the pre-tokenizer is not supported
	byteLevel                   // bytes, as in GPT-2
	characterLevel              // code points, as SentencePiece has them
)

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

// kindOf returns the "type" of an object.
func kindOf(data []byte, what string) (string, error) {
	var header struct {
		Type *string `json:"type"`
	}
	if err := json.Unmarshal(data, &header); err != nil {
		return "", fmt.Errorf("%s is not an object with a type: %w", what, err)
	}
	if header.Type == nil {
		return "", fmt.Errorf("%s has no type: %s", what, brief(data))
	}
	return *header.Type, nil
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

// checkPostProcessor accepts what only adds special tokens or trims offsets:
// neither touches ids with add_special_tokens=False.
func checkPostProcessor(data []byte) error {
	const what = "post_processor"
	if isNull(data) {
		return nil
	}
	kind, err := kindOf(data, what)
	if err != nil {
		return err
	}
	if kind != "Sequence" {
		return checkOneProcessor(data, what)
	}
	fields, err := object(data, what, "type", "processors")
	if err != nil {
		return err
	}
	list, err := field[[]json.RawMessage](fields, what, "processors", nil)
	for i, entry := range list {
		err = errors.Join(err, checkOneProcessor(entry, fmt.Sprintf("%s.processors[%d]", what, i)))
	}
	return err
}

func checkOneProcessor(data []byte, what string) error {
	kind, err := kindOf(data, what)
	if err != nil {
		return err
	}
	switch kind {
	case "ByteLevel", "RobertaProcessing", "BertProcessing":
		return nil
	case "TemplateProcessing":
		var template struct {
			Single []map[string]json.RawMessage `json:"single"`
		}
		if err := json.Unmarshal(data, &template); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		sequences := 0
		for _, piece := range template.Single {
			if _, ok := piece["Sequence"]; ok {
				sequences++
			}
		}
		if sequences != 1 {
			return fmt.Errorf("%s.single has the sequence %d times, must have it once", what, sequences)
		}
		return nil
	}
	return fmt.Errorf("%s %q is not supported (supported: null, ByteLevel, TemplateProcessing, RobertaProcessing, BertProcessing, Sequence of these)", what, kind)
}

// some is how many faults of one kind an error shows.
const some = 5

// listSome joins the first of many faults or names.
func listSome(names []string) string {
	if len(names) > some {
		names = append(names[:some:some], fmt.Sprintf("and %d more", len(names)-some))
	}
	return strings.Join(names, ", ")
}

// joinSome joins the first of many faults.
func joinSome(faults []error) error {
	if len(faults) > some {
		faults = append(faults[:some:some], fmt.Errorf("and %d more", len(faults)-some))
	}
	return errors.Join(faults...)
}
