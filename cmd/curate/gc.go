package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/curate-data/curate/internal/progress"
	"github.com/curate-data/curate/shards"
)

const gcHelp = `List what no manifest names in an output folder, and with --yes remove it: files of earlier options
or inputs, records without their file, and what crashed runs left half-written (on S3: uploads that
were never completed). OUT is the folder of one stage or of a whole run; folders without a manifest
and without records of units are refused. Only what curate made is removed: other objects are
counted and left alone, and so is everything in sub-folders that are outputs of their own.`

func newGCCommand(a *app) *cobra.Command {
	remove := false
	cmd := &cobra.Command{
		Use:   "gc OUT...",
		Short: "remove what no manifest names",
		Long:  gcHelp + "\n" + exitHelp,
		Example: `  curate gc out/demo                      # what would go
  curate gc --yes s3://bucket/out/demo    # and off it goes`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("name at least one output folder")
			}
			reports := []gcReport{}
			for _, folder := range args {
				found, err := a.collect(cmd.Context(), folder, remove)
				if err != nil {
					return err
				}
				reports = append(reports, found...)
			}
			return a.printCollected(reports, remove)
		},
	}
	cmd.Flags().BoolVar(&remove, "yes", false, "remove what is listed")
	return cmd
}

// gcReport is what was found, and removed, in one stage's folder.
type gcReport struct {
	Folder    string     `json:"folder"`
	Stage     string     `json:"stage,omitempty"` // empty: unfinished
	Leftovers []leftover `json:"leftovers"`
	Bytes     int64      `json:"bytes"`
	Removed   bool       `json:"removed"`
	Unknown   []string   `json:"unknown,omitempty"` // not of curate's making, left alone
}

// collect looks at the stage in folder, or those of a run below it.
func (a *app) collect(ctx context.Context, folder string, remove bool) ([]gcReport, error) {
	var reports []gcReport
	for _, name := range stageFolders {
		at := joinPlace(folder, name)
		store, err := a.stores.Folder(ctx, at)
		if err != nil {
			return nil, err
		}
		// Looked at before it is locked, which would make the folder.
		output, err := isOutput(ctx, store)
		if err != nil {
			return nil, fmt.Errorf("gc %s: %w", at, err)
		}
		if !output {
			continue
		}
		report, err := collectStage(ctx, store, at, remove)
		if err != nil {
			return nil, fmt.Errorf("gc %s: %w", at, err)
		}
		reports = append(reports, report)
	}
	if len(reports) == 0 {
		return nil, fmt.Errorf("gc %s: %w: this is no output folder of curate, nothing is touched", folder, errNoOutput)
	}
	return reports, nil
}

// collectStage lists, and removes, under the folder's lock: what a live run is
// writing looks left over.
func collectStage(ctx context.Context, store shards.Folder, folder string, remove bool) (report gcReport, err error) {
	held, release, err := store.Lock(ctx)
	if err != nil {
		return report, err
	}
	defer func() {
		if err != nil && held.Err() != nil {
			err = context.Cause(held)
		}
		err = errors.Join(err, release())
	}()
	found, err := takeInventory(held, store)
	if err != nil {
		return report, err
	}
	halfDone, err := listHalfDone(held, store)
	if err != nil {
		return report, err
	}
	report = gcReport{Folder: folder, Leftovers: append(append([]leftover{}, found.leftovers...), halfDone...)}
	if found.manifest != nil {
		report.Stage = found.manifest.Stage
	}
	for _, l := range report.Leftovers {
		report.Bytes += l.Bytes
	}
	for _, info := range found.unknown {
		report.Unknown = append(report.Unknown, info.Name)
	}
	if !remove || len(report.Leftovers) == 0 {
		return report, nil
	}
	report.Removed = true
	if err := removeLeftovers(held, store, found.leftovers); err != nil {
		return report, err
	}
	return report, store.Sweep(held)
}

// removeLeftovers removes files before their records, which say that the files
// are curate's.
func removeLeftovers(ctx context.Context, store shards.Store, leftovers []leftover) error {
	for _, records := range []bool{false, true} {
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(recordsAtOnce)
		for _, l := range leftovers {
			if strings.HasPrefix(l.Name, unitsFolder+"/") != records {
				continue
			}
			group.Go(func() error {
				if err := store.Remove(ctx, l.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return err
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
	return nil
}

// printCollected lists what was found.
func (a *app) printCollected(reports []gcReport, removed bool) error {
	if a.json {
		return a.printJSON(reports)
	}
	if a.quiet {
		return nil
	}
	var objects int
	var bytes int64
	for _, r := range reports {
		objects += len(r.Leftovers)
		bytes += r.Bytes
		stage := r.Stage
		if stage == "" {
			stage = "unfinished"
		}
		fmt.Fprintf(a.stdout, "%-10s %s: %d objects left over, %s bytes\n", stage, r.Folder, len(r.Leftovers), progress.Count(r.Bytes))
		for _, l := range r.Leftovers {
			fmt.Fprintf(a.stdout, "  %s  %s bytes  %s\n", l.Name, progress.Count(l.Bytes), l.Why)
		}
		if len(r.Unknown) > 0 {
			fmt.Fprintf(a.stdout, "  not made by curate, left alone: %s\n", someOf(r.Unknown))
		}
	}
	switch {
	case objects == 0:
		fmt.Fprintln(a.stdout, "nothing to remove")
	case removed:
		fmt.Fprintf(a.stdout, "removed %d objects, %s bytes\n", objects, progress.Count(bytes))
	default:
		fmt.Fprintf(a.stdout, "nothing was removed; --yes removes these %d objects, %s bytes\n", objects, progress.Count(bytes))
	}
	return nil
}

// someOf lists the first few names and counts the others.
func someOf(names []string) string {
	const shown = 5
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
}
