package tokenizer

import (
	"encoding/json"
	"fmt"
)

const supportedPreTokenizers = "ByteLevel, or Sequence of Split or Digits and then ByteLevel"

// parsePreTokenizer accepts ByteLevel alone, and the Sequences that Llama 3 and
// Qwen 2 (Split, ByteLevel without its regex) and SmolLM2 (Digits, ByteLevel) use.
func (t *Tokenizer) parsePreTokenizer(data []byte) error {
	const what = "pre_tokenizer"
	if isNull(data) {
		return fmt.Errorf("%s is null: not a byte-level tokenizer (supported: %s)", what, supportedPreTokenizers)
	}
	kind, err := kindOf(data, what)
	if err != nil {
		return err
	}
	switch kind {
	case "ByteLevel":
		return t.parseByteLevel(data, what, false)
	case "Sequence":
		fields, err := object(data, what, "type", "pretokenizers")
		if err != nil {
			return err
		}
		list, err := field[[]json.RawMessage](fields, what, "pretokenizers", nil)
		if err != nil {
			return err
		}
		return t.parseSequence(list, what+".pretokenizers")
	}
	return fmt.Errorf("%s %q is not supported (supported: %s)", what, kind, supportedPreTokenizers)
}

func (t *Tokenizer) parseSequence(list []json.RawMessage, what string) error {
	if len(list) == 1 {
		return t.parseByteLevel(list[0], what+"[0]", false)
	}
	if len(list) != 2 {
		return fmt.Errorf("%s has %d entries (supported: %s)", what, len(list), supportedPreTokenizers)
	}
	kind, err := kindOf(list[0], what+"[0]")
	if err != nil {
		return err
	}
	switch kind {
	case "Split":
		err = t.parseSplit(list[0], what+"[0]")
	case "Digits":
		err = t.parseDigits(list[0], what+"[0]")
	default:
		err = fmt.Errorf("%s[0] %q is not supported (supported: %s)", what, kind, supportedPreTokenizers)
	}
	if err != nil {
		return err
	}
	return t.parseByteLevel(list[1], what+"[1]", true)
}

// parseSplit accepts the known regexes. They leave no gaps, so to isolate the
// matches and to remove what is between them is the same.
func (t *Tokenizer) parseSplit(data []byte, what string) error {
	fields, err := object(data, what, "type", "pattern", "behavior", "invert")
	if err != nil {
		return err
	}
	var regex struct{ Regex *string }
	if err := json.Unmarshal(fields["pattern"], &regex); err != nil || regex.Regex == nil {
		return fmt.Errorf("%s.pattern %s is not supported (supported: {\"Regex\": ...})", what, brief(fields["pattern"]))
	}
	known, ok := patternOf(*regex.Regex)
	if !ok {
		return fmt.Errorf("%s.pattern.Regex %q is not supported (supported: the patterns of GPT-2, cl100k/Llama 3 and Qwen 2, letter for letter)", what, *regex.Regex)
	}
	t.scan.pattern = known
	behavior, err := field(fields, what, "behavior", "")
	if err != nil {
		return err
	}
	invert, err := field(fields, what, "invert", false)
	if err != nil {
		return err
	}
	if behavior == "Isolated" || behavior == "Removed" && invert {
		return nil
	}
	return fmt.Errorf("%s.behavior %q with invert %t is not supported (supported: Isolated; Removed with invert true)", what, behavior, invert)
}

func (t *Tokenizer) parseDigits(data []byte, what string) error {
	fields, err := object(data, what, "type", "individual_digits")
	if err != nil {
		return err
	}
	individual, err := field(fields, what, "individual_digits", false)
	t.digits = digitsRuns
	if individual {
		t.digits = digitsApart
	}
	return err
}

// parseByteLevel reads the ByteLevel entry. second: another entry came before
// it and has cut the text.
func (t *Tokenizer) parseByteLevel(data []byte, what string, second bool) error {
	kind, err := kindOf(data, what)
	if err != nil {
		return err
	}
	if kind != "ByteLevel" {
		return fmt.Errorf("%s %q is not supported (supported: %s)", what, kind, supportedPreTokenizers)
	}
	fields, err := object(data, what, "type", "add_prefix_space", "trim_offsets", "use_regex")
	if err != nil {
		return err
	}
	if _, ok := fields["add_prefix_space"]; !ok {
		return fmt.Errorf("%s.add_prefix_space is missing", what)
	}
	if t.prefixSpace, err = field(fields, what, "add_prefix_space", false); err != nil {
		return err
	}
	useRegex, err := field(fields, what, "use_regex", true)
	if err != nil {
		return err
	}
	split := second && t.digits == digitsTogether
	switch {
	case second && t.prefixSpace:
		return fmt.Errorf("%s.add_prefix_space true after another pre-tokenizer is not supported", what)
	case split && useRegex:
		return fmt.Errorf("%s.use_regex true after Split is not supported (supported: false)", what)
	case useRegex:
		t.scan.pattern = patternGPT2
	}
	return nil
}
