package shards

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What a mutant of some kilobytes may take. A child that passes dataLimit or
// mutantTime is ended; allocLimit bounds what one way of reading allocates.
const (
	dataLimit  = 2 << 30
	allocLimit = 256 << 20
	mutantTime = 30 * time.Second
)

// Environment of a child of the drill.
const (
	drillFrom = "CURATE_TEST_MUTANTS_FROM" // number of the first mutant
	fullDrill = "CURATE_FULL"              // 1: all sources, ten times as many mutants
)

// Outcomes of one way of reading a mutant.
const (
	refused    = "error"
	accepted   = "ok"
	crashed    = "crash"
	outOfBound = "OOM"
	hung       = "hang"
	wrongCount = "wrong count"
)

// outcome is what became of a mutant in one way of reading.
type outcome struct {
	Mutant int
	Way    string
	Result string
	Note   string `json:",omitempty"`
}

// try reads a mutant in one way.
func try(m *mutant, way int) outcome {
	var before, after runtime.MemStats
	want := rowsOfMutant(m)
	runtime.ReadMemStats(&before)
	rows, err := ways[way].run(m, want)
	runtime.ReadMemStats(&after)
	o := outcome{Mutant: m.number, Way: ways[way].name, Result: accepted}
	switch allocated := after.TotalAlloc - before.TotalAlloc; {
	case allocated > allocLimit:
		o.Result, o.Note = outOfBound, fmt.Sprintf("%d MB allocated", allocated>>20)
	case err != nil && strings.Contains(err.Error(), "panicked"):
		o.Result, o.Note = refused, "a panic was caught: "+err.Error()
	case err != nil:
		o.Result = refused
	case rows != want:
		o.Result, o.Note = wrongCount, fmt.Sprintf("%d rows, want %d", rows, want)
	}
	return o
}

// TestMutantChild is the child of the drill: it reads the mutants from a number
// on and writes an outcome per line.
func TestMutantChild(t *testing.T) {
	from, err := strconv.Atoi(os.Getenv(drillFrom))
	if err != nil {
		t.Skip("runs as a child of TestMutants")
	}
	limitData(t)
	all := mutants(t, os.Getenv(fullDrill) == "1")
	w := json.NewEncoder(os.Stdout)
	for i := from / len(ways); i < len(all); i++ {
		for way := range ways {
			if i*len(ways)+way < from {
				continue
			}
			if err := w.Encode(try(&all[i], way)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// runDrill reads all mutants in all ways. A child that dies is followed by
// another one, from the next step on.
func runDrill(t *testing.T, all []mutant) []outcome {
	t.Helper()
	var done []outcome
	for len(done) < len(all)*len(ways) {
		found, death := drillChild(t, len(done))
		done = append(done, found...)
		if len(done) == len(all)*len(ways) {
			break
		}
		if death == nil {
			t.Fatalf("the child ended well after %d of %d steps", len(done), len(all)*len(ways))
		}
		o := outcome{Mutant: len(done) / len(ways), Way: ways[len(done)%len(ways)].name, Result: crashed, Note: death.Error()}
		switch {
		case strings.Contains(o.Note, "out of memory"), strings.Contains(o.Note, "cannot allocate"):
			o.Result = outOfBound
		case errors.Is(death, context.DeadlineExceeded):
			o.Result = hung
		}
		done = append(done, o)
	}
	return done
}

// drillChild runs a child from a step on and returns what it reported and how
// it died.
func drillChild(t *testing.T, from int) ([]outcome, error) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestMutantChild$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", drillFrom, from))
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	watch := time.AfterFunc(mutantTime, func() { cancel(context.DeadlineExceeded) })
	var found []outcome
	for scan := bufio.NewScanner(out); scan.Scan(); {
		var o outcome
		if json.Unmarshal(scan.Bytes(), &o) != nil {
			continue // the test binary's own words
		}
		watch.Reset(mutantTime)
		found = append(found, o)
	}
	err = cmd.Wait()
	watch.Stop()
	if cause := context.Cause(ctx); cause != nil {
		return found, cause
	}
	if err != nil {
		err = fmt.Errorf("%w: %s", err, causeOfDeath(errs.String()))
	}
	return found, err
}

// causeOfDeath is the line that says why a process ended.
func causeOfDeath(said string) string {
	for line := range strings.Lines(said) {
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") || strings.HasPrefix(line, "runtime: out of memory") {
			return strings.TrimSpace(line)
		}
	}
	return said[:min(len(said), 300)]
}

// TestMutants is the drill: no damaged file may crash the reader, hang it, take
// all memory, or be read with another number of rows than it has.
func TestMutants(t *testing.T) {
	if testing.Short() && os.Getenv(fullDrill) != "1" {
		t.Skip("takes some seconds")
	}
	all := mutants(t, os.Getenv(fullDrill) == "1")
	found := runDrill(t, all)
	table := map[string]map[string]int{}
	for _, o := range found {
		if table[o.Way] == nil {
			table[o.Way] = map[string]int{}
		}
		table[o.Way][o.Result]++
		if o.Note != "" && o.Result == refused {
			table[o.Way]["panic caught"]++
		}
		if o.Result != refused && o.Result != accepted {
			t.Errorf("mutant %s (%s), %s: %s: %s", all[o.Mutant].name(), all[o.Mutant].what, o.Way, o.Result, o.Note)
		}
	}
	t.Logf("%d mutants of %d files:\n%s", len(all), len(all)/max(1, mutantsPerFile(all)), formatOutcomes(table))
	for _, way := range ways {
		if table[way.name][refused] < len(all)/4 || table[way.name][accepted] == 0 {
			t.Errorf("%s: %v: are these mutants?", way.name, table[way.name])
		}
	}
}

func mutantsPerFile(all []mutant) int {
	n := 0
	for _, m := range all {
		if m.file == all[0].file {
			n++
		}
	}
	return n
}

func formatOutcomes(table map[string]map[string]int) string {
	results := []string{refused, "panic caught", accepted, crashed, outOfBound, hung, wrongCount}
	var b strings.Builder
	fmt.Fprintf(&b, "%-14s", "")
	for _, r := range results {
		fmt.Fprintf(&b, "%14s", r)
	}
	for _, way := range ways {
		fmt.Fprintf(&b, "\n%-14s", way.name)
		for _, r := range results {
			fmt.Fprintf(&b, "%14d", table[way.name][r])
		}
	}
	return b.String()
}

// TestMutantsPyarrow reads the same mutants with pyarrow, each in a process of
// its own, and prints its table. It also writes them where CURATE_MUTANTS says.
func TestMutantsPyarrow(t *testing.T) {
	python := needPython(t)
	all := mutants(t, os.Getenv(fullDrill) == "1")
	dir := os.Getenv("CURATE_MUTANTS")
	if dir == "" {
		dir = t.TempDir()
	}
	rows := map[string]int64{}
	for i := range all {
		m := &all[i]
		if IsTar(m.file) {
			continue // pyarrow reads none
		}
		rows[m.name()] = rowsOfMutant(m)
		if err := os.WriteFile(filepath.Join(dir, m.name()), m.bytes, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := json.Marshal(rows)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "rows.json"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(python, "testdata/read_mutants.py", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("pyarrow on the same files: %s", out)
	if !strings.Contains(string(out), fmt.Sprintf("%d mutants", len(rows))) {
		t.Errorf("pyarrow did not see all %d mutants", len(rows))
	}
}
