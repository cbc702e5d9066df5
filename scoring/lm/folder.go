package lm

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/curate-data/curate/scoring/safetensors"
)

// Files of a model folder.
const (
	configFile    = safetensors.ConfigFile
	weightsFile   = safetensors.WeightsFile
	tokenizerFile = "tokenizer.json"
)

// Load reads a model folder. All missing, misshapen and unknown tensors are
// named at once, and so are tensors with values that are not finite: every loss
// would be NaN. Half types are widened to float32.
func Load(dir string) (*Model, error) {
	m, err := load(dir)
	if err != nil {
		return nil, fmt.Errorf("load model %s: %w", dir, err)
	}
	return m, nil
}

func load(dir string) (*Model, error) {
	m := &Model{}
	if err := loadConfig(dir, &m.Config); err != nil {
		return nil, err
	}
	err := safetensors.InFolder(dir, func(weights *safetensors.File) (err error) {
		m.Params, err = readParams(m.Config, weights)
		return err
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

func loadConfig(dir string, c *Config) error {
	raw, err := safetensors.ReadConfig(dir, configFile)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, c); err != nil {
		return fmt.Errorf("%s: %w", configFile, err)
	}
	return c.Validate()
}

// Save writes the model as a folder that Load, and hf_olmo, read back bit for
// bit. tokenizerJSON is the tokenizer's file; nil leaves it out. config.json
// goes first when a folder is written over and comes last: without it the
// folder is unfinished, so a crash never leaves a model that looks whole.
func (m *Model) Save(dir string, tokenizerJSON []byte) error {
	if err := m.save(dir, tokenizerJSON); err != nil {
		return fmt.Errorf("save model %s: %w", dir, err)
	}
	return nil
}

func (m *Model) save(dir string, tokenizerJSON []byte) error {
	if err := m.Validate(); err != nil {
		return err
	}
	config, err := m.savedConfig()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, configFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := syncFolder(dir); err != nil {
		return err
	}
	if tokenizerJSON != nil {
		if err := WriteFile(filepath.Join(dir, tokenizerFile), bytesWriter(tokenizerJSON)); err != nil {
			return err
		}
	}
	if err := WriteFile(filepath.Join(dir, weightsFile), func(w io.Writer) error { return safetensors.Write(w, m.Params) }); err != nil {
		return err
	}
	return WriteFile(filepath.Join(dir, configFile), bytesWriter(config))
}

// savedConfig is config.json of the weights as Save writes them: float32.
func (m *Model) savedConfig() ([]byte, error) {
	key := "torch_dtype"
	if _, ok := m.Config.Keys["dtype"]; ok { // today's name; transformers prefers it
		key = "dtype"
	}
	c, err := m.Config.with(key, "float32")
	if err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(c, "", "  ")
	return append(text, '\n'), err
}

func bytesWriter(data []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}
}

// writeBuffer is the buffer size of WriteFile in bytes.
const writeBuffer = 1 << 18

// WriteFile makes a file whole or not at all: it is written under another
// name, made durable, and renamed. A crash leaves at most the other name,
// path.tmp, which the next write reuses. One process at a time may write path.
func WriteFile(path string, write func(io.Writer) error) (err error) {
	temporary := path + ".tmp"
	file, err := os.Create(temporary)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			file.Close()
			os.Remove(temporary)
		}
	}()
	buffer := bufio.NewWriterSize(file, writeBuffer)
	if err := write(buffer); err != nil {
		return err
	}
	if err := buffer.Flush(); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes renames and removals in dir durable.
func syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
