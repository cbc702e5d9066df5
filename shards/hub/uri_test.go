package hub

import (
	"io/fs"
	"strings"
	"testing"
)

// FuzzURI reads URIs: datasets and paths have no elements that lead elsewhere.
func FuzzURI(f *testing.F) {
	for _, uri := range []string{"hf://datasets/o/n", "hf://datasets/o/n@v1/p/q", "hf://datasets/o/n@refs/convert/parquet/a/b", "hf://datasets/o/n@~parquet/x", "hf://datasets/o/n@a%2Fb/c", "hf://datasets/o/n@/c", "hf://datasets/../n", "hf://datasets/o/n@refs/pr/", "hf://datasets/o/n@%2"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		dataset, revision, name, err := parse(uri)
		if err != nil {
			return
		}
		if !fs.ValidPath(dataset) || strings.Count(dataset, "/") != 1 || revision == "" || name != "" && !fs.ValidPath(strings.TrimSuffix(name, "/")) {
			t.Errorf("%q: dataset %q, revision %q, name %q", uri, dataset, revision, name)
		}
	})
}
