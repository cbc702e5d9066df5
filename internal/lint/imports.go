package lint

import (
	"path"
	"slices"
	"strconv"
	"strings"
)

// ours says which packages of this module the packages of a unit may import,
// besides those of the same unit. It is the table of docs/DESIGN.md section 2.
var ours = map[string][]string{
	"pipeline":          {},
	"scoring":           {"pipeline"},
	"filters/*":         {"pipeline"},
	"shards":            {"pipeline"},
	"internal/report":   {"pipeline"},
	"internal/progress": {"pipeline"},
	"internal/faults":   {"pipeline", "shards"},
	"internal/s3server": {},
	"internal/lint":     {},
	"bench":             {"pipeline", "scoring", "filters/*", "shards"},
	"cmd/curate":        {"pipeline", "scoring", "filters/*", "shards", "internal/report", "internal/progress"},
}

// forTests are units that only test files may import.
var forTests = []string{"internal/lint", "internal/faults", "internal/s3server"}

// testPackages are the packages below other units that only test files may
// import.
var testPackages = []string{"filters/ofds/ofdstest"}

// placed says where alone the packages with a prefix may be imported. Tests may
// read Parquet anywhere, to check files against the library.
var placed = []struct {
	prefix string
	units  []string
	folder string // if set, only in this folder of the unit
	tests  bool   // any test may import them
}{
	{prefix: "github.com/gomlx/", units: []string{"scoring"}},
	{prefix: "github.com/aws/", units: []string{"shards"}, folder: "shards/s3"},
	{prefix: "github.com/parquet-go/", units: []string{"shards"}, tests: true},
	{prefix: "github.com/apache/arrow/go/v17/parquet", units: []string{"shards"}, tests: true},
	{prefix: "go.yaml.in/yaml", units: []string{"cmd/curate"}},
	{prefix: "gopkg.in/yaml", units: []string{"cmd/curate"}},
	{prefix: "github.com/spf13/", units: []string{"cmd/curate"}},
}

// plain are the units that take nothing but the standard library and Arrow, so
// that they build and test anywhere in a second.
var plain = []string{"pipeline", "filters/*"}

// testModules are for tests; suites are the packages beside them that
// tests of several packages share.
var (
	testModules = []string{"github.com/google/go-cmp/", "github.com/rogpeppe/go-internal/", "go.uber.org/goleak", "pgregory.net/rapid"}
	suites      = []string{"shards/storetest", "internal/faults"}
)

// unit returns the row of the table that a folder belongs to: itself, the
// folder above it that has a row, or filters/* for a package below filters.
func unit(dir string) string {
	if strings.HasPrefix(dir, "filters/") {
		return "filters/*"
	}
	for at := dir; at != "."; at = path.Dir(at) {
		if _, ok := ours[at]; ok {
			return at
		}
	}
	return ""
}

// house tells siblings apart: filters/colorfilter and filters/ofds share a row
// of the table, and still may not import each other.
func house(dir string) string {
	if u := unit(dir); u != "filters/*" {
		return u
	}
	return strings.Join(strings.SplitN(dir, "/", 3)[:2], "/")
}

func (m *module) checkImports() {
	const rule = "imports"
	for _, f := range m.files {
		from := unit(f.dir)
		if from == "" {
			m.report(f.ast.Name, rule, "package %s is not in the table of internal/lint: add it there and to docs/DESIGN.md", f.dir)
			continue
		}
		for _, spec := range f.ast.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				continue // the parser has checked it
			}
			if wrong := m.wrongImport(f, name); wrong != "" {
				m.report(spec, rule, "%s imports %s: %s", f.dir, name, wrong)
			}
		}
	}
}

// wrongImport says why a file may not import a package, or nothing.
func (m *module) wrongImport(f goFile, name string) string {
	from := unit(f.dir)
	if name == m.path || strings.HasPrefix(name, m.path+"/") {
		dir := strings.TrimPrefix(strings.TrimPrefix(name, m.path), "/")
		to := unit(dir)
		switch {
		case slices.Contains(testPackages, dir) && f.dir != dir:
			if !f.test {
				return "it is for tests"
			}
		case house(dir) == house(f.dir):
		case slices.Contains(forTests, to):
			if !f.test && !slices.Contains(suites, f.dir) {
				return "it is for tests"
			}
		case !slices.Contains(ours[from], to):
			return "of ours it may import " + list(ours[from])
		}
		return ""
	}
	if first, _, _ := strings.Cut(name, "/"); !strings.Contains(first, ".") {
		return "" // the standard library
	}
	if hasPrefix(name, testModules) {
		if !f.test && !slices.Contains(suites, f.dir) {
			return "it is for tests"
		}
		return ""
	}
	for _, p := range placed {
		if !strings.HasPrefix(name, p.prefix) {
			continue
		}
		if f.test && p.tests {
			return ""
		}
		if !slices.Contains(p.units, from) {
			return "it is only for " + list(p.units)
		}
		if p.folder != "" && f.dir != p.folder {
			return "it is only for " + p.folder
		}
		return ""
	}
	if slices.Contains(plain, from) && !strings.HasPrefix(name, "github.com/apache/arrow/") {
		return "the package takes the standard library and Arrow only"
	}
	return ""
}

func hasPrefix(name string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

func list(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}
