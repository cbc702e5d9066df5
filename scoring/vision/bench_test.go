package vision

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/vision/pixels"
)

// BenchmarkEmbed embeds pictures of 640 x 480 with four objects by a DINOv2 of
// the small shape, random weights, 224 x 224 pixels.
func BenchmarkEmbed(b *testing.B) {
	folder := filepath.Join(b.TempDir(), "small")
	if err := WriteRandom(folder, "dinov2-small", 1); err != nil {
		b.Fatal(err)
	}
	picture, err := photo(b).Resize(640, 480, pixels.Bicubic)
	if err != nil {
		b.Fatal(err)
	}
	request := pixels.Request{Picture: picture, Objects: []pixels.Region{box(10, 10, 100, 200), box(300, 50, 500, 400), box(0, 0, 640, 480), box(600, 400, 640, 480)}}
	for _, name := range []string{backend.Go, backend.CPU, backend.CUDA} {
		for _, pooling := range []Pooling{Box, Crop} {
			b.Run(name+"/"+string(pooling), func(b *testing.B) {
				if name == backend.CUDA && os.Getenv("CURATE_REQUIRE_CUDA") != "1" {
					b.Skip("CURATE_REQUIRE_CUDA is not 1")
				}
				encoder := open(b, openBackend(b, name), folder, Options{Pooling: pooling, Batch: map[bool]int{true: 2}[name == backend.Go]})
				all := make([]pixels.Request, 32)
				if name == backend.Go {
					all = all[:2] // some 20 GFLOP
				}
				for i := range all {
					all[i] = request
				}
				embed(b, encoder, all[:1]...) // compiles
				before := cpu(b)
				for b.Loop() {
					embed(b, encoder, all...)
				}
				images := float64(b.N * len(all))
				b.ReportMetric(images/b.Elapsed().Seconds(), "images/s")
				b.ReportMetric(images/(cpu(b)-before).Seconds(), "images/cpu-s")
			})
		}
	}
}

// cpu is the time that the process had on all cores: on a busy machine it says
// more than the time that went by.
func cpu(b *testing.B) time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkFill makes the input of the benchmark above.
func BenchmarkFill(b *testing.B) {
	picture, err := photo(b).Resize(640, 480, pixels.Bicubic)
	if err != nil {
		b.Fatal(err)
	}
	p, err := pixels.ParseProcessor([]byte(`{"image_processor_type":"BitImageProcessor"}`))
	if err != nil {
		b.Fatal(err)
	}
	in, err := p.Input(pixels.Whole, 0)
	if err != nil {
		b.Fatal(err)
	}
	to := make([]float32, in.Len())
	for b.Loop() {
		if _, err := in.Fill(picture, to); err != nil {
			b.Fatal(err)
		}
	}
}
