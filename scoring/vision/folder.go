package vision

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/curate-data/curate/scoring/safetensors"
)

// Files of a model folder.
const (
	configFile  = safetensors.ConfigFile
	weightsFile = safetensors.WeightsFile
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
	config, err := safetensors.ReadConfig(folder, configFile)
	if err != nil {
		return nil, err
	}
	s, f, err := parseConfig(config)
	if err != nil {
		return nil, err
	}
	var w *weights
	err = safetensors.InFolder(folder, func(file *safetensors.File) (err error) {
		w, err = readWeights(file, s, f)
		return err
	})
	if err != nil {
		return nil, err
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(config, &keys); err != nil {
		return nil, err
	}
	_, w.random = keys[randomKey]
	return w, nil
}

// readWeights reads the tensors of a shape. Whether there is a pooler or a
// projection is for the file to say: one configuration serves models with and without.
func readWeights(file *safetensors.File, s shape, f family) (*weights, error) {
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
	var err error
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
	for i, p := range w.params {
		p.Digest(hash, w.roles[i])
	}
	return hex.EncodeToString(hash.Sum(nil))
}
