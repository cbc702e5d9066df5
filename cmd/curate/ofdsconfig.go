package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/baseline"
	"github.com/curate-data/curate/filters/ofds/stream"
)

// methodOFDS is the name of the reconstruction beside those of the baselines.
const methodOFDS = "ofds"

// ofdsConfig says which images to choose: the `ofds` section of a config file, and
// what the flags of `curate select --method ofds` set.
type ofdsConfig struct {
	Method      string   `json:"method,omitempty"`      // ofds or a baseline; empty means ofds
	Budget      int      `json:"budget,omitempty"`      // in budget_unit
	Preselected string   `json:"preselected,omitempty"` // a file of image IDs, one to a line, or a folder of a selection
	Stream      bool     `json:"stream,omitempty"`      // never hold the pool in memory: an approximation, see docs/OFDS.md
	Report      reportOf `json:"report"`

	ofds.PoolOptions
	ofds.Options
}

// reportOf says what the page compares the selection with.
type reportOf struct {
	Baselines []string `json:"baselines,omitempty"` // empty means those that are quick and have what they work on
	Budgets   []int    `json:"budgets,omitempty"`   // of the curves; empty means a quarter, a half, all and twice the budget
}

// UnmarshalYAML reads the section with the names of the JSON form, which are those
// of the options' documentation.
func (c *ofdsConfig) UnmarshalYAML(node *yaml.Node) error {
	var tree map[string]any
	if err := node.Decode(&tree); err != nil {
		return err
	}
	raw, err := json.Marshal(tree)
	if err != nil {
		return fmt.Errorf("line %d: %w", node.Line, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(c); err != nil {
		return fmt.Errorf("%s%w", lineOf(node), c.explain(err))
	}
	if least, ok := tree["score_min"]; ok && c.ScoreMin == 0 && least != nil {
		c.ScoreMin = noScoreMin
	}
	return nil
}

// noScoreMin is the PoolOptions.ScoreMin of users who ask for 0: all objects.
const noScoreMin = -1

// lineOf begins a message about a node of a file.
func lineOf(node *yaml.Node) string {
	if node.Line == 0 {
		return ""
	}
	return fmt.Sprintf("line %d: ofds: ", node.Line)
}

// explain turns an error of the JSON decoder into one about options.
func (c *ofdsConfig) explain(err error) error {
	text := strings.TrimPrefix(err.Error(), "json: ")
	name, unknown := strings.CutPrefix(text, "unknown field ")
	var kind *json.UnmarshalTypeError
	switch {
	case unknown:
		return fmt.Errorf("there is no option %s; there are %s", name, strings.Join(c.optionNames(), ", "))
	case errors.As(err, &kind):
		return fmt.Errorf("option %s cannot be %s: want %s", kind.Field, kind.Value, kind.Type)
	}
	return errors.New(text)
}

// optionNames are the keys of the section.
func (c *ofdsConfig) optionNames() []string {
	var names []string
	for _, of := range []any{ofdsConfig{}, ofds.PoolOptions{}, ofds.Options{}} {
		kind := reflect.TypeOf(of)
		for i := range kind.NumField() {
			if name, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ","); name != "" && name != "-" {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// MarshalYAML writes what UnmarshalYAML reads.
func (c ofdsConfig) MarshalYAML() (any, error) {
	raw, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	var tree map[string]any
	return tree, json.Unmarshal(raw, &tree)
}

// set changes one value, `key=value`, as the config file would.
func (c *ofdsConfig) set(assignment string) error {
	tree := &yaml.Node{}
	if err := setKey(tree, assignment); err != nil {
		return err
	}
	return tree.Content[0].Decode(c)
}

// validate lists all faults.
func (c ofdsConfig) validate() error {
	var faults []error
	if c.Budget <= 0 {
		faults = append(faults, fmt.Errorf("budget: want the number of images to choose, above 0, got %d", c.Budget))
	}
	faults = append(faults, c.PoolOptions.Validate())
	if c.Stream && !c.isOFDS() {
		faults = append(faults, fmt.Errorf("stream: only method %s has it, not %s", methodOFDS, c.Method))
	}
	if c.Stream && c.isOFDS() && c.Budget > 0 {
		faults = append(faults, stream.Options{Budget: c.Budget, OFDS: c.Options}.Validate())
	}
	if c.isOFDS() {
		faults = append(faults, c.Options.Validate())
	} else if _, err := baseline.ByName(c.Method, baseline.Options{}); err != nil {
		faults = append(faults, fmt.Errorf("%w; and %s", err, methodOFDS))
	} else if set := c.optionsOfOFDS(); len(set) > 0 {
		faults = append(faults, fmt.Errorf("%s: only --method ofds has it, not %s", strings.Join(set, ", "), c.Method))
	}
	for _, name := range c.Report.Baselines {
		if _, err := baseline.ByName(name, baseline.Options{}); err != nil && name != methodOFDS {
			faults = append(faults, fmt.Errorf("methods to compare with: %w", err))
		}
	}
	return errors.Join(faults...)
}

// optionsOfOFDS names the options that are set and that baselines do not have.
func (c ofdsConfig) optionsOfOFDS() []string {
	set := c.Options
	set.ImageCost, set.ObjectCost = 0, 0 // metrics have them, too
	raw, err := json.Marshal(set)
	var tree map[string]any
	if err != nil || json.Unmarshal(raw, &tree) != nil {
		return nil
	}
	maps.DeleteFunc(tree, func(_ string, v any) bool { return v == "" || v == 0.0 || v == false })
	return slices.Sorted(maps.Keys(tree))
}

func (c ofdsConfig) isOFDS() bool { return c.Method == "" || c.Method == methodOFDS }

// resolved is the config with every choice point written out, for the manifest
// and the page.
func (c ofdsConfig) resolved() ofdsConfig {
	c.PoolOptions = c.PoolOptions.WithDefaults()
	switch {
	case c.Stream:
		c.Options = stream.Options{OFDS: c.Options}.WithDefaults().OFDS
	case c.isOFDS():
		c.Options = c.Options.WithDefaults()
	}
	return c
}
