package s3_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/curate-data/curate/internal/s3server"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/s3"
	"github.com/curate-data/curate/shards/storetest"
)

// minioEnv names the program that `make test-minio` builds.
const minioEnv = "CURATE_TEST_MINIO"

// TestMinIO runs the conformance suite on MinIO, and has keys that a gateway
// over a file system cannot hold: of an object that is also a folder.
func TestMinIO(t *testing.T) {
	program := os.Getenv(minioEnv)
	if program == "" {
		t.Skip("make test-minio runs it")
	}
	server := s3server.StartMinIO(t, program)
	server.Setenv(t)
	if _, err := raw(t).CreateBucket(t.Context(), &sdk.CreateBucketInput{Bucket: aws.String("minio-test")}); err != nil {
		t.Fatal(err)
	}
	for _, checksums := range []string{"when_supported", "when_required"} {
		c := client(t, s3.Options{Checksums: checksums})
		open := func(t *testing.T) shards.Store {
			return store(t, c, "s3://minio-test/"+strings.ReplaceAll(t.Name(), "/", "-"))
		}
		t.Run(checksums, func(t *testing.T) { storetest.Run(t, open) })
		t.Run(checksums+" object and folder", func(t *testing.T) { objectAndFolder(t, c, open(t).(*s3.Store)) })
	}
}

func objectAndFolder(t *testing.T, c *s3.Client, s *s3.Store) {
	for _, name := range []string{"a", "a/b", "a/b/c", "a-"} {
		storetest.Put(t, s, name, name)
	}
	for _, name := range []string{"a", "a/b", "a/b/c", "a-"} {
		if got := storetest.Get(t, s, name); got != name {
			t.Errorf("%s: got %q", name, got)
		}
	}
	// MinIO on one drive does not list what is below an object.
	infos, err := s.List(t.Context(), "")
	if err != nil || !slices.ContainsFunc(infos, func(i shards.ObjectInfo) bool { return i.Name == "a" }) {
		t.Errorf("List: %v, error %v", infos, err)
	}
	for uri, want := range map[string]string{"a": "a", "a/": "", "a/b": "b"} {
		if _, name, err := c.Locate(t.Context(), s.URI(uri)); err != nil || name != want {
			t.Errorf("Locate(%s): name %q, error %v", uri, name, err)
		}
	}
	if err := s.Remove(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if got := storetest.Get(t, s, "a/b"); got != "a/b" {
		t.Errorf("got %q", got)
	}
	// Parts, since they are published in another way.
	big := string(noise(12 << 20))
	storetest.Put(t, s, "a", big)
	if got := storetest.Get(t, s, "a"); got != big {
		t.Errorf("%d bytes", len(got))
	}
}
