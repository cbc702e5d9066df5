package progress

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// Control sequences of terminals.
const (
	clearRight = "\x1b[K" // to the end of the line
	clearBelow = "\x1b[J" // to the end of the screen
)

// above returns what to send so that text, which is whole lines, stands where
// the drawn lines were, and the open tasks are drawn below it. Nothing is
// cleared before it is written anew, so that nothing flickers.
func (d *Display) above(now time.Time, text string) []byte {
	if !d.terminal {
		return []byte(text)
	}
	var out bytes.Buffer
	stale := len(d.drawn) > 0
	if stale {
		d.home(&out)
		text = strings.ReplaceAll(text, "\n", clearRight+"\n")
	}
	out.WriteString(text)
	d.draw(now, &out)
	if stale {
		out.WriteString(clearBelow)
	}
	return out.Bytes()
}

// home moves the cursor to the start of the first drawn line. A terminal that
// became narrower has wrapped the lines in the meantime.
func (d *Display) home(out *bytes.Buffer) {
	width, rows := max(1, d.opt.Width()), 0
	for _, used := range d.drawn {
		rows += max(1, (used+width-1)/width)
	}
	out.WriteByte('\r')
	if rows > 1 {
		fmt.Fprintf(out, "\x1b[%dA", rows-1)
	}
}

// draw writes a line per open task from the cursor down, and leaves the cursor
// at the end of the last.
func (d *Display) draw(now time.Time, out *bytes.Buffer) {
	d.drawn = d.drawn[:0]
	d.last = now
	width := max(1, d.opt.Width()-1) // the last column would wrap on some terminals
	for i, t := range d.open {
		t.pace.observe(now, t.count.Load())
		line, used := t.terminalLine(now, width, d.color)
		if i > 0 {
			out.WriteString("\r\n")
		}
		out.WriteString(line + clearRight)
		d.drawn = append(d.drawn, used)
	}
}
