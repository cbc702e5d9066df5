package s3server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Proxy is an address in front of a server whose connections can be spoiled
// (by toxiproxy, a process beside the server, which survives Kill9). Faults
// add up until Clear. Downstream is from the server to the client.
type Proxy struct {
	Address string // host:port

	server  *Server
	process *process
	control string // URL of the proxy in toxiproxy's interface
	client  *http.Client
}

// Proxy starts a proxy in front of the server. It ends with the test.
func (s *Server) Proxy(t testing.TB) *Proxy {
	t.Helper()
	p := &Proxy{server: s, client: certificate{}.client()}
	t.Cleanup(func() { p.process.kill() })
	var err error
	for range 5 {
		var address string
		if address, err = freeAddress(); err != nil {
			t.Fatal(err)
		}
		if p.process, err = startProcess(s.folder, s.binary, []string{"proxy", "-address", address}); err != nil {
			t.Fatal(err)
		}
		if err = p.process.await("http://"+address+"/version", p.client); err == nil {
			p.control = "http://" + address + "/proxies"
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	var made struct{ Listen string }
	p.call(t, http.MethodPost, "", map[string]any{"name": "s3", "listen": "127.0.0.1:0", "upstream": s.Address, "enabled": true}, &made)
	p.Address, p.control = made.Listen, p.control+"/s3"
	return p
}

// URL is the endpoint that leads through the proxy.
func (p *Proxy) URL() string { return strings.Replace(p.server.URL(), p.server.Address, p.Address, 1) }

// Env is Server.Env with the proxy as endpoint.
func (p *Proxy) Env() []string { return p.server.env(p.URL()) }

// Setenv sets the variables of Env for the rest of the test.
func (p *Proxy) Setenv(t testing.TB) { setenv(t, p.Env()) }

// Latency makes each answer wait.
func (p *Proxy) Latency(t testing.TB, d time.Duration) {
	p.add(t, "latency", "downstream", 1, map[string]any{"latency": d.Milliseconds()})
}

// CutDownstream closes each connection after so many bytes to the client.
func (p *Proxy) CutDownstream(t testing.TB, bytes int64) {
	p.add(t, "limit_data", "downstream", 1, map[string]any{"bytes": bytes})
}

// CutUpstream closes each connection after so many bytes to the server.
func (p *Proxy) CutUpstream(t testing.TB, bytes int64) {
	p.add(t, "limit_data", "upstream", 1, map[string]any{"bytes": bytes})
}

// Reset resets each connection, or the given part of them, after a time.
func (p *Proxy) Reset(t testing.TB, after time.Duration, part float64) {
	p.add(t, "reset_peer", "downstream", part, map[string]any{"timeout": after.Milliseconds()})
}

// Slow limits the bytes per second to the client.
func (p *Proxy) Slow(t testing.TB, bytesPerSecond int64) {
	p.add(t, "bandwidth", "downstream", 1, map[string]any{"rate": max(1, bytesPerSecond/1000)})
}

// Down refuses connections, and closes those there are, until Up.
func (p *Proxy) Down(t testing.TB) {
	p.call(t, http.MethodPost, "", map[string]any{"enabled": false}, nil)
}

// Up ends Down.
func (p *Proxy) Up(t testing.TB) {
	p.call(t, http.MethodPost, "", map[string]any{"enabled": true}, nil)
}

// Clear takes all faults away.
func (p *Proxy) Clear(t testing.TB) {
	t.Helper()
	var toxics []struct{ Name string }
	p.call(t, http.MethodGet, "/toxics", nil, &toxics)
	for _, toxic := range toxics {
		p.call(t, http.MethodDelete, "/toxics/"+toxic.Name, nil, nil)
	}
}

func (p *Proxy) add(t testing.TB, kind, stream string, part float64, attributes map[string]any) {
	t.Helper()
	p.call(t, http.MethodPost, "/toxics", map[string]any{
		"name": kind + "-" + stream, "type": kind, "stream": stream, "toxicity": part, "attributes": attributes,
	}, nil)
}

// call makes a request of toxiproxy's control interface.
func (p *Proxy) call(t testing.TB, method, path string, body, into any) {
	t.Helper()
	if err := p.request(method, path, body, into); err != nil {
		t.Fatalf("toxiproxy: %s %s: %v", method, path, err)
	}
}

func (p *Proxy) request(method, path string, body, into any) error {
	var sent bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&sent).Encode(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequest(method, p.control+path, &sent)
	if err != nil {
		return err
	}
	response, err := p.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		return fmt.Errorf("%s: %s", response.Status, said)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(said, into)
}
