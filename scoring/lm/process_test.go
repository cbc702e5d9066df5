package lm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/curate-data/curate/scoring/backend"
)

// TestProcessesAgree scores the same sequences in two processes, each with its
// own compilation and threads: the bits must be the same, or a resumed run
// would not write the bytes of an uninterrupted one.
func TestProcessesAgree(t *testing.T) {
	const key = "CURATE_TEST_PROCESS"
	if name := os.Getenv(key); name != "" {
		be := openBackend(t, name)
		scorer := newScorer(t, be, []*Model{nano(t)}, ScorerOptions{SequenceLength: 32, BatchTokens: 1024})
		sums, err := scoreWindows(scorer, randomSequences(rand.New(rand.NewPCG(3, 3)), 32, 32, 100))
		if err != nil {
			t.Fatal(err)
		}
		for _, sum := range sums[0] {
			fmt.Printf("sum %016x\n", math.Float64bits(sum))
		}
		return
	}
	eachBackend(t, func(t *testing.T, be *backend.Backend) {
		var runs []string
		for range 2 {
			child := exec.Command(os.Args[0], "-test.run=^TestProcessesAgree$")
			child.Env = append(os.Environ(), key+"="+be.Name)
			out, err := child.CombinedOutput()
			if err != nil || strings.Count(string(out), "sum ") != 32 {
				t.Fatalf("%v: %s", err, out)
			}
			runs = append(runs, string(out[:strings.LastIndex(string(out), "sum ")+20]))
		}
		if runs[0] != runs[1] {
			t.Errorf("two processes differ:\n%s\n%s", runs[0], runs[1])
		}
	})
}

// TestLogitsAreNeverWhole measures, in a process of its own, how much memory
// logSumExp and its gradient take where the whole logits would take 786 MiB.
// XLA made all slices at once before they were made to wait for each other.
func TestLogitsAreNeverWhole(t *testing.T) {
	const key, rows, d, vocabulary, most = "CURATE_TEST_LOGITS", 4096, 16, 50304, 400 << 20
	const least = 4 * rows * 1000 // of one slice
	if name := os.Getenv(key); name != "" {
		be := openBackend(t, name)
		exec, err := graph.NewExec(be.Backend, func(in []*graph.Node) []*graph.Node {
			z := logSumExp(in[0], in[1])
			return graph.Gradient(graph.ReduceAllSum(z), in...)
		})
		if err != nil {
			t.Fatal(err)
		}
		hidden := tensors.FromFlatDataAndDimensions(make([]float32, rows*d), rows, d)
		head := tensors.FromFlatDataAndDimensions(make([]float32, vocabulary*d), vocabulary, d)
		if err := exec.PreCompile(hidden, head); err != nil {
			t.Fatal(err)
		}
		before := peakBytes(t)
		if _, err := exec.Call(hidden, head); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("grew %d\n", peakBytes(t)-before)
		return
	}
	peakBytes(t) // skips where it cannot be measured
	be := openBackend(t, backend.CPU)
	child := exec.Command(os.Args[0], "-test.run=^TestLogitsAreNeverWhole$")
	child.Env = append(os.Environ(), key+"="+be.Name)
	out, err := child.CombinedOutput()
	var grew int64
	if _, scan := fmt.Sscanf(string(out), "grew %d", &grew); err != nil || scan != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if grew < least || grew > most {
		t.Errorf("memory grew by %d MiB, want %d to %d", grew>>20, least>>20, most>>20)
	}
	t.Logf("memory grew by %d MiB", grew>>20)
}

// peakBytes is the largest resident set of this process so far. (Getrusage
// would count the parent's as well.)
func peakBytes(t *testing.T) int64 { return statusBytes(t, "VmHWM:") }

// statusBytes is a size that the kernel tells of this process.
func statusBytes(t *testing.T, key string) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	_, line, _ := strings.Cut(string(status), key)
	var kib int64
	if _, err := fmt.Sscanf(line, "%d kB", &kib); err != nil {
		t.Fatal(err)
	}
	return kib << 10
}
