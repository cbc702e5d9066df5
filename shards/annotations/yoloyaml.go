package annotations

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// yoloConfig is what labels need of a data.yaml.
type yoloConfig struct {
	names  []string
	count  int // nc; -1 where it is missing
	root   string
	splits map[string][]string // by train, val and test
}

// yamlLine is a line that is not empty nor only a comment.
type yamlLine struct {
	number int
	indent int
	text   string
}

// parseYOLOConfig reads the keys names, nc, path, train, val and test of a
// data.yaml, in the ways that datasets write them: words with or without quotes, lists and
// maps in brackets or one element per line. What of these keys is written
// otherwise (anchors, tags, text over several lines) is an error; other keys are
// passed over, but for kpt_shape: poses are not read.
func parseYOLOConfig(data []byte) (*yoloConfig, error) {
	c := &yoloConfig{count: -1, splits: make(map[string][]string)}
	lines, err := yamlLines(data)
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool)
	for len(lines) > 0 {
		head := lines[0]
		key, value, ok := strings.Cut(head.text, ":")
		key = strings.TrimSpace(key)
		if head.indent != 0 || !ok || (value != "" && value[0] != ' ' && value[0] != '\t') {
			return nil, fmt.Errorf("line %d: want KEY: VALUE, found %q", head.number, brief([]byte(head.text)))
		}
		if seen[key] {
			return nil, fmt.Errorf("line %d: the key %s comes twice", head.number, key)
		}
		seen[key] = true
		end := 1
		for end < len(lines) && (lines[end].indent > 0 || strings.HasPrefix(lines[end].text, "- ") || lines[end].text == "-") {
			end++
		}
		if err := c.set(key, strings.TrimSpace(value), lines[1:end]); err != nil {
			return nil, fmt.Errorf("line %d: %s: %w", head.number, key, err)
		}
		lines = lines[end:]
	}
	if c.count >= 0 && len(c.names) > 0 && c.count != len(c.names) {
		return nil, fmt.Errorf("nc is %d, but there are %d names", c.count, len(c.names))
	}
	return c, nil
}

// yamlLines cuts a file into lines.
func yamlLines(data []byte) ([]yamlLine, error) {
	var lines []yamlLine
	number := 0
	for line := range strings.Lines(strings.TrimPrefix(string(data), "\ufeff")) {
		number++
		line = strings.TrimRight(line, " \t\r\n")
		text := strings.TrimLeft(line, " ")
		if text == "" || text[0] == '#' || line == "---" {
			continue
		}
		if text[0] == '\t' {
			return nil, fmt.Errorf("line %d: it is indented by a tab, which YAML does not allow", number)
		}
		lines = append(lines, yamlLine{number, len(line) - len(text), text})
	}
	return lines, nil
}

func (c *yoloConfig) set(key, value string, below []yamlLine) (err error) {
	switch key {
	case "names":
		c.names, err = yamlNames(value, below)
	case "nc":
		word, err := yamlWord(value, below)
		if err != nil {
			return err
		}
		if c.count, err = strconv.Atoi(word); err != nil || c.count < 0 {
			return fmt.Errorf("want a number of classes, found %q", word)
		}
	case "path":
		c.root, err = yamlWord(value, below)
	case "train", "val", "test":
		value = uncommented(value)
		if value == "" && len(below) == 0 {
			return nil
		}
		if value == "" || value[0] == '[' {
			c.splits[key], err = yamlList(value, below)
			return err
		}
		word, err := yamlWord(value, below)
		if word != "" && word != "null" && word != "~" {
			c.splits[key] = []string{word}
		}
		return err
	case "kpt_shape":
		return errors.New("labels of poses cannot be read")
	}
	return err
}

// yamlNames reads names as a list, or as a map from numbers 0, 1, 2 and so on.
func yamlNames(value string, below []yamlLine) ([]string, error) {
	value = uncommented(value)
	var parts []string
	var err error
	switch {
	case strings.HasPrefix(value, "{"):
		parts, err = yamlFlow(value, below, '{', '}')
	case value == "" && len(below) > 0 && !strings.HasPrefix(below[0].text, "-"):
		for _, line := range below {
			if line.indent != below[0].indent {
				return nil, fmt.Errorf("line %d: its indent differs from that of the lines above", line.number)
			}
			parts = append(parts, uncommented(line.text))
		}
	default:
		return yamlList(value, below)
	}
	if err != nil {
		return nil, err
	}
	names := make([]string, len(parts))
	for _, part := range parts {
		key, value, _ := strings.Cut(part, ":")
		number, err := strconv.Atoi(strings.Trim(strings.TrimSpace(key), `"'`))
		if err != nil || number < 0 || number >= len(names) || names[number] != "" {
			return nil, fmt.Errorf("class %q: want the numbers from 0 to %d, each once", brief([]byte(key)), len(names)-1)
		}
		if names[number], err = yamlScalar(value); err != nil {
			return nil, fmt.Errorf("class %d: %w", number, err)
		}
	}
	return names, nil
}

