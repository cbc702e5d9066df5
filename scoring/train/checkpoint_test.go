package train

import (
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// fixedState writes the same values as weights, first and second moments.
type fixedState [][]float32

func (s fixedState) writeState(to io.Writer) error {
	for range 3 {
		for _, values := range s {
			if err := writeFloats(to, values); err != nil {
				return err
			}
		}
	}
	return nil
}

// readState reads into the slices what they have room for, three times over.
func (s fixedState) readState(from io.Reader) error {
	for range 3 {
		for _, values := range s {
			got, err := readFloats(from, len(values))
			if err != nil {
				return err
			}
			copy(values, got)
		}
	}
	return nil
}

// room returns a state of the same sizes, all zeros.
func (s fixedState) room() fixedState {
	var out fixedState
	for _, values := range s {
		out = append(out, make([]float32, len(values)))
	}
	return out
}

// failingState fails after some values, as a full disk does.
type failingState struct{ fixedState }

var errDiskFull = errors.New("no space left on device")

func (failingState) writeState(to io.Writer) error {
	if err := writeFloats(to, make([]float32, 10)); err != nil {
		return err
	}
	return errDiskFull
}

func TestCheckpointsComeBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checkpoint")
	state := fixedState{{1, -2.5, float32(math.Inf(1))}, make([]float32, floatChunk+7), {}}
	for i := range state[1] {
		state[1][i] = float32(i) / 3
	}
	if _, err := readCheckpoint(path, "key", state.room()); !errors.Is(err, errNoCheckpoint) {
		t.Errorf("a missing checkpoint gives %v", err)
	}
	for _, step := range []int{3, 9} { // the second replaces the first
		if err := writeCheckpoint(path, checkpointHead{Key: "key", Step: step, LogSize: 77}, state); err != nil {
			t.Fatal(err)
		}
	}
	// A write that fails leaves the one before, and nothing else.
	if err := writeCheckpoint(path, checkpointHead{Key: "key", Step: 12}, failingState{}); !errors.Is(err, errDiskFull) {
		t.Errorf("got %v", err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("%d files, want the checkpoint alone", len(entries))
	}
	got := state.room()
	head, err := readCheckpoint(path, "key", got)
	if err != nil || head.Step != 9 || head.LogSize != 77 {
		t.Fatalf("head %+v, %v", head, err)
	}
	for i := range state {
		if !slices.Equal(got[i], state[i]) {
			t.Errorf("tensor %d differs", i)
		}
	}
	if _, err := readCheckpoint(path, "another", state.room()); !errors.Is(err, errNoCheckpoint) {
		t.Errorf("a checkpoint of another run gives %v", err)
	}
}

func TestDamagedCheckpointsAreNotUsed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checkpoint")
	state := fixedState{{1, 2, 3, 4, 5}}
	if err := writeCheckpoint(path, checkpointHead{Key: "key", Step: 3}, state); err != nil {
		t.Fatal(err)
	}
	whole := readAll(t, path)
	try := func(what string, content []byte) {
		t.Helper()
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := readCheckpoint(path, "key", state.room()); !errors.Is(err, errNoCheckpoint) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	for n := range whole {
		try("cut short", whole[:n])
	}
	for i := range whole {
		bad := slices.Clone(whole)
		bad[i] ^= 4
		try("a bit flipped", bad)
	}
}
