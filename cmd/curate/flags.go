package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/curate-data/curate/filters/colorfilter"
	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/shards"
)

func addColumnFlags(flags *pflag.FlagSet, c *shards.Columns) {
	flags.StringVar(&c.Text, "text-column", "text", "column with the document, dotted for nested ones")
	flags.StringVar(&c.ID, "id-column", "", "column with the row's id, copied to the sidecar")
	flags.StringVar(&c.Domain, "domain-column", "", "column with the row's domain, for the report")
}

func addBackendFlag(flags *pflag.FlagSet, spec *string) {
	flags.StringVar(spec, "backend", "auto", "where models run: auto, xla:cuda, xla:cpu or go")
}

// requireFlags names all flags that were left out.
func requireFlags(flags map[string]string) error {
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		if flags[name] == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return usagef("missing %s", strings.Join(missing, ", "))
	}
	return nil
}

// listInputs resolves IN arguments. What names nothing is a usage error.
func (a *app) listInputs(ctx context.Context, args []string) ([]shards.Input, error) {
	if len(args) == 0 {
		return nil, usagef("name at least one input: a file, a glob, a folder or @list.txt")
	}
	inputs, err := shards.ListInputs(ctx, a.stores.Locate, args)
	if err != nil && (errors.Is(err, shards.ErrListing) || storeFailed(err)) {
		return nil, err
	}
	if err != nil {
		return nil, usageError{err}
	}
	box, err := a.sandbox()
	if err != nil {
		return nil, err
	}
	for i := range inputs {
		inputs[i].Sandbox = box
	}
	return inputs, nil
}

// openBackend opens the device once and says which one auto chose.
func openBackend(a *app, spec string) (*backend.Backend, error) {
	be, err := backend.Open(spec)
	if err != nil {
		return nil, err
	}
	if be.Notice != a.notice { // once a run, not once a stage
		a.say("backend: %s", be.Notice)
		a.notice = be.Notice
	}
	return be, nil
}

// selectOptions maps flags that may be unset to a budget. A budget of zero is
// one too: it keeps nothing.
func selectOptions(method string, fraction *float64, rows, tokens *int64, seed uint64) colorfilter.Options {
	o := colorfilter.Options{Method: colorfilter.Method(method), Seed: seed}
	if fraction != nil {
		o.KeepFraction = *fraction
		o.KeepNothing = *fraction == 0
	}
	for _, budget := range []struct{ from, to *int64 }{{rows, &o.KeepRows}, {tokens, &o.KeepTokens}} {
		if budget.from != nil {
			*budget.to = *budget.from
			o.KeepNothing = o.KeepNothing || *budget.from == 0
		}
	}
	return o
}
