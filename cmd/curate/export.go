package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/curate-data/curate/scoring/export"
	"github.com/curate-data/curate/scoring/lm"
	"github.com/curate-data/curate/shards"
)

const exportHelp = `Write a model as a folder that Hugging Face's transformers loads: config.json, model.safetensors,
tokenizer.json, tokenizer_config.json and generation_config.json. A model that curate trained from a
preset (model_type hf_olmo) is of a family that transformers has no class for: its class goes with it,
two files of plain PyTorch, which transformers runs when it is told to:

  AutoModelForCausalLM.from_pretrained("DIR", trust_remote_code=True)

Models of the other families load without that. Losses per token equal those of curate.`

type exportOptions struct {
	Output, Format string
	export.Options
}

func newExportCommand(a *app) *cobra.Command {
	opt := exportOptions{}
	cmd := &cobra.Command{
		Use:     "export MODEL --output DIR",
		Short:   "write a model as a folder that transformers loads",
		Long:    exportHelp,
		Example: "  curate export out/prior --output prior-hf\n  curate export s3://b/conditional --output s3://b/conditional-hf --dtype bf16",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("name one model folder, got %d arguments", len(args))
			}
			if err := requireFlags(map[string]string{"--output": opt.Output}); err != nil {
				return err
			}
			if opt.Format != "transformers" {
				return usagef("--format %s: only transformers is known", opt.Format)
			}
			if err := opt.Validate(); err != nil {
				return usagef("--dtype: %w", err)
			}
			return runExport(cmd.Context(), a, args[0], opt)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&opt.Output, "output", "o", "", "folder to write")
	flags.StringVar(&opt.Format, "format", "transformers", "what the folder is for: transformers")
	flags.StringVar(&opt.DType, "dtype", "f32", "type of the weights: f32, bf16 or f16")
	return cmd
}

// runExport reads the model whole, then writes the folder, config.json last.
func runExport(ctx context.Context, a *app, model string, opt exportOptions) error {
	folder, err := a.fetchModel(ctx, model, languageFiles)
	if err != nil {
		return err
	}
	if path, ok := localPath(opt.Output); ok && sameFolder(folder, path) {
		return usagef("--output %s is the model itself; name another folder", opt.Output)
	}
	loaded, err := lm.Load(folder)
	if err != nil {
		return err
	}
	tokenizerJSON, err := os.ReadFile(filepath.Join(folder, "tokenizer.json"))
	if err != nil {
		return fmt.Errorf("export %s: %w (%s)", model, err, modelHelp)
	}
	store, err := a.stores.Folder(ctx, opt.Output)
	if err != nil {
		return err
	}
	ctx, release, err := store.Lock(ctx)
	if err != nil {
		return fmt.Errorf("export to %s: %w", opt.Output, err)
	}
	err = writeExport(ctx, store, loaded, tokenizerJSON, opt.Options)
	if err = errors.Join(err, release()); err != nil {
		return fmt.Errorf("export to %s: %w", opt.Output, err)
	}
	return a.exported(loaded, opt)
}

// writeExport replaces what is in the folder; without config.json it is no model.
func writeExport(ctx context.Context, store shards.Store, m *lm.Model, tokenizerJSON []byte, opt export.Options) error {
	if err := store.Remove(ctx, export.ConfigName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return export.Write(m, tokenizerJSON, opt, func(name string, write func(io.Writer) error) error {
		pending, err := store.Create(ctx, name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := write(pending); err != nil {
			pending.Abort()
			return fmt.Errorf("%s: %w", name, err)
		}
		return pending.Finish(ctx)
	})
}

// exported tells what was written and how it is loaded.
func (a *app) exported(m *lm.Model, opt exportOptions) error {
	if a.json {
		return a.printJSON(map[string]any{"output": opt.Output, "model_type": m.Config.Family, "dtype": opt.DType, "parameters": m.Config.NumParams()})
	}
	if !a.quiet {
		trust := ""
		if export.NeedsClass(m.Config) {
			trust = ", trust_remote_code=True"
		}
		fmt.Fprintf(a.stdout, "%s  %s, %s parameters, %s\nload it with AutoModelForCausalLM.from_pretrained(%q%s)\n",
			opt.Output, m.Config.Family, millions(m.Config.NumParams()), opt.DType, opt.Output, trust)
	}
	return nil
}

// millions writes a number of parameters as models are named: 17.7 M.
func millions(n int64) string { return fmt.Sprintf("%.1f M", float64(n)/1e6) }

// sameFolder says whether two paths name one folder.
func sameFolder(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	two, err := os.Stat(b)
	return err == nil && os.SameFile(one, two)
}
