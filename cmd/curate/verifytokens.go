package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"github.com/curate-data/curate/shards"
)

// tokenLayout returns how the files of a stage hold tokens; false means that
// they hold rows.
func tokenLayout(m *shards.Manifest) (shards.TokenOptions, bool) {
	var options struct {
		Format         shards.TokenFormat `json:"format"`
		Width          int                `json:"token_bytes"`
		SequenceLength int                `json:"sequence_length"`
	}
	if m.Stage != "write" || json.Unmarshal(m.Options, &options) != nil || len(options.Format.Files("")) == 0 {
		return shards.TokenOptions{}, false
	}
	return shards.TokenOptions{Format: options.Format, Width: options.Width, SequenceLength: options.SequenceLength}, true
}

// fileKind says what verifyUnit has to read in a stage's files. Token files are
// read together, by verifyTokens.
func fileKind(m *shards.Manifest, unit shards.Unit) string {
	if _, ok := tokenLayout(m); ok {
		return "tokens"
	}
	switch {
	case unit.File == choicesName:
		return "choices"
	case unit.Shard == "" && unit.RowGroups == 0 && !isShardFile(unit.File):
		return "text" // lists and pages, whose digest is all there is to check
	}
	return m.Stage
}

// isShardFile tells files of rows from lists, pages and subsets of labels.
func isShardFile(name string) bool {
	switch path.Ext(name) {
	case ".json", ".html", ".txt":
		return false
	}
	return true
}

// verifyTokens reads the token files that belong together and compares them
// with each other and with their units.
func verifyTokens(ctx context.Context, store shards.Store, m *shards.Manifest) ([]string, error) {
	layout, ok := tokenLayout(m)
	if !ok {
		return nil, nil
	}
	units := map[string]shards.Unit{}
	for _, unit := range m.Units {
		units[unit.File] = unit
	}
	var faults []string
	for _, unit := range m.Units {
		base, found := strings.CutSuffix(unit.File, "."+string(layout.Format))
		if !found {
			continue
		}
		rows, err := shards.CheckTokens(ctx, store, base, layout)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			faults = append(faults, err.Error())
			continue
		}
		if want := rows[0] * int64(layout.SequenceLength); unit.Tokens != want || unit.Counts.Kept != rows[0] {
			faults = append(faults, fmt.Sprintf("%s: %d sequences of %d tokens, the manifest says %d sequences and %d tokens", unit.File, rows[0], want, unit.Counts.Kept, unit.Tokens))
		}
		for i, name := range layout.Format.Files(base) {
			if units[name].File == "" {
				faults = append(faults, fmt.Sprintf("%s: the manifest does not name it", name))
			} else if units[name].Rows != rows[i] {
				faults = append(faults, fmt.Sprintf("%s: %d rows, the manifest says %d", name, rows[i], units[name].Rows))
			}
		}
	}
	return faults, nil
}
