// Command ofdsbench selects images from the pool of bench/ofds_data.py:
//
//	ofdsbench FORM PRODUCT FOLDER BUDGET OUT
//
// FORM is stream or memory (k_policy adaptive_uncovered) or tree (in memory, k_policy
// bisect_cut), PRODUCT xla:cpu or go. OUT gets the numbers of the chosen images, one
// a line. What it does when, and in what time, goes to stderr.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/kmeans"
	"github.com/curate-data/curate/filters/ofds/stream"
	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/product"
)

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // as curate does
	}
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "ofdsbench:", err)
		os.Exit(1)
	}
}

// deviceProduct lends k-means a device, as curate does.
type deviceProduct struct{ *product.Product }

// Multiply implements kmeans.Product.
func (p deviceProduct) Multiply(ctx context.Context, a, b kmeans.Matrix, out []float32) error {
	if len(out)*a.Dim < 1<<24 {
		return kmeans.Plain().Multiply(ctx, a, b, out)
	}
	return p.Product.Multiply(ctx, a.Data, b.Data, a.Dim, out)
}

func run(ctx context.Context, args []string) error {
	if len(args) != 5 {
		return errors.New("usage: ofdsbench stream|memory|tree xla:cpu|go FOLDER BUDGET OUT")
	}
	budget, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	var multiplier kmeans.Product
	if args[1] != backend.Go {
		be, err := backend.Open(args[1])
		if err != nil {
			return err
		}
		defer be.Close()
		p, err := product.New(be)
		if err != nil {
			return err
		}
		defer p.Close()
		multiplier = deviceProduct{p}
	}
	var chosen []string
	switch data := (files{args[2]}); args[0] {
	case "stream":
		chosen, err = streamed(ctx, data, budget, multiplier)
	case "memory":
		chosen, err = inMemory(ctx, data, budget, ofds.OFDS{Product: multiplier})
	case "tree":
		chosen, err = inMemory(ctx, data, budget, ofds.OFDS{Product: multiplier, Options: ofds.Options{KPolicy: "bisect_cut"}})
	default:
		err = fmt.Errorf("form %q", args[0])
	}
	if err != nil {
		return err
	}
	return os.WriteFile(args[4], []byte(strings.Join(chosen, "\n")+"\n"), 0o644)
}

// streamed does what stream.Select does, and says how long each step takes.
func streamed(ctx context.Context, data files, budget int, multiplier kmeans.Product) ([]string, error) {
	opt := stream.Options{Budget: budget, Seed: 1, SampleBytes: 256 << 20, Product: multiplier}
	say := stopwatch()
	census, err := stream.NewCensus(opt)
	if err != nil {
		return nil, err
	}
	if err := census.Count(ctx, data); err != nil {
		return nil, err
	}
	say("census")
	book, err := stream.Train(ctx, census, opt)
	if err != nil {
		return nil, err
	}
	census = nil
	say("train")
	tally, err := stream.NewTally(book, opt)
	if err != nil {
		return nil, err
	}
	if err := tally.Count(ctx, data); err != nil {
		return nil, err
	}
	say("assign")
	out, err := tally.Choose(ctx)
	if err != nil {
		return nil, err
	}
	say("choose")
	var ids []string
	for _, choice := range out.Chosen {
		ids = append(ids, out.Images[choice.Image].ID)
	}
	return ids, nil
}

// stopwatch returns a function that says how long each step took.
func stopwatch() func(what string) {
	wall, processor := time.Now(), processorSeconds()
	return func(what string) {
		fmt.Fprintf(os.Stderr, "%s: %.1f s, %.1f s of processors\n", what, time.Since(wall).Seconds(), processorSeconds()-processor)
		wall, processor = time.Now(), processorSeconds()
	}
}

func processorSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

func inMemory(ctx context.Context, data files, budget int, method ofds.OFDS) ([]string, error) {
	say := stopwatch()
	var pool *ofds.Pool
	err := data.read(1<<30, func(all *ofds.Pool) bool {
		pool = all
		return true
	})
	if err != nil {
		return nil, err
	}
	say("read")
	selection, err := method.Select(ctx, pool, budget, 1)
	if err != nil {
		return nil, err
	}
	say(fmt.Sprintf("select, %d fits", selection.Fits))
	var ids []string
	for _, choice := range selection.Chosen {
		ids = append(ids, pool.Images[choice.Image].ID)
	}
	return ids, nil
}

// files is the folder of bench/ofds_data.py.
type files struct{ folder string }

const dim, classes = 256, 20

// Batches implements stream.Source, 16,384 images at a time.
func (f files) Batches(context.Context) iter.Seq2[*ofds.Pool, error] {
	return func(yield func(*ofds.Pool, error) bool) {
		if err := f.read(16384, func(pool *ofds.Pool) bool { return yield(pool, nil) }); err != nil {
			yield(nil, err)
		}
	}
}

// read calls f for pools of at most so many images until it returns false.
func (f files) read(images int, each func(*ofds.Pool) bool) error {
	class, err := os.ReadFile(filepath.Join(f.folder, "class.u8"))
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(filepath.Join(f.folder, "image.u32"))
	if err != nil {
		return err
	}
	vectors, err := os.Open(filepath.Join(f.folder, "vectors.f32"))
	if err != nil {
		return err
	}
	defer vectors.Close()
	from := bufio.NewReaderSize(vectors, 1<<20)
	image := func(i int) uint32 { return binary.LittleEndian.Uint32(raw[4*i:]) }
	for at := 0; at < len(class); {
		end, n := at, 0
		for ; end < len(class); end++ {
			if end == at || image(end) != image(end-1) {
				if n++; n > images {
					break
				}
			}
		}
		pool := &ofds.Pool{Objects: make([]ofds.Object, 0, end-at), Vectors: kmeans.NewMatrix(end-at, dim)}
		for c := range classes {
			pool.Classes = append(pool.Classes, fmt.Sprintf("class-%02d", c))
		}
		for i := at; i < end; i++ {
			if i == at || image(i) != image(i-1) {
				pool.Images = append(pool.Images, ofds.Image{ID: fmt.Sprintf("%07d", image(i)), First: int32(i - at)})
			}
			last := len(pool.Images) - 1
			pool.Images[last].End = int32(i - at + 1)
			pool.Objects = append(pool.Objects, ofds.Object{Image: int32(last), Class: int32(class[i]), Score: 1, ID: strconv.Itoa(i)})
		}
		if err := readFloats(from, pool.Vectors.Data); err != nil {
			return fmt.Errorf("read vectors %d to %d: %w", at, end, err)
		}
		if !each(pool) {
			return nil
		}
		at = end
	}
	return nil
}

func readFloats(from io.Reader, to []float32) error {
	buffer := make([]byte, 1<<16)
	for len(to) > 0 {
		n := min(len(to), len(buffer)/4)
		if _, err := io.ReadFull(from, buffer[:4*n]); err != nil {
			return err
		}
		if _, err := binary.Decode(buffer[:4*n], binary.LittleEndian, to[:n]); err != nil {
			return err
		}
		to = to[n:]
	}
	return nil
}
