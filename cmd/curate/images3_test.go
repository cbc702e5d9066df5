package main

import (
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// uploadFolder copies a local folder to a place, and returns the place.
func uploadFolder(t *testing.T, place, folder string) string {
	t.Helper()
	err := filepath.WalkDir(folder, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, file)
		if err == nil {
			upload(t, place+"/"+filepath.ToSlash(name), file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return place
}

// TestImagesFromS3ToS3: images, labels and the encoder are in a bucket, and so is
// what is made of them; it is what local folders give.
func TestImagesFromS3ToS3(t *testing.T) {
	dir := t.TempDir()
	list := photos(12)
	local := nestedShards(t, filepath.Join(dir, "pool"), list, false)
	cocoJSON(t, filepath.Join(dir, "coco"), list)
	embed(t, local...) // which makes the encoder
	encoder, err := filepath.Glob(filepath.Join(scratch, "encoders/encoders/dinov2-nano-7-*"))
	if err != nil || len(encoder) != 1 {
		t.Fatalf("encoder folders %v (%v)", encoder, err)
	}
	here := embedWith(t, encoder[0], filepath.Join(dir, "objects"), local...)
	want := namesOf(t, choose(t, "--objects", here, "--budget", "5"))

	b := newCorpusBucket(t)
	pool, model := uploadFolder(t, b.uri("images"), filepath.Join(dir, "pool")), uploadFolder(t, b.uri("model"), encoder[0])
	uploadFolder(t, b.uri("coco"), filepath.Join(dir, "coco"))
	for name, c := range map[string]struct{ embed, write []string }{
		"shards": {[]string{pool + "/"}, []string{pool + "/"}},
		"labels": {[]string{"--annotations", b.uri("coco/instances.json")}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			at := func(folder string) string { return b.uri("out-" + name + "/" + folder) }
			commands := [][]string{
				append([]string{"embed", "--encoder", model, "--backend", "go", "--output", at("objects")}, c.embed...),
				{"select", "--method", "ofds", "--budget", "5", "--backend", "go", "--objects", at("objects"), "--compare", "random", "--output", at("chosen")},
				append([]string{"write", "--selection", at("chosen"), "--output", at("data")}, c.write...),
			}
			for _, command := range commands {
				mustCurate(t, append(command, "--quiet")...)
			}
			if got := namesOf(t, b.path("out-"+name+"/chosen")); !slices.Equal(got, want) {
				t.Errorf("chosen %v, from local folders %v", got, want)
			}
			if page := string(mustRead(t, b.path("out-"+name+"/chosen/"+reportName))); strings.Count(page, "data:image/jpeg") != 5 {
				t.Errorf("the page has %d pictures, want 5", strings.Count(page, "data:image/jpeg"))
			}
			for i, folder := range []string{"objects", "chosen", "data"} {
				if stdout, _ := mustCurate(t, "verify", at(folder)); strings.Contains(stdout, "note:") {
					t.Errorf("verify says %s", stdout)
				}
				if stdout, _ := mustCurate(t, "gc", at(folder)); !strings.Contains(stdout, "nothing to remove") {
					t.Errorf("gc says %s", stdout)
				}
				if _, stderr := mustCurate(t, commands[i]...); !strings.Contains(stderr, "nothing to do") {
					t.Errorf("%s, run again, says %s", folder, stderr)
				}
			}
		})
	}
	data := filepath.Join(dir, "data")
	chosen := choose(t, "--objects", here, "--budget", "5")
	mustCurate(t, append([]string{"write", "--selection", chosen, "--output", data, "--quiet"}, local...)...)
	got, wrote := treeDigests(t, b.path("out-shards/data")), treeDigests(t, data)
	for _, digests := range []map[string]string{got, wrote} {
		maps.DeleteFunc(digests, func(name, _ string) bool { return filepath.Ext(name) != ".parquet" })
	}
	if len(got) == 0 || !maps.Equal(got, wrote) {
		t.Errorf("written shards differ: %v", differences(got, wrote))
	}
}

// embedWith runs `curate embed` with an encoder's folder.
func embedWith(t *testing.T, encoder, out string, args ...string) string {
	t.Helper()
	mustCurate(t, append([]string{"embed", "--encoder", encoder, "--backend", "go", "--output", out, "--quiet"}, args...)...)
	return out
}
