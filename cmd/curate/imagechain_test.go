package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/local"
)

// chainConfig writes a run over rows with text and images through filters, and
// returns the config and the output folder.
func chainConfig(t *testing.T, inputs []string, filters string, more ...string) (config, output string) {
	t.Helper()
	encoderCache(t)
	dir := t.TempDir()
	prior, conditional := modelsForTests(t)
	output = filepath.Join(dir, "out")
	lines := []string{
		"inputs: [" + strings.Join(inputs, ", ") + "]", "output: " + output, "filters: [" + filters + "]", "backend: " + backendForTests(t), "seed: 5",
		"id_column: image_id", "sequence_length: 16", "prior: {model: " + prior + "}", "conditional: {model: " + conditional + "}",
		"select: {keep_fraction: 0.6}", "embed: {encoder: " + nano + "}", "ofds: {budget: 9, report: {baselines: [random]}}",
	}
	config = filepath.Join(dir, "chain.yaml")
	put(t, config, strings.Join(append(lines, more...), "\n")+"\n")
	return config, output
}

// chainRows are rows with text and images, some of which each filter rejects for a
// reason of its own.
func chainRows() []nestedPhoto {
	var rows []nestedPhoto
	for _, p := range photos(36) {
		rows = append(rows, p.nested(false))
	}
	rows[2].Text, rows[3].Text, rows[20].Text = "", "x", ""
	rows[2].Image, rows[4].Image, rows[25].Image = []byte("no picture"), []byte("no picture"), nil
	return rows
}

// ofRow makes keys of rows whether they come from texts or images.
func ofRow(all map[pipeline.RowID]pipeline.Reason) map[string]pipeline.Reason {
	out := map[string]pipeline.Reason{}
	for row, reason := range all {
		out[fmt.Sprint(row.Shard, " ", row.Row)] = reason
	}
	return out
}

// TestChainedFiltersConserveRows proves the conservation table for both orders:
// every row of the input is in the last selection once, kept or with one reason;
// what the second filter keeps the first one kept; a row that the first one
// dropped has its reason in the end; and all manifests say the same numbers.
func TestChainedFiltersConserveRows(t *testing.T) {
	rows := chainRows()
	dir := t.TempDir()
	putParquet(t, filepath.Join(dir, "a.parquet"), rows[:20])
	putParquet(t, filepath.Join(dir, "sub/b.parquet"), rows[20:])
	ids := map[string]string{}
	for i, row := range rows {
		ids[fmt.Sprint(map[bool]string{true: "a.parquet ", false: "sub/b.parquet "}[i < 20], i%20)] = row.ImageID
	}
	for _, c := range []struct {
		filters, first string
		reasons        []pipeline.Reason // of the last selection
	}{
		{"colorfilter, ofds", "selection-colorfilter", []pipeline.Reason{pipeline.EmptyText, pipeline.TooShort, pipeline.BelowCut, pipeline.BrokenImage, "not_chosen"}},
		{"ofds, colorfilter", "selection-ofds", []pipeline.Reason{pipeline.BrokenImage, pipeline.NoImage, "not_chosen", "no_proposals", pipeline.BelowCut}},
	} {
		t.Run(strings.ReplaceAll(c.filters, ", ", " then "), func(t *testing.T) {
			config, output := chainConfig(t, []string{dir}, c.filters)
			stdout, _ := mustCurate(t, "run", config)
			if !regexp.MustCompile(`ofds +9 +25`).MatchString(stdout) || !regexp.MustCompile(`(?m)^colorfilter +\d+ `).MatchString(stdout) {
				t.Errorf("the summary does not say what each filter kept:\n%s", stdout)
			}
			first, last := ofRow(decided(t, filepath.Join(output, c.first))), ofRow(decided(t, filepath.Join(output, "selection")))
			if len(first) != len(rows) || len(last) != len(rows) {
				t.Fatalf("%d and %d decisions, want %d", len(first), len(last), len(rows))
			}
			counts := map[pipeline.Reason]int64{}
			kept := []string{}
			for row := range ids {
				before, known := first[row]
				after, there := last[row]
				if !known || !there {
					t.Errorf("row %s has no decision", row)
				}
				if before != "" && after != before {
					t.Errorf("row %s: the first filter said %q, the last one %q", row, before, after)
				}
				if counts[after]++; after == "" {
					kept = append(kept, ids[row])
				}
			}
			for _, reason := range c.reasons {
				if counts[reason] == 0 {
					t.Errorf("no row is dropped as %s: %v", reason, counts)
				}
			}
			checkChainManifests(t, output, counts)
			slices.Sort(kept)
			if got := keptIDs(t, filepath.Join(output, "data")); !slices.Equal(got, kept) {
				t.Errorf("data has %v, want %v", got, kept)
			}
			stdout, _ = mustCurate(t, "verify", output)
			if strings.Contains(stdout, "note:") || strings.Count(stdout, "whole") != 5 {
				t.Errorf("verify says\n%s", stdout)
			}
			if stdout, _ := mustCurate(t, "gc", output); !strings.Contains(stdout, "nothing to remove") || strings.Contains(stdout, "not made") {
				t.Errorf("gc says\n%s", stdout)
			}
			want := treeDigests(t, output)
			if stdout, _ := mustCurate(t, "run", config); !strings.Contains(stdout, "nothing to do") {
				t.Errorf("the second run says %s", stdout)
			}
			if got := treeDigests(t, output); !maps.Equal(got, want) {
				t.Errorf("the second run changed %v", differences(got, want))
			}
		})
	}
}

