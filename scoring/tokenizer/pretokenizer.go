package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
)

const (
	supportedPreTokenizers = "ByteLevel, or Sequence of Split or Digits and then ByteLevel; null or Metaspace for models of characters"
	supportedBefore        = "Split, Digits"
)

// parsePreTokenizer accepts ByteLevel alone, and the Sequences that Llama 3 and
// Qwen 2 (Split, ByteLevel without its regex) and SmolLM2 (Digits, ByteLevel) use.
// Without ByteLevel the model is one of characters: Llama 2 has none or Metaspace,
// Gemma a Split that finds nothing.
func (t *Tokenizer) parsePreTokenizer(data []byte) (level, error) {
	const what = "pre_tokenizer"
	list, at, err := sequenceOf(data, what, "pretokenizers")
	if err != nil {
		return unknownLevel, err
	}
	if at != what {
		at += "[0]"
	}
	switch len(list) {
	case 0:
		if at != what {
			return unknownLevel, fmt.Errorf("%s.pretokenizers has 0 entries (supported: %s)", what, supportedPreTokenizers)
		}
		return characterLevel, nil
	case 1:
		return t.parseOnePreTokenizer(list[0], at)
	case 2:
		level := unknownLevel
		if kind, err := kindOf(list[1], at); err == nil && kind == "ByteLevel" {
			level = byteLevel
		}
		return level, t.parseSequence(list, what+".pretokenizers")
	}
	return unknownLevel, fmt.Errorf("%s.pretokenizers has %d entries (supported: %s)", what, len(list), supportedPreTokenizers)
}

func (t *Tokenizer) parseOnePreTokenizer(data []byte, what string) (level, error) {
	kind, err := kindOf(data, what)
	if err != nil {
		return unknownLevel, err
	}
	switch kind {
	case "ByteLevel":
		return byteLevel, t.parseByteLevel(data, what, false)
	case "Metaspace":
		return characterLevel, t.parseMetaspace(data, what)
	case "Split":
		return characterLevel, t.parseIdleSplit(data, what)
	}
	return unknownLevel, fmt.Errorf("%s %q is not supported (supported: %s)", what, kind, supportedPreTokenizers)
}

// parseMetaspace reads Metaspace, as HF does where only add_prefix_space is given.
func (t *Tokenizer) parseMetaspace(data []byte, what string) error {
	fields, err := object(data, what, "type", "replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep")
	if err != nil {
		return err
	}
	replacement, err1 := field(fields, what, "replacement", "")
	scheme, err2 := field(fields, what, "prepend_scheme", "always")
	pieces, err3 := field[*bool](fields, what, "split", nil)
	legacy, err4 := field[*bool](fields, what, "add_prefix_space", nil)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	var faults []error
	if replacement != metaspace {
		faults = append(faults, fmt.Errorf("%s.replacement %q is not supported (supported: ▁)", what, replacement))
	}
	modes := map[string]prependMode{"always": prependAlways, "first": prependFirst, "never": prependNever}
	mode, ok := modes[scheme]
	if !ok {
		faults = append(faults, fmt.Errorf("%s.prepend_scheme %q is not supported (supported: always, first, never)", what, scheme))
	}
	if legacy != nil && !*legacy && mode != prependNever {
		faults = append(faults, fmt.Errorf("%s.add_prefix_space false contradicts prepend_scheme %s; HF tokenizers refuses that too", what, scheme))
	}
	t.spaces = spaceRule{prepend: mode, replace: true, pieces: pieces == nil || *pieces}
	return errors.Join(faults...)
}

// parseIdleSplit accepts Gemma's Split at spaces, of which its normalizer has left none.
func (t *Tokenizer) parseIdleSplit(data []byte, what string) error {
	fields, err := object(data, what, "type", "pattern", "behavior", "invert")
	if err != nil {
		return err
	}
	var pattern struct{ String *string }
	if json.Unmarshal(fields["pattern"], &pattern) != nil || pattern.String == nil || *pattern.String != " " {
		return fmt.Errorf("%s Split by %s without ByteLevel is not supported (supported: {\"String\": \" \"} after a normalizer that replaces spaces; %s)",
			what, brief(fields["pattern"]), supportedPreTokenizers)
	}
	invert, err := field(fields, what, "invert", false)
	if err == nil && invert {
		err = fmt.Errorf("%s.invert true is not supported here (supported: false)", what)
	}
	t.spaces.idle = true
	return err
}

// parseSequence accepts Split or Digits, and ByteLevel behind it.
func (t *Tokenizer) parseSequence(list []json.RawMessage, what string) error {
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
		err = fmt.Errorf("%s[0] %q is not supported (supported: %s)", what, kind, supportedBefore)
	}
	return errors.Join(err, t.parseByteLevel(list[1], what+"[1]", true))
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
		return fmt.Errorf("%s %q is not supported (supported: ByteLevel)", what, kind)
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
