package s3_test

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/curate-data/curate/internal/s3server"
	"github.com/curate-data/curate/shards/s3"
	"github.com/curate-data/curate/shards/storetest"
)

// everything tries all operations of a store and returns their errors.
func everything(s *s3.Store) map[string]error {
	ctx := context.Background()
	errs := make(map[string]error)
	_, errs["list"] = s.List(ctx, "")
	_, errs["open"] = s.Open(ctx, "x")
	errs["remove"] = s.Remove(ctx, "x")
	errs["write"] = write(s, "x", []byte("x"))
	errs["write parts"] = write(s, "x", make([]byte, 9<<20))
	_, release, err := s.Lock(ctx)
	if err == nil {
		err = release()
	}
	errs["lock"] = err
	errs["sweep"] = s.Sweep(ctx)
	return errs
}

// TestErrors makes the usual mistakes. Each error says where, what, and what to
// do, and none shows a secret.
func TestErrors(t *testing.T) {
	server := s3server.Start(t)
	secret := server.SecretKey
	bucket := "s3://" + server.Bucket(t) + "/out"
	for name, test := range map[string]struct {
		env  map[string]string
		uri  string
		opt  s3.Options
		want []string
	}{
		"no bucket":        {uri: "s3://there-is-none/out", want: []string{"s3://there-is-none/out", "HTTP 404", "NoSuchBucket", "make the bucket"}},
		"no credentials":   {env: map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, want: []string{"no credentials found", "AWS_PROFILE"}},
		"unknown key":      {env: map[string]string{"AWS_ACCESS_KEY_ID": "nobody"}, want: []string{"No user exists with the provided access key"}},
		"wrong secret":     {env: map[string]string{"AWS_SECRET_ACCESS_KEY": "wrong" + secret}, want: []string{"HTTP 403", "SignatureDoesNotMatch", "check the credentials"}},
		"session token":    {env: map[string]string{"AWS_SESSION_TOKEN": "token" + secret}, uri: "s3://there-is-none/out", want: []string{"s3://there-is-none"}},
		"nobody there":     {opt: s3.Options{Endpoint: "http://user:" + secret + "@127.0.0.1:1", MaxAttempts: 1}, want: []string{"could not connect to endpoint http://127.0.0.1:1", "connection refused", "AWS_ENDPOINT_URL"}},
		"no such host":     {opt: s3.Options{Endpoint: "http://nowhere.invalid", MaxAttempts: 1}, want: []string{"could not find host nowhere.invalid"}},
		"no S3":            {opt: s3.Options{Endpoint: server.URL() + "/a/b", MaxAttempts: 1}, want: []string{"s3://b-"}},
		"wrong encryption": {opt: s3.Options{Endpoint: strings.Replace(server.URL(), "http:", "https:", 1), MaxAttempts: 1}, want: []string{"no answer from endpoint https://127", "HTTP response to HTTPS client"}},
	} {
		t.Run(name, func(t *testing.T) {
			server.Setenv(t)
			for key, value := range test.env {
				t.Setenv(key, value)
			}
			if test.uri == "" {
				test.uri = bucket
			}
			for op, err := range everything(store(t, client(t, test.opt), test.uri)) {
				if err == nil {
					if name != "session token" && name != "no S3" {
						t.Errorf("%s: no error", op)
					}
					continue
				}
				// (A HEAD has no body to say that the bucket is missing.)
				if errors.Is(err, fs.ErrNotExist) && op != "remove" && name != "session token" && name != "no S3" {
					t.Errorf("%s: %v is taken for a missing object", op, err)
				}
				for _, part := range test.want {
					// A HEAD has no body that could say more than its status.
					if !strings.Contains(err.Error(), part) && op != "remove" {
						t.Errorf("%s: %v: want %q in it", op, err, part)
					}
				}
				for _, leak := range []string{secret, "Signature=", "Credential=", "X-Amz-Sec", "Authorization"} {
					if strings.Contains(err.Error(), leak) {
						t.Errorf("%s: %v: it shows %s", op, err, leak)
					}
				}
			}
		})
	}
}

// TestNoRole asks a machine without keys for its role, which has none: that is
// no fault that passes.
func TestNoRole(t *testing.T) {
	server := s3server.Start(t)
	server.Setenv(t)
	for key, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1",
	} {
		t.Setenv(key, value)
	}
	began := time.Now()
	_, err := store(t, client(t, s3.Options{}), "s3://"+server.Bucket(t)).List(t.Context(), "")
	if err == nil || !strings.Contains(err.Error(), "no credentials found") {
		t.Errorf("error %v", err)
	}
	t.Logf("known after %v", time.Since(began))
}

// TestMissingKeepsItsKind wants fs.ErrNotExist for a missing object, and the
// context's cause for a request that was ended.
func TestMissingKeepsItsKind(t *testing.T) {
	s := serve(t)
	_, err := s.Open(t.Context(), "nope")
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), s.URI("nope")) {
		t.Errorf("got error %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped by the user")
	cancel(stopped)
	if _, err := s.Open(ctx, "nope"); !errors.Is(err, stopped) {
		t.Errorf("got error %v", err)
	}
}

