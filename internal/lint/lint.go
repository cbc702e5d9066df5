// Package lint holds the rules that all files of this module keep, as functions
// that a test runs: who may import whom, no global state, every exported name
// documented, no panic or exit outside their place, nothing too long, no traces
// of one machine. It reads source with go/parser alone, so it needs no build,
// no network and no tool.
package lint

import (
	"cmp"
	"fmt"
	"slices"
)

// Violation is one place where a rule is broken.
type Violation struct {
	Path    string // relative to the module root, with slashes
	Line    int    // from 1
	Rule    string
	Message string // what is wrong and what to do
}

// String gives path:line: rule: message, which editors can jump to.
func (v Violation) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", v.Path, v.Line, v.Rule, v.Message)
}

// Check runs every rule on the module whose go.mod lies in root. The error is
// for files that cannot be read or parsed.
func Check(root string) ([]Violation, error) {
	m, err := load(root)
	if err != nil {
		return nil, fmt.Errorf("load module for lint: %w", err)
	}
	m.checkImports()
	m.checkGlobals()
	m.checkDocs()
	m.checkCalls()
	m.checkSizes()
	m.checkWords()
	slices.SortFunc(m.found, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Rule, b.Rule))
	})
	return m.found, nil
}
