package images_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/images"
)

// TestMasks reads polygons and run lengths. The area is the mask's unless the row
// says one; run lengths in COCO's string are those that pycocotools packs so.
func TestMasks(t *testing.T) {
	all, err := readAll(t, "testdata/masks.jsonl", images.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var masks []*pipeline.Mask
	var areas []float32
	for _, o := range all[0].Objects {
		masks, areas = append(masks, o.Mask), append(areas, o.Area)
	}
	want := []*pipeline.Mask{
		{Polygons: [][]float32{{0, 0, 4, 0, 4, 3}, {1, 1, 2, 1, 2, 2, 1, 2}}},
		{Counts: []uint32{2, 3, 5, 2}, Height: 3, Width: 4},
		{Counts: []uint32{2, 3, 12, 43, 50, 10}, Height: 3, Width: 40},
		{Counts: []uint32{0, 5, 100000, 7, 200000, 99988}, Height: 400, Width: 1000},
		nil, nil,
	}
	if diff := cmp.Diff(want, masks); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]float32{7, 7, 56, 100000, 0, 0}, areas); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"b", "c"}, all[0].Unlabelled); diff != "" {
		t.Error(diff)
	}
}

// TestUnreadable lets images of unknown size through where somebody is told.
func TestUnreadable(t *testing.T) {
	var told []string
	opt := images.Options{Unreadable: func(row pipeline.RowID, err error) { told = append(told, fmt.Sprint(row.Row, err)) }}
	all, err := readAll(t, "testdata/broken.parquet", opt)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 4 || len(told) != 3 || all[0].Width != 40 || all[1].Width != 0 || !strings.Contains(told[1], "neither JPEG nor PNG nor WebP") {
		t.Errorf("%d images, told %q", len(all), told)
	}
}

