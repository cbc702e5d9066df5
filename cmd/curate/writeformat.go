package main

import (
	"github.com/spf13/pflag"

	"github.com/curate-data/curate/shards"
)

const formatHelp = `what to write: parquet, jsonl, jsonl.zst, jsonl.gz, arrow (file), arrows (stream) or same (as the input)`

// addFormatFlag adds --format.
func addFormatFlag(flags *pflag.FlagSet, format *string) {
	flags.StringVar(format, "format", string(shards.OutParquet), formatHelp)
}

// checkFormat is a usage error unless format is one that can be written.
func checkFormat(format string) error {
	if err := shards.OutputFormat(format).Validate(); err != nil {
		return usageError{err}
	}
	return nil
}

// formatOption records the format among the options that decide a stage's
// bytes. Parquet goes without saying, so that older output stays valid.
func formatOption(options map[string]any, format string) {
	if format != "" && format != string(shards.OutParquet) {
		options["format"] = format
	}
}
