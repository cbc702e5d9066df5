package progress

import (
	"io"
	"strings"

	"github.com/rivo/uniseg"
)

// Table writes rows under a head and a rule, in columns that are two spaces
// apart and align on the right where rightAligned says so. Missing cells are
// empty. Failures to write are ignored, as for all output of a command.
func Table(w io.Writer, head []string, rows [][]string, rightAligned []bool) {
	lines := rows
	if len(head) > 0 {
		lines = append([][]string{head}, rows...)
	}
	all := make([][]string, 0, len(lines))
	for _, row := range lines {
		clean := make([]string, len(row))
		for i, cell := range row {
			clean[i] = oneLine(cell)
		}
		all = append(all, clean)
	}
	var widths []int
	for _, row := range all {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], uniseg.StringWidth(cell))
		}
	}
	rule := 2 * (len(widths) - 1)
	for _, width := range widths {
		rule += width
	}
	var out strings.Builder
	for r, row := range all {
		var line strings.Builder
		for i, width := range widths {
			cell := ""
			if i < len(row) {
				cell = row[i]
			}
			pad := strings.Repeat(" ", width-uniseg.StringWidth(cell))
			if i > 0 {
				line.WriteString("  ")
			}
			if i < len(rightAligned) && rightAligned[i] {
				line.WriteString(pad + cell)
			} else {
				line.WriteString(cell + pad)
			}
		}
		out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
		if r == 0 && len(head) > 0 {
			out.WriteString(strings.Repeat("-", max(0, rule)) + "\n")
		}
	}
	_, _ = io.WriteString(w, out.String())
}
