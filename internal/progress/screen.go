package progress

import (
	"bytes"
	"fmt"
	"time"
)

// draw writes a line per open task to a terminal, the cursor being at the
// start of the first of them, and leaves it at the end of the last.
func (d *Display) draw(now time.Time, out *bytes.Buffer) {
	d.drawn = d.drawn[:0]
	if !d.terminal || len(d.open) == 0 {
		return
	}
	d.last = now
	width := max(1, d.opt.Width()-1) // the last column would wrap on some terminals
	for i, t := range d.open {
		t.pace.observe(now, t.count.Load())
		line, used := t.terminalLine(now, width, d.color)
		if i > 0 {
			out.WriteString("\r\n")
		}
		out.WriteString(line + "\x1b[K")
		d.drawn = append(d.drawn, used)
	}
	out.WriteString("\x1b[J")
}

// home moves the cursor to the start of the first drawn line. A terminal that
// became narrower has wrapped the lines in the meantime.
func (d *Display) home(out *bytes.Buffer) {
	if len(d.drawn) == 0 {
		return
	}
	width, rows := max(1, d.opt.Width()), 0
	for _, used := range d.drawn {
		rows += max(1, (used+width-1)/width)
	}
	out.WriteByte('\r')
	if rows > 1 {
		fmt.Fprintf(out, "\x1b[%dA", rows-1)
	}
}

// erase takes the drawn lines off the terminal.
func (d *Display) erase(out *bytes.Buffer) {
	if len(d.drawn) == 0 {
		return
	}
	d.home(out)
	out.WriteString("\x1b[J")
}
