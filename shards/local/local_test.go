package local_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/local"
	"github.com/curate-data/curate/shards/storetest"
)

// holdEnv makes the test binary take a lock, say so, and wait to be killed.
const holdEnv = "CURATE_TEST_HOLD_LOCK"

func TestMain(m *testing.M) {
	if folder := os.Getenv(holdEnv); folder != "" {
		if _, err := local.TakeLock(folder); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("held")
		time.Sleep(time.Minute)
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) shards.Store { return local.New(filepath.Join(t.TempDir(), "new", "root")) })
}

func TestRelativeRoot(t *testing.T) {
	t.Chdir(t.TempDir())
	s := local.New("sub")
	storetest.Put(t, s, "a/b", "1")
	if got := storetest.Get(t, local.New("."), "sub/a/b"); got != "1" {
		t.Errorf("got %q", got)
	}
}

// crash leaves a temporary file as a killed run does.
func crash(t *testing.T, s *local.Store, name string) {
	t.Helper()
	p, err := s.Create(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(p, "half of it"); err != nil {
		t.Fatal(err)
	}
}

func TestSweep(t *testing.T) {
	s := local.New(t.TempDir())
	if err := s.Sweep(context.Background()); err != nil {
		t.Fatal(err)
	}
	storetest.Put(t, s, "a/kept", "whole")
	crash(t, s, "a/kept")
	crash(t, s, "b/c/lost")
	if n := files(t, s.Root); n != 3 {
		t.Fatalf("%d files before the sweep", n)
	}
	infos, err := s.List(context.Background(), "")
	if err != nil || len(infos) != 1 {
		t.Errorf("List: %v, %v", infos, err)
	}
	if infos, err = s.Glob(context.Background(), "**"); err != nil || len(infos) != 1 {
		t.Errorf("Glob: %v, %v", infos, err)
	}
	if err := s.Sweep(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := files(t, s.Root); n != 1 {
		t.Errorf("%d files after the sweep", n)
	}
	if got := storetest.Get(t, s, "a/kept"); got != "whole" {
		t.Errorf("got %q", got)
	}
	// A folder that another run has locked is that run's.
	crash(t, s, "other/half")
	lock, err := local.TakeLock(filepath.Join(s.Root, "other"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	infos, err = s.Temporaries(context.Background())
	if err != nil || len(infos) != 1 || infos[0].Size != int64(len("half of it")) || !strings.HasPrefix(infos[0].Name, "other/.half.") {
		t.Errorf("Temporaries: %+v, %v", infos, err)
	}
	if err := local.New(filepath.Join(s.Root, "nope")).Sweep(context.Background()); err != nil {
		t.Errorf("a missing folder: %v", err)
	}
}

// files counts the files below a folder.
func files(t *testing.T, root string) int {
	t.Helper()
	n := 0
	err := filepath.WalkDir(root, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestFinishFails makes the final rename fail: nothing may be left behind.
func TestFinishFails(t *testing.T) {
	s := local.New(t.TempDir())
	crashFree := func(name string) {
		p, err := s.Create(context.Background(), name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(s.Root, name, "in", "the", "way"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := p.Finish(context.Background()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Finish over a folder: got error %v", err)
		}
	}
	crashFree("x")
	if n := files(t, s.Root); n != 0 {
		t.Errorf("%d files are left", n)
	}
	if _, err := s.Create(context.Background(), "x/in/the/way/deep"); err != nil {
		t.Errorf("Create below a folder: %v", err)
	}
	storetest.Put(t, s, "file", "")
	if _, err := s.Create(context.Background(), "file/below"); err == nil {
		t.Error("Create below a file: no error")
	}
}

func TestLocalNames(t *testing.T) {
	s := local.New(t.TempDir())
	for _, name := range []string{".curate.lock", "a/.curate.lock", ".x.123.curate-tmp"} {
		if _, err := s.Create(context.Background(), name); err == nil {
			t.Errorf("Create(%q): no error", name)
		}
	}
	if err := os.Mkdir(filepath.Join(s.Root, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(context.Background(), "folder"); err == nil {
		t.Error("Open of a folder: no error")
	}
}

func TestLinks(t *testing.T) {
	real, root := t.TempDir(), t.TempDir()
	storetest.Put(t, local.New(real), "data.jsonl", "{}")
	for _, link := range [][2]string{{"data.jsonl", "linked.jsonl"}, {"nope", "dangling"}, {".", "folder"}} {
		if err := os.Symlink(filepath.Join(real, link[0]), filepath.Join(root, link[1])); err != nil {
			t.Fatal(err)
		}
	}
	through := filepath.Join(t.TempDir(), "root")
	if err := os.Symlink(root, through); err != nil {
		t.Fatal(err)
	}
	infos, err := local.New(through).List(context.Background(), "")
	if err != nil || len(infos) != 1 || infos[0].Name != "linked.jsonl" {
		t.Errorf("List: got %+v, error %v", infos, err)
	}
	infos, err = local.New(through).Glob(context.Background(), "**/*.jsonl")
	if err != nil || len(infos) != 1 || infos[0].Name != "linked.jsonl" {
		t.Errorf("Glob: got %+v, error %v", infos, err)
	}
}

// TestLinkLoop lists a folder that contains itself.
func TestLinkLoop(t *testing.T) {
	s := local.New(t.TempDir())
	storetest.Put(t, s, "a/x.jsonl", "{}")
	if err := os.Symlink(s.Root, filepath.Join(s.Root, "a", "loop")); err != nil {
		t.Fatal(err)
	}
	for what, list := range map[string]func(context.Context, string) ([]shards.ObjectInfo, error){"List": s.List, "Glob": s.Glob} {
		pattern := map[string]string{"List": "", "Glob": "**/*.jsonl"}[what]
		infos, err := list(context.Background(), pattern)
		if err != nil || len(infos) != 1 || infos[0].Name != "a/x.jsonl" {
			t.Errorf("%s: got %+v, error %v", what, infos, err)
		}
	}
}

// TestMode checks that files get the mode that the user's umask gives.
func TestMode(t *testing.T) {
	s := local.New(t.TempDir())
	storetest.Put(t, s, "x", "")
	if err := os.WriteFile(filepath.Join(s.Root, "y"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	x, err := os.Stat(filepath.Join(s.Root, "x"))
	if err != nil {
		t.Fatal(err)
	}
	y, err := os.Stat(filepath.Join(s.Root, "y"))
	if err != nil || x.Mode() != y.Mode() {
		t.Errorf("mode %v, want %v, error %v", x.Mode(), y.Mode(), err)
	}
}

func TestVersionSeesEveryChange(t *testing.T) {
	s := local.New(t.TempDir())
	file := filepath.Join(s.Root, "x")
	version := func() string {
		infos, err := s.List(context.Background(), "x")
		if err != nil || len(infos) != 1 {
			t.Fatal(infos, err)
		}
		return infos[0].Version
	}
	write := func(content string) {
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, time.Unix(1e9, 0), time.Unix(1e9, 0)); err != nil {
			t.Fatal(err)
		}
	}
	write("12")
	first := version()
	if again := version(); again != first {
		t.Errorf("version %q, then %q without a change", first, again)
	}
	write("123")
	if other := version(); other == first {
		t.Error("another size, same version")
	}
	time.Sleep(20 * time.Millisecond)
	write("12")
	if other := version(); other == first {
		t.Error("same size and restored modification time, same version")
	}
}

func TestLock(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "out")
	lock, err := local.TakeLock(folder)
	if err != nil {
		t.Fatal(err)
	}
	_, err = local.TakeLock(folder)
	var locked *shards.LockedError
	if !errors.As(err, &locked) {
		t.Fatalf("second lock: got error %v", err)
	}
	if locked.Holder.PID != os.Getpid() || time.Since(locked.Holder.Start) > time.Minute || locked.Holder.Host == "" {
		t.Errorf("got holder %+v", locked.Holder)
	}
	if !strings.Contains(err.Error(), fmt.Sprintf("process %d on ", os.Getpid())) || !strings.Contains(err.Error(), folder) {
		t.Errorf("got error %q", err)
	}
	if infos, err := local.New(folder).List(context.Background(), ""); err != nil || len(infos) != 0 {
		t.Errorf("List shows %v, %v", infos, err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if n := files(t, folder); n != 0 {
		t.Errorf("%d files are left after Release", n)
	}
	again, err := local.TakeLock(folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Release(); err != nil {
		t.Fatal(err)
	}
}

// TestLockOfKilled checks that a lock ends with its process, whatever it left.
func TestLockOfKilled(t *testing.T) {
	folder := t.TempDir()
	holder := exec.Command(os.Args[0], "-test.run=^$")
	holder.Env = append(os.Environ(), holdEnv+"="+folder)
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "held\n" {
		t.Fatalf("holder says %q, %v", line, err)
	}
	_, err = local.TakeLock(folder)
	var locked *shards.LockedError
	if !errors.As(err, &locked) || locked.Holder.PID != holder.Process.Pid {
		t.Errorf("while it lives: got error %v", err)
	}
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	holder.Wait() // says that it was killed
	lock, err := local.TakeLock(folder)
	if err != nil {
		t.Fatalf("after its death: %v", err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
}

// TestLockRace lets many goroutines take and release one lock: at most one may
// hold it at a time.
func TestLockRace(t *testing.T) {
	folder := t.TempDir()
	held := make(chan struct{}, 1)
	done := make(chan int)
	for range 4 {
		go func() {
			n := 0
			for range 300 {
				lock, err := local.TakeLock(folder)
				var locked *shards.LockedError
				if errors.As(err, &locked) {
					continue
				}
				if err != nil {
					t.Error(err)
					break
				}
				select {
				case held <- struct{}{}:
				default:
					t.Error("two hold the lock")
				}
				n++
				<-held
				if err := lock.Release(); err != nil {
					t.Error(err)
				}
			}
			done <- n
		}()
	}
	total := 0
	for range 4 {
		total += <-done
	}
	if total == 0 {
		t.Error("nobody ever got the lock")
	}
}

func TestLocate(t *testing.T) {
	root := t.TempDir()
	storetest.Put(t, local.New(root), "a/b", "1")
	for _, c := range []struct{ path, name string }{{"a", ""}, {"a/", ""}, {"a/b", "b"}, {"a/nope", "nope"}, {".", ""}} {
		_, name, err := local.Locate(context.Background(), filepath.Join(root, c.path))
		if err != nil || name != c.name {
			t.Errorf("Locate(%q): name %q, error %v", c.path, name, err)
		}
	}
	for _, path := range []string{"", "s3://bucket/key"} {
		if _, _, err := local.Locate(context.Background(), path); err == nil {
			t.Errorf("Locate(%q): no error", path)
		}
	}
}
