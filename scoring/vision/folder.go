package vision

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/curate-data/curate/scoring/safetensors"
)

// Files of a model folder.
const (
	configFile  = "config.json"
	weightsFile = "model.safetensors"
	indexFile   = "model.safetensors.index.json"
	maxConfig   = 1 << 20
)

// weights are a model's shape and tensors, with their roles in the same order.
type weights struct {
	shape  shape
	roles  []string
	params []safetensors.Tensor
	random bool // by WriteRandom
}

// load reads config.json and model.safetensors. All missing, misshapen and
// unknown tensors are named at once, and so are those with values that are not finite.
func load(folder string) (*weights, error) {
	config, err := readConfig(folder)
	if err != nil {
		return nil, err
	}
	s, f, err := parseConfig(config)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(filepath.Join(folder, weightsFile))
	if errors.Is(err, fs.ErrNotExist) {
		if _, indexed := os.Stat(filepath.Join(folder, indexFile)); indexed == nil {
			return nil, fmt.Errorf("weights in several files (%s) cannot be read: join them into %s", indexFile, weightsFile)
		}
		return nil, fmt.Errorf("the folder has no weights: %s is missing", weightsFile)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", weightsFile)
	}
	w, err := readWeights(file, info.Size(), s, f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", weightsFile, err)
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(config, &keys); err != nil {
		return nil, err
	}
	_, w.random = keys[randomKey]
	return w, nil
}

func readConfig(folder string) ([]byte, error) {
	file, err := os.Open(filepath.Join(folder, configFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no model folder, or an unfinished one: %s is missing", configFile)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxConfig+1))
	if err == nil && len(raw) > maxConfig {
		err = fmt.Errorf("%s has more than %d bytes", configFile, maxConfig)
	}
	return raw, err
}

// readWeights reads the tensors of a shape. Whether there is a pooler or a
// projection is for the file to say: one configuration serves models with and without.
func readWeights(data io.ReaderAt, size int64, s shape, f family) (*weights, error) {
	file, err := safetensors.Open(data, size)
	if err != nil {
		return nil, err
	}
	names := file.Names()
	prefix := f.prefix(names)
	has := func(prefix, role string) bool {
		return f.names[role] != "" && slices.Contains(names, prefix+f.names[role]+".weight")
	}
	s.Pooled = has(prefix, rolePooler)
	if !has("", roleProject) {
		s.Projected = 0
	}
	w := &weights{shape: s}
	var specs []safetensors.Spec
	for _, slot := range f.slots(s, prefix) {
		w.roles, specs = append(w.roles, slot.role), append(specs, slot.spec)
	}
	if err := file.Match(specs, f.isIgnored); err != nil {
		return nil, err
	}
	w.params, err = file.ReadAll(specs)
	return w, err
}

// get returns the tensor of a role.
func (w *weights) get(role string) safetensors.Tensor { return w.params[slices.Index(w.roles, role)] }

// digest is the hex SHA-256 of the shape, all weights bit for bit, and what else
// decides the vectors.
func (w *weights) digest(more ...any) string {
	hash := sha256.New()
	fmt.Fprintf(hash, "%+v\n%v\n", w.shape, more)
	buffer := make([]byte, 0, 1<<16)
	for i, p := range w.params {
		fmt.Fprintf(hash, "%s %v\n", w.roles[i], p.Shape)
		for chunk := range slices.Chunk(p.Data, 1<<14) {
			buffer = buffer[:0]
			for _, v := range chunk {
				buffer = binary.LittleEndian.AppendUint32(buffer, math.Float32bits(v))
			}
			hash.Write(buffer)
		}
	}
	return hex.EncodeToString(hash.Sum(nil))
}
