package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestEmbedGoesOn stops `curate embed` by SIGTERM and by SIGKILL, lets a third
// run finish, and compares with a run that nobody disturbed. A run after that does
// nothing, and needs no image for it.
func TestEmbedGoesOn(t *testing.T) {
	encoderCache(t)
	dir := t.TempDir()
	list := photos(40)
	var inputs []string
	for i := range 8 {
		inputs = append(inputs, putParquet(t, filepath.Join(dir, fmt.Sprintf("pool/s%d.parquet", i)), nestedOf(list, i)))
	}
	command := func(out string) []string {
		return append([]string{"embed", "--encoder", nano, "--backend", "go", "--output", out, "--quiet"}, inputs...)
	}
	want := embed(t, inputs...)
	out := filepath.Join(dir, "objects")
	for i, stop := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		cmd := asCommand(t, command(out)...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, filepath.Join(out, unitsFolder, fmt.Sprintf("s%d.parquet.000000.objects.parquet.json", 2*i)))
		if err := cmd.Process.Signal(stop); err != nil {
			t.Fatal(err)
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || stop == syscall.SIGTERM && exit.ExitCode() != exitTerminated {
			t.Fatalf("after %v: %v", stop, err)
		}
		if fileExists(filepath.Join(out, manifestName)) {
			t.Fatalf("after %v the folder counts as finished", stop)
		}
	}
	mustCurate(t, command(out)...)
	if got, want := treeDigests(t, out), treeDigests(t, want); !maps.Equal(got, want) {
		t.Errorf("output differs from an undisturbed run: %v", differences(got, want))
	}
}

// nestedOf is a shard of five photos.
func nestedOf(list []photo, shard int) (rows []nestedPhoto) {
	for _, p := range list[5*shard : 5*shard+5] {
		rows = append(rows, p.nested(false))
	}
	return rows
}

// TestNothingToDoReadsNoImages: when all is done, the images may be gone.
func TestNothingToDoReadsNoImages(t *testing.T) {
	encoderCache(t)
	dir := t.TempDir()
	instances, _ := cocoJSON(t, dir, photos(8))
	objects, chosen := filepath.Join(dir, "objects"), filepath.Join(dir, "chosen")
	commands := [][]string{
		{"embed", "--encoder", nano, "--backend", "go", "--output", objects, "--annotations", instances},
		{"select", "--method", "ofds", "--budget", "3", "--backend", "go", "--output", chosen, "--objects", objects, "--compare", "random"},
	}
	for _, c := range commands {
		mustCurate(t, c...)
	}
	want := treeDigests(t, dir)
	if err := os.Rename(filepath.Join(dir, "images"), filepath.Join(dir, ".images")); err != nil {
		t.Fatal(err)
	}
	for _, c := range commands {
		if _, stderr := mustCurate(t, c...); !strings.Contains(stderr, "nothing to do") {
			t.Errorf("%s says %s", c[0], stderr)
		}
	}
	maps.DeleteFunc(want, func(name, _ string) bool { return strings.HasPrefix(name, "images/") })
	got := treeDigests(t, dir)
	maps.DeleteFunc(got, func(name, _ string) bool { return strings.HasPrefix(name, ".images/") })
	if !maps.Equal(got, want) {
		t.Errorf("the second run changed %v", differences(got, want))
	}
}

// TestSelectionDependsOnContentAlone: the order of the arguments, the batch size
// of the encoder and where things lie do not matter; the seed does.
func TestSelectionDependsOnContentAlone(t *testing.T) {
	dir := t.TempDir()
	inputs := nestedShards(t, dir, photos(24), true)
	turned := []string{inputs[1], inputs[0]}
	for _, method := range []string{"ofds", "object_d2", "typiclust"} {
		a := choose(t, append([]string{"--budget", "7", "--method", method}, inputs...)...)
		b := choose(t, append([]string{"--budget", "7", "--method", method}, turned...)...)
		if got, want := treeDigests(t, b), treeDigests(t, a); !maps.Equal(got, want) || len(want) < 6 {
			t.Errorf("%s: another order of arguments changes %v", method, differences(got, want))
		}
	}
	one := choose(t, "--budget", "7", "--objects", embed(t, append(slices.Clone(inputs), "--batch", "1")...))
	five := choose(t, "--budget", "7", "--objects", embed(t, append(slices.Clone(turned), "--batch", "5")...))
	if got, want := namesOf(t, five), namesOf(t, one); !slices.Equal(got, want) {
		t.Errorf("with another batch size %v are chosen, before %v", got, want)
	}
	a := choose(t, append([]string{"--budget", "7", "--method", "random", "--seed", "1"}, inputs...)...)
	b := choose(t, append([]string{"--budget", "7", "--method", "random", "--seed", "2"}, inputs...)...)
	if slices.Equal(namesOf(t, a), namesOf(t, b)) {
		t.Error("two seeds choose the same images")
	}
}

