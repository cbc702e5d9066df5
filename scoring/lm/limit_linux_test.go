package lm

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/curate-data/curate/scoring/backend"
)

// TestDeviceRunsOutOfMemory takes XLA's memory away, in a process of its own: a
// batch ran before, then the process may have no more address space than is left
// after half a batch. It must go on, and lose nothing. What is left to the limit
// hangs on how the allocator has cut memory, so it is run by hand, with
// CURATE_FULL=1; TestMemoryRunsOut makes the same fault at will.
func TestDeviceRunsOutOfMemory(t *testing.T) {
	const key, tokens = "CURATE_TEST_LIMIT", 1 << 15
	if name := os.Getenv(key); name != "" {
		be := openBackend(t, name)
		var notices []string
		scorer := newScorer(t, be, []*Model{nano(t)}, ScorerOptions{
			SequenceLength: 32, BatchTokens: tokens, Notice: func(text string) { notices = append(notices, text) },
		})
		sequences := randomSequences(rand.New(rand.NewPCG(9, 9)), tokens/32, 33, 100)
		for i := range sequences {
			sequences[i] = slices.Repeat(sequences[i], 32)[:32] // one to a row
		}
		r := scorer.replicas[0]
		for r.most = tokens / 4; r.most < tokens; r.most *= 2 { // compiles
			if _, err := scoreWindows(scorer, sequences); err != nil {
				t.Fatal(err)
			}
		}
		want, err := scoreWindows(scorer, sequences)
		if err != nil {
			t.Fatal(err)
		}
		var limit syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_AS, &limit); err != nil {
			t.Fatal(err)
		}
		limit.Cur = uint64(statusBytes(t, "VmSize:") + 48<<20)
		if err := syscall.Setrlimit(syscall.RLIMIT_AS, &limit); err != nil {
			t.Fatal(err)
		}
		got, err := scoreWindows(scorer, sequences)
		if err != nil {
			t.Fatal(err)
		}
		for i := range got[0] {
			if d := got[0][i] - want[0][i]; !(d*d < 1e-8) {
				t.Fatalf("sequence %d: %v, with memory %v", i, got[0][i], want[0][i])
			}
		}
		fmt.Println("notices", len(notices), strings.Join(notices, "; "))
		return
	}
	if os.Getenv("CURATE_FULL") != "1" {
		t.Skip("set CURATE_FULL=1: the limit does not bite on every machine")
	}
	be := openBackend(t, backend.CPU)
	child := exec.Command(os.Args[0], "-test.run=^TestDeviceRunsOutOfMemory$")
	child.Env = append(os.Environ(), key+"="+be.Name)
	out, err := child.CombinedOutput()
	var notices int
	_, line, _ := strings.Cut(string(out), "notices ")
	if _, scan := fmt.Sscan(line, &notices); err != nil || scan != nil || notices == 0 {
		t.Errorf("%v, %d notices: %s", err, notices, out)
	}
	t.Log(line)
}
