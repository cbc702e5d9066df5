// Package s3server starts a real S3 server for tests: versitygw over a
// temporary folder, in a process of its own that a test can kill, and toxiproxy
// in front of it where connections shall be spoiled. The servers are built
// once, from the module in the folder gateway, into .cache of this module.
package s3server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Region is the region of the servers.
const Region = "us-east-1"

// startLimit is how long a server may take until it answers: it takes 0.2 s on
// a machine that is not busy.
const startLimit = time.Minute

// Server is a running S3 server on the loopback interface.
type Server struct {
	Address   string // host:port, which Restart keeps
	AccessKey string
	SecretKey string
	Data      string // folder; each folder in it is a bucket

	binary  string
	folder  string
	cert    certificate // none for http
	minio   bool        // not the gateway
	process *process
}

// Start starts a server that speaks http. It ends with the test.
func Start(t testing.TB) *Server { return start(t, binary(t), certificate{}, false) }

// StartTLS starts a server that speaks https with a certificate of its own,
// which Env makes clients trust.
func StartTLS(t testing.TB) *Server {
	t.Helper()
	cert, err := newCertificate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return start(t, binary(t), cert, false)
}

// StartMinIO starts a MinIO server, given its program. Its buckets are not
// folders: Bucket does not work, and Proxy neither.
func StartMinIO(t testing.TB, program string) *Server {
	t.Helper()
	return start(t, program, certificate{}, true)
}

func start(t testing.TB, program string, cert certificate, minio bool) *Server {
	t.Helper()
	s := &Server{AccessKey: "test" + rand.Text(), SecretKey: rand.Text(), binary: program, folder: t.TempDir(), cert: cert, minio: minio}
	s.Data = filepath.Join(s.folder, "data")
	for _, name := range []string{"data", "versions", "sidecar"} {
		if err := os.Mkdir(filepath.Join(s.folder, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { s.process.kill() })
	// The port is free when it is chosen, and may be another's when it is used.
	var err error
	for range 5 {
		if s.Address, err = freeAddress(); err != nil {
			t.Fatal(err)
		}
		if err = s.run(); err == nil {
			return s
		}
	}
	t.Fatal(err)
	return nil
}

// run starts the process and waits until it answers.
func (s *Server) run() error {
	args := []string{"s3", "-address", s.Address, "-data", s.Data, "-versions", filepath.Join(s.folder, "versions")}
	if !hasAttributes(s.folder) {
		args = append(args, "-sidecar", filepath.Join(s.folder, "sidecar"))
	}
	if s.cert.certFile != "" {
		args = append(args, "-cert", s.cert.certFile, "-key", s.cert.keyFile)
	}
	if s.minio {
		args = []string{"server", "--quiet", "--address", s.Address, s.Data}
	}
	var err error
	s.process, err = startProcess(s.folder, s.binary, args, "ROOT_ACCESS_KEY="+s.AccessKey, "ROOT_SECRET_KEY="+s.SecretKey,
		"MINIO_ROOT_USER="+s.AccessKey, "MINIO_ROOT_PASSWORD="+s.SecretKey, "MINIO_BROWSER=off", "MINIO_UPDATE=off")
	if err != nil {
		return err
	}
	return s.process.await(s.URL(), s.cert.client())
}

// URL is the server's endpoint.
func (s *Server) URL() string {
	if s.cert.certFile != "" {
		return "https://" + s.Address
	}
	return "http://" + s.Address
}

// Env is what a child process needs to find the server, as key=value: AWS_*
// variables, which also keep the machine's own configuration out.
func (s *Server) Env() []string { return s.env(s.URL()) }

func (s *Server) env(endpoint string) []string {
	return []string{
		"AWS_ENDPOINT_URL_S3=" + endpoint, "AWS_ENDPOINT_URL=", "AWS_REGION=" + Region, "AWS_DEFAULT_REGION=",
		"AWS_ACCESS_KEY_ID=" + s.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s.SecretKey, "AWS_SESSION_TOKEN=",
		"AWS_PROFILE=", "AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
		"AWS_EC2_METADATA_DISABLED=true", "AWS_CA_BUNDLE=" + s.cert.certFile, "AWS_MAX_ATTEMPTS=", "AWS_RETRY_MODE=", "AWS_REQUEST_CHECKSUM_CALCULATION=", "AWS_RESPONSE_CHECKSUM_VALIDATION=",
	}
}

// Setenv sets the variables of Env for the rest of the test.
func (s *Server) Setenv(t testing.TB) { setenv(t, s.Env()) }

func setenv(t testing.TB, env []string) {
	t.Helper()
	for _, pair := range env {
		key, value, _ := strings.Cut(pair, "=")
		t.Setenv(key, value)
	}
}

// Bucket makes a new bucket and returns its name.
func (s *Server) Bucket(t testing.TB) string {
	t.Helper()
	name := "b-" + strings.ToLower(rand.Text())
	if err := os.Mkdir(filepath.Join(s.Data, name), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

// Kill9 ends the server as kill -9 does. What it has stored stays.
func (s *Server) Kill9() { s.process.kill() }

// Restart starts a killed server again, on the same address and data.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.process.kill()
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
}

// freeAddress returns a loopback address that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// process is a running server. Its standard input is a pipe: it ends when this
// process does, however that happens.
type process struct {
	cmd    *exec.Cmd
	log    string // file with what it printed
	exited chan struct{}
}

func startProcess(folder, binary string, args []string, env ...string) (*process, error) {
	log, err := os.CreateTemp(folder, "log-*")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &process{cmd: exec.Command(binary, args...), log: log.Name(), exited: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if _, err := p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", binary, err)
	}
	go func() {
		p.cmd.Wait() // how it ended does not matter, kill ends it too
		close(p.exited)
	}()
	return p, nil
}

// kill ends the process and waits for its end.
func (p *process) kill() {
	if p == nil {
		return
	}
	p.cmd.Process.Kill()
	<-p.exited
}

// await waits until the process answers requests.
func (p *process) await(url string, client *http.Client) error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err == nil {
			return response.Body.Close()
		}
		select {
		case <-p.exited:
			said, _ := os.ReadFile(p.log)
			return fmt.Errorf("server ended: %s", said)
		case <-ctx.Done():
			p.kill()
			said, _ := os.ReadFile(p.log)
			return errors.Join(fmt.Errorf("server does not answer at %s: %s", url, said), err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
