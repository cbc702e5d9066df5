package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"

	"github.com/spf13/cobra"

	"github.com/curate-data/curate/internal/progress"
	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
)

const verifyHelp = `Read every file that the manifests of an output folder name and check it: size, SHA-256, number of
rows, conservation of rows, and that each stage was made from the one before it. OUT is the folder
of one stage or of a whole run, on disk or on S3. What lies there and is not in
the manifest is named, and is no fault. Nothing is repaired: run the stage again for that.`

func newVerifyCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "verify OUT...",
		Short:   "check that output is whole",
		Long:    verifyHelp + "\n" + exitHelp,
		Example: "  curate verify out/demo\n  curate verify s3://bucket/out/data && echo whole",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("name at least one output folder")
			}
			var reports []verifyReport
			for _, folder := range args {
				found, err := a.verifyFolder(cmd.Context(), folder)
				if err != nil {
					return err
				}
				reports = append(reports, found...)
			}
			return a.printVerified(reports)
		},
	}
}

// verifyReport is what was found in one stage's folder.
type verifyReport struct {
	Folder string        `json:"folder"`
	Stage  string        `json:"stage"`
	Files  int           `json:"files"`
	Bytes  int64         `json:"bytes"`
	Counts shards.Counts `json:"counts"`
	Faults []string      `json:"faults"`
	Notes  []string      `json:"notes,omitempty"` // what is worth knowing and no fault
}

// verifyFolder checks the stage in folder, or those of a run below it.
func (a *app) verifyFolder(ctx context.Context, folder string) ([]verifyReport, error) {
	var reports []verifyReport
	manifests := map[string]*shards.Manifest{}
	for _, name := range stageFolders {
		at := joinPlace(folder, name)
		store, err := a.stores.Folder(ctx, at)
		if err != nil {
			return nil, err
		}
		manifest, err := shards.ReadManifest(ctx, store, manifestName)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if errors.Is(err, shards.ErrManifest) {
			reports = append(reports, verifyReport{Folder: at, Stage: "unknown", Faults: []string{err.Error()}})
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("verify %s: %w", at, err)
		}
		found, err := verifyStage(ctx, store, at, manifest)
		if err != nil {
			return nil, err
		}
		found.Faults = append(found.Faults, verifyChain(manifests, manifest)...)
		manifests[manifest.Stage] = manifest
		reports = append(reports, found)
	}
	if len(reports) == 0 {
		return nil, fmt.Errorf("verify %s: no %s here: the output is unfinished, or this is not an output folder", folder, manifestName)
	}
	return reports, nil
}

// verifyStage reads all files that a manifest names.
func verifyStage(ctx context.Context, store shards.Store, folder string, m *shards.Manifest) (verifyReport, error) {
	found := verifyReport{Folder: folder, Stage: m.Stage, Counts: m.Counts, Faults: []string{}}
	for _, in := range failedInputs(m) {
		found.Faults = append(found.Faults, fmt.Sprintf("shard %s is quarantined: %s", in.Shard, in.Fault))
	}
	for _, unit := range m.Units {
		if unit.File == "" {
			continue
		}
		found.Files++
		found.Bytes += unit.Size
		err := verifyUnit(ctx, store, fileKind(m, unit), unit)
		if ctx.Err() != nil {
			return found, context.Cause(ctx)
		}
		if err != nil {
			found.Faults = append(found.Faults, fmt.Sprintf("%s: %v", unit.File, err))
		}
	}
	faults, err := verifyTokens(ctx, store, m)
	if err != nil {
		return found, err
	}
	found.Faults = append(found.Faults, faults...)
	found.Notes, err = unnamedNotes(ctx, store)
	return found, err
}

// unnamedNotes says what lies in a folder and is not in its manifest.
func unnamedNotes(ctx context.Context, store shards.Store) ([]string, error) {
	found, err := takeInventory(ctx, store)
	if err != nil {
		return nil, err
	}
	var left, unknown, notes []string
	for _, l := range found.leftovers {
		left = append(left, l.Name)
	}
	for _, info := range found.unknown {
		unknown = append(unknown, info.Name)
	}
	if len(left) > 0 {
		notes = append(notes, "left over, see `curate gc`: "+someOf(left))
	}
	halfDone, err := listHalfDone(ctx, store)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil: // who verifies need not have the right
		notes = append(notes, fmt.Sprintf("what is half-written cannot be listed: %v", err))
	case len(halfDone) > 0:
		notes = append(notes, fmt.Sprintf("%d objects half-written, by a crashed run or one that is at work", len(halfDone)))
	}
	if len(unknown) > 0 {
		notes = append(notes, "not in the manifest and not made by curate: "+someOf(unknown))
	}
	return notes, nil
}

