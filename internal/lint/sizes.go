package lint

import (
	"bytes"
	"fmt"
	"go/ast"
	"path"
	"slices"
)

// What a reader can hold in mind; ask for reasons from 300 and 60 lines on.
const (
	fileLines = 500
	funcLines = 80
)

// written are the endings of files that people write.
var written = []string{".go", ".py", ".sh", ".md", ".yaml", ".yml", ".html", ".css", ".js"}

// checkSizes wants files and functions that are not too long.
func (m *module) checkSizes() {
	for _, f := range m.texts {
		lines := bytes.Count(f.text, []byte("\n"))
		if lines > fileLines && slices.Contains(written, path.Ext(f.path)) && !generated.Match(f.text) {
			m.found = append(m.found, Violation{f.path, fileLines + 1, "size", fmt.Sprintf("the file has %d lines, more than %d: split it by noun", lines, fileLines)})
		}
	}
	for _, f := range m.files {
		if generated.Match(f.text) {
			continue
		}
		for _, decl := range f.ast.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if lines := m.fset.Position(fn.End()).Line - m.fset.Position(fn.Pos()).Line + 1; lines > funcLines {
				m.report(fn, "size", "function %s has %d lines, more than %d", fn.Name.Name, lines, funcLines)
			}
		}
	}
}
