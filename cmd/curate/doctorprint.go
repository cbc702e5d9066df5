package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/term"

	"github.com/curate-data/curate/internal/progress"
	"github.com/curate-data/curate/scoring/backend"
)

// printDiagnosis prints what doctor found, for people.
func (a *app) printDiagnosis(d diagnosis) {
	if a.quiet {
		return
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "curate %s (%s, %s/%s)\n", d.Version["version"], d.Version["go"], d.System.OS, d.System.Arch)
	section := func(title string, head []string, rows [][]string, right []bool) {
		fmt.Fprintf(&out, "\n%s\n", title)
		var table bytes.Buffer
		progress.Table(&table, head, rows, right)
		for line := range strings.Lines(table.String()) {
			out.WriteString("  " + line)
		}
	}
	section("System", nil, systemRows(d), nil)
	section("Backends", nil, backendRows(d), nil)
	if rows := speedRows(d); len(rows) > 0 {
		section("Speed", []string{"", "f32 GFLOP/s", "bf16 GFLOP/s", "olmo-tiny tok/s"}, rows, []bool{false, true, true, true})
	}
	if len(d.Settings) > 0 {
		var rows [][]string
		for _, s := range d.Settings {
			rows = append(rows, []string{s.Name, s.Value})
		}
		section("Settings", nil, rows, nil)
	}
	if len(d.Advice) > 0 {
		out.WriteString("\nWhat to do\n")
		for _, line := range d.Advice {
			out.WriteString("  " + line + "\n")
		}
	}
	if d.OK {
		fmt.Fprintf(&out, "\n--backend %s is %s here\n", d.Backend, d.Chosen)
	}
	text := out.String()
	if f, ok := a.stdout.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" {
		text = coloured(text)
	}
	fmt.Fprint(a.stdout, text)
}

// coloured paints the marks at the beginning of lines.
func coloured(text string) string {
	marks := map[string]string{stateOK: "32", stateMissing: "33", "low": "33", stateFailed: "31"}
	var out strings.Builder
	for line := range strings.Lines(text) {
		if mark, rest, ok := strings.Cut(strings.TrimPrefix(line, "  "), " "); ok && strings.HasPrefix(line, "  ") && marks[mark] != "" {
			line = "  \x1b[" + marks[mark] + "m" + mark + "\x1b[0m " + rest
		}
		out.WriteString(line)
	}
	return out.String()
}

func systemRows(d diagnosis) [][]string {
	s := d.System
	processor := fmt.Sprintf("%s, %d cores", s.Processor, s.Cores)
	if s.Processor == "" {
		processor = fmt.Sprintf("%d cores", s.Cores)
	}
	if s.GoMaxProcs != s.Cores {
		processor += fmt.Sprintf(", %d usable", s.GoMaxProcs)
	}
	rows := [][]string{{stateOK, "processor", processor}}
	if len(s.Features) > 0 {
		rows = append(rows, []string{"", "", strings.Join(s.Features, " ") + ": " + bfloat16(s.Features)})
	}
	memory, mark := "unknown", stateOK
	if s.Memory > 0 {
		memory = fmt.Sprintf("%s, %s available", formatBytes(s.Memory), formatBytes(s.Available))
		if s.Limit < s.Memory {
			memory += fmt.Sprintf(", limited to %s by the control group", formatBytes(s.Limit))
		}
		if s.Available < 2<<30 {
			mark = "low"
		}
	}
	rows = append(rows, []string{mark, "memory", memory})
	switch {
	case len(s.GPUs) > 0:
		rows = append(rows, []string{stateOK, "NVIDIA", fmt.Sprintf("driver for CUDA %s, %d GPU(s)", s.CUDA, len(s.GPUs))})
	case s.CUDA != "":
		rows = append(rows, []string{stateFailed, "NVIDIA", s.Driver})
	default:
		rows = append(rows, []string{stateMissing, "NVIDIA", "no driver"})
	}
	mark = stateOK
	if d.Cache.Free < lowDisk {
		mark = "low"
	}
	return append(rows, []string{mark, "cache", fmt.Sprintf("%s, %s free", shortPath(d.Cache.Folder), formatBytes(d.Cache.Free))})
}

// bfloat16 says whether a processor multiplies bfloat16 faster than float32.
func bfloat16(features []string) string {
	for _, f := range []string{"amx_bf16", "avx512_bf16", "bf16"} {
		if slices.Contains(features, f) {
			return "has bfloat16, which XLA makes little use of (docs/PERFORMANCE.md)"
		}
	}
	return "no bfloat16"
}

func backendRows(d diagnosis) [][]string {
	var rows [][]string
	for _, p := range d.Backends {
		add := func(text string) { rows = append(rows, []string{"", "", text}) }
		first := p.Problem
		if p.State == stateOK {
			first = describePlugin(p)
		}
		if p.Name == backend.CUDA && p.State == stateMissing && len(d.System.GPUs) == 0 {
			first = "no GPU"
		}
		lines := strings.Split(first, "\n")
		rows = append(rows, []string{p.State, p.Name, lines[0]})
		if p.Plugin != nil {
			add(shortPath(p.Plugin.Path))
		}
		if p.State == stateMissing && strings.Contains(p.Problem, backend.ErrNoPlugin.Error()) {
			rows[len(rows)-1][2] = "no plugin in"
			for _, folder := range d.Folders {
				add("  " + shortPath(folder))
			}
		}
		for _, text := range describeDevices(p) {
			add(text)
		}
	}
	return rows
}

func describePlugin(p probed) string {
	if p.Plugin == nil {
		return "pure Go, ten to twenty times slower than XLA"
	}
	name := p.Plugin.Package
	if name == "" {
		name = filepath.Base(p.Plugin.Path)
	}
	text := name + ", PJRT API " + p.Plugin.PJRT
	if p.Plugin.StableHLO != "" {
		text += ", StableHLO " + p.Plugin.StableHLO
	}
	return text
}

// describeDevices lists GPUs one by one. The devices of a CPU are the same
// cores and memory, whatever their number.
func describeDevices(p probed) []string {
	if p.Name == backend.Go || len(p.Devices) == 0 {
		return nil
	}
	if strings.HasPrefix(p.Devices[0].Name, "TFRT_CPU") {
		return []string{fmt.Sprintf("%d virtual devices, which share cores and memory", len(p.Devices))}
	}
	var lines []string
	for i, d := range p.Devices {
		memory := "memory unknown"
		if d.Memory > 0 {
			memory = fmt.Sprintf("%s, %s free", formatBytes(d.Memory), formatBytes(d.Free))
		}
		kind := d.Kind
		if kind == "" {
			kind = d.Name
		}
		lines = append(lines, fmt.Sprintf("device %d: %s, %s", i, kind, memory))
	}
	return lines
}

func speedRows(d diagnosis) [][]string {
	var rows [][]string
	for _, p := range d.Backends {
		if s := p.Speed; s != nil {
			rows = append(rows, []string{p.Name, rate(s.F32), rate(s.BF16), rate(s.Tokens)})
		}
	}
	return rows
}

// rate writes a speed; one that could not be measured is a dash.
func rate(x float64) string {
	switch {
	case x <= 0:
		return "-"
	case x < 10:
		return fmt.Sprintf("%.1f", x)
	}
	return progress.Count(int64(x + 0.5))
}

// formatBytes writes a size in binary units, in which memory comes.
func formatBytes(n int64) string {
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}