// verifyUnit checks one file: digest first, then that it reads as what it is.
func verifyUnit(ctx context.Context, store shards.Store, stage string, unit shards.Unit) error {
	object, err := store.Open(ctx, unit.File)
	if err != nil {
		return err
	}
	defer object.Close()
	if object.Size() != unit.Size {
		return fmt.Errorf("%d bytes, the manifest says %d", object.Size(), unit.Size)
	}
	sum := sha256.New()
	if err := copyObject(ctx, sum, object, nil); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != unit.SHA256 {
		return fmt.Errorf("SHA-256 is %s, the manifest says %s", got, unit.SHA256)
	}
	rows := unit.Rows
	switch stage {
	case "score":
		rows, err = countRows(shards.ReadScores(ctx, object), func(s *pipeline.Scores) int { return s.Len() })
	case "select":
		rows, err = countRows(shards.ReadSelection(ctx, object), func(d *pipeline.Decisions) int { return len(d.Row) })
	case "choices":
		var choices []shards.Choice
		choices, err = shards.ReadChoices(ctx, object)
		rows = int64(len(choices))
	case "write", "embed", "tokenize":
		rows, err = shards.CheckRows(ctx, store, unit.File)
	}
	if err != nil {
		return err
	}
	if rows != unit.Rows {
		return fmt.Errorf("%d rows, the manifest says %d", rows, unit.Rows)
	}
	return nil
}

// countRows reads a sidecar or selection to its end.
func countRows[T any](chunks iter.Seq2[T, error], rows func(T) int) (int64, error) {
	var total int64
	for chunk, err := range chunks {
		if err != nil {
			return total, err
		}
		total += int64(rows(chunk))
	}
	return total, nil
}

// verifyChain checks that a stage of a run was made from the one before it.
func verifyChain(before map[string]*shards.Manifest, m *shards.Manifest) []string {
	previous, option := "", ""
	switch m.Stage {
	case "select":
		if previous, option = "score", "scores"; optionOf(m, "kind") == imagesKind {
			previous, option = "embed", "objects"
		}
	case "write":
		previous, option = "select", "selection"
	}
	from, ok := before[previous]
	if !ok || optionOf(m, option) == from.Key {
		return nil
	}
	return []string{fmt.Sprintf("made from another %s output than the one beside it: run again", previous)}
}

// printVerified prints one line per stage and fails if there were faults.
func (a *app) printVerified(reports []verifyReport) error {
	faults := 0
	for _, r := range reports {
		faults += len(r.Faults)
	}
	if a.json {
		if err := a.printJSON(reports); err != nil {
			return err
		}
	} else {
		for _, r := range reports {
			a.printVerifiedStage(r)
		}
	}
	if faults > 0 {
		return fmt.Errorf("verify: %d faults", faults)
	}
	return nil
}

func (a *app) printVerifiedStage(r verifyReport) {
	state := "whole"
	if len(r.Faults) > 0 {
		state = "NOT WHOLE"
	}
	if !a.quiet {
		fmt.Fprintf(a.stdout, "%-9s %s: %s, %d files, %s bytes", r.Stage, r.Folder, state, r.Files, progress.Count(r.Bytes))
		if r.Counts.RowsIn > 0 {
			dropped := r.Counts.RowsIn - r.Counts.Kept - r.Counts.Quarantined
			fmt.Fprintf(a.stdout, "; %s rows in = %s kept + %s dropped + %s quarantined",
				progress.Count(r.Counts.RowsIn), progress.Count(r.Counts.Kept), progress.Count(dropped), progress.Count(r.Counts.Quarantined))
		}
		fmt.Fprintln(a.stdout)
		for _, note := range r.Notes {
			fmt.Fprintf(a.stdout, "  note: %s\n", note)
		}
	}
	for _, fault := range r.Faults {
		fmt.Fprintf(a.stderr, "  %s: %s\n", r.Folder, fault)
	}
}
