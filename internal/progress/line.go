package progress

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rivo/uniseg"
)

// Columns of a bar.
const (
	mostBar  = 30
	leastBar = 8
)

// What goes first when a terminal is too narrow, the highest first. Label,
// percentage and time stay.
const (
	stay = iota
	dropBar
	dropCount
	dropNote
	dropRate
	shortenCount
)

// part is a piece of a terminal line.
type part struct {
	text string
	drop int
}

// terminalLine returns the line of a task in at most width columns, and its
// columns. Its parts keep their widths from drawing to drawing.
func (t *Task) terminalLine(now time.Time, width int, color bool) (string, int) {
	n := t.count.Load()
	rate := t.pace.rate(now)
	full, short := t.countText(n)
	parts := []part{{t.label, stay}}
	if t.total > 0 {
		parts = append(parts, part{strings.Repeat(" ", leastBar), dropBar})
	}
	parts = append(parts, part{full, dropCount})
	if t.total > 0 {
		parts = append(parts, part{fmt.Sprintf("%3d%%", percent(n, t.total)), stay})
	}
	if rate > 0 {
		parts = append(parts, part{padRight(t.rateText(rate), len("99.9k/s")), dropRate})
	}
	parts = append(parts, part{padRight(t.timeText(now, n, rate), len("59m 59s left")), stay})
	if t.note != "" {
		parts = append(parts, part{t.note, dropNote})
	}
	for drop := shortenCount; drop > stay && columns(parts) > width; drop-- {
		if drop == shortenCount {
			i := slices.IndexFunc(parts, func(p part) bool { return p.drop == dropCount })
			parts[i].text = short
			continue
		}
		parts = slices.DeleteFunc(parts, func(p part) bool { return p.drop == drop })
	}
	texts := make([]string, len(parts))
	hasBar := false
	for i, p := range parts {
		texts[i] = p.text
		if p.drop == dropBar {
			hasBar = true
			texts[i] = barText(n, t.total, min(mostBar, leastBar+width-columns(parts)), color)
		}
	}
	line := strings.TrimRight(strings.Join(texts, "  "), " ")
	if !hasBar { // the bar goes only with the last of what can be left out
		line = cutTo(line, width)
	}
	return line, uniseg.StringWidth(escapes.Replace(line))
}

// escapes takes the colors of a bar away, to measure a line.
var escapes = strings.NewReplacer(filledColor, "", emptyColor, "", noColor, "")

// The colors of a bar.
const (
	filledColor = "\x1b[36m"
	emptyColor  = "\x1b[2m"
	noColor     = "\x1b[0m"
)

// countText returns the count in full and in short, both as wide as at the end.
func (t *Task) countText(n int64) (full, short string) {
	full = amount(n, t.total, t.unit)
	short = strings.TrimSpace(Scale(float64(n)) + " " + t.unit)
	if t.total > 0 {
		full = padLeft(full, uniseg.StringWidth(amount(t.total, t.total, t.unit)))
	}
	if t.unit == "B" {
		short = Bytes(float64(n))
	}
	return full, short
}

// columns counts the columns of parts joined by two spaces.
func columns(parts []part) int {
	n := 2 * (len(parts) - 1)
	for _, p := range parts {
		n += uniseg.StringWidth(p.text)
	}
	return n
}

func barText(n, total int64, width int, color bool) string {
	full := min(width, int(float64(width)*float64(max(n, 0))/float64(total)))
	filled, empty := strings.Repeat("━", full), strings.Repeat("─", width-full)
	if !color {
		return filled + empty
	}
	return filledColor + filled + noColor + emptyColor + empty + noColor
}

// timeText is the time left where it can be told, else the time passed.
func (t *Task) timeText(now time.Time, n int64, rate float64) string {
	if left := t.total - n; t.total > 0 && rate > 0 && left > 0 {
		return Duration(seconds(float64(left)/rate)) + " left"
	}
	return Duration(now.Sub(t.started))
}

// plainLine is a line for a log file.
func (t *Task) plainLine(now time.Time) string {
	n := t.count.Load()
	line := t.label + ": " + amount(n, t.total, t.unit)
	if t.total > 0 {
		line += fmt.Sprintf(" (%d%%)", percent(n, t.total))
	}
	rate := t.pace.rate(now)
	if rate > 0 {
		line += ", " + t.rateText(rate)
	}
	line += ", " + Duration(now.Sub(t.started))
	if left := t.total - n; t.total > 0 && rate > 0 && left > 0 {
		line += ", " + Duration(seconds(float64(left)/rate)) + " left"
	}
	if t.note != "" {
		line += ", " + t.note
	}
	return line
}