// checkChainManifests compares the counts of the last stages with those of the rows.
func checkChainManifests(t *testing.T, output string, counts map[pipeline.Reason]int64) {
	t.Helper()
	dropped := maps.Clone(counts)
	delete(dropped, "")
	var all int64
	for _, n := range counts {
		all += n
	}
	for _, folder := range []string{"selection", "data"} {
		m := readManifest(t, filepath.Join(output, folder))
		if m.Counts.RowsIn != all || m.Counts.Kept != counts[""] || !maps.Equal(m.Counts.Dropped, dropped) || m.Counts.Quarantined != 0 {
			t.Errorf("%s counts %+v, the rows say %v", folder, m.Counts, counts)
		}
	}
}

// keptIDs reads the image ids of a data folder, sorted.
func keptIDs(t *testing.T, folder string) (ids []string) {
	t.Helper()
	for _, unit := range readManifest(t, folder).Units {
		if unit.File == "" {
			continue
		}
		store := local.New(folder)
		shard, err := shards.Open(context.Background(), shards.Input{Store: store, Path: unit.File, Shard: unit.File, Size: unit.Size, Format: shards.Parquet})
		if err != nil {
			t.Fatal(err)
		}
		for b, err := range shard.Batches(context.Background(), shards.Columns{Text: "text", ID: "image_id"}, 0, shard.NumRowGroups()) {
			if err != nil {
				t.Fatal(err)
			}
			for i := range b.NumRows() {
				ids = append(ids, b.Record.Column(b.Record.Schema().FieldIndices("id")[0]).ValueStr(i))
			}
			b.Release()
		}
		shard.Close()
	}
	slices.Sort(ids)
	return ids
}

// TestChainWithShardsThatFail: a shard that one filter cannot read is quarantined
// in the whole chain, whichever comes first, with its rows; the others are done.
func TestChainWithShardsThatFail(t *testing.T) {
	rows := chainRows()
	dir := t.TempDir()
	putParquet(t, filepath.Join(dir, "good.parquet"), rows[:20])
	type noBox struct { // texts that are sound, objects that are not
		ImageID string  `parquet:"image_id"`
		Text    string  `parquet:"text"`
		Image   []byte  `parquet:"image"`
		Objects float64 `parquet:"objects"`
	}
	var odd []noBox
	for _, row := range rows[20:] {
		odd = append(odd, noBox{row.ImageID, row.Text, row.Image, 3})
	}
	putParquet(t, filepath.Join(dir, "odd.parquet"), odd)
	for _, filters := range []string{"colorfilter, ofds", "ofds, colorfilter"} {
		t.Run(strings.ReplaceAll(filters, ", ", " then "), func(t *testing.T) {
			config, output := chainConfig(t, []string{dir}, filters)
			code, _, stderr := curate(t, "run", config, "--quiet")
			if code != exitPartial || !strings.Contains(stderr, "odd.parquet") || !strings.Contains(stderr, "objects") {
				t.Errorf("exit %d: %s", code, stderr)
			}
			for _, folder := range []string{"selection", "data"} {
				m := readManifest(t, filepath.Join(output, folder))
				if m.Counts.RowsIn != 36 || m.Counts.Quarantined != 16 || len(failedInputs(m)) != 1 {
					t.Errorf("%s counts %+v, failed %v", folder, m.Counts, failedInputs(m))
				}
			}
		})
	}
}
