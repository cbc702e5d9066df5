package s3server_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/curate-data/curate/internal/s3server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// get asks the server without a signature, which it refuses, in XML.
func get(url string) (string, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func TestServer(t *testing.T) {
	s := s3server.Start(t)
	whole, err := get(s.URL() + "/" + s.Bucket(t))
	if err != nil || len(whole) < 50 {
		t.Fatalf("got %q, error %v", whole, err)
	}
	s.Kill9()
	if _, err := get(s.URL()); err == nil {
		t.Error("a killed server answers")
	}
	s.Restart(t)
	if _, err := get(s.URL()); err != nil {
		t.Error(err)
	}
}

func TestProxy(t *testing.T) {
	p := s3server.Start(t).Proxy(t)
	if _, err := get(p.URL()); err != nil {
		t.Fatal(err)
	}
	p.CutDownstream(t, 30)
	if said, err := get(p.URL()); err == nil {
		t.Errorf("cut after 30 bytes: got %q", said)
	}
	p.Clear(t)
	p.Reset(t, 0, 1)
	if said, err := get(p.URL()); err == nil {
		t.Errorf("reset: got %q", said)
	}
	p.Clear(t)
	p.Down(t)
	if _, err := get(p.URL()); err == nil {
		t.Error("down: it answers")
	}
	p.Up(t)
	p.Latency(t, 50*time.Millisecond)
	p.Slow(t, 100_000)
	began := time.Now()
	if _, err := get(p.URL()); err != nil || time.Since(began) < 50*time.Millisecond {
		t.Errorf("latency: after %v, error %v", time.Since(began), err)
	}
}

func TestTLS(t *testing.T) {
	s := s3server.StartTLS(t)
	if _, err := get(s.URL()); err == nil {
		t.Error("a client trusts a certificate it does not know")
	}
}
