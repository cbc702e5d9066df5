package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/curate-data/curate/internal/faults"
	"github.com/curate-data/curate/internal/s3server"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/local"
)

// faultyScheme begins the places of stores that an Injector is in front of.
const faultyScheme = "faulty"

// faultyLocal opens faulty:///PATH as the folder PATH, through an Injector.
func faultyLocal(in *faults.Injector) *stores {
	path := func(place string) string { return strings.TrimPrefix(place, faultyScheme+"://") }
	places := newStores()
	places.remote[faultyScheme] = remoteStore{
		locate: func(ctx context.Context, place string) (shards.Store, string, error) {
			return in.Locate(local.Locate)(ctx, path(place))
		},
		folder: func(_ context.Context, place string) (shards.Folder, error) {
			return in.Wrap(local.New(path(place))), nil
		},
	}
	return places
}

// curateWith runs one command line whose stores are given.
func curateWith(s *stores, args ...string) (code int, output string) {
	var out bytes.Buffer
	defer s.close()
	root := newRoot(&out, &out, s)
	root.SetArgs(args)
	ctx := context.Background()
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(&out, err)
	}
	return exitCode(ctx, err), out.String()
}

// drill is a job of several commands, run once for every operation that it
// asks of its stores, with that operation failing.
type drill struct {
	commands func(output string) [][]string // the same bytes whatever the output
	places   func(t *testing.T) drillPlace
	every    int // of the operations, one in so many, of reads one in three times so many; all under CURATE_FULL=1
}

// drillPlace is an empty place to write to.
type drillPlace struct {
	stores func(*faults.Injector) *stores
	output string                               // as commands name it
	tree   func(t *testing.T) map[string]string // digest of every file, but for those that hold times
	all    func(t *testing.T) []string          // names of all that is there, hidden and half-written too
}

// localPlace is a folder on disk.
func localPlace(t *testing.T) drillPlace {
	dir := t.TempDir()
	return drillPlace{
		stores: faultyLocal,
		output: faultyScheme + "://" + dir,
		tree:   func(t *testing.T) map[string]string { return treeDigests(t, dir) },
		all:    func(t *testing.T) []string { return allFiles(t, dir) },
	}
}

