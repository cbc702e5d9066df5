package shards_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/local"
)

// corpus makes empty files below a new working folder.
func corpus(t *testing.T, names ...string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, name := range names {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestListInputs(t *testing.T) {
	corpus(t,
		"pool/b.parquet", "pool/a.jsonl.zst", "pool/en/c.arrow", "pool/en/deep/d.json.gz", "pool/en/e.JSONL",
		"pool/README.md", "pool/meta.json", "pool/_SUCCESS", "pool/_units/u.parquet", "pool/en/_x.jsonl", "pool/.cache/x.parquet", "pool/en/.hidden.parquet",
		"odd[1].parquet", "data.json", "list.txt", "other/b.parquet")
	if err := os.WriteFile("list.txt", []byte("# what to read\n\n  pool/b.parquet\nother/*.parquet \r\n./data.json\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		want map[string]string // URI by shard
	}{
		{"pool", map[string]string{"a.jsonl.zst": "pool/a.jsonl.zst", "b.parquet": "pool/b.parquet", "en/c.arrow": "pool/en/c.arrow",
			"en/deep/d.json.gz": "pool/en/deep/d.json.gz", "en/e.JSONL": "pool/en/e.JSONL"}},
		{"pool/", map[string]string{"a.jsonl.zst": "pool/a.jsonl.zst", "b.parquet": "pool/b.parquet", "en/c.arrow": "pool/en/c.arrow",
			"en/deep/d.json.gz": "pool/en/deep/d.json.gz", "en/e.JSONL": "pool/en/e.JSONL"}},
		{"pool/b.parquet", map[string]string{"b.parquet": "pool/b.parquet"}},
		{here + "/pool/./b.parquet", map[string]string{"b.parquet": here + "/pool/b.parquet"}},
		{"./data.json", map[string]string{"data.json": "data.json"}},
		{"odd[1].parquet", map[string]string{"odd[1].parquet": "odd[1].parquet"}},
		{"pool/*.parquet", map[string]string{"b.parquet": "pool/b.parquet"}},
		{"*/b.parquet", map[string]string{"other/b.parquet": "other/b.parquet", "pool/b.parquet": "pool/b.parquet"}},
		{"pool/**/*.{arrow,gz}", map[string]string{"en/c.arrow": "pool/en/c.arrow", "en/deep/d.json.gz": "pool/en/deep/d.json.gz"}},
		{"pool/**/[cd].*", map[string]string{"en/c.arrow": "pool/en/c.arrow", "en/deep/d.json.gz": "pool/en/deep/d.json.gz"}},
		{here + "/pool/en/*.arrow", map[string]string{"c.arrow": here + "/pool/en/c.arrow"}},
		{"pool/b.parquet data.json", map[string]string{"b.parquet": "pool/b.parquet", "data.json": "data.json"}},
		{"@list.txt", map[string]string{"b.parquet": "other/b.parquet", "data.json": "data.json", "pool/b.parquet": "pool/b.parquet"}},
	} {
		inputs, err := shards.ListInputs(context.Background(), local.Locate, strings.Fields(c.args))
		if err != nil {
			t.Errorf("%s: %v", c.args, err)
			continue
		}
		got := map[string]string{}
		for i, in := range inputs {
			got[in.Shard] = in.URI
			if i > 0 && inputs[i-1].Shard >= in.Shard {
				t.Errorf("%s: %s comes after %s", c.args, in.Shard, inputs[i-1].Shard)
			}
			obj, err := in.Store.Open(context.Background(), in.Path)
			if err != nil {
				t.Errorf("%s: %v", c.args, err)
				continue
			}
			if obj.Size() != in.Size || in.Version == "" || in.Modified.IsZero() {
				t.Errorf("%s: %+v", c.args, in)
			}
			obj.Close()
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.args, diff)
		}
	}
}

func TestListInputsFormats(t *testing.T) {
	corpus(t, "a.parquet", "b.pq", "c.jsonl", "d.ndjson.gz", "e.arrow", "f.ipc", "g.feather", "h.arrows", "i.json.zst")
	inputs, err := shards.ListInputs(context.Background(), local.Locate, []string{"."})
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, in := range inputs {
		got += in.Shard + " " + string(in.Format) + "\n"
	}
	want := "a.parquet parquet\nb.pq parquet\nc.jsonl jsonl\nd.ndjson.gz jsonl\ne.arrow arrow\nf.ipc arrow\ng.feather arrow\nh.arrows arrow\ni.json.zst jsonl\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestListInputsRefuses(t *testing.T) {
	corpus(t, "a/x.parquet", "b/x.parquet", "notes.txt", "sub/notes.txt", "nested.txt", "bad.txt")
	for name, content := range map[string]string{"nested.txt": "@bad.txt\n", "bad.txt": "a/x.parquet\nnope.parquet\n"} {
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args, want string
		is         error
	}{
		{"", "no argument", shards.ErrNoInput},
		{"nope.parquet", "nope.parquet", fs.ErrNotExist},
		{"nope/*.parquet", "nope", fs.ErrNotExist},
		{"a/*.jsonl", "nothing matched", shards.ErrNoInput},
		{"sub", "nothing matched", shards.ErrNoInput},
		{"notes.txt", "unknown extension", nil},
		{"*.txt", "unknown extension", nil},
		{"a/[x.parquet", "glob", nil},
		{"a/x.parquet b/x.parquet", `two inputs have the shard name "x.parquet": a/x.parquet and b/x.parquet`, nil},
		{"a/x.parquet a", "a/x.parquet is listed twice", nil},
		{"a/x.parquet */x.parquet", "a/x.parquet is listed twice", nil},
		{"s3://bucket/pool", "s3:// is not supported", nil},
		{"@nope.txt", "read list nope.txt", fs.ErrNotExist},
		{"@a", "it is a folder", nil},
		{"@nested.txt", "line 1: a list cannot name another list", nil},
		{"@bad.txt", "line 2: ", fs.ErrNotExist},
	} {
		_, err := shards.ListInputs(context.Background(), local.Locate, strings.Fields(c.args))
		if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%q: got error %v, want %q and %v", c.args, err, c.want, c.is)
		}
	}
}

// plainStore hides that a local store can glob, as a store of objects cannot.
type plainStore struct{ shards.Store }

func TestGlobWithoutFolders(t *testing.T) {
	corpus(t, "p/a.parquet", "p/q/b.parquet", "p/q/c.jsonl")
	locate := func(ctx context.Context, name string) (shards.Store, string, error) {
		s, rest, err := local.Locate(ctx, name)
		return plainStore{s}, rest, err
	}
	inputs, err := shards.ListInputs(context.Background(), locate, []string{"p/**/*.parquet"})
	if err != nil || len(inputs) != 2 || inputs[0].Shard != "a.parquet" || inputs[1].Shard != "q/b.parquet" {
		t.Errorf("got %+v, error %v", inputs, err)
	}
}
