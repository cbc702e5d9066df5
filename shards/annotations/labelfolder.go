package annotations

import (
	"context"
	"fmt"
	"io"
	"iter"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
)

// maxLabelFile bounds in bytes the labels of one image that has a file of its own.
const maxLabelFile = 64 << 20

// item is an image of a dataset with a label file per image.
type item struct {
	pipeline.RowID
	label string // name of the label file in the place; empty where it has none
	image string // name relative to the folder of the images, the image's ID; empty where only the label file tells it
	line  string // in a subset
}

// labelFolder reads datasets with a label file per image.
type labelFolder struct {
	place   Place
	items   []item
	workers int
	read    func(ctx context.Context, it item) (*pipeline.Image, error)
}

// images implements labels.
func (f *labelFolder) images(ctx context.Context) iter.Seq2[*pipeline.Image, error] {
	return ordered(ctx, len(f.items), f.workers, func(ctx context.Context, i int) (*pipeline.Image, error) {
		image, err := f.read(ctx, f.items[i])
		if err != nil {
			return nil, fmt.Errorf("read labels %s: %w", joinURI(f.place.URI, f.items[i].label), err)
		}
		return image, nil
	})
}

// ordered calls do for 0 to n-1, workers at a time, and gives the results in order.
// The first error ends it.
func ordered[T any](ctx context.Context, n, workers int, do func(ctx context.Context, i int) (T, error)) iter.Seq2[T, error] {
	type result struct {
		value T
		err   error
	}
	return func(yield func(T, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()
		results := make([]chan result, min(n, workers))
		start := func(i int) {
			running.Go(func() {
				value, err := do(ctx, i)
				results[i%len(results)] <- result{value, err}
			})
		}
		for i := range results {
			results[i] = make(chan result, 1)
			start(i)
		}
		for i := range n {
			r := <-results[i%len(results)]
			if ctx.Err() != nil {
				r.err = context.Cause(ctx)
			}
			if !yield(r.value, r.err) || r.err != nil {
				return
			}
			if i+len(results) < n {
				start(i + len(results))
			}
		}
	}
}

// subset implements labels.
func (f *labelFolder) subset(ctx context.Context, w io.Writer, keep map[string]bool) error {
	found := make(map[string]bool, len(keep))
	for i, it := range f.items {
		id := it.image
		if id == "" {
			image, err := f.read(ctx, it)
			if err != nil {
				return fmt.Errorf("read labels %s: %w", joinURI(f.place.URI, it.label), err)
			}
			id = image.ID
		}
		if !keep[id] {
			continue
		}
		found[id] = true
		if _, err := fmt.Fprintln(w, f.items[i].line); err != nil {
			return fmt.Errorf("write subset: %w", err)
		}
	}
	return checkFound(keep, found)
}

// close implements labels.
func (f *labelFolder) close() error { return nil }

// content reads a whole label file.
func (f *labelFolder) content(ctx context.Context, name string) ([]byte, error) {
	return readSmall(ctx, f.place.Files, name)
}

// readSmall reads a file that is no larger than labels of one image may be.
func readSmall(ctx context.Context, files Files, name string) ([]byte, error) {
	obj, err := files.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer obj.Close()
	if obj.Size() > maxLabelFile {
		return nil, fmt.Errorf("it has %d bytes; labels of one image have at most %d", obj.Size(), maxLabelFile)
	}
	data := make([]byte, obj.Size())
	if n, err := obj.ReadAt(data, 0); n < len(data) {
		return nil, err
	}
	return data, nil
}

// folderPrefix is what the names in a folder begin with.
func folderPrefix(name string) string {
	if name == "" || name == "." {
		return ""
	}
	return strings.TrimSuffix(name, "/") + "/"
}

// numbered sets shard and row: items are sorted by folder of what their shard is
// made of, and numbered in it. Then those that are not wanted are left out.
func numbered(place Place, items []item, of func(item) string, wanted func(item) bool) []item {
	slices.SortFunc(items, func(a, b item) int {
		fileA, fileB := of(a), of(b)
		if c := strings.Compare(path.Dir(fileA), path.Dir(fileB)); c != 0 {
			return c
		}
		return strings.Compare(fileA, fileB)
	})
	row := int64(0)
	for i := range items {
		folder := path.Dir(of(items[i]))
		if i > 0 && path.Dir(of(items[i-1])) == folder {
			row++
		} else {
			row = 0
		}
		items[i].Row = row
		items[i].Shard = relative(place, folder)
	}
	items = slices.DeleteFunc(items, func(it item) bool { return !wanted(it) })
	slices.SortStableFunc(items, func(a, b item) int { return a.RowID.Compare(b.RowID) })
	return items
}

// relative is the name of a folder below a place, or the place's own.
func relative(place Place, folder string) string {
	if folder == "." {
		folder = ""
	}
	if below := strings.TrimPrefix(folderPrefix(folder), folderPrefix(place.Name)); below != "" {
		return strings.TrimSuffix(below, "/")
	}
	return path.Base(place.String())
}

// distinct wants no two items to have one ID.
func distinct(place Place, items []item) error {
	seen := make(map[string]string, len(items))
	for _, it := range items {
		if other, ok := seen[it.image]; ok && it.image != "" {
			return fmt.Errorf("open labels %s: %s and %s are labels of images with one name, %s; open their folders one by one", place, other, it.label, it.image)
		}
		seen[it.image] = it.label
	}
	return nil
}

// imageEndings are the endings of names of images, in small letters.
var imageEndings = []string{".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"}

func isImage(name string) bool {
	return slices.Contains(imageEndings, strings.ToLower(path.Ext(name)))
}

// stem is a name without its ending.
func stem(name string) string { return strings.TrimSuffix(name, path.Ext(name)) }

// filesOf returns what decides the content: label files, sorted by name.
func filesOf(place Place, infos []shards.ObjectInfo, is func(name string) bool) []File {
	var files []File
	for _, info := range infos {
		if is(info.Name) {
			files = append(files, File{Place: Place{place.Files, info.Name, place.URI}, Info: info})
		}
	}
	return files
}