// allFiles lists all files below a folder, hidden ones too; only the cache of
// digests may be there or not.
func allFiles(t *testing.T, root string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != digestsName {
			names = append(names, strings.TrimPrefix(path, root))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// run runs the commands up to the first that does not end with 0.
func (d drill) run(s *stores, output string) (code int, said string) {
	for _, args := range d.commands(output) {
		if code, said = curateWith(s, args...); code != exitDone {
			return code, said
		}
	}
	return exitDone, said
}

func (d drill) test(t *testing.T) {
	whole := d.places(t)
	counter := faults.New(0, faults.Before)
	if code, said := d.run(whole.stores(counter), whole.output); code != exitDone {
		t.Fatalf("undisturbed: exit %d\n%s", code, said)
	}
	want, files, ops := whole.tree(t), whole.all(t), counter.Ops()
	kinds, codes := map[faults.Op]int{}, map[int]int{}
	for m, mode := range faults.Modes() {
		for n, op := range ops {
			if !d.chosen(op, n+m) {
				continue
			}
			n++
			kinds[op]++
			place := d.places(t)
			code := d.disturbed(t, place, n, mode, want, files)
			codes[code]++
		}
	}
	t.Logf("%d operations, failed in %d modes: %v; exit codes %v", len(ops), len(faults.Modes()), kinds, codes)
	if codes[exitFailed] == 0 {
		t.Error("no fault ended a run: are there faults?")
	}
}

// chosen picks operations to fail. Reads are many and much alike.
func (d drill) chosen(op faults.Op, n int) bool {
	every := d.every
	if op == faults.ReadAt {
		every *= 3
	}
	if testing.Short() {
		every *= 4
	}
	return os.Getenv("CURATE_FULL") == "1" || n%every == 0
}

// disturbed runs the job with one fault, then again without.
func (d drill) disturbed(t *testing.T, place drillPlace, n int, mode faults.Mode, want map[string]string, files []string) int {
	t.Helper()
	in := faults.New(n, mode)
	code, said := d.run(place.stores(in), place.output)
	what := fmt.Sprintf("operation %d, %s", n, mode)
	if !in.Fired() {
		t.Errorf("%s: the run had only %d operations", what, len(in.Ops()))
	}
	switch code {
	case exitDone:
		if got := place.tree(t); !maps.Equal(got, want) {
			t.Errorf("%s: exit 0, but output differs: %v\n%s", what, differences(got, want), said)
		}
	case exitFailed, exitPartial:
		if !strings.Contains(said, "injected fault") && !strings.Contains(said, "unexpected EOF") && !strings.Contains(said, "cut short") {
			t.Errorf("%s: exit %d for another reason:\n%s", what, code, said)
		}
	default:
		t.Errorf("%s: exit %d:\n%s", what, code, said)
	}
	if code, said := d.run(place.stores(faults.New(0, mode)), place.output); code != exitDone {
		t.Errorf("%s: the second run: exit %d\n%s", what, code, said)
	}
	if got := place.tree(t); !maps.Equal(got, want) {
		t.Errorf("%s: after the second run output differs: %v", what, differences(got, want))
	}
	if got := place.all(t); !slices.Equal(got, files) {
		t.Errorf("%s: after the second run there is %v, want %v", what, got, files)
	}
	return code
}

// scoredPool is a pool of two shards with scores, made once for all tests.
func scoredPool(t *testing.T) (inputs []string, scores string) {
	t.Helper()
	prior, conditional := modelsForTests(t)
	dir := filepath.Join(scratch, "scored")
	inputs = []string{filepath.Join(dir, "heldout.parquet"), filepath.Join(dir, "more.jsonl")}
	scores = filepath.Join(dir, "scores")
	if fileExists(filepath.Join(scores, manifestName)) {
		return inputs, scores
	}
	whole, err := os.ReadFile("../../configs/demo/heldout.parquet")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(inputs[0], whole, 0o644); err != nil {
		t.Fatal(err)
	}
	tinyJSONL(t, dir)
	mustCurate(t, append([]string{"score", "--prior", prior, "--conditional", conditional, "--backend", backendForTests(t), "--sequence-length", "32", "--output", scores, "--quiet"}, inputs...)...)
	return inputs, scores
}

// TestFaultsSelectWrite fails every operation of `curate select` and `curate
// write`, inputs, scores and output all behind the Injector.
func TestFaultsSelectWrite(t *testing.T) {
	inputs, scores := scoredPool(t)
	faulty := func(path string) string { return faultyScheme + "://" + path }
	d := drill{places: localPlace, every: 6, commands: func(output string) [][]string {
		selection := joinPlace(output, "selection")
		return [][]string{
			{"select", "--scores", faulty(scores), "--output", selection, "--keep-fraction", "0.25", "--quiet"},
			{"write", "--selection", selection, "--output", joinPlace(output, "data"), "--quiet", faulty(inputs[0]), faulty(inputs[1])},
		}
	}}
	d.test(t)
}

// TestFaultsMerged fails operations of `curate write --shards`, whose files have
// rows of several inputs.
func TestFaultsMerged(t *testing.T) {
	pool := newWrittenPool(t, 2000)
	d := drill{places: localPlace, every: 15, commands: func(output string) [][]string {
		args := []string{"write", "--selection", pool.selection, "--output", output, "--shards", "3", "--quiet"}
		return [][]string{append(args, faultyScheme+"://"+pool.folder)}
	}}
	d.test(t)
}

// bucketPlace makes places in the bucket of a server: new folders.
func bucketPlace(server *s3server.Server, bucket string) func(t *testing.T) drillPlace {
	count := 0
	return func(t *testing.T) drillPlace {
		count++
		name := fmt.Sprint("drill-", count)
		dir := filepath.Join(server.Data, bucket, name)
		uri := "s3://" + bucket + "/" + name
		return drillPlace{
			stores: faultyS3,
			output: uri,
			tree:   func(t *testing.T) map[string]string { return treeDigests(t, dir) },
			all:    func(t *testing.T) []string { return append(allFiles(t, dir), staleUploads(t, uri)...) },
		}
	}
}

// faultyS3 opens s3:// places through an Injector.
func faultyS3(in *faults.Injector) *stores {
	places := newStores()
	below := places.remote["s3"]
	places.remote["s3"] = remoteStore{
		locate: in.Locate(below.locate),
		folder: func(ctx context.Context, uri string) (shards.Folder, error) {
			store, err := below.folder(ctx, uri)
			if err != nil {
				return nil, err
			}
			return in.Wrap(store), nil
		},
	}
	return places
}

// staleUploads lists the uploads below a folder of a bucket that nobody has
// finished.
func staleUploads(t *testing.T, uri string) (names []string) {
	t.Helper()
	places := newStores()
	defer places.close()
	client, err := places.s3.open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	store, err := client.Store(uri)
	if err != nil {
		t.Fatal(err)
	}
	found, err := store.StaleUploads(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range found {
		names = append(names, "upload of "+u.Name)
	}
	return names
}

// TestFaultsS3 fails the operations of `curate select` and `curate write` on a
// bucket. One shard is large enough for an upload in parts.
func TestFaultsS3(t *testing.T) {
	pool := newWrittenPool(t, 12<<20)
	server := s3server.Start(t)
	server.Setenv(t)
	bucket := server.Bucket(t)
	scores := "s3://" + bucket + "/scores"
	uploadTree(t, filepath.Join(filepath.Dir(pool.selection), "scores"), scores)
	d := drill{places: bucketPlace(server, bucket), every: 30, commands: func(output string) [][]string {
		selection := joinPlace(output, "selection")
		return [][]string{
			{"select", "--scores", scores, "--output", selection, "--keep-fraction", "0.7", "--quiet"},
			{"write", "--selection", selection, "--output", joinPlace(output, "data"), "--quiet", pool.folder},
		}
	}}
	d.test(t)
}

// uploadTree copies a folder to a place.
func uploadTree(t *testing.T, folder, place string) {
	t.Helper()
	for path := range below(t, folder) {
		name, err := filepath.Rel(folder, path)
		if err != nil {
			t.Fatal(err)
		}
		upload(t, joinPlace(place, filepath.ToSlash(name)), path)
	}
}

// TestFaultsTrain fails operations of `curate train prior`: what is published
// is one model, whatever happened.
func TestFaultsTrain(t *testing.T) {
	if testing.Short() {
		t.Skip("trains a model for every fault")
	}
	t.Setenv("CURATE_CACHE", t.TempDir())
	demo, err := filepath.Abs("../../configs/demo")
	if err != nil {
		t.Fatal(err)
	}
	d := drill{places: localPlace, every: 24, commands: func(output string) [][]string {
		return [][]string{{
			"train", "prior", "--corpus", faultyScheme + "://" + demo + "/heldout.parquet", "--tokenizer", faultyScheme + "://" + demo + "/tokenizer.json",
			"--output", joinPlace(output, "prior"), "--preset", "olmo-nano", "--batch-size", "4", "--sequence-length", "32", "--tokens", "256",
			"--backend", backendForTests(t), "--quiet",
		}}
	}}
	d.test(t)
}
