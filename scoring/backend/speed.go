package backend

import (
	"fmt"
	"time"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// Product is a matrix product x wᵀ as layers of language models have it: x is
// [Rows,In], w is [Out,In].
type Product struct {
	Rows, In, Out int
	Half          bool // bfloat16 instead of float32, for both inputs and the result
}

// Flops returns the number of floating-point operations of one product.
func (p Product) Flops() float64 {
	return 2 * float64(p.Rows) * float64(p.In) * float64(p.Out)
}

// Time runs the product on device 0 again and again for at least the given
// time, after one run that compiles, and returns how often it ran and in what
// time. All of it stays on the device.
func (b *Backend) Time(p Product, atLeast time.Duration) (runs int, took time.Duration, err error) {
	dtype := dtypes.Float32
	if p.Half {
		dtype = dtypes.BFloat16
	}
	err = Catch(fmt.Sprintf("multiply matrices on %s", b.Name), func() error {
		fill, err := graph.NewExec(b.Backend, func(g *graph.Graph) []*graph.Node {
			wave := func(rows, columns int) *graph.Node { // small numbers of both signs
				at := graph.IotaFull(g, shapes.Make(dtypes.Float32, rows, columns))
				return graph.ConvertDType(graph.Sin(at), dtype)
			}
			return []*graph.Node{wave(p.Rows, p.In), wave(p.Out, p.In)}
		})
		if err != nil {
			return err
		}
		defer fill.Finalize()
		inputs, err := fill.Call()
		if err != nil {
			return err
		}
		multiply, err := graph.NewExec(b.Backend, func(x, w *graph.Node) *graph.Node {
			return graph.DotGeneral(x, []int{1}, nil, w, []int{1}, nil)
		})
		if err != nil {
			return err
		}
		defer multiply.Finalize()
		runs, took, err = repeat(multiply, inputs, atLeast)
		return err
	})
	return runs, took, err
}

// repeat calls f once, and then again until the time is over.
func repeat(f *graph.Exec, inputs []*tensors.Tensor, atLeast time.Duration) (runs int, took time.Duration, err error) {
	defer func() {
		for _, t := range inputs {
			t.FinalizeAll()
		}
	}()
	var start time.Time
	for runs = -1; runs < 1 || time.Since(start) < atLeast; runs++ {
		if runs == 0 {
			start = time.Now()
		}
		out, _, err := f.CallWithGraphOnDevice(compute.DeviceNum(0), inputs[0], inputs[1])
		if err != nil {
			return 0, 0, err
		}
		out[0].FinalizeAll()
	}
	return runs, time.Since(start), nil
}
