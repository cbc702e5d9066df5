package train

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"

	"github.com/curate-data/curate/scoring/lm"
)

// A checkpoint file is one line of JSON (checkpointHead), then the float32
// values of weights, first and second moments, in the order of lm.ParamSpecs,
// little-endian, then the SHA-256 of all that.
type checkpointHead struct {
	Format  string `json:"format"`
	Key     string `json:"key"`      // what the run is made of; another key, another run
	Step    int    `json:"step"`     // steps done; the data position follows from it
	LogSize int64  `json:"log_size"` // bytes of train.jsonl that belong to these steps
}

const checkpointFormat = "curate-checkpoint-1"

// errNoCheckpoint says that there is nothing to go on from.
var errNoCheckpoint = errors.New("no checkpoint of this run")

// state is what a checkpoint holds: weights, first and second moments. Both
// methods go one tensor at a time, so that the host never holds a copy of all.
type state interface {
	writeState(to io.Writer) error
	readState(from io.Reader) error
}

// writeCheckpoint replaces the checkpoint at path, atomically.
func writeCheckpoint(path string, head checkpointHead, s state) error {
	head.Format = checkpointFormat
	err := lm.WriteFile(path, func(file io.Writer) error {
		digest := sha256.New()
		out := io.MultiWriter(file, digest)
		line, err := json.Marshal(head)
		if err != nil {
			return err
		}
		if _, err := out.Write(append(line, '\n')); err != nil {
			return err
		}
		if err := s.writeState(out); err != nil {
			return err
		}
		_, err = file.Write(digest.Sum(nil))
		return err
	})
	if err != nil {
		return fmt.Errorf("write checkpoint of step %d: %w", head.Step, err)
	}
	return nil
}

// readCheckpoint fills s from the checkpoint at path and returns its head. A
// missing one, one of another run, or a damaged one gives errNoCheckpoint with
// the cause; s may then hold anything.
func readCheckpoint(path, key string, s state) (checkpointHead, error) {
	none := func(format string, args ...any) (checkpointHead, error) {
		return checkpointHead{}, fmt.Errorf("%w: "+format, append([]any{errNoCheckpoint}, args...)...)
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return none("there is none")
	} else if err != nil {
		return checkpointHead{}, fmt.Errorf("read checkpoint: %w", err)
	}
	defer file.Close()
	in := bufio.NewReaderSize(file, spoolBuffer)
	line, err := in.ReadBytes('\n')
	var head checkpointHead
	if err != nil || json.Unmarshal(line, &head) != nil || head.Format != checkpointFormat {
		return none("%s is not one, or damaged", path)
	}
	if head.Key != key {
		return none("options, data, model or backend are not those of the checkpoint")
	}
	digest := sha256.New()
	digest.Write(line)
	if err := s.readState(io.TeeReader(in, digest)); err != nil {
		return none("%s is damaged: %v", path, err)
	}
	var sum [sha256.Size]byte
	if _, err := io.ReadFull(in, sum[:]); err != nil || !bytes.Equal(sum[:], digest.Sum(nil)) {
		return none("%s is damaged: its digest does not fit", path)
	}
	return head, nil
}

// floatChunk is how many values are converted at a time.
const floatChunk = 1 << 16

func writeFloats(to io.Writer, values []float32) error {
	raw := make([]byte, 0, 4*min(len(values), floatChunk))
	for len(values) > 0 {
		n := min(len(values), floatChunk)
		raw = raw[:0]
		for _, v := range values[:n] {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
		}
		if _, err := to.Write(raw); err != nil {
			return err
		}
		values = values[n:]
	}
	return nil
}

func readFloats(from io.Reader, n int) ([]float32, error) {
	values := make([]float32, n)
	raw := make([]byte, 4*min(n, floatChunk))
	for at := 0; at < n; {
		part := raw[:4*min(n-at, floatChunk)]
		if _, err := io.ReadFull(from, part); err != nil {
			return nil, err
		}
		for i := range len(part) / 4 {
			values[at+i] = math.Float32frombits(binary.LittleEndian.Uint32(part[4*i:]))
		}
		at += len(part) / 4
	}
	return values, nil
}
