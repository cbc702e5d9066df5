package train

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/curate-data/curate/scoring/lm"
	"github.com/curate-data/curate/scoring/tokenizer"
)

// Names in the working folder.
const (
	trainFile      = "train.tokens"
	heldoutFile    = "heldout.tokens"
	spoolFile      = "rows.spool"
	dataFile       = "data.json"
	checkpointFile = "checkpoint"
)

// data describes the two token files. data.json holds it and is written last,
// so that files without it are leftovers of a crash.
type data struct {
	Key    string `json:"key"` // empty: the files cannot be reused
	Width  int    `json:"width"`
	Counts Counts `json:"counts"`
	// SHA-256 of the files' bytes.
	Train   string `json:"train_sha256"`
	Heldout string `json:"heldout_sha256"`
}

// dataKey names what the token files depend on.
func dataKey(corpus Corpus, tok *tokenizer.Tokenizer, eos int32, d draw) string {
	if corpus.Key == "" {
		return ""
	}
	return keyOf("tokens-1", corpus.Key, tok.Digest(), eos, d.seed, d.budget, d.heldoutFraction, d.heldoutMin, d.heldoutMax)
}

// keyOf digests values in Go's syntax, which tells any two of them apart.
func keyOf(values ...any) string {
	digest := sha256.New()
	for _, value := range values {
		fmt.Fprintf(digest, "%#v\n", value)
	}
	return hex.EncodeToString(digest.Sum(nil))
}

// prepare makes the token files in the working folder, or finds them there.
func prepare(ctx context.Context, work string, corpus Corpus, tok *tokenizer.Tokenizer, eos int32, d draw) (data, error) {
	key := dataKey(corpus, tok, eos, d)
	if found, err := readData(work); err == nil && key != "" && found.Key == key {
		return found, nil // made by a run that was interrupted
	}
	if err := os.Remove(filepath.Join(work, dataFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return data{}, fmt.Errorf("prepare tokens: %w", err)
	}
	made, err := tokenise(ctx, work, corpus, tok, eos, d)
	if err != nil {
		return data{}, err
	}
	made.Key = key
	err = lm.WriteFile(filepath.Join(work, dataFile), func(w io.Writer) error { return json.NewEncoder(w).Encode(made) })
	if err != nil {
		return data{}, fmt.Errorf("prepare tokens: %w", err)
	}
	return made, nil
}

// readData reads data.json and checks that the files have the sizes it says.
func readData(work string) (data, error) {
	var d data
	text, err := os.ReadFile(filepath.Join(work, dataFile))
	if err != nil {
		return data{}, err
	}
	if err := json.Unmarshal(text, &d); err != nil {
		return data{}, err
	}
	for name, tokens := range map[string]int64{trainFile: d.Counts.TrainTokens, heldoutFile: d.Counts.HeldoutTokens} {
		info, err := os.Stat(filepath.Join(work, name))
		if err != nil {
			return data{}, err
		}
		if info.Size() != tokens*int64(d.Width) {
			return data{}, fmt.Errorf("%s has %d bytes, want %d", name, info.Size(), tokens*int64(d.Width))
		}
	}
	return d, nil
}

// tokenise reads the corpus once and writes both token files.
func tokenise(ctx context.Context, work string, corpus Corpus, tok *tokenizer.Tokenizer, eos int32, d draw) (data, error) {
	spool, err := newSpoolWriter(filepath.Join(work, spoolFile))
	if err != nil {
		return data{}, fmt.Errorf("prepare tokens: %w", err)
	}
	defer os.Remove(filepath.Join(work, spoolFile))
	defer spool.close()
	r := newReader(d, tok, eos)
	if err := r.read(ctx, corpus.Source, spool); err != nil {
		return data{}, err
	}
	rows, err := spool.reader()
	if err != nil {
		return data{}, fmt.Errorf("prepare tokens: %w", err)
	}
	made := data{Width: idWidth(max(tok.VocabSize(), int(eos)+1))}
	if made.Train, made.Heldout, err = r.write(rows, work, made.Width); err != nil {
		return data{}, fmt.Errorf("prepare tokens: %w", err)
	}
	made.Counts = r.counts
	return made, nil
}

// write splits the spool into the two token files and returns their digests.
func (r *reader) write(rows *spoolReader, work string, width int) (trainSum, heldSum string, err error) {
	train, err := newTokenWriter(filepath.Join(work, trainFile), width)
	if err != nil {
		return "", "", err
	}
	defer train.file.Close()
	held, err := newTokenWriter(filepath.Join(work, heldoutFile), width)
	if err != nil {
		return "", "", err
	}
	defer held.file.Close()
	if err := r.split(rows, train, held); err != nil {
		return "", "", err
	}
	if trainSum, err = train.finish(); err != nil {
		return "", "", err
	}
	heldSum, err = held.finish()
	return trainSum, heldSum, err
}