// lastLine is the line that stays: "score  1,040 documents  12.4 s  84/s".
func (t *Task) lastLine(now time.Time, labelWidth int) string {
	n, took := t.count.Load(), now.Sub(t.started)
	total := t.total
	if n == total {
		total = -1 // all of it: one number says so
	}
	parts := []string{padRight(t.label, labelWidth), amount(n, total, t.unit), Duration(took)}
	if took > 0 && n > 0 {
		parts = append(parts, t.rateText(float64(n)/took.Seconds()))
	}
	if t.note != "" {
		parts = append(parts, t.note)
	}
	return strings.Join(parts, "  ")
}

// rateText names units of up to three letters; longer ones stand beside it in
// the count.
func (t *Task) rateText(perSecond float64) string {
	if len(t.unit) > 3 || t.unit == "" {
		return Scale(perSecond) + "/s"
	}
	if t.unit == "B" {
		return Bytes(perSecond) + "/s"
	}
	return Scale(perSecond) + " " + t.unit + "/s"
}

// amount is a count with its unit, and of how many when that is known.
func amount(n, total int64, unit string) string {
	if unit == "B" {
		if total > 0 {
			return Bytes(float64(n)) + " of " + Bytes(float64(total))
		}
		return Bytes(float64(n))
	}
	text := Count(n)
	if total > 0 {
		text += " of " + Count(total)
	}
	if unit != "" {
		text += " " + unit
	}
	return text
}

func percent(n, total int64) int {
	return int(math.Floor(min(1, max(0, float64(n)/float64(total))) * 100))
}

// Count writes n with thousands separators: 1,040.
func Count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	start := 0
	if n < 0 {
		start = 1
	}
	for i := len(digits) - 3; i > start; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Scale writes x in at most three digits with a decimal prefix: 12.3k, 84, 0.52.
func Scale(x float64) string { return scale(x, []string{"", "k", "M", "G", "T", "P"}) }

// Bytes writes a number of bytes: 1.2 GB.
func Bytes(x float64) string {
	return scale(x, []string{" B", " kB", " MB", " GB", " TB", " PB"})
}

func scale(x float64, prefixes []string) string {
	i := 0
	for i < len(prefixes)-1 && math.Abs(x) >= 999.5 {
		x /= 1000
		i++
	}
	decimals := 0
	switch size := math.Abs(x); {
	case size == math.Trunc(size) && i == 0:
	case size < 0.995:
		decimals = 2
	case size < 9.95:
		decimals = 1
		if i > 0 {
			decimals = 2
		}
	case size < 99.95:
		decimals = 1
		if i == 0 {
			decimals = 0
		}
	}
	return strconv.FormatFloat(x, 'f', decimals, 64) + prefixes[i]
}

// seconds is a duration that does not overflow.
func seconds(s float64) time.Duration {
	return time.Duration(min(s, 1e9) * float64(time.Second))
}

// Duration writes d as people read it: 12.4 s, 3m 05s, 1h 02m, 2d 03h.
func Duration(d time.Duration) string {
	switch s := int64(d.Round(time.Second) / time.Second); {
	case d < 59950*time.Millisecond:
		return fmt.Sprintf("%.1f s", max(0, d.Seconds()))
	case s < 3600:
		return fmt.Sprintf("%dm %02ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh %02dm", s/3600, s%3600/60)
	default:
		return fmt.Sprintf("%dd %02dh", s/86400, s%86400/3600)
	}
}

// cutTo shortens text to width columns, with an ellipsis where it was cut.
func cutTo(text string, width int) string {
	if uniseg.StringWidth(text) <= width {
		return text
	}
	var out strings.Builder
	used, state, cluster := 0, -1, ""
	for w := 0; text != ""; used += w {
		cluster, text, w, state = uniseg.FirstGraphemeClusterInString(text, state)
		if used+w > width-1 {
			break
		}
		out.WriteString(cluster)
	}
	if width > 0 {
		out.WriteString("…")
	}
	return out.String()
}

// padRight fills text with spaces up to width columns.
func padRight(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-uniseg.StringWidth(text)))
}

func padLeft(text string, width int) string {
	return strings.Repeat(" ", max(0, width-uniseg.StringWidth(text))) + text
}
