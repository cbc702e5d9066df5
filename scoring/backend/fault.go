package backend

import (
	"strings"
	"unicode/utf8"
)

// OutOfMemory reports whether an error says that a device had no memory left.
// Neither gomlx nor go-xla keep more than the text of the plugin's error:
// RESOURCE_EXHAUSTED is code 8 of PJRT.
func OutOfMemory(err error) bool {
	if err == nil {
		return false
	}
	text := err.Error()
	for _, sign := range []string{"RESOURCE_EXHAUSTED", "PJRT error (code=8)", "Out of memory", "out of memory", "bad_alloc"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

// maxCause is how much of a device's error is shown, in bytes: plugins append
// tables of allocations and stacks.
const maxCause = 400

// Brief returns an error whose text is one short line, of the same chain.
func Brief(err error) error {
	if err == nil {
		return nil
	}
	line, _, _ := strings.Cut(strings.TrimSpace(err.Error()), "\n")
	if len(line) > maxCause {
		end := maxCause
		for !utf8.RuneStart(line[end]) {
			end--
		}
		line = line[:end] + "..."
	}
	if line == err.Error() {
		return err
	}
	return brief{line, err}
}

// brief is an error with less text.
type brief struct {
	line string
	error
}

func (b brief) Error() string { return b.line }
func (b brief) Unwrap() error { return b.error }
