package s3

import (
	"encoding/json"
	"io/fs"
	"strings"
	"testing"
)

// FuzzURI reads URIs: the prefix of a Store is empty or ends in a slash, and
// has no elements that lead elsewhere.
func FuzzURI(f *testing.F) {
	for _, uri := range []string{"s3://bucket", "s3://bucket/", "s3://bucket/a/b", "s3://bucket/a/", "s3://", "s3:///x", "s3://b//", "s3://b/a/../c", "s3://b/ü %/x"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		s, err := new(Client).Store(uri)
		if err != nil {
			return
		}
		folder := strings.TrimSuffix(s.prefix, "/")
		if s.bucket == "" || s.prefix != "" && (!strings.HasSuffix(s.prefix, "/") || !fs.ValidPath(folder) || folder == ".") {
			t.Errorf("%q: bucket %q, prefix %q", uri, s.bucket, s.prefix)
		}
		if !strings.HasPrefix(s.URI("name"), strings.TrimSuffix(uri, "/")) {
			t.Errorf("%q became %q", uri, s.URI("name"))
		}
	})
}

// TestLockRecord keeps the names that people and other versions read.
func TestLockRecord(t *testing.T) {
	var r lockRecord
	r.PID, r.Host, r.Owner, r.Lifetime = 1, "h", "o", 2
	b, err := json.Marshal(r)
	if want := `{"pid":1,"host":"h","start":"0001-01-01T00:00:00Z","owner":"o","lifetime_ns":2,"expires":"0001-01-01T00:00:00Z","renewals":0}`; err != nil || string(b) != want {
		t.Errorf("got %s, error %v", b, err)
	}
}

// TestPartSize counts what ten thousand parts hold.
func TestPartSize(t *testing.T) {
	total := int64(0)
	for n := range mostParts {
		total += partSize(defaultPartSize, n)
	}
	if partSize(defaultPartSize, 0) != defaultPartSize || partSize(defaultPartSize, evenParts-1) != defaultPartSize || total < 4e12 {
		t.Errorf("%d bytes", total)
	}
	if last := partSize(defaultPartSize, mostParts-1); last > 5<<30 {
		t.Errorf("the last part has %d bytes", last)
	}
}
