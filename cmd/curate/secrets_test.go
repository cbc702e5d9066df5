package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/curate-data/curate/internal/s3server"
)

// secrets are what must never be in an output, a file or an error.
var secrets = []string{
	"distinctiveSecretKey/0123456789+abcdef", "distinctiveSessionToken", "distinctivePassword", "distinctiveUser", "distinctiveSignature", "distinctive%53ecret",
}

// checkNoSecrets looks for the secrets in a text.
func checkNoSecrets(t *testing.T, where, text string) {
	t.Helper()
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("%s holds %q:\n%.2000s", where, secret, text)
		}
	}
}

// checkTree looks for the secrets in all files below a folder.
func checkTree(t *testing.T, root string) {
	t.Helper()
	for path := range below(t, root) {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		checkNoSecrets(t, path, string(content))
	}
}

// secretCommands are command lines that reach for S3 in every way there is.
func secretCommands(pool writtenPool, output, config, bucket string) [][]string {
	return [][]string{
		{"inspect", bucket + "/pool/a.parquet"},
		{"inspect", "--json", bucket + "/pool"},
		{"inspect", bucket + "/pool/*.parquet"},
		{"verify", bucket + "/out"},
		{"gc", bucket + "/out"},
		{"write", "--selection", pool.selection, "--output", bucket + "/out", pool.folder},
		{"write", "--selection", pool.selection, "--output", bucket + "/out", "--sandbox", pool.folder},
		{"write", "--selection", bucket + "/selection", "--output", output, pool.folder},
		{"write", "--selection", pool.selection, "--output", output, bucket + "/pool"},
		{"select", "--scores", bucket + "/scores", "--output", output, "--keep-rows", "1"},
		{"score", "--prior", bucket + "/prior", "--conditional", bucket + "/conditional", "--output", output, pool.folder},
		{"train", "prior", "--corpus", bucket + "/pool", "--tokenizer", bucket + "/tokenizer.json", "--output", bucket + "/prior"},
		{"run", config, "--set", "output=" + bucket + "/out"},
		{"run", config, "--set", "inputs=[" + bucket + "/pool]"},
		{"run", config, "--dry-run", "--set", "inputs=[" + bucket + "/pool]"},
		{"run", config, "--set", "tokenizer=" + bucket + "/t.json"},
	}
}

// TestNoSecretsLeak runs every command with credentials that can be told from
// all else, against endpoints that refuse the connection or the key, and with
// URIs and endpoints that hold credentials themselves.
func TestNoSecretsLeak(t *testing.T) {
	pool := newWrittenPool(t, 2000)
	config, _ := tinyConfig(t)
	server := s3server.Start(t)
	server.Setenv(t)
	bucket := server.Bucket(t)
	t.Setenv("AWS_ACCESS_KEY_ID", server.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secrets[0])
	t.Setenv("AWS_SESSION_TOKEN", secrets[1])
	t.Setenv("AWS_MAX_ATTEMPTS", "2")
	cache := t.TempDir()
	t.Setenv("CURATE_CACHE", cache)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for _, c := range []struct{ name, endpoint, uri string }{
		{"403", server.URL(), "s3://" + bucket},
		{"refused", "http://" + closed.Addr().String(), "s3://" + bucket},
		{"user in the URI", server.URL(), "s3://distinctiveUser:distinctivePassword@" + bucket},
		{"user in the URI, escaped", server.URL(), "s3://distinctiveUser:distinctive%53ecret@" + bucket},
		{"user in the endpoint", strings.Replace(server.URL(), "://", "://distinctiveUser:distinctivePassword@", 1), "s3://" + bucket},
		{"user in a closed endpoint", "http://distinctiveUser:distinctivePassword@" + closed.Addr().String(), "s3://" + bucket},
		{"another scheme", server.URL(), "https://distinctiveUser:distinctivePassword@" + bucket},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("AWS_ENDPOINT_URL_S3", c.endpoint)
			output := filepath.Join(t.TempDir(), "output")
			for _, args := range secretCommands(pool, output, config, c.uri) {
				code, stdout, stderr := curate(t, args...)
				if code == exitDone && !strings.Contains(strings.Join(args, " "), "dry-run") {
					t.Errorf("curate %v: exit 0", args)
				}
				checkNoSecrets(t, "curate "+strings.Join(args[:2], " "), stdout+stderr)
			}
			if fileExists(output) {
				checkTree(t, output)
			}
			checkTree(t, filepath.Join(server.Data, bucket))
			checkTree(t, cache)
		})
	}
}

// TestNoSecretsInFiles: credentials in the URIs of a list or a config are
// refused, and not repeated.
func TestNoSecretsInFiles(t *testing.T) {
	dir := t.TempDir()
	config, list := filepath.Join(dir, "c.yaml"), filepath.Join(dir, "list.txt")
	uri := "s3://distinctiveUser:distinctivePassword@bucket/pool/a.parquet"
	for path, content := range map[string]string{
		config: "inputs: [" + uri + "]\noutput: " + filepath.Join(dir, "out") + "\n", list: "# pool\n" + uri + "\n",
	} {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"inspect", "@" + list}, {"run", config}, {"run", config, "--dry-run"}} {
		code, stdout, stderr := curate(t, args...)
		if code != exitUsage || !strings.Contains(stderr, "line ") {
			t.Errorf("curate %v: exit %d, want %d with the line: %s", args, code, exitUsage, stderr)
		}
		checkNoSecrets(t, "curate "+args[0], stdout+stderr)
	}
}

// TestGoodKeysLeakNothing: what a run that works leaves behind, and says, holds
// no credentials either.
func TestGoodKeysLeakNothing(t *testing.T) {
	pool := newWrittenPool(t, 2000)
	server := s3server.Start(t)
	server.Setenv(t)
	bucket := server.Bucket(t)
	_, stderr := mustCurate(t, "write", "--selection", pool.selection, "--output", "s3://"+bucket+"/out", pool.folder)
	stdout, more := mustCurate(t, "verify", "--json", "s3://"+bucket+"/out")
	said := stderr + stdout + more
	for path := range below(t, filepath.Join(server.Data, bucket)) {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		said += string(content)
	}
	for _, secret := range []string{server.SecretKey, server.AccessKey} {
		if strings.Contains(said, secret) {
			t.Errorf("%q was written or said", secret)
		}
	}
}
