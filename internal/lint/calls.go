package lint

import (
	"go/ast"
	"path"
	"strings"
)

// panicking are the folders and files that may call panic, with the reason.
var panicking = map[string]string{
	"scoring/backend":         "the border where panics of the graph library become errors",
	"scoring/lm/graph.go":     "graph building panics by gomlx's design; Exec returns it as an error",
	"shards/arrowmessages.go": "an allocator of Arrow cannot return an error; the reader recovers",
	"shards/arrowcolumn.go":   "accessors of one value, called inside the guard of a batch",
	"shards/images/value.go":  "accessors of one value, called inside the guard of a row",
	"shards/arrowparquet.go":  "accessors of one value, called inside the guard of a batch",
}

// exiting are the files that may end the process, with the reason.
var exiting = map[string]string{
	"cmd/curate/main.go":                "it has the table of exit codes",
	"internal/s3server/gateway/main.go": "a program of its own, for tests",
	"bench/shardbench/main.go":          "a program of its own, for the benchmarks",
	"bench/ofdsbench/main.go":           "a program of its own, for the benchmarks",
	"bench/qualitybench/main.go":        "a program of its own, for the benchmarks",
	"bench/matmulbench/main.go":         "a program of its own, for the benchmarks",
	"bench/scoringbench/main.go":        "a program of its own, for the benchmarks",
}

// checkCalls wants panic and exit in their places only. Tests are free.
func (m *module) checkCalls() {
	for _, f := range m.files {
		if f.test {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			switch callee := call.Fun.(type) {
			case *ast.Ident:
				if callee.Name == "panic" && panicking[f.path] == "" && panicking[path.Dir(f.path)] == "" {
					m.report(call, "panic", "panic: return an error")
				}
			case *ast.SelectorExpr:
				fatal := selects(callee, "log", callee.Sel.Name) && strings.HasPrefix(callee.Sel.Name, "Fatal")
				if (fatal || selects(callee, "os", "Exit")) && exiting[f.path] == "" {
					m.report(call, "exit", "the process ends here: return an error, main maps it to an exit code")
				}
			}
			return true
		})
	}
}
