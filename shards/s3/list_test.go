package s3_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/curate-data/curate/internal/s3server"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/s3"
	"github.com/curate-data/curate/shards/storetest"
)

// TestPrefix has objects around a folder: it neither lists nor reads them.
func TestPrefix(t *testing.T) {
	s := serve(t)
	bucket, _ := split(s.URI(""))
	c := client(t, s3.Options{})
	root := store(t, c, "s3://"+*bucket)
	for _, name := range []string{"a/b/1", "a/b/c/2", "a/bc/3", "a/b.x", "a/4", "a-/5"} {
		storetest.Put(t, root, name, name)
	}
	for _, uri := range []string{"/a/b", "/a/b/"} {
		in := store(t, c, "s3://"+*bucket+uri)
		infos, err := in.List(t.Context(), "")
		if err != nil || len(infos) != 2 || infos[0].Name != "1" || infos[1].Name != "c/2" {
			t.Errorf("%s: %v, error %v", uri, infos, err)
		}
		if _, err := in.Open(t.Context(), "../4"); err == nil {
			t.Error("an object above the folder: no error")
		}
		if err := in.Remove(t.Context(), "c"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Remove of a folder: %v", err)
		}
	}
	for pattern, want := range map[string][]string{
		"*": {}, "a/*": {"a/4", "a/b.x"}, "a/b*/*": {"a/b/1", "a/bc/3"}, "a/**": {"a/4", "a/b.x", "a/b/1", "a/b/c/2", "a/bc/3"}, "**/{1,2}": {"a/b/1", "a/b/c/2"},
		"a/b/1": {"a/b/1"}, "nope/*": {},
	} {
		infos, err := root.Glob(t.Context(), pattern)
		got := []string{}
		for _, info := range infos {
			got = append(got, info.Name)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("Glob(%q): %q, error %v", pattern, got, err)
		}
	}
	if _, err := root.Glob(t.Context(), "[a"); err == nil {
		t.Error("a bad pattern: no error")
	}
}

// TestLocate finds folders and objects.
func TestLocate(t *testing.T) {
	s := serve(t)
	bucket, _ := split(s.URI(""))
	uri := "s3://" + *bucket
	c := client(t, s3.Options{})
	storetest.Put(t, store(t, c, uri), "a/b/x.jsonl", "{}\n")
	for _, test := range []struct{ uri, name string }{
		{uri, ""}, {uri + "/", ""}, {uri + "/a", ""}, {uri + "/a/b/", ""}, {uri + "/a/b/x.jsonl", "x.jsonl"}, {uri + "/a/nope", "nope"}, {uri + "/nope/", ""}, {uri + "/a/*.x", "*.x"},
	} {
		found, name, err := c.Locate(t.Context(), test.uri)
		if err != nil || name != test.name || found == nil {
			t.Errorf("Locate(%s): name %q, error %v", test.uri, name, err)
		}
	}
	for _, bad := range []string{"", "x", "s3://", "s3:///a", "file:///x", uri + "/a//b", uri + "/../x", uri + "/a/./b"} {
		if _, _, err := c.Locate(t.Context(), bad); err == nil {
			t.Errorf("Locate(%q): no error", bad)
		}
	}
	for _, arg := range []string{uri, uri + "/a", uri + "/a/b/x.jsonl", uri + "/a/*/*.jsonl", uri + "/**/*.jsonl"} {
		inputs, err := shards.ListInputs(t.Context(), c.Locate, []string{arg})
		if err != nil || len(inputs) != 1 || inputs[0].URI != uri+"/a/b/x.jsonl" || !strings.HasPrefix(inputs[0].Digest, "etag:") {
			t.Errorf("%s: %+v, error %v", arg, inputs, err)
		}
	}
}

// TestManyObjects lists more than fit in one answer, in the order of bytes.
func TestManyObjects(t *testing.T) {
	server := s3server.Start(t)
	server.Setenv(t)
	bucket := server.Bucket(t)
	var want []string
	for i := range 1200 {
		want = append(want, fmt.Sprintf("f/%d+%%20", i*7919%1200))
	}
	// Files of the server's folder are objects: that is quicker than to send them.
	if err := os.MkdirAll(filepath.Join(server.Data, bucket, "f"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range want {
		if err := os.WriteFile(filepath.Join(server.Data, bucket, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(want)
	infos, err := store(t, client(t, s3.Options{}), "s3://"+bucket).List(t.Context(), "")
	if err != nil || len(infos) != len(want) {
		t.Fatalf("%d objects, error %v", len(infos), err)
	}
	for i, info := range infos {
		if info.Name != want[i] {
			t.Fatalf("object %d: %q, want %q", i, info.Name, want[i])
		}
	}
}

// TestVersionedBucket replaces and removes in a bucket that keeps old versions.
func TestVersionedBucket(t *testing.T) {
	s := serve(t)
	bucket, _ := split(s.URI(""))
	api := raw(t)
	_, err := api.PutBucketVersioning(t.Context(), &sdk.PutBucketVersioningInput{
		Bucket: bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
	})
	if err != nil {
		t.Fatal(err)
	}
	storetest.Run(t, func(t *testing.T) shards.Store {
		return store(t, client(t, s3.Options{}), "s3://"+*bucket+"/"+strings.ReplaceAll(t.Name(), "/", "-"))
	})
	storetest.Put(t, s, "x", "old")
	storetest.Put(t, s, "x", "new")
	if err := s.Remove(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	out, err := api.ListObjectVersions(t.Context(), &sdk.ListObjectVersionsInput{Bucket: bucket, Prefix: aws.String("some/folder/x")})
	if err != nil || len(out.Versions) != 2 || len(out.DeleteMarkers) != 1 {
		t.Errorf("%d versions, %d delete markers, error %v", len(out.Versions), len(out.DeleteMarkers), err)
	}
}

// TestObjectHeaders looks at what the store was told of an object.
func TestObjectHeaders(t *testing.T) {
	s := serve(t)
	api := raw(t)
	for name, want := range map[string]string{"a.json": "application/json", "b.jsonl.zst": "application/zstd", "c.parquet": "application/vnd.apache.parquet", "d": "application/octet-stream"} {
		storetest.Put(t, s, name, name)
		if got := *head(t, api, s.URI(name)).ContentType; got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	p, err := s.Create(context.Background(), "big.json")
	if err != nil {
		t.Fatal(err)
	}
	for range 9 {
		p.Write(make([]byte, 1<<20))
	}
	if err := p.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	out := head(t, api, s.URI("big.json"))
	if *out.ContentType != "application/json" || *out.ContentLength != 9<<20 || !strings.Contains(*out.ETag, "-") {
		t.Errorf("type %s, %d bytes, etag %s", *out.ContentType, *out.ContentLength, *out.ETag)
	}
}
