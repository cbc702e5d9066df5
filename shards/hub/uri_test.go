package hub

import (
	"io/fs"
	"strings"
	"testing"
)

// FuzzURI reads URIs: datasets and paths have no elements that lead elsewhere.
func FuzzURI(f *testing.F) {
	for _, uri := range []string{"hf://datasets/o/n", "hf://datasets/o/n@v1/p/q", "hf://datasets/o/n@refs/convert/parquet/a/b", "hf://datasets/o/n@~parquet/x", "hf://datasets/o/n@a%2Fb/c", "hf://datasets/o/n@/c", "hf://datasets/../n", "hf://datasets/o/n@refs/pr/", "hf://datasets/o/n@%2", "hf://o/n", "hf://o/n@v1/x", "hf://o/n@..%2F..", "hf://datasets/n", "hf://o/n@refs/pr/1/config.json"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		p, err := parse(uri)
		if err != nil {
			return
		}
		if !fs.ValidPath(p.id) || strings.Count(p.id, "/") != 1 || !fs.ValidPath(p.revision) || p.name != "" && !fs.ValidPath(strings.TrimSuffix(p.name, "/")) {
			t.Errorf("%q: %+v", uri, p)
		}
	})
}
