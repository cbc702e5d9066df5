package s3_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// raw is a client of the SDK, for what a Store does not do.
func raw(t testing.TB) *s3.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	cfg, err := config.LoadDefaultConfig(context.Background(), config.WithHTTPClient(&http.Client{Transport: transport}))
	if err != nil {
		t.Fatal(err)
	}
	return s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
}

func split(uri string) (bucket, key *string) {
	b, k, _ := strings.Cut(strings.TrimPrefix(uri, "s3://"), "/")
	return &b, &k
}

func put(t testing.TB, api *s3.Client, uri, body string) {
	t.Helper()
	bucket, key := split(uri)
	if _, err := api.PutObject(context.Background(), &s3.PutObjectInput{Bucket: bucket, Key: key, Body: strings.NewReader(body)}); err != nil {
		t.Fatal(err)
	}
}

func get(t testing.TB, api *s3.Client, uri string) string {
	t.Helper()
	bucket, key := split(uri)
	out, err := api.GetObject(context.Background(), &s3.GetObjectInput{Bucket: bucket, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	b, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func head(t testing.TB, api *s3.Client, uri string) *s3.HeadObjectOutput {
	t.Helper()
	bucket, key := split(uri)
	out, err := api.HeadObject(context.Background(), &s3.HeadObjectInput{Bucket: bucket, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// before puts a proxy before an endpoint. change sees each request and says
// whether it is passed on, or has been answered; after sees each answer, and
// may end the connection in place of it.
func before(t testing.TB, endpoint string, change func(http.ResponseWriter, *http.Request) bool, after func(*http.Response)) string {
	t.Helper()
	to, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	proxy := &httputil.ReverseProxy{
		Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = to.Scheme, to.Host, r.In.Host // which is signed
		},
		ModifyResponse: func(r *http.Response) error {
			after(r)
			return nil
		},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if change(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() {
		server.Close()
		transport.CloseIdleConnections()
	})
	return server.URL
}

// counted counts the GET requests of objects.
func counted(t testing.TB, endpoint string) (string, *atomic.Int64) {
	n := new(atomic.Int64)
	return before(t, endpoint, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet && r.URL.Query().Get("list-type") == "" {
			n.Add(1)
		}
		return true
	}, func(*http.Response) {}), n
}

// losing loses the answer to the next request that publishes an object, once
// it is told to. If the upload is gone then, as with some stores, the repeated
// request is told so.
func losing(t testing.TB, endpoint string, gone bool) (string, *atomic.Bool) {
	lose, lost := new(atomic.Bool), new(atomic.Bool)
	return before(t, endpoint, func(w http.ResponseWriter, r *http.Request) bool {
		if !gone || !lost.Load() || r.Method != http.MethodPost {
			return true
		}
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, `<?xml version="1.0"?><Error><Code>NoSuchUpload</Code><Message>The specified upload does not exist.</Message></Error>`)
		return false
	}, func(r *http.Response) {
		query := r.Request.URL.Query()
		publishes := r.Request.Method == http.MethodPut && !query.Has("partNumber") || r.Request.Method == http.MethodPost && query.Has("uploadId")
		if publishes && r.StatusCode == http.StatusOK && lose.CompareAndSwap(true, false) {
			lost.Store(true)
			panic(http.ErrAbortHandler)
		}
	}), lose
}

// ignorant is a store that does not know conditions on writes: it refuses them,
// or takes no notice of them. (The latter removes what is there, since the
// condition cannot be taken out of a signed request.)
func ignorant(t testing.TB, endpoint string, refuse bool) string {
	api := raw(t)
	return before(t, endpoint, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet || r.Header.Get("If-Match") == "" && r.Header.Get("If-None-Match") == "" {
			return true
		}
		if refuse {
			w.WriteHeader(http.StatusNotImplemented)
			io.WriteString(w, `<?xml version="1.0"?><Error><Code>NotImplemented</Code><Message>A header you provided implies functionality that is not implemented</Message></Error>`)
			return false
		}
		if r.Header.Get("If-None-Match") != "" {
			bucket, key := split("s3:/" + r.URL.Path)
			if _, err := api.DeleteObject(r.Context(), &s3.DeleteObjectInput{Bucket: bucket, Key: key}); err != nil {
				t.Error(err)
			}
		}
		return true
	}, func(*http.Response) {})
}
