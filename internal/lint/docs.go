package lint

import (
	"go/ast"
	"go/token"
)

// checkDocs wants a comment on every package and on every exported constant,
// variable, type, function and method.
func (m *module) checkDocs() {
	const rule = "docs"
	documented := make(map[string]bool)
	for _, f := range m.files {
		if !f.test && f.ast.Doc.Text() != "" {
			documented[f.dir] = true
		}
	}
	for _, f := range m.files {
		if f.test {
			continue
		}
		if !documented[f.dir] {
			documented[f.dir] = true // once is enough
			m.report(f.ast.Name, rule, "package %s has no comment in any of its files", f.dir)
		}
		for _, decl := range f.ast.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if decl.Name.IsExported() && exportedReceiver(decl) && decl.Doc.Text() == "" {
					m.report(decl, rule, "exported %s has no comment", decl.Name.Name)
				}
			case *ast.GenDecl:
				m.checkDeclared(decl)
			}
		}
	}
}

func (m *module) checkDeclared(decl *ast.GenDecl) {
	if decl.Tok == token.IMPORT || decl.Doc.Text() != "" {
		return // a comment on a group is one for all of it
	}
	for _, spec := range decl.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if spec.Name.IsExported() && spec.Doc.Text() == "" {
				m.report(spec, "docs", "exported %s has no comment", spec.Name.Name)
			}
		case *ast.ValueSpec:
			for _, name := range spec.Names {
				if name.IsExported() && spec.Doc.Text() == "" && spec.Comment.Text() == "" {
					m.report(name, "docs", "exported %s has no comment", name.Name)
				}
			}
		}
	}
}

// exportedReceiver says whether a method is visible outside: a plain function
// is, and a method of an exported type.
func exportedReceiver(fn *ast.FuncDecl) bool {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return true
	}
	e := fn.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return true
		}
	}
}
