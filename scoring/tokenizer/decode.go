package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// decodeStep turns the tokens of a text into others; their concatenation is the
// text. Steps follow the decoders of HF tokenizers.
type decodeStep func(tokens []string) []string

const supportedDecoders = "null, Metaspace, Replace of ▁ by a space, ByteFallback, Fuse, Strip, Sequence of these"

// parseDecoder reads the decoder. Decode of a byte-level model is always that of
// ByteLevel.
func (t *Tokenizer) parseDecoder(data []byte, level level) error {
	list, what, err := sequenceOf(data, "decoder", "decoders")
	if err != nil || len(list) == 0 {
		return err
	}
	if level != characterLevel {
		kind, err := kindOf(data, "decoder")
		if err == nil && kind != "ByteLevel" && level == byteLevel {
			err = fmt.Errorf("decoder %q is not supported (supported: null, ByteLevel)", kind)
		}
		return err
	}
	var faults []error
	for i, entry := range list {
		at := what
		if at != "decoder" {
			at = fmt.Sprintf("%s[%d]", what, i)
		}
		step, err := parseDecodeStep(entry, at)
		t.decoder, faults = append(t.decoder, step), append(faults, err)
	}
	return errors.Join(faults...)
}

func parseDecodeStep(data []byte, what string) (decodeStep, error) {
	kind, err := kindOf(data, what)
	if err != nil {
		return nil, err
	}
	switch kind {
	case "ByteFallback":
		return fallbackBytes, nil
	case "Fuse":
		return func(tokens []string) []string { return []string{strings.Join(tokens, "")} }, nil
	case "Replace":
		return eachToken(func(token string) string { return strings.ReplaceAll(token, metaspace, " ") }), isReplace(data, what, metaspace, " ")
	case "Strip":
		return parseStrip(data, what)
	case "Metaspace":
		var rule Tokenizer
		err := rule.parseMetaspace(data, what)
		return unspace(rule.spaces.prepend != prependNever), err
	}
	return nil, fmt.Errorf("%s %q is not supported (supported: %s)", what, kind, supportedDecoders)
}

// eachToken is a step that changes every token for itself.
func eachToken(change func(token string) string) decodeStep {
	return func(tokens []string) []string {
		for i, token := range tokens {
			tokens[i] = change(token)
		}
		return tokens
	}
}

// parseStrip reads the step that takes characters off the ends of every token.
func parseStrip(data []byte, what string) (decodeStep, error) {
	var strip struct {
		Content     string
		Start, Stop int
	}
	if _, err := object(data, what, "type", "content", "start", "stop"); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &strip); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if utf8.RuneCountInString(strip.Content) != 1 {
		return nil, fmt.Errorf("%s.content %q is not one character", what, strip.Content)
	}
	return eachToken(func(token string) string {
		for n := strip.Start; n > 0 && strings.HasPrefix(token, strip.Content); n-- {
			token = token[len(strip.Content):]
		}
		for n := strip.Stop; n > 0 && strings.HasSuffix(token, strip.Content); n-- {
			token = token[:len(token)-len(strip.Content)]
		}
		return token
	}), nil
}

// unspace is the step of Metaspace: ▁ becomes a space, in the first token nothing
// where one was put in front.
func unspace(prepended bool) decodeStep {
	return func(tokens []string) []string {
		for i, token := range tokens {
			space := " "
			if i == 0 && prepended {
				space = ""
			}
			tokens[i] = strings.ReplaceAll(token, metaspace, space)
		}
		return tokens
	}
}

// fallbackBytes makes text of runs of tokens like <0x0A>; of a run that is not
// UTF-8 one U+FFFD for each.
func fallbackBytes(tokens []string) []string {
	var out []string
	var run []byte
	flush := func() {
		if utf8.Valid(run) && len(run) > 0 {
			out = append(out, string(run))
		} else {
			for range run {
				out = append(out, "\uFFFD")
			}
		}
		run = run[:0]
	}
	for _, token := range tokens {
		if len(token) == 6 && strings.HasPrefix(token, "<0x") && token[5] == '>' {
			if b, err := strconv.ParseUint(token[3:5], 16, 8); err == nil {
				run = append(run, byte(b))
				continue
			}
		}
		flush()
		out = append(out, token)
	}
	flush()
	return out
}

// decodeCharacters is Decode for a model of characters.
func (t *Tokenizer) decodeCharacters(ids []int32) string {
	var tokens []string
	for _, id := range ids {
		if id >= 0 && int(id) < len(t.tokens) {
			tokens = append(tokens, t.tokens[id])
		}
	}
	if len(t.decoder) == 0 {
		return strings.Join(tokens, " ")
	}
	for _, step := range t.decoder {
		tokens = step(tokens)
	}
	return strings.Join(tokens, "")
}
