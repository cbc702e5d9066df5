// Command matmulbench prints the rate of matrix products x wᵀ on a backend,
// with its cost in CPU time, the figure that holds on a shared machine:
//
//	matmulbench xla:cpu bf16 4096x2048x2048 4096x1024x3072
//
// A shape is rows x in x out. XLA_FLAGS are read once per process, so one
// process measures one variant (bench/bf16.sh).
package main

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/curate-data/curate/scoring/backend"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "matmulbench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 3 {
		return fmt.Errorf("want BACKEND f32|bf16 ROWSxINxOUT..., got %q", args)
	}
	be, err := backend.Open(args[0])
	if err != nil {
		return err
	}
	defer be.Close()
	for _, shape := range args[2:] {
		p := backend.Product{Half: args[1] == "bf16"}
		if _, err := fmt.Sscanf(shape, "%dx%dx%d", &p.Rows, &p.In, &p.Out); err != nil {
			return fmt.Errorf("shape %q: want ROWSxINxOUT: %w", shape, err)
		}
		if _, _, err := be.Time(p, 0); err != nil { // compiles
			return err
		}
		cpu := cpuTime()
		runs, took, err := be.Time(p, duration())
		if err != nil {
			return err
		}
		flops := p.Flops() * float64(runs+1)
		fmt.Printf("%s %s %.0f GFLOP/s %.0f GFLOP/CPU-s\n", args[1], shape,
			p.Flops()*float64(runs)/took.Seconds()/1e9, flops/(cpuTime()-cpu).Seconds()/1e9)
	}
	return nil
}

// cpuTime is what the process has used.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// duration is how long each shape is measured: $MATMULBENCH_TIME, or a second.
func duration() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("MATMULBENCH_TIME")); err == nil {
		return d
	}
	return time.Second
}
