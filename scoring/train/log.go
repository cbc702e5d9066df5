package train

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// lossLog is train.jsonl: one Step or Eval a line, in order of steps. It holds
// no times, so equal runs give equal bytes.
type lossLog struct {
	file   *os.File
	buffer *bufio.Writer
	size   int64 // bytes appended or kept
}

// openLog opens the log and cuts it to its first `keep` bytes, those that the
// checkpoint knows of.
func openLog(path string, keep int64) (*lossLog, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open loss log: %w", err)
	}
	if err := cutLog(file, keep); err != nil {
		file.Close()
		return nil, err
	}
	return &lossLog{file: file, buffer: bufio.NewWriter(file), size: keep}, nil
}

// cutLog truncates the file and moves to its end.
func cutLog(file *os.File, keep int64) error {
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("open loss log: %w", err)
	}
	if info.Size() < keep {
		return fmt.Errorf("%w: %s has %d bytes where the checkpoint knows of %d", errNoCheckpoint, file.Name(), info.Size(), keep)
	}
	if err := file.Truncate(keep); err != nil {
		return fmt.Errorf("cut loss log: %w", err)
	}
	if _, err := file.Seek(keep, io.SeekStart); err != nil {
		return fmt.Errorf("cut loss log: %w", err)
	}
	return nil
}

// append writes one line, and hands it to whoever reads the file meanwhile.
func (l *lossLog) append(line any) error {
	data, err := json.Marshal(line)
	if err != nil {
		return fmt.Errorf("write loss log: %w", err)
	}
	data = append(data, '\n')
	if _, err := l.buffer.Write(data); err != nil {
		return fmt.Errorf("write loss log: %w", err)
	}
	if err := l.buffer.Flush(); err != nil {
		return fmt.Errorf("write loss log: %w", err)
	}
	l.size += int64(len(data))
	return nil
}

// sync makes the log durable; a checkpoint that knows of it may follow.
func (l *lossLog) sync() error {
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("sync loss log: %w", err)
	}
	return nil
}

func (l *lossLog) close() error { return l.file.Close() }

// ReadLog reads a train.jsonl. A last line without its end, which a crash can
// leave, is not read.
func ReadLog(path string) (steps []Step, evals []Eval, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read loss log: %w", err)
	}
	defer file.Close()
	if steps, evals, err = DecodeLog(file); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return steps, evals, nil
}

// DecodeLog is ReadLog of what is open already.
func DecodeLog(log io.Reader) (steps []Step, evals []Eval, err error) {
	in := bufio.NewReader(log)
	for line := 1; ; line++ {
		text, err := in.ReadBytes('\n')
		if err == io.EOF {
			return steps, evals, nil
		} else if err != nil {
			return nil, nil, fmt.Errorf("read loss log: %w", err)
		}
		var both struct {
			Step
			HeldoutLoss *float64 `json:"heldout_loss"`
		}
		if err := json.Unmarshal(text, &both); err != nil {
			return nil, nil, fmt.Errorf("read loss log: line %d: %w", line, err)
		}
		if both.HeldoutLoss != nil {
			evals = append(evals, Eval{Step: both.Step.Step, Tokens: both.Tokens, HeldoutLoss: *both.HeldoutLoss})
		} else {
			steps = append(steps, both.Step)
		}
	}
}
