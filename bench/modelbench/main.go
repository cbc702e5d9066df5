// Command modelbench makes models for benchmarks of scoring:
//
//	modelbench save PRESET TOKENIZER LENGTH SEED FOLDER
//	modelbench need PRESET TOKENIZER LENGTH PRECISION
//
// save writes a model with random weights, need prints the bytes that curate
// expects two such models to take on a CPU.
package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/lm"
	"github.com/curate-data/curate/scoring/tokenizer"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "modelbench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	save := len(args) == 6 && args[0] == "save"
	if !save && (len(args) != 5 || args[0] != "need") {
		return errors.New("usage: modelbench save PRESET TOKENIZER LENGTH SEED FOLDER | need PRESET TOKENIZER LENGTH PRECISION")
	}
	raw, err := os.ReadFile(args[2])
	if err != nil {
		return err
	}
	tok, err := tokenizer.Parse(raw)
	if err != nil {
		return err
	}
	length, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	config, err := lm.Preset(args[1], tok.VocabSize(), length)
	if err != nil {
		return err
	}
	if !save {
		o := lm.ScorerOptions{SequenceLength: length, BatchTokens: lm.MostBatchTokens(backend.CPU), Precision: lm.Precision(args[4])}
		fmt.Println(o.MemoryNeed(backend.CPU, []lm.Config{config, config}))
		return nil
	}
	seed, err := strconv.ParseUint(args[4], 10, 64)
	if err != nil {
		return err
	}
	model, err := lm.Init(config, seed)
	if err != nil {
		return err
	}
	return model.Save(args[5], raw)
}
