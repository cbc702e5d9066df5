package s3_test

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/curate-data/curate/internal/s3server"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/s3"
	"github.com/curate-data/curate/shards/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client makes a client from the environment that a server has set.
func client(t testing.TB, opt s3.Options) *s3.Client {
	t.Helper()
	c, err := s3.New(context.Background(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func store(t testing.TB, c *s3.Client, uri string) *s3.Store {
	t.Helper()
	s, err := c.Store(uri)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// serve starts a server and returns the store of a folder in a new bucket.
func serve(t testing.TB) *s3.Store {
	t.Helper()
	server := s3server.Start(t)
	server.Setenv(t)
	return store(t, client(t, s3.Options{}), "s3://"+server.Bucket(t)+"/some/folder")
}

// TestStore runs the conformance suite over http and https, with both modes of
// checksums.
func TestStore(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *s3server.Server{"http": s3server.Start, "https": s3server.StartTLS} {
		t.Run(name, func(t *testing.T) {
			server := start(t)
			server.Setenv(t)
			for _, checksums := range []string{"when_supported", "when_required"} {
				c := client(t, s3.Options{Checksums: checksums})
				t.Run(checksums, func(t *testing.T) {
					storetest.Run(t, func(t *testing.T) shards.Store { return store(t, c, "s3://"+server.Bucket(t)+"/new/root") })
				})
			}
		})
	}
}
