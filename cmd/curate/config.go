package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/curate-data/curate/filters/colorfilter"
	"github.com/curate-data/curate/scoring"
	"github.com/curate-data/curate/scoring/lm"
	"github.com/curate-data/curate/shards"
)

// config is the YAML file of `curate run`. Unknown keys are errors.
type config struct {
	Inputs  []string `yaml:"inputs"`  // paths, globs, folders or @lists
	Output  string   `yaml:"output"`  // folder for models, scores, selection, data and report
	Filters []string `yaml:"filters"` // colorfilter, ofds, in their order: each sees what the one before kept
	Backend string   `yaml:"backend"` // auto, xla:cuda, xla:cpu or go
	Seed    uint64   `yaml:"seed"`

	SequenceLength int `yaml:"sequence_length"` // tokens the models see at once, in training and scoring

	TextColumn   string `yaml:"text_column"`
	IDColumn     string `yaml:"id_column"`
	DomainColumn string `yaml:"domain_column"`

	Tokenizer   string            `yaml:"tokenizer"` // tokenizer.json; needed when the prior is trained
	Prior       priorConfig       `yaml:"prior"`
	Conditional conditionalConfig `yaml:"conditional"`
	Score       scoreConfig       `yaml:"score"`
	Select      selectConfig      `yaml:"select"`
	Write       writeConfig       `yaml:"write"`
	Images      imageConfig       `yaml:"images,omitempty"`
	Embed       encoderConfig     `yaml:"embed,omitempty"`
	OFDS        ofdsConfig        `yaml:"ofds,omitempty"`
	Report      bool              `yaml:"report"`
	S3          s3Settings        `yaml:"s3,omitempty"`
}

// priorConfig names a model folder, or says how to train one on the inputs.
type priorConfig struct {
	Model      string `yaml:"model"`
	trainFlags `yaml:",inline"`
}

// conditionalConfig names a model folder, or says how to fine-tune the prior.
type conditionalConfig struct {
	Model      string   `yaml:"model"`
	Target     []string `yaml:"target"`
	trainFlags `yaml:",inline"`
}

type scoreConfig struct {
	Unit    string `yaml:"unit"`    // document or sequence
	Overlap int    `yaml:"overlap"` // of windows of long documents, in tokens

	Precision string `yaml:"precision"`         // auto, f32 or bf16
	Devices   string `yaml:"devices,omitempty"` // how many get the models, or all
}

type selectConfig struct {
	Method       string   `yaml:"method"`
	KeepFraction *float64 `yaml:"keep_fraction"`
	KeepRows     *int64   `yaml:"keep_rows"`
	KeepTokens   *int64   `yaml:"keep_tokens"`
}

type writeConfig struct {
	ScoreColumn   string `yaml:"score_column"`   // of rows
	Shards        int    `yaml:"shards"`         // files of rows; 0: one for each input
	Format        string `yaml:"format"`         // of rows: parquet, jsonl, jsonl.zst, jsonl.gz, arrow, arrows or same; of sequences: npy or ds
	TokenBytes    int    `yaml:"token_bytes"`    // of sequences: 2 or 4; 0: 2 where all ids fit
	TokenizerName string `yaml:"tokenizer_name"` // of sequences: in .ds.metadata
	Workers       int    `yaml:"workers"`        // shards written at a time
}

// defaultConfig holds the values of keys that the file leaves out.
func defaultConfig() config {
	return config{
		Backend:        "auto",
		Filters:        []string{filterColor},
		SequenceLength: 512,
		TextColumn:     "text",
		Prior:          priorConfig{trainFlags: trainFlags{Epochs: 1}},
		Conditional:    conditionalConfig{trainFlags: trainFlags{Epochs: 1}},
		Score:          scoreConfig{Unit: string(scoring.Document), Precision: string(lm.AutoPrecision)},
		Select:         selectConfig{Method: string(colorfilter.Color)},
		Write:          writeConfig{ScoreColumn: "color_score", Workers: 1},
		Report:         true,
	}
}

// loadConfig reads a file and applies the overrides, each `dotted.key=value`.
func loadConfig(path string, overrides []string) (config, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return config{}, usagef("read config: %w", err)
	}
	var tree yaml.Node
	if err := yaml.Unmarshal(raw, &tree); err != nil {
		return config{}, usagef("config %s: %w", path, err)
	}
	for _, override := range overrides {
		if err := setKey(&tree, override); err != nil {
			return config{}, usagef("--set %s: %w", override, err)
		}
	}
	if err := checkScalars(&tree); err != nil {
		return config{}, usagef("config %s: %w", path, err)
	}
	merged, err := yaml.Marshal(&tree)
	if err != nil {
		return config{}, usagef("config %s: %w", path, err)
	}
	c := defaultConfig()
	decoder := yaml.NewDecoder(bytes.NewReader(merged))
	decoder.KnownFields(true)
	if err := decoder.Decode(&c); err != nil {
		return config{}, usagef("config %s: %w", path, err)
	}
	if err := c.validate(); err != nil {
		return config{}, usagef("config %s:\n%w", path, err)
	}
	return c, nil
}

