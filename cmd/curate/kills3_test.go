package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/curate-data/curate/internal/s3server"
)

// killDrill writes a pool to a bucket, with something killed on the way.
type killDrill struct {
	pool   writtenPool
	server *s3server.Server
	bucket string
	whole  time.Duration // of an undisturbed write
	want   map[string]string
	files  []string
}

// newKillDrill makes the pool and writes it once without a disturbance.
func newKillDrill(t *testing.T) *killDrill {
	t.Helper()
	d := &killDrill{pool: newWrittenPool(t, 24<<20), server: s3server.Start(t)}
	d.server.Setenv(t)
	d.bucket = d.server.Bucket(t)
	for i := range 3 { // the first is the slowest
		start := time.Now()
		if message, err := d.write(t, "whole").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, message)
		}
		if took := time.Since(start); i == 0 || took < d.whole {
			d.whole = took
		}
		if i < 2 {
			if err := os.RemoveAll(d.path("whole")); err != nil {
				t.Fatal(err)
			}
		}
	}
	d.want, d.files = treeDigests(t, d.path("whole")), allFiles(t, d.path("whole"))
	if len(d.want) < 9 {
		t.Fatalf("only %d objects to compare: %v", len(d.want), d.files)
	}
	return d
}

func (d *killDrill) uri(name string) string  { return "s3://" + d.bucket + "/" + name }
func (d *killDrill) path(name string) string { return filepath.Join(d.server.Data, d.bucket, name) }

// write is `curate write` to a folder of the bucket.
func (d *killDrill) write(t *testing.T, name string) *exec.Cmd {
	t.Helper()
	return asCommand(t, "write", "--selection", d.pool.selection, "--output", d.uri(name), "--quiet", d.pool.folder)
}

// moments is how many kills a test does.
func moments() int {
	switch {
	case os.Getenv("CURATE_FULL") == "1":
		return 50
	case testing.Short():
		return 2
	}
	return 6
}

// complete runs the command again and checks what there is afterwards: the
// bytes of an undisturbed run, nothing else, and no upload that is paid for.
func (d *killDrill) complete(t *testing.T, name, what string) {
	t.Helper()
	// The lock of a dead process is void after a minute; that is tested elsewhere.
	if err := os.Remove(filepath.Join(d.path(name), ".curate.lock")); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if message, err := d.write(t, name).CombinedOutput(); err != nil {
		t.Errorf("%s: the second run: %v\n%s", what, err, message)
		return
	}
	mustCurate(t, "gc", "--yes", d.uri(name))
	if got := treeDigests(t, d.path(name)); !maps.Equal(got, d.want) {
		t.Errorf("%s: output differs: %v", what, differences(got, d.want))
	}
	if got := allFiles(t, d.path(name)); !slices.Equal(got, d.files) {
		t.Errorf("%s: there is %v, want %v", what, got, d.files)
	}
	if uploads := staleUploads(t, d.uri(name)); len(uploads) > 0 {
		t.Errorf("%s: uploads are left: %v", what, uploads)
	}
	mustCurate(t, "verify", d.uri(name))
	if err := os.RemoveAll(d.path(name)); err != nil {
		t.Fatal(err)
	}
}

// TestKillWriteToS3 kills `curate write` to a bucket at random moments.
func TestKillWriteToS3(t *testing.T) {
	d := newKillDrill(t)
	random := rand.New(rand.NewPCG(20, 28))
	killed, uploads := 0, 0
	for i := range moments() {
		name := fmt.Sprint("killed-", i)
		delay := time.Duration(random.Float64() * float64(d.whole))
		cmd := d.write(t, name)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(delay, func() { cmd.Process.Kill() })
		if cmd.Wait() != nil {
			killed++
		}
		timer.Stop()
		uploads += len(staleUploads(t, d.uri(name)))
		d.complete(t, name, fmt.Sprintf("killed after %v", delay.Round(time.Millisecond)))
	}
	t.Logf("%d of %d writes were killed before they ended, %d uploads were left by them; a whole write takes %v", killed, moments(), uploads, d.whole.Round(time.Millisecond))
	if killed == 0 {
		t.Error("no write was killed before it ended")
	}
}

// TestKillServer kills the S3 server itself at random moments of a write, and
// starts it again while the write may still be trying.
func TestKillServer(t *testing.T) {
	d := newKillDrill(t)
	random := rand.New(rand.NewPCG(20, 29))
	survived, failed := 0, 0
	for i := range moments() {
		name := fmt.Sprint("server-killed-", i)
		delay, pause := time.Duration(random.Float64()*float64(d.whole)), time.Duration(random.IntN(300))*time.Millisecond
		cmd := d.write(t, name)
		var said strings.Builder
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(delay)
		d.server.Kill9()
		time.Sleep(pause)
		d.server.Restart(t)
		what := fmt.Sprintf("server killed after %v for %v", delay.Round(time.Millisecond), pause)
		if err := cmd.Wait(); err != nil {
			failed++
			if cmd.ProcessState.ExitCode() != exitFailed {
				t.Errorf("%s: %v\n%s", what, err, said.String())
			}
		} else {
			survived++
			if got := treeDigests(t, d.path(name)); !maps.Equal(got, d.want) {
				t.Errorf("%s: exit 0, but output differs: %v", what, differences(got, d.want))
			}
		}
		d.complete(t, name, what)
	}
	t.Logf("%d of %d writes survived the server's death, %d failed and were completed; a whole write takes %v", survived, moments(), failed, d.whole.Round(time.Millisecond))
}
