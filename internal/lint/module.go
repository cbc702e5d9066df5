package lint

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// module is a source tree under test.
type module struct {
	path  string // of the module, from go.mod
	fset  *token.FileSet
	texts []textFile
	files []goFile
	found []Violation
}

// textFile is any file that is not binary.
type textFile struct {
	path string // relative to the root, with slashes
	text []byte
}

// goFile is a parsed file of Go.
type goFile struct {
	textFile
	ast  *ast.File
	dir  string // folder, "." for the root
	test bool   // the name ends in _test.go
}

// skipped are folders whose files nobody writes by hand, or that git ignores.
var skipped = []string{".git", ".cache", "bin", "out", "testdata", "__pycache__"}

// largest is more than any file written by hand has; larger ones are data.
const largest = 1 << 20

var (
	moduleLine = regexp.MustCompile(`(?m)^module\s+(\S+)`)
	generated  = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)
)

func load(root string) (*module, error) {
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, err
	}
	name := moduleLine.FindSubmatch(text)
	if name == nil {
		return nil, fmt.Errorf("find module line in %s", filepath.Join(root, "go.mod"))
	}
	m := &module{path: string(name[1]), fset: token.NewFileSet()}
	err = filepath.WalkDir(root, func(at string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if slices.Contains(skipped, entry.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		return m.add(root, at, entry)
	})
	return m, err
}

func (m *module) add(root, at string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() > largest {
		return nil
	}
	text, err := os.ReadFile(at)
	if err != nil {
		return err
	}
	if bytes.IndexByte(text, 0) >= 0 {
		return nil
	}
	rel, err := filepath.Rel(root, at)
	if err != nil {
		return err
	}
	f := textFile{path: filepath.ToSlash(rel), text: text}
	m.texts = append(m.texts, f)
	if path.Ext(f.path) != ".go" {
		return nil
	}
	parsed, err := parser.ParseFile(m.fset, f.path, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	m.files = append(m.files, goFile{f, parsed, path.Dir(f.path), strings.HasSuffix(f.path, "_test.go")})
	return nil
}

// report notes a violation at a node of a Go file.
func (m *module) report(at ast.Node, rule, format string, args ...any) {
	p := m.fset.Position(at.Pos())
	m.found = append(m.found, Violation{p.Filename, p.Line, rule, fmt.Sprintf(format, args...)})
}

// selects says whether an expression is pkg.name.
func selects(e ast.Expr, pkg, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != name {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == pkg
}
