package sam2

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/safetensors"
	"github.com/curate-data/curate/scoring/vision/pixels"
)

// BenchmarkEmbed runs a model of the shape of sam2.1_hiera_tiny with random
// weights over an image of 1280 x 720 pixels with eight objects, on the backend
// in CURATE_BENCH_BACKEND (xla:cpu).
func BenchmarkEmbed(b *testing.B) {
	name := os.Getenv("CURATE_BENCH_BACKEND")
	if name == "" {
		name = backend.CPU
	}
	be, err := backend.Open(name)
	if err != nil {
		b.Skip(err)
	}
	defer be.Close()
	processor, err := pixels.ParseProcessor([]byte(`{"image_processor_type": "Sam2ImageProcessor"}`))
	if err != nil {
		b.Fatal(err)
	}
	c := &checkpoint{config: defaults()}
	if c.input, err = processor.Input(pixels.Cropped, 0); err != nil {
		b.Fatal(err)
	}
	c.config.ModelType = videoModel
	if err := c.config.Validate(); err != nil {
		b.Fatal(err)
	}
	c.image, c.object = random(imageSpecs(c.config)), random(objectSpecs(c.config))
	request := pixels.Request{Picture: &pixels.Picture{Width: 1280, Height: 720, RGB: make([]uint8, 3*1280*720)}}
	for i := range request.Picture.RGB {
		request.Picture.RGB[i] = uint8(i * i >> 8)
	}
	for i := range 8 {
		at := float32(100 * i)
		request.Objects = append(request.Objects, pixels.Region{Box: pipeline.Box{X1: at, Y1: at / 2, X2: at + 80, Y2: at/2 + 200}})
	}
	for _, vector := range []string{Pointer, MaskPool} {
		for objects := range 2 {
			b.Run(fmt.Sprintf("%s/objects=%d", vector, 8*objects), func(b *testing.B) {
				m, err := newModel(be, c, Options{Vector: vector, Batch: 8})
				if err != nil {
					b.Fatal(err)
				}
				defer m.Close()
				r := request
				r.Objects = r.Objects[:8*objects]
				began := time.Now()
				embedOnce(b, m, r)
				b.Logf("first image, with compilation: %v", time.Since(began).Round(time.Millisecond))
				before := cpu()
				for b.Loop() {
					embedOnce(b, m, r)
				}
				b.ReportMetric((cpu()-before)*1000/float64(b.N), "cpu-ms/op")
				b.Logf("peak memory %s", peak())
			})
		}
	}
}

func embedOnce(b *testing.B, m *Model, r pixels.Request) {
	b.Helper()
	found, err := m.Embed(context.Background(), []pixels.Request{r})
	if err != nil {
		b.Fatal(err)
	}
	for _, v := range found[0].Image {
		if v != v {
			b.Fatal("the vector is not a number")
		}
	}
}

// random returns weights that keep activations of the order of 1.
func random(all []safetensors.Spec) []safetensors.Tensor {
	rng := rand.New(rand.NewPCG(1, 2))
	var out []safetensors.Tensor
	for _, spec := range all {
		t := safetensors.Tensor{Name: spec.Name, Shape: spec.Shape, Data: make([]float32, spec.Size())}
		scale := 0.1
		if len(spec.Shape) > 1 {
			scale = 1 / math.Sqrt(float64(spec.Size()/spec.Shape[0]))
		}
		for i := range t.Data {
			t.Data[i] = float32(scale * rng.NormFloat64())
			if strings.Contains(spec.Name, "norm") && strings.HasSuffix(spec.Name, ".weight") {
				t.Data[i]++
			}
		}
		out = append(out, t)
	}
	return out
}

// cpu returns the seconds that the process has computed.
func cpu() float64 {
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) != nil {
		return 0
	}
	return float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
}

// peak returns the largest resident set of the process so far, where the system
// tells.
func peak() string {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "unknown"
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line)
}