// TestChangedInputs: what changed between the stages is found by the next one, and
// new content is new work.
func TestChangedInputs(t *testing.T) {
	encoderCache(t)
	dir := t.TempDir()
	list := photos(16)
	inputs := nestedShards(t, dir, list, true)
	objects, chosen, ids := filepath.Join(dir, "objects"), filepath.Join(dir, "chosen"), filepath.Join(dir, "ids.txt")
	put(t, ids, "photo_000\n")
	embedAll := append([]string{"embed", "--encoder", nano, "--backend", "go", "--output", objects}, inputs...)
	choose := []string{"select", "--method", "ofds", "--budget", "4", "--backend", "go", "--output", chosen, "--objects", objects, "--compare", "random", "--preselected", ids}
	write := append([]string{"write", "--selection", chosen, "--output", filepath.Join(dir, "data")}, inputs...)
	mustCurate(t, embedAll...)
	mustCurate(t, choose...)
	// Other IDs in the same file are another selection.
	before := namesOf(t, chosen)[0]
	put(t, ids, before+"\n")
	if _, stderr := mustCurate(t, choose...); strings.Contains(stderr, "nothing to do") || slices.Contains(namesOf(t, chosen), before) {
		t.Errorf("other preselected ids: %v are chosen: %s", namesOf(t, chosen), stderr)
	}
	rows := []nestedPhoto{}
	for _, p := range append(photos(17)[16:], list[:7]...) {
		rows = append(rows, p.nested(true))
	}
	putParquet(t, inputs[0], rows)
	code, _, stderr := curate(t, write...)
	if code != exitUsage || !strings.Contains(stderr, "a.parquet has changed") {
		t.Errorf("write after a change: exit %d: %s", code, stderr)
	}
	if _, stderr := mustCurate(t, embedAll...); strings.Contains(stderr, "nothing to do") {
		t.Errorf("embed after a change: %s", stderr)
	}
	if _, stderr := mustCurate(t, choose...); strings.Contains(stderr, "nothing to do") {
		t.Errorf("select after a change: %s", stderr)
	}
	mustCurate(t, write...)
}

// TestVectorsOfTwoEncoders: a sidecar of another encoder among those of a folder is
// refused, as is one that is gone.
func TestVectorsOfTwoEncoders(t *testing.T) {
	inputs := nestedShards(t, t.TempDir(), photos(12), false)
	objects := embed(t, inputs...)
	other := embed(t, append(slices.Clone(inputs), "--pooling", "crop")...)
	name := "b.parquet.000000.objects.parquet"
	put(t, filepath.Join(objects, name), string(mustRead(t, filepath.Join(other, name))))
	args := []string{"select", "--method", "ofds", "--budget", "4", "--backend", "go", "--output", filepath.Join(t.TempDir(), "o"), "--objects", objects}
	code, _, stderr := curate(t, args...)
	if code != exitFailed || !strings.Contains(stderr, "different encoders") || !strings.Contains(stderr, name) || !strings.Contains(stderr, "embed` again") {
		t.Errorf("two encoders: exit %d: %s", code, stderr)
	}
	if err := os.Remove(filepath.Join(objects, name)); err != nil {
		t.Fatal(err)
	}
	code, _, stderr = curate(t, args...)
	if code != exitFailed || !strings.Contains(stderr, name) || !strings.Contains(stderr, "embed` again") {
		t.Errorf("a sidecar that is gone: exit %d: %s", code, stderr)
	}
}

// TestBrokenShardAmongGoodOnes: it is named and quarantined with its rows, the
// others are done, and the next run tries it again.
func TestBrokenShardAmongGoodOnes(t *testing.T) {
	encoderCache(t)
	dir := t.TempDir()
	inputs := nestedShards(t, dir, photos(24), true)
	good := mustRead(t, inputs[1])
	bad := slices.Clone(good)
	for i := len(bad) / 8; i < len(bad)/2; i++ {
		bad[i] = 0xA5
	}
	put(t, inputs[1], string(bad))
	objects, chosen, own, data := filepath.Join(dir, "o/objects"), filepath.Join(dir, "o/chosen"), filepath.Join(dir, "o/own"), filepath.Join(dir, "o/data")
	commands := [][]string{
		append([]string{"embed", "--encoder", nano, "--backend", "go", "--output", objects}, inputs...),
		{"select", "--method", "ofds", "--budget", "4", "--backend", "go", "--output", chosen, "--objects", objects, "--compare", "random"},
		append([]string{"select", "--method", "ofds", "--budget", "4", "--backend", "go", "--output", own, "--compare", "random"}, inputs...),
		append([]string{"write", "--selection", chosen, "--output", data}, inputs...),
	}
	folders := []string{objects, chosen, own, data}
	for i, c := range commands {
		code, _, stderr := curate(t, c...)
		if code != exitPartial || !strings.Contains(stderr, "1 of 2") {
			t.Errorf("curate %s: exit %d: %s", c[0], code, stderr)
		}
		m := readManifest(t, folders[i])
		if m.Counts.RowsIn != 24 || m.Counts.Quarantined != 12 || len(failedInputs(m)) != 1 || failedInputs(m)[0].Shard != "b.parquet" {
			t.Errorf("%s counts %+v, failed %v", folders[i], m.Counts, failedInputs(m))
		}
	}
	// An image file that is gone is a fault of the shard that names it.
	paths := pathsShard(t, filepath.Join(dir, "paths"), photos(6))
	if err := os.Remove(filepath.Join(dir, "paths/img/photo_004.png")); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := curate(t, "embed", "--encoder", nano, "--backend", "go", "--output", filepath.Join(dir, "o/gone"), inputs[0], paths)
	if code != exitPartial || !strings.Contains(stderr, "photo_004.png") || readManifest(t, filepath.Join(dir, "o/gone")).Counts.Kept != 12 {
		t.Errorf("an image that is gone: exit %d: %s", code, stderr)
	}
	put(t, inputs[1], string(good))
	for i, c := range commands {
		mustCurate(t, c...)
		if m := readManifest(t, folders[i]); m.Counts.RowsIn != 24 || m.Counts.Quarantined != 0 {
			t.Errorf("%s, mended: counts %+v", folders[i], m.Counts)
		}
	}
}
