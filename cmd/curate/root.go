package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/curate-data/curate/internal/progress"
)

// app is what every command shares: where output goes and how much of it.
type app struct {
	stdout, stderr io.Writer
	quiet, json    bool
	memory         string
	notice         string // the backend that was last announced
	progress       *progress.Display
	log            *slog.Logger
	stores         *stores
	sandboxed      sandboxFlags
	begun          time.Time
}

const rootHelp = `curate selects pretraining data. It streams corpus shards (Parquet, Arrow, JSONL), scores
every document with a small prior and a small conditional language model, keeps the best by
CoLoR-Filter score (prior loss minus conditional loss) and writes the kept rows unchanged. Of images
it makes vectors of the objects (embed) and chooses those that people should label, so that the
objects of every class are covered (select --method ofds).`

const environmentHelp = `
Places are local paths and s3://bucket/key URIs, for inputs, models and output alike; inputs may
also be hf://datasets/ORG/NAME/... on the Hugging Face Hub.

Environment:
  AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_PROFILE, roles: credentials, never flags
  AWS_REGION, AWS_ENDPOINT_URL_S3, AWS_CA_BUNDLE   where the store is
  CURATE_S3_PATH_STYLE, CURATE_S3_CHECKSUMS, CURATE_S3_REQUESTER_PAYS, CURATE_S3_SSE, CURATE_S3_SSE_KMS_KEY_ID
  CURATE_CACHE       copies of remote models, training for remote output; default: curate in the user's cache folder
  HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE  the hub
  CURATE_PLUGIN_DIR  folder of the XLA plugins (curate doctor --install; PIP_INDEX_URL is where they come from)
  NO_COLOR           no colours`

const rootExamples = `  curate run configs/demo.yaml            # the whole pipeline; a second run does nothing
  curate run configs/s3.yaml              # from S3 to S3
  curate score --prior out/prior --conditional out/cond --output out/scores 'pool/*.parquet'
  curate select --scores out/scores --output out/selection --keep-fraction 0.125
  curate write --selection out/selection --output out/data 'pool/*.parquet'
  curate embed --encoder dinov2-small --output out/objects 'images/*.parquet'
  curate select --method ofds --budget 500 --objects out/objects --output out/chosen
  curate tokenize --tokenizer tokenizer.json --output out/tokens 'pool/*.parquet'
  curate verify out/data
  curate gc s3://bucket/out               # what no manifest names; --yes removes it
  curate doctor                           # backends, devices, speed, and what is missing`

const exitHelp = `
Exit codes: 0 done; 1 failed; 2 usage or configuration; 3 finished, but with failed shards;
130/143 interrupted, the same command goes on.`

func newRoot(stdout, stderr io.Writer, places *stores) *cobra.Command {
	a := &app{stdout: stdout, stderr: stderr, stores: places}
	root := &cobra.Command{
		Use:               "curate COMMAND",
		Short:             "select pretraining data",
		Long:              rootHelp + "\n" + exitHelp + "\n" + environmentHelp,
		Example:           rootExamples,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDescriptions: true},
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.start() },
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q", args[0])
			}
			return nil
		},
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	flags := root.PersistentFlags()
	flags.BoolVar(&a.json, "json", false, "print the result as JSON")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "no progress, no tables; errors only")
	flags.StringVar(&a.memory, "memory", "", "memory of the program, such as 2GiB: a soft limit of the Go heap; score chooses batches by it, on a GPU by the memory of each")
	a.sandboxed.add(flags)
	root.AddCommand(
		newRunCommand(a), newTrainCommand(a), newExportCommand(a), newScoreCommand(a), newEmbedCommand(a), newSelectCommand(a), newWriteCommand(a),
		newTokenizeCommand(a), newInspectCommand(a), newVerifyCommand(a), newGCCommand(a), newDoctorCommand(a), newVersionCommand(a),
		newChildCommand(), newProbeCommand(a),
	)
	return root
}

// start sets up what depends on the flags.
func (a *app) start() error {
	if a.memory != "" {
		limit, err := parseBytes(a.memory)
		if err != nil {
			return usagef("--memory: %w", err)
		}
		debug.SetMemoryLimit(limit)
	}
	if os.Getenv("GOGC") == "" {
		// Batches come and go by the megabyte: collecting twice as often takes
		// a tenth off the peak of a copy and no time that can be measured.
		debug.SetGCPercent(50)
	}
	a.begun = time.Now()
	a.progress = progress.New(a.stderr, progress.Options{Quiet: a.quiet, LabelWidth: len("train conditional"), Slowest: 10 * time.Minute})
	level := slog.LevelInfo
	if a.quiet {
		level = slog.LevelError
	}
	options := &slog.HandlerOptions{Level: level}
	if _, isFile := a.stderr.(*os.File); isFile && a.json && !a.onTerminal() {
		a.log = slog.New(slog.NewJSONHandler(a.progress, options))
	} else {
		a.log = slog.New(slog.NewTextHandler(a.progress, options)) // above the bars
	}
	a.stores.s3.notice = func(text string) { a.say("s3: %s", text) }
	return nil
}

// onTerminal reports whether somebody may be watching standard error.
func (a *app) onTerminal() bool {
	f, ok := a.stderr.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// say prints one line for people, unless --quiet.
func (a *app) say(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.progress, format+"\n", args...)
	}
}

// printJSON prints the result of a command under --json.
func (a *app) printJSON(v any) error {
	encoder := json.NewEncoder(a.stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// parseBytes reads 512MiB, 2GiB, 1500000000, ...
func parseBytes(s string) (int64, error) {
	units := []struct {
		suffix string
		factor int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"", 1}}
	for _, u := range units {
		number, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || v <= 0 || v*float64(u.factor) > 1<<62 {
			break
		}
		return int64(v * float64(u.factor)), nil
	}
	return 0, fmt.Errorf("%q is not a size such as 512MiB or 2GiB", s)
}

func newVersionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "print the version and what it was built with", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			facts := versionFacts()
			if a.json {
				return a.printJSON(facts)
			}
			fmt.Fprintf(a.stdout, "curate %s (%s, %s/%s)\n", facts["version"], facts["go"], runtime.GOOS, runtime.GOARCH)
			for _, module := range versionModules {
				if v := facts[module]; v != "" {
					fmt.Fprintf(a.stdout, "  %s %s\n", module, v)
				}
			}
			return nil
		},
	}
}

// versionModules are the modules whose version decides about output bytes.
var versionModules = []string{
	"github.com/gomlx/gomlx", "github.com/gomlx/go-xla", "github.com/apache/arrow/go/v17",
	"github.com/parquet-go/parquet-go",
}

func versionFacts() map[string]string {
	facts := map[string]string{"version": version, "go": runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return facts
	}
	for _, dep := range info.Deps {
		for _, module := range versionModules {
			if dep.Path == module {
				facts[module] = dep.Version
			}
		}
	}
	return facts
}