// TestOptionsAreChecked wants every fault named.
func TestOptionsAreChecked(t *testing.T) {
	opt := images.Options{Box: "yolo", Blob: "int8", Classes: []string{"a", "", "a"}, Columns: images.Columns{VectorRow: "row"}}
	_, err := images.Open(context.Background(), inputOf(t, "testdata/nested.parquet"), opt)
	for _, want := range []string{`box form "yolo"`, `precision of vectors "int8"`, `class 1: ""`, `class 2: "a"`, "rows of a file of vectors"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// TestReadersAreIndependent reads one shard from several goroutines, stops early
// and is cancelled.
func TestReadersAreIndependent(t *testing.T) {
	for _, name := range []string{"nested.parquet", "views.arrows", "flat.jsonl.gz", "samples.tar"} {
		r, err := images.Open(context.Background(), inputOf(t, "testdata/"+name), images.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				n := 0
				for img, err := range r.Images(context.Background()) {
					if err != nil || img.ID == "" {
						t.Errorf("%s: %v", name, err)
					}
					n++
				}
				if n != 6 {
					t.Errorf("%s: %d images", name, n)
				}
			})
		}
		group.Wait()
		for range r.Images(context.Background()) {
			break
		}
		ctx, cancel := context.WithCancelCause(context.Background())
		stop := errors.New("stop")
		cancel(stop)
		var last error
		for _, err := range r.Images(ctx) {
			last = err
		}
		if !errors.Is(last, stop) {
			t.Errorf("%s: cancelled: %v", name, last)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestMatrixRefuses opens NumPy files that are none of ours.
func TestMatrixRefuses(t *testing.T) {
	whole, err := os.ReadFile("testdata/side32.npy")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		content []byte
		want    string
	}{
		"short":   {whole[:len(whole)-1], "bytes of numbers, want"},
		"long":    {append(bytes.Clone(whole), 0), "bytes of numbers, want"},
		"magic":   {[]byte("PK\x03\x04 a zip of arrays"), "not a NumPy file"},
		"empty":   {[]byte{1}, "not a NumPy file"},
		"version": {bytes.Replace(whole, []byte("NUMPY\x01"), []byte("NUMPY\x09"), 1), "version 9"},
		"huge":    {bytes.Replace(whole, []byte("(11, 4)"), []byte("(99999999999, 99999999999)"), 1), "shape"},
		"header":  {bytes.Replace(whole, []byte("'descr'"), []byte("'Descr'"), 1), "without type, order and shape"},
		"endless": {[]byte("\x93NUMPY\x02\x00\xff\xff\xff\xff{}"), "bytes in a file of"},
		"deep":    {bytes.Replace(whole, []byte("(11, 4)"), []byte("(11,2,2)"), 1), "one or two dimensions"},
	} {
		t.Run(name, func(t *testing.T) {
			if bytes.Equal(c.content, whole) {
				t.Fatal("nothing was changed")
			}
			_, err := images.OpenMatrix(memoryObject{bytes.NewReader(c.content)})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
	for name, want := range map[string]string{"fortran.npy": "ascontiguousarray", "integers.npy": "type <i4"} {
		content, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := images.OpenMatrix(memoryObject{bytes.NewReader(content)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", name, err, want)
		}
	}
}

// memoryObject is an object in memory.
type memoryObject struct{ *bytes.Reader }

func (memoryObject) Close() error { return nil }

// decide keeps images by their id.
func decide(t *testing.T, r *images.Reader, keep func(i int) bool) iter.Seq2[*pipeline.Decisions, error] {
	t.Helper()
	d, n := pipeline.Decisions{Shard: r.Input().Shard}, 0
	for img, err := range r.Images(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		k := keep(n)
		n++
		for row := img.Row; row < img.Row+max(1, img.Rows); row++ {
			d.Row, d.Seq = append(d.Row, row), append(d.Seq, 0)
			d.Keep = append(d.Keep, k)
			d.Reason = append(d.Reason, map[bool]pipeline.Reason{false: "not_chosen"}[k])
			d.Score = append(d.Score, float32(math.NaN()))
		}
	}
	return func(yield func(*pipeline.Decisions, error) bool) { yield(&d, nil) }
}

// TestKeptImagesAreIntact copies chosen images of every form, each to its own
// format, and reads them again.
func TestKeptImagesAreIntact(t *testing.T) {
	dir := t.TempDir()
	keep := func(i int) bool { return i%3 != 1 }
	for _, name := range []string{"nested.parquet", "hub.parquet", "flat.parquet", "corners.parquet", "flat.jsonl.gz", "names.arrow", "views.arrows", "samples.tar", "samples.tar.gz"} {
		t.Run(name, func(t *testing.T) {
			opt := loadTruth(t)[name].Options
			opt.Data = true
			r, err := images.Open(context.Background(), inputOf(t, "testdata/"+name), opt)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			s, err := shards.Open(context.Background(), r.Input())
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			var b bytes.Buffer
			rows := decide(t, r, keep)
			counts, err := shards.CopyKept(context.Background(), s, rows, &b, shards.CopyOptions{Format: shards.OutSame})
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, name)
			if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			before, err := readAll(t, "testdata/"+name, opt)
			if err != nil {
				t.Fatal(err)
			}
			after, err := readAll(t, file, opt)
			if err != nil {
				t.Fatal(err)
			}
			var want []*pipeline.Image
			kept := int64(0)
			for i, img := range before {
				if !keep(i) {
					continue
				}
				img.Row = kept
				kept++
				if strings.Contains(name, "flat") || strings.Contains(name, "corners") {
					kept += int64(max(1, len(img.Objects))) - 1
				}
				want = append(want, img)
			}
			if counts.Kept != kept {
				t.Errorf("%d rows kept, want %d", counts.Kept, kept)
			}
			if diff := cmp.Diff(want, after, sameFloats); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestDamage cuts files and flips bits: an error is fine, a panic is not.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"nested.parquet", "hub.parquet", "names.arrow", "views.arrows", "samples.tar", "flat.jsonl.gz"} {
		whole, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, name)
		for i := range 60 {
			b := bytes.Clone(whole)
			if strings.HasSuffix(name, ".tar") {
				b = bytes.TrimRight(b, "\x00") // the end mark, of which there may be more or less
			}
			if at := len(b) * i / 60; i%2 == 0 {
				b = b[:at+1]
			} else {
				b[at] ^= 1 << (i % 8)
			}
			if err := os.WriteFile(file, b, 0o600); err != nil {
				t.Fatal(err)
			}
			all, err := readAll(t, file, images.Options{Data: true, Box: images.XYXY})
			if err == nil && i%2 == 0 {
				t.Errorf("%s cut at %d: %d images and no error", name, len(b), len(all))
			}
			if errors.Is(err, io.EOF) {
				t.Errorf("%s cut at %d: %v", name, len(b), err)
			}
		}
	}
}
