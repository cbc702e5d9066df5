package main

import (
	"github.com/spf13/pflag"

	"github.com/curate-data/curate/shards"
)

const formatHelp = `what to write: parquet (the default), jsonl, jsonl.zst, jsonl.gz, arrow (file), arrows (stream) or same (as the input); sequences: npy (the default) or ds; manifests: two lists that refer to the shards, to pre-train on all rows and fine-tune on the kept ones`

// addFormatFlag adds --format.
func addFormatFlag(flags *pflag.FlagSet, format *string) {
	flags.StringVar(format, "format", "", formatHelp)
}

// checkFormatName is a usage error unless format is one of rows or of sequences.
// Which of them the selection can have is seen when it is opened.
func checkFormatName(format string) error {
	if isTokenFormat(format) || format == manifestsFormat {
		return nil
	}
	if err := shards.OutputFormat(format).Validate(); err != nil {
		return usagef("--format: %w; of sequences, npy or ds; manifests", err)
	}
	return nil
}

// formatOption records the format among the options that decide a stage's
// bytes. Parquet goes without saying, so that older output stays valid.
func formatOption(options map[string]any, format string) map[string]any {
	if format != "" && format != string(shards.OutParquet) {
		options["format"] = format
	}
	return options
}
