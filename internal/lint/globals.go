package lint

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// linkerSet are variables that the linker's -X flag sets at build time.
var linkerSet = []string{"cmd/curate.version", "cmd/curate.commit"}

// makers are functions whose result a package variable may hold: none of these
// values changes.
var makers = [][2]string{
	{"errors", "New"}, {"fmt", "Errorf"}, {"regexp", "MustCompile"}, {"arrow", "NewSchema"},
	{"strings", "NewReplacer"}, {"template", "Must"}, {"reflect", "TypeFor"}, {"reflect", "TypeOf"},
}

// checkGlobals wants no init functions, and only package variables that never
// change: sentinel errors, compiled patterns, tables, embedded files.
func (m *module) checkGlobals() {
	const rule = "globals"
	variables := make(map[string]map[string]bool) // folder and package name -> names
	for _, f := range m.files {
		for _, decl := range f.ast.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if decl.Recv == nil && decl.Name.Name == "init" {
					m.report(decl, rule, "func init: build the value in main and pass it on")
				}
			case *ast.GenDecl:
				if decl.Tok != token.VAR || f.test {
					continue
				}
				for _, spec := range decl.Specs {
					m.checkVariable(f, decl, spec.(*ast.ValueSpec), variables)
				}
			}
		}
	}
	for _, f := range m.files {
		m.checkChanges(f, variables[f.key()])
	}
}

// key tells packages apart, the external test package of a folder included.
func (f goFile) key() string { return f.dir + " " + f.ast.Name.Name }

func (m *module) checkVariable(f goFile, decl *ast.GenDecl, spec *ast.ValueSpec, variables map[string]map[string]bool) {
	const rule = "globals"
	for i, name := range spec.Names {
		if name.Name == "_" || slices.Contains(linkerSet, f.dir+"."+name.Name) {
			continue
		}
		if variables[f.key()] == nil {
			variables[f.key()] = make(map[string]bool)
		}
		variables[f.key()][name.Name] = true
		switch {
		case len(spec.Values) == 0:
			if !embedded(decl.Doc) && !embedded(spec.Doc) {
				m.report(name, rule, "variable %s has no value: keep state in a struct", name.Name)
			}
		case len(spec.Values) == len(spec.Names):
			if wrong := wrongValue(spec.Values[i]); wrong != "" {
				m.report(name, rule, "variable %s: %s", name.Name, wrong)
			}
		default:
			m.report(name, rule, "variable %s takes one of several results: make it in a function", name.Name)
		}
	}
}

func embedded(doc *ast.CommentGroup) bool {
	if doc == nil {
		return false
	}
	return slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") })
}

// wrongValue says why a package variable may not have this value, or nothing.
func wrongValue(value ast.Expr) string {
	switch value := value.(type) {
	case *ast.CompositeLit, *ast.SelectorExpr:
		return ""
	case *ast.BasicLit, *ast.BinaryExpr, *ast.Ident:
		return "make it a const"
	case *ast.FuncLit:
		return "make it a func"
	case *ast.CallExpr:
		switch callee := value.Fun.(type) {
		case *ast.FuncLit, *ast.ArrayType:
			return "" // a table that is computed, or a conversion
		case *ast.Ident:
			if callee.Name != "make" && callee.Name != "new" {
				return ""
			}
		case *ast.SelectorExpr:
			for _, maker := range makers {
				if selects(callee, maker[0], maker[1]) {
					return ""
				}
			}
		}
	}
	return "not an error, a compiled pattern, a table or an embedded file: keep state in a struct"
}

// checkChanges wants no function to write to a package variable, tests included.
func (m *module) checkChanges(f goFile, variables map[string]bool) {
	for _, decl := range f.ast.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok || fn.Body == nil || len(variables) == 0 {
			continue
		}
		local := locals(fn)
		changed := func(e ast.Expr) {
			if name := root(e); name != nil && variables[name.Name] && !local[name.Name] {
				m.report(e, "globals", "package variable %s changes here: keep state in a struct", name.Name)
			}
		}
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				if n.Tok != token.DEFINE {
					for _, e := range n.Lhs {
						changed(e)
					}
				}
			case *ast.IncDecStmt:
				changed(n.X)
			case *ast.CallExpr:
				if callee, ok := n.Fun.(*ast.Ident); ok && len(n.Args) > 0 && slices.Contains([]string{"delete", "clear", "copy"}, callee.Name) {
					changed(n.Args[0])
				}
			}
			return true
		})
	}
}

// root returns the variable that x, x.f, x[i] or *x is made of, or nil.
func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.SliceExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// locals returns the names that a function declares anywhere inside.
func locals(fn *ast.FuncDecl) map[string]bool {
	names := make(map[string]bool)
	declare := func(exprs ...ast.Expr) {
		for _, e := range exprs {
			if name, ok := e.(*ast.Ident); ok {
				names[name.Name] = true
			}
		}
	}
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			for _, name := range n.Names {
				declare(name)
			}
		case *ast.ValueSpec:
			for _, name := range n.Names {
				declare(name)
			}
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				declare(n.Lhs...)
			}
		case *ast.RangeStmt:
			if n.Tok == token.DEFINE {
				declare(n.Key, n.Value)
			}
		}
		return true
	})
	return names
}
