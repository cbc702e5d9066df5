package annotations

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards/local"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// folderOf writes files, given by name and content in turns, and returns their folder.
func folderOf(t testing.TB, files ...string) Place {
	t.Helper()
	root := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		name := filepath.Join(root, filepath.FromSlash(files[i]))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(files[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Place{Files: local.New(root), URI: filepath.ToSlash(root)}
}

// file returns a file of a folder.
func (p Place) file(name string) Place {
	p.Name = name
	return p
}

// read opens labels and reads all images.
func read(place Place, opt Options) (*Dataset, []*pipeline.Image, error) {
	ctx := context.Background()
	d, err := Open(ctx, place, opt)
	if err != nil {
		return nil, nil, err
	}
	defer d.Close()
	var images []*pipeline.Image
	for image, err := range d.Images(ctx) {
		if err != nil {
			return d, images, err
		}
		images = append(images, image)
	}
	return d, images, nil
}

// mustRead is read of labels that are well.
func mustRead(t testing.TB, place Place, opt Options) (*Dataset, []*pipeline.Image) {
	t.Helper()
	d, images, err := read(place, opt)
	if err != nil {
		t.Fatal(err)
	}
	return d, images
}

// wantError reads labels that are not, and wants an error with all of the words.
func wantError(t testing.TB, place Place, opt Options, words ...string) {
	t.Helper()
	_, _, err := read(place, opt)
	if err == nil {
		t.Fatalf("no error; want one with %q", words)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Fatalf("error %q has no %q", err, word)
		}
	}
}
