package lm

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
)

// Config is a config.json: what decides the maths, what bounds inputs, and all
// keys as they were read, which Save writes back. Treat a Config as a value:
// its methods return copies.
type Config struct {
	Arch
	MaxSequenceLength int // the longest T
	VocabSize         int // ids of the tokenizer; Embeddings may have more rows
	EOSTokenID        int // ends a text; NoToken where there is none

	Keys map[string]json.RawMessage
}

// NoToken is the id of a special token that a model does not have.
const NoToken = -1

// EndOfText returns the id that joins texts to one sequence.
func (c Config) EndOfText() (int32, error) {
	switch id := c.EOSTokenID; {
	case id == NoToken:
		return 0, errors.New("config.json has no eos_token_id, which joins texts: add it")
	case id < 0 || id >= c.Embeddings:
		return 0, fmt.Errorf("eos_token_id = %d, which joins texts, is no row of the %d embeddings", id, c.Embeddings)
	default:
		return int32(id), nil
	}
}

// UnmarshalJSON reads a config.json of any family. All faults are named at
// once: values that make no model, and those that would need maths that is not
// implemented. An absent key has the default of the family's own code.
func (c *Config) UnmarshalJSON(data []byte) error {
	all, err := parseKeys(data)
	if err != nil {
		return fmt.Errorf("parse model config: %w", err)
	}
	read, err := readConfig(all)
	if err != nil {
		return fmt.Errorf("model config: %w", err)
	}
	*c = read
	return nil
}

func readConfig(all map[string]json.RawMessage) (Config, error) {
	k := &keys{all: all, read: map[string]bool{}}
	modelType := k.text("model_type", "")
	if modelType == "" {
		return Config{}, errors.New("model_type is missing")
	}
	f, err := familyOf(modelType)
	if err != nil {
		return Config{}, err
	}
	c := f.read(k)
	c.Family, c.Keys = modelType, all
	k.housekeeping()
	k.refuseUnread()
	return c, errors.Join(append(k.faults, c.Validate())...)
}

// MarshalJSON writes a config.json: all keys, sorted.
func (c Config) MarshalJSON() ([]byte, error) { return json.Marshal(c.Keys) }

// Limits keep products of sizes far from overflow; OLMo 7B is 4096 x 32.
const (
	maxWidth  = 1 << 17
	maxLayers = 1 << 10
	maxVocab  = 1 << 24
)

// Validate lists every fault of the sizes. What keys do not allow was refused
// when they were read.
func (c Config) Validate() error {
	var faults []error
	within := func(what string, value, low, high int) {
		if value < low || value > high {
			faults = append(faults, fmt.Errorf("%s %d: want %d to %d", what, value, low, high))
		}
	}
	if _, err := familyOf(c.Family); err != nil {
		faults = append(faults, err)
	}
	within("width", c.Width, 2, maxWidth)
	within("layers", c.Layers, 1, maxLayers)
	within("heads", c.Heads, 1, maxWidth)
	within("key-value heads", c.KVHeads, 1, maxWidth)
	within("head width", c.HeadDim, 1, maxWidth)
	within("MLP width", c.Hidden, 1, maxWidth<<3)
	within("longest sequence (max_sequence_length, max_position_embeddings)", c.MaxSequenceLength, 2, 1<<24)
	within("vocabulary", c.VocabSize, 1, maxVocab)
	within("embeddings", c.Embeddings, 1, maxVocab)
	if c.Embeddings < c.VocabSize {
		faults = append(faults, fmt.Errorf("embedding_size %d is smaller than vocab_size %d", c.Embeddings, c.VocabSize))
	}
	if c.KVHeads > 0 && c.Heads%c.KVHeads != 0 {
		faults = append(faults, fmt.Errorf("key-value heads %d do not divide heads %d", c.KVHeads, c.Heads))
	}
	if c.Rope.Dim%2 != 0 || c.Rope.Dim > c.HeadDim {
		faults = append(faults, fmt.Errorf("rotary width %d of heads of width %d: want an even one, RoPE rotates pairs", c.Rope.Dim, c.HeadDim))
	}
	if c.Rope.Dim > 0 && (!(c.Rope.Theta > 0) || math.IsInf(c.Rope.Theta, 0)) {
		faults = append(faults, fmt.Errorf("rope_theta %v: want a positive number", c.Rope.Theta))
	}
	if !(c.NormEps >= 0) || math.IsInf(c.NormEps, 0) {
		faults = append(faults, fmt.Errorf("eps of norms %v: want a number of at least 0", c.NormEps))
	}
	return errors.Join(faults...)
}

// WithSpecialTokens returns the configuration with other ids of the token that
// ends a text and of the one that pads.
func (c Config) WithSpecialTokens(endOfText, padding int) (Config, error) {
	c, err := c.with("eos_token_id", endOfText)
	if err != nil {
		return c, err
	}
	c.EOSTokenID = endOfText
	return c.with("pad_token_id", padding)
}

// PadTokenID returns the id of the token that fills up batches in other
// programs; NoToken where the file names none. Nothing here needs it.
func (c Config) PadTokenID() int {
	id := NoToken
	if raw, ok := c.Keys["pad_token_id"]; ok && json.Unmarshal(raw, &id) != nil {
		return NoToken
	}
	return id
}

// with returns the configuration with a key set that does not decide the maths.
func (c Config) with(key string, value any) (Config, error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return c, fmt.Errorf("set model config key %s: %w", key, err)
	}
	c.Keys = maps.Clone(c.Keys)
	if c.Keys == nil {
		c.Keys = map[string]json.RawMessage{}
	}
	c.Keys[key] = raw
	return c, nil
}