// TestRegion is told by the store where a bucket is.
func TestRegion(t *testing.T) {
	server := s3server.Start(t)
	server.Setenv(t)
	endpoint := before(t, server.URL(), func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("X-Amz-Bucket-Region", "eu-north-1")
		w.WriteHeader(http.StatusMovedPermanently)
		return false
	}, nil)
	s := store(t, client(t, s3.Options{Endpoint: endpoint}), "s3://"+server.Bucket(t))
	for op, err := range everything(s) {
		if err == nil || !strings.Contains(err.Error(), "the bucket is in region eu-north-1, not us-east-1: set AWS_REGION") {
			t.Errorf("%s: %v", op, err)
		}
	}
}

// TestRequestOptions looks at the requests that options change.
func TestRequestOptions(t *testing.T) {
	server := s3server.Start(t)
	server.Setenv(t)
	for key, value := range map[string]string{
		"CURATE_S3_REQUESTER_PAYS": "true", "CURATE_S3_SSE": "aws:kms", "CURATE_S3_SSE_KMS_KEY_ID": "key-1", "CURATE_S3_PATH_STYLE": "true", "CURATE_S3_CHECKSUMS": "when_required",
	} {
		t.Setenv(key, value)
	}
	opt, err := s3.OptionsFromEnv()
	if err != nil {
		t.Fatal(err)
	}
	var requests, paid, writes, sealed, sums atomic.Int64
	opt.Endpoint = before(t, server.URL(), func(_ http.ResponseWriter, r *http.Request) bool {
		requests.Add(1)
		if r.Header.Get("X-Amz-Request-Payer") == "requester" {
			paid.Add(1)
		}
		if query := r.URL.Query(); r.Method == http.MethodPut && !query.Has("partNumber") || query.Has("uploads") && r.Method == http.MethodPost {
			writes.Add(1)
		}
		if r.Header.Get("X-Amz-Server-Side-Encryption") == "aws:kms" && r.Header.Get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id") == "key-1" {
			sealed.Add(1)
		}
		if r.Header.Get("X-Amz-Checksum-Crc32") != "" {
			sums.Add(1)
		}
		return true
	}, func(*http.Response) {})
	s := store(t, client(t, opt), "s3://"+server.Bucket(t))
	everything(s)
	if requests.Load() < 10 || paid.Load() != requests.Load() {
		t.Errorf("the requester pays for %d of %d requests", paid.Load(), requests.Load())
	}
	if n := sealed.Load(); n < 3 || n != writes.Load() { // the small object, the beginning of the large one, the lock
		t.Errorf("%d of %d writes ask for encryption", n, writes.Load())
	}
	if n := sums.Load(); n != 0 {
		t.Errorf("%d requests have checksums", n)
	}
}

// TestWrongOptions names every mistake.
func TestWrongOptions(t *testing.T) {
	_, err := s3.New(t.Context(), s3.Options{PathStyle: "maybe", Checksums: "never", SSE: "rot13", PartSize: 100})
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{"maybe", "never", "rot13", "100"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v: want %s in it", err, part)
		}
	}
	t.Setenv("CURATE_S3_REQUESTER_PAYS", "perhaps")
	if _, err := s3.OptionsFromEnv(); err == nil || !strings.Contains(err.Error(), "perhaps") {
		t.Errorf("got error %v", err)
	}
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "nope"))
	t.Setenv("AWS_PROFILE", "nope")
	if _, err := s3.New(t.Context(), s3.Options{}); err == nil || !strings.Contains(err.Error(), "nope") {
		t.Errorf("a profile that is not there: got error %v", err)
	}
}

// TestWithoutConditions runs on stores that lack conditional writes: they are
// found out, said once, and done without.
func TestWithoutConditions(t *testing.T) {
	for name, refuse := range map[string]bool{"refused": true, "ignored": false} {
		t.Run(name, func(t *testing.T) {
			server := s3server.Start(t)
			server.Setenv(t)
			var notices []string
			c := client(t, s3.Options{Endpoint: ignorant(t, server.URL(), refuse), Notice: func(m string) { notices = append(notices, m) }})
			s := store(t, c, "s3://"+server.Bucket(t))
			s.LockLifetime = 2 * time.Second // a quarter of it is waited for others
			held, release, err := s.Lock(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := s.Lock(t.Context()); err == nil {
				t.Error("a second lock: no error")
			}
			for _, content := range []string{"one", "one"} {
				p, err := s.CreateNew(t.Context(), "x")
				if err != nil {
					t.Fatal(err)
				}
				p.Write([]byte(content))
				if err := p.Finish(t.Context()); err != nil {
					t.Error(err)
				}
			}
			p, err := s.CreateNew(t.Context(), "x")
			if err != nil {
				t.Fatal(err)
			}
			p.Write([]byte("two"))
			if err := p.Finish(t.Context()); !errors.Is(err, fs.ErrExist) {
				t.Errorf("Finish: got error %v", err)
			}
			if got := storetest.Get(t, s, "x"); got != "one" {
				t.Errorf("got %q", got)
			}
			if held.Err() != nil {
				t.Error(context.Cause(held))
			}
			if err := release(); err != nil {
				t.Error(err)
			}
			if len(notices) != 1 || !strings.Contains(notices[0], "If-None-Match") {
				t.Errorf("notices %q", notices)
			}
		})
	}
}
