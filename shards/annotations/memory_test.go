package annotations

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
)

// writeLarge writes COCO labels with annotations of some 1,000 bytes in no order.
func writeLarge(t testing.TB, name string, images, annotations int) {
	t.Helper()
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := bufio.NewWriter(file)
	draw := rand.New(rand.NewPCG(1, 2))
	polygon := strings.TrimSuffix(strings.Repeat("123.25,45.5,", 75), ",")
	fmt.Fprint(w, `{"info":{},"categories":[{"id":1,"name":"x"}],"images":[`)
	for i := range images {
		fmt.Fprintf(w, `%s{"id":%d,"file_name":"%012d.jpg","width":640,"height":480,"coco_url":"%s"}`, ","[:min(1, i)], i, i, polygon[:100])
	}
	fmt.Fprint(w, `],"annotations":[`)
	for i := range annotations {
		fmt.Fprintf(w, `%s{"segmentation":[[%s]],"area":702.5,"iscrowd":0,"image_id":%d,"bbox":[1.5,2,3,4],"category_id":1,"id":%d}`,
			","[:min(1, i)], polygon, draw.IntN(images), i)
	}
	fmt.Fprint(w, `]}`)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

// liveHeap returns the bytes that are in use.
func liveHeap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one finalized
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestMemoryOfCOCO wants an index in memory, not the file.
func TestMemoryOfCOCO(t *testing.T) {
	const images, annotations = 2000, 12000
	place := folderOf(t)
	writeLarge(t, place.URI+"/x.json", images, annotations)
	info, err := os.Stat(place.URI + "/x.json")
	if err != nil {
		t.Fatal(err)
	}
	before := liveHeap()
	d, err := Open(context.Background(), place.file("x.json"), Options{Format: COCO})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	n, most := 0, int64(0)
	for image, err := range d.Images(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		if n += len(image.Objects); image.Row%500 == 10 {
			most = max(most, liveHeap()-before)
		}
	}
	// The index, the text of an image and its neighbours.
	const bound = 16*images + 2*16*annotations + 3*ahead
	if n != annotations || most > bound || info.Size() < 7*bound {
		t.Errorf("%d objects; %d bytes in use for a file of %d, want at most %d", n, most, info.Size(), bound)
	}
}

// BenchmarkCOCO indexes labels and reads them.
func BenchmarkCOCO(b *testing.B) {
	name := b.TempDir() + "/x.json"
	writeLarge(b, name, 5000, 30000)
	data, err := os.ReadFile(name)
	if err != nil {
		b.Fatal(err)
	}
	place := memory{"x.json": data}.place().file("x.json")
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, _, err := read(place, Options{Format: COCO}); err != nil {
			b.Fatal(err)
		}
	}
}
