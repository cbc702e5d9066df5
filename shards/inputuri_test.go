package shards_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/local"
)

// bucketStore is a folder on disk that takes the place of a bucket: it notes
// what is listed, and has no Glob.
type bucketStore struct {
	shards.Store
	root   string
	listed *[]string
}

func (s bucketStore) List(ctx context.Context, prefix string) ([]shards.ObjectInfo, error) {
	*s.listed = append(*s.listed, s.root+prefix)
	return s.Store.List(ctx, prefix)
}

// locateBuckets finds s3://NAME/KEY in the folder NAME, as the S3 store does.
func locateBuckets(listed *[]string) shards.Locate {
	return func(ctx context.Context, place string) (shards.Store, string, error) {
		key, ok := strings.CutPrefix(place, "s3://")
		if !ok {
			return local.Locate(ctx, place)
		}
		store, name, err := local.Locate(ctx, key)
		root := strings.TrimSuffix(key, name)
		if name == "" {
			root = strings.TrimRight(root, "/") + "/"
		}
		return bucketStore{store, root, listed}, name, err
	}
}

func TestListURIs(t *testing.T) {
	corpus(t,
		"b/pool/a.parquet", "b/pool/en/part-1.parquet", "b/pool/en/part-2.jsonl.gz", "b/pool/en/other.parquet", "b/pool/de/part-1.arrow",
		"b/pool/img/x.tar", "b/pool/img/y.tar.gz", "b/pool/img/z.TAR.ZST", "b/pool/img/w.tgz", "b/pool/_manifest.json", "b/pool/notes.txt",
		"b/secret/part-1.parquet", "b/lists/all.txt", "here.parquet")
	list := "\ufeffs3://b/pool/en/part-1.parquet\r\n\n# more\ns3://b/pool/{de,img}/*.{arrow,tar}\nhere.parquet\n"
	if err := os.WriteFile("b/lists/all.txt", []byte(list), 0o644); err != nil {
		t.Fatal(err)
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   string
		want   []string // shard=URI
		within string   // all listings begin with it
	}{
		{"s3://b/pool/a.parquet", []string{"a.parquet=s3://b/pool/a.parquet"}, "b/pool/a.parquet"},
		{"s3://b/pool/en", []string{"other.parquet=s3://b/pool/en/other.parquet", "part-1.parquet=s3://b/pool/en/part-1.parquet",
			"part-2.jsonl.gz=s3://b/pool/en/part-2.jsonl.gz"}, "b/pool/en/"},
		{"s3://b/pool/en/part-*", []string{"part-1.parquet=s3://b/pool/en/part-1.parquet", "part-2.jsonl.gz=s3://b/pool/en/part-2.jsonl.gz"}, "b/pool/en/part-"},
		{"s3://b/pool/**/part-1.*", []string{"de/part-1.arrow=s3://b/pool/de/part-1.arrow", "en/part-1.parquet=s3://b/pool/en/part-1.parquet"}, "b/pool/"},
		{"s3://b/pool/{en,de}/p*", []string{"de/part-1.arrow=s3://b/pool/de/part-1.arrow", "en/part-1.parquet=s3://b/pool/en/part-1.parquet",
			"en/part-2.jsonl.gz=s3://b/pool/en/part-2.jsonl.gz"}, "b/pool/"},
		{"s3://b/pool/img/", []string{"w.tgz=s3://b/pool/img/w.tgz", "x.tar=s3://b/pool/img/x.tar", "y.tar.gz=s3://b/pool/img/y.tar.gz",
			"z.TAR.ZST=s3://b/pool/img/z.TAR.ZST"}, "b/pool/img/"},
		{"@s3://b/lists/all.txt", []string{"de/part-1.arrow=s3://b/pool/de/part-1.arrow", "here.parquet=here.parquet", "img/x.tar=s3://b/pool/img/x.tar",
			"part-1.parquet=s3://b/pool/en/part-1.parquet"}, "b/"},
		{"file://" + dir + "/here.parquet", []string{"here.parquet=" + dir + "/here.parquet"}, "none"},
		{"file://" + dir + "/b/pool/**/*.tar", []string{"img/x.tar=" + dir + "/b/pool/img/x.tar"}, "none"},
	} {
		var listed []string
		inputs, err := shards.ListInputs(context.Background(), locateBuckets(&listed), strings.Fields(c.args))
		if err != nil {
			t.Errorf("%s: %v", c.args, err)
			continue
		}
		var got []string
		for _, in := range inputs {
			got = append(got, in.Shard+"="+in.URI)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.args, diff)
		}
		if slices.ContainsFunc(listed, func(l string) bool { return !strings.HasPrefix(l, c.within) }) {
			t.Errorf("%s: listed %q, want nothing outside %s", c.args, listed, c.within)
		}
	}
	for args, want := range map[string]string{
		"s3://*/pool/a.parquet":               "a wildcard cannot stand for a bucket",
		"s3://b/pool/x*":                      "nothing matched",
		"s3://b/pool/notes.txt":               "unknown extension",
		"s3://b/pool/en s3://b/pool/**/en/o*": "is listed twice",
		"s3://b/pool/[x":                      "not a valid glob",
	} {
		var listed []string
		if _, err := shards.ListInputs(context.Background(), locateBuckets(&listed), strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", args, err, want)
		}
	}
}
