package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/baseline"
)

// methodOFDS is the name of the reconstruction beside those of the baselines.
const methodOFDS = "ofds"

// ofdsConfig says which images to choose: the `ofds` section of a config file, and
// what the flags of `curate select --method ofds` set.
type ofdsConfig struct {
	Method      string   `json:"method,omitempty"`      // ofds or a baseline; empty means ofds
	Budget      int      `json:"budget,omitempty"`      // in budget_unit
	Preselected string   `json:"preselected,omitempty"` // a file of image IDs, one to a line, or a folder of a selection
	Report      reportOf `json:"report"`

	ofds.PoolOptions
	ofds.Options
}

// reportOf says what the page compares the selection with.
type reportOf struct {
	Baselines []string `json:"baselines,omitempty"` // empty means random and class_balanced_random
	Budgets   []int    `json:"budgets,omitempty"`   // of the curves; empty means a quarter, a half, all and twice the budget
	Skip      bool     `json:"skip,omitempty"`      // no page
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
		return fmt.Errorf("line %d: ofds: %s", node.Line, strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
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
	if c.isOFDS() {
		faults = append(faults, c.Options.Validate())
	} else if _, err := baseline.ByName(c.Method, baseline.Options{}); err != nil {
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

func (c ofdsConfig) isOFDS() bool { return c.Method == "" || c.Method == methodOFDS }
