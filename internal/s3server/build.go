package s3server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/gofrs/flock"
)

// gatewayFolder is where the module of the servers is, below the root of ours.
const gatewayFolder = "internal/s3server/gateway"

// buildLimit is how long a build by another test binary is waited for.
const buildLimit = 20 * time.Minute

// binary builds the servers, unless that is done, and returns their program.
func binary(t testing.TB) string {
	t.Helper()
	name, err := Build()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// Build builds the servers' program into .cache of the module that the working
// folder is in, unless it is there, and returns its name. The first build on a
// machine fetches modules and takes minutes.
func Build() (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", fmt.Errorf("build S3 server: %w", err)
	}
	source := filepath.Join(root, filepath.FromSlash(gatewayFolder))
	key, err := sourceKey(source)
	if err != nil {
		return "", fmt.Errorf("build S3 server: %w", err)
	}
	folder := filepath.Join(root, ".cache", "gateway")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", fmt.Errorf("build S3 server: %w", err)
	}
	name := filepath.Join(folder, "gateway-"+key)
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	if _, err := os.Stat(name); err == nil {
		return name, nil
	}
	// Test binaries run in parallel: one builds, the others wait.
	ctx, cancel := context.WithTimeout(context.Background(), buildLimit)
	defer cancel()
	lock := flock.New(filepath.Join(folder, "lock"))
	if _, err := lock.TryLockContext(ctx, 100*time.Millisecond); err != nil {
		return "", fmt.Errorf("build S3 server: wait for another build: %w", err)
	}
	defer lock.Unlock()
	if _, err := os.Stat(name); err == nil {
		return name, nil
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", name+".new", ".")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build S3 server in %s: %w: %s", source, err, out)
	}
	if err := os.Rename(name+".new", name); err != nil {
		return "", fmt.Errorf("build S3 server: %w", err)
	}
	return name, nil
}

// moduleRoot finds the folder above the working folder that holds the servers' module.
func moduleRoot() (string, error) {
	working, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for at := working; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, filepath.FromSlash(gatewayFolder), "go.mod")); err == nil {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("no folder above %s holds %s", working, gatewayFolder)
		}
	}
}

// sourceKey is a hash of what decides the program.
func sourceKey(source string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOARCH)
	for _, name := range []string{"go.mod", "go.sum", "main.go"} {
		b, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, name, len(b))
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}
