package images

import (
	"bytes"
	"os"
	"testing"

	"github.com/curate-data/curate/pipeline"
)

// seed adds files of testdata.
func seed(f *testing.F, names ...string) {
	for _, name := range names {
		b, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
}

// FuzzNpy decodes NumPy files, which are to have the numbers that they say.
func FuzzNpy(f *testing.F) {
	seed(f, "side32.npy", "side16.npy", "fortran.npy", "integers.npy")
	f.Add([]byte("\x93NUMPY\x01\x00\x46\x00{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }            \n12345678"))
	f.Fuzz(func(t *testing.T, b []byte) {
		rows, matrix, err := decodeNpy(b)
		if err != nil {
			return
		}
		numbers := 0
		for _, row := range rows {
			numbers += len(row)
		}
		if numbers*2 > len(b) || !matrix && len(rows) != 1 {
			t.Errorf("%d rows of %d numbers in %d bytes", len(rows), numbers, len(b))
		}
	})
}

// FuzzSample reads the JSON of a tar's sample, or a line, as an image.
func FuzzSample(f *testing.F) {
	seed(f, "masks.jsonl", "nullclass.jsonl", "insideout.jsonl", "paths.jsonl", "ids.jsonl", "runs.jsonl")
	for _, name := range []string{"nested.jsonl", "lists.jsonl", "pipeline.jsonl", "relative.jsonl"} {
		b, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		line, _, _ := bytes.Cut(b, []byte("\n"))
		f.Add(line)
	}
	f.Add([]byte(`{"image":{"width":4,"height":3},"annotations":[{"bbox":[0,1,2,3],"category_id":5}],"categories":[{"id":5,"name":"x"}]}`))
	f.Add([]byte(`{"image_id":3,"xmin":1,"ymin":2,"xmax":3,"ymax":4,"label":"a","vec":"AACAPw=="}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &row{key: "key"}
		if err := r.addJSON(b); err != nil {
			return
		}
		for _, form := range []BoxForm{"", RelativeXYWH} {
			img, flat, err := newDecoder(Options{Box: form}).image(r, nil)
			if err != nil {
				continue
			}
			if img.ID == "" || flat && len(img.Objects) > 1 {
				t.Errorf("image %q with %d objects, flat %t", img.ID, len(img.Objects), flat)
			}
			for _, o := range img.Objects {
				if o.Class == "" || o.ID == "" && o.Score == 0 && o.Box == (pipeline.Box{}) {
					t.Errorf("object %+v", o)
				}
			}
		}
	})
}

// FuzzBlob decodes vectors that are bytes.
func FuzzBlob(f *testing.F) {
	f.Add([]byte{0, 0, 0x80, 0x3F, 1, 2, 3, 4})
	f.Add([]byte{0, 0x3C, 0xFF, 0xFF, 0, 0x7C})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, p := range []Precision{Float32, Float16} {
			if v, err := decodeBlob(b, p); err == nil && len(v)*p.size() != len(b) {
				t.Errorf("%d numbers of %d bytes", len(v), len(b))
			}
		}
	})
}

// FuzzRuns unpacks COCO's strings of run lengths.
func FuzzRuns(f *testing.F) {
	f.Add([]byte("23<X1V1oN"))
	f.Add([]byte("05PeQ32PeQ3]dQ3"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if counts, err := pipeline.UnpackRuns(string(b)); err == nil && len(counts) > len(b) {
			t.Errorf("%d runs of %d bytes", len(counts), len(b))
		}
	})
}
