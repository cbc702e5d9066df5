// Command scoringbench is curate's side of bench/scoring.py:
//
//	scoringbench BACKEND PRESET FOLDER ROWS LENGTH WINDOWS
//
// BACKEND is xla:cpu or go. The model is read from FOLDER, which gets one with
// random weights first if it has none. ROWS rows of LENGTH tokens, each of WINDOWS windows,
// are scored once, which compiles; the windows' losses go to FOLDER/BACKEND-WINDOWS.losses.
// Then each line on stdin runs the batch again; the answer is the wall and the CPU
// seconds that it took.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/lm"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "scoringbench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 6 {
		return errors.New("usage: scoringbench xla:cpu|go PRESET FOLDER ROWS LENGTH WINDOWS")
	}
	var sizes [3]int
	for i, text := range args[3:] {
		var err error
		if sizes[i], err = strconv.Atoi(text); err != nil {
			return err
		}
	}
	name, folder, rows, length := args[0], args[2], sizes[0], sizes[1]
	model, err := open(args[1], folder, length)
	if err != nil {
		return err
	}
	be, err := backend.Open(name)
	if err != nil {
		return err
	}
	defer be.Close()
	scorer, err := lm.NewScorer(be, []*lm.Folder{model}, lm.ScorerOptions{SequenceLength: length, BatchTokens: rows * length})
	if err != nil {
		return err
	}
	defer scorer.Close()
	batch := windows(rows*sizes[2], length/sizes[2], model.Config.VocabSize)
	losses, err := scorer.Score(ctx, batch, nil)
	if err != nil {
		return err
	}
	data, err := json.Marshal(losses.Sums[0])
	if err != nil {
		return err
	}
	file := strings.ReplaceAll(name, ":", "-") + "-" + args[5] + ".losses"
	if err := os.WriteFile(filepath.Join(folder, file), data, 0o644); err != nil {
		return err
	}
	fmt.Println("ready")
	return answer(ctx, scorer, batch)
}

// answer times the batch once for each line of stdin.
func answer(ctx context.Context, scorer *lm.Scorer, batch []pipeline.Window) error {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		start, cpu := time.Now(), cpuTime()
		if _, err := scorer.Score(ctx, batch, nil); err != nil {
			return err
		}
		fmt.Println(time.Since(start).Seconds(), (cpuTime() - cpu).Seconds())
	}
	return lines.Err()
}

// open returns the model of folder, made first if need be.
func open(preset, folder string, length int) (*lm.Folder, error) {
	if _, err := os.Stat(filepath.Join(folder, "config.json")); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return lm.OpenFolder(folder)
	}
	config, err := lm.Preset(preset, 50280, length)
	if err != nil {
		return nil, err
	}
	model, err := lm.Init(config, 1)
	if err != nil {
		return nil, err
	}
	if err := model.Save(folder, nil); err != nil {
		return nil, err
	}
	return lm.OpenFolder(folder)
}

// windows have ids that the peers make in the same way.
func windows(n, length, vocabulary int) []pipeline.Window {
	all := make([]pipeline.Window, n)
	for i := range all {
		for t := range length {
			all[i].Tokens = append(all[i].Tokens, int32((uint64(i*length+t)*2654435761>>8)%uint64(vocabulary)))
		}
	}
	return all
}

// cpuTime is what the process has used: it tells speed on a shared machine.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