// yamlList reads a list in brackets, or one with a line for each element.
func yamlList(value string, below []yamlLine) ([]string, error) {
	value = uncommented(value)
	var parts []string
	switch {
	case strings.HasPrefix(value, "["):
		var err error
		if parts, err = yamlFlow(value, below, '[', ']'); err != nil {
			return nil, err
		}
	case value != "":
		return nil, fmt.Errorf("want a list, found %q", brief([]byte(value)))
	}
	for _, line := range below {
		if len(value) > 0 {
			break
		}
		text, ok := strings.CutPrefix(line.text, "-")
		if !ok || line.indent != below[0].indent {
			return nil, fmt.Errorf("line %d: want \"- ELEMENT\" and an even indent", line.number)
		}
		parts = append(parts, uncommented(strings.TrimSpace(text)))
	}
	list := make([]string, len(parts))
	for i, part := range parts {
		var err error
		if list[i], err = yamlScalar(part); err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
	}
	return list, nil
}

// yamlFlow cuts what is between brackets, which may go over several lines, at its commas.
func yamlFlow(value string, below []yamlLine, open, end byte) ([]string, error) {
	lines := []string{value}
	for _, line := range below {
		lines = append(lines, uncommented(line.text))
	}
	value = strings.Join(lines, " ")
	if value[0] != open || value[len(value)-1] != end {
		return nil, fmt.Errorf("want %c...%c", open, end)
	}
	var parts []string
	var quote byte
	start := 1
	for i := 1; i < len(value); i++ {
		c := value[i]
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case (c == '"' || c == '\'') && strings.Trim(value[start:i], " ") == "" || (c == '"' || c == '\'') && strings.HasSuffix(strings.TrimSpace(value[start:i]), ":"):
			quote = c
		case c == ',' || i == len(value)-1:
			if part := strings.TrimSpace(value[start:i]); part != "" {
				parts = append(parts, part)
			} else if c == ',' {
				return nil, errors.New("an element between commas is empty")
			}
			start = i + 1
		case strings.IndexByte("[]{}", c) >= 0:
			return nil, errors.New("lists within lists are not read")
		}
	}
	if quote != 0 {
		return nil, errors.New("a quote does not end")
	}
	return parts, nil
}

// yamlWord reads a value that is not a list.
func yamlWord(value string, below []yamlLine) (string, error) {
	if len(below) > 0 {
		return "", fmt.Errorf("line %d: text over several lines is not read", below[0].number)
	}
	if value = uncommented(value); value == "" {
		return "", nil
	}
	return yamlScalar(value)
}

// yamlScalar reads a word with or without quotes.
func yamlScalar(value string) (string, error) {
	value = strings.TrimSpace(value)
	if value == "" {
		return "", errors.New("it is empty")
	}
	if quote := value[0]; quote == '"' || quote == '\'' {
		if len(value) < 2 || value[len(value)-1] != quote {
			return "", fmt.Errorf("the quote of %s does not end", brief([]byte(value)))
		}
		inner := value[1 : len(value)-1]
		if quote == '\'' {
			return strings.ReplaceAll(inner, "''", "'"), nil
		}
		text, err := strconv.Unquote(value)
		if err != nil {
			return "", fmt.Errorf("%s is not a word in quotes", brief([]byte(value)))
		}
		return text, nil
	}
	if slices.Contains([]byte("&*!|>%@`[{?"), value[0]) || strings.Contains(value, ": ") {
		return "", fmt.Errorf("%q is written in a way that is not read; write it in quotes", brief([]byte(value)))
	}
	return value, nil
}

// uncommented cuts off a comment, which begins with a # after a space and outside
// of quotes.
func uncommented(text string) string {
	var quote rune
	last := ' '
	for i, c := range text {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case (c == '"' || c == '\'') && strings.ContainsRune(" [{,:-", last):
			quote = c
		case c == '#' && (last == ' ' || last == '\t'):
			return strings.TrimSpace(text[:i])
		}
		last = c
	}
	return strings.TrimSpace(text)
}