// checkScalars refuses credentials in a URI before any message can repeat them.
func checkScalars(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		if err := shards.CheckPlace(node.Value); err != nil {
			return fmt.Errorf("line %d: %w", node.Line, err)
		}
	}
	for _, child := range node.Content {
		if err := checkScalars(child); err != nil {
			return err
		}
	}
	return nil
}

// setKey replaces or adds one value in a YAML tree.
func setKey(tree *yaml.Node, override string) error {
	key, value, ok := strings.Cut(override, "=")
	if !ok || key == "" {
		return errors.New("want key=value")
	}
	var parsed yaml.Node
	if err := yaml.Unmarshal([]byte(value), &parsed); err != nil {
		return err
	}
	if tree.Kind == 0 {
		*tree = yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{{Kind: yaml.MappingNode}}}
	}
	at := tree.Content[0]
	parts := strings.Split(key, ".")
	for i, part := range parts {
		if at.Kind != yaml.MappingNode {
			return fmt.Errorf("%s is not a mapping", strings.Join(parts[:i], "."))
		}
		child := mappingValue(at, part)
		if child == nil {
			child = &yaml.Node{Kind: yaml.MappingNode}
			at.Content = append(at.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: part}, child)
		}
		at = child
	}
	*at = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
	if len(parsed.Content) == 1 {
		*at = *parsed.Content[0]
	}
	return nil
}

func mappingValue(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}

// validate lists every fault of the file at once.
func (c config) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf("  "+format, args...)) }
	if len(c.Inputs) == 0 && (c.Images.Annotations == "" || c.has(filterColor)) {
		fault("inputs: name at least one file, glob or folder")
	}
	if c.Output == "" {
		fault("output: name a folder")
	}
	faults = append(faults, c.filterFaults()...)
	if err := c.S3.validate(); err != nil {
		fault("s3: %w", err)
	}
	if c.Write.Workers < 1 {
		fault("write.workers: want at least 1, got %d", c.Write.Workers)
	}
	if err := checkWriteFormat(c.Score.Unit, c.Write.Format); err != nil {
		fault("write.format: %w", err)
	} else if err := checkMerged(c.Score.Unit, writeOptions{Format: c.Write.Format, Shards: c.Write.Shards}); err != nil {
		fault("write.shards: %w", err)
	}
	if c.has(filterColor) {
		faults = append(faults, c.textFaults()...)
	}
	return errors.Join(faults...)
}

// textFaults lists what is wrong with the sections of the text filter.
func (c config) textFaults() (faults []error) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf("  "+format, args...)) }
	if c.TextColumn == "" {
		fault("text_column: must not be empty")
	}
	if c.Prior.Model == "" && (c.Tokenizer == "" || c.Prior.Preset == "") {
		fault("prior: give model (a folder), or preset and tokenizer to train one")
	}
	if c.Prior.Model != "" && c.Prior.Preset != "" {
		fault("prior: model and preset exclude each other")
	}
	if c.Conditional.Model == "" && len(c.Conditional.Target) == 0 {
		fault("conditional: give target (files to fine-tune on) or model (a folder)")
	}
	if c.Conditional.Model != "" && len(c.Conditional.Target) > 0 {
		fault("conditional: target and model exclude each other")
	}
	for _, m := range []struct {
		section, model string
		flags          trainFlags
	}{{"prior", c.Prior.Model, c.Prior.trainFlags}, {"conditional", c.Conditional.Model, c.Conditional.trainFlags}} {
		opt := trainOptions{Output: "models", SequenceLength: c.SequenceLength, trainFlags: m.flags}
		if err := opt.validate(); m.model == "" && err != nil {
			fault("%s: %w", m.section, err)
		}
	}
	if c.Conditional.Model == "" && c.Conditional.Preset != "" {
		fault("conditional.preset: the conditional has the prior's shape; leave it out")
	}
	if err := errors.Join(c.scoreOptions().Validate(), scoreOptions{Precision: lm.Precision(c.Score.Precision), Devices: c.Score.Devices}.validate()); err != nil {
		fault("score: %w", err)
	}
	if err := c.selectOptions().Validate(); err != nil {
		fault("select: %w", err)
	}
	return faults
}

func (c config) columns() shards.Columns {
	return shards.Columns{Text: c.TextColumn, ID: c.IDColumn, Domain: c.DomainColumn}
}

func (c config) scoreOptions() scoring.Options {
	return scoring.Options{Unit: scoring.Unit(c.Score.Unit), SequenceLength: c.SequenceLength, Overlap: c.Score.Overlap}
}

// tokenOptions says how kept sequences are written, with the prior's tokenizer.
func (c config) tokenOptions(prior string) tokenOptions {
	return tokenOptions{Prior: prior, Width: c.Write.TokenBytes, Name: c.Write.TokenizerName}
}

func (c config) selectOptions() colorfilter.Options {
	return selectOptions(c.Select.Method, c.Select.KeepFraction, c.Select.KeepRows, c.Select.KeepTokens, c.Seed)
}
