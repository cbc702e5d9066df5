package lm

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

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
		sums, err := scorer.Score(context.Background(), randomSequences(rand.New(rand.NewPCG(3, 3)), 32, 32, 100))
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
