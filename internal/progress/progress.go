// Package progress shows how far the stages of a run are: on a terminal a line
// per open task that is redrawn in place, elsewhere a plain line now and then,
// and in both cases one last line per task that stays.
//
// It draws itself instead of using a progress-bar library: those at hand read
// the clock directly, so that they cannot be tested, average the rate over the
// whole run, and have no plain form for log files.
package progress

import (
	"io"
	"math"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/term"
)

// Options of a Display. The zero value suits a command line tool.
type Options struct {
	Quiet    bool          // show nothing; Write still passes its text on
	Terminal *bool         // redraw lines in place; nil: when w is a terminal that can
	Interval time.Duration // between drawings; zero: 0.1 s on a terminal, 10 s elsewhere

	// Slowest lets the time between plain lines double, from Interval up to
	// this, so that the log of a long run stays short. Zero: it stays Interval.
	Slowest time.Duration

	// LabelWidth pads the label of last lines to this many columns, so that
	// those of one run align.
	LabelWidth int

	// Width gives the columns of the terminal; nil asks the terminal.
	Width func() int

	// Now replaces the clock, for tests. Without a clock of the system nothing
	// runs in the background: lines are drawn from Add and Note alone.
	Now func() time.Time
}

// Display shows the progress of tasks. Its methods and those of its tasks may
// be called from any goroutine. A goroutine redraws while tasks are open and
// ends with the last of them.
type Display struct {
	opt      Options
	terminal bool
	color    bool

	mu    sync.Mutex
	w     io.Writer
	open  []*Task
	drawn []int         // columns of the lines now on the terminal
	last  time.Time     // of the last drawing
	gap   time.Duration // until the next plain line
	stop  chan struct{}
	done  chan struct{}
}

// New returns a Display that writes to w, usually standard error. Failures to
// write are ignored: progress never stops a run.
func New(w io.Writer, opt Options) *Display {
	d := &Display{opt: opt, w: w, color: os.Getenv("NO_COLOR") == ""}
	file, isFile := w.(*os.File)
	if opt.Terminal != nil {
		d.terminal = *opt.Terminal
	} else {
		d.terminal = isFile && term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb"
	}
	if d.opt.Interval <= 0 {
		d.opt.Interval = 10 * time.Second
		if d.terminal {
			d.opt.Interval = 100 * time.Millisecond
		}
	}
	if d.terminal || d.opt.Slowest < d.opt.Interval {
		d.opt.Slowest = d.opt.Interval
	}
	d.gap = d.opt.Interval
	if d.opt.Width == nil {
		d.opt.Width = func() int { return terminalWidth(file) }
	}
	return d
}

// terminalWidth returns the columns of a terminal, 80 where it does not tell.
func terminalWidth(file *os.File) int {
	if file != nil {
		if width, _, err := term.GetSize(int(file.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 80
}

func (d *Display) now() time.Time {
	if d.opt.Now != nil {
		return d.opt.Now()
	}
	return time.Now()
}

// Task is one stage under way.
type Task struct {
	display     *Display
	label, unit string
	total       int64
	count       atomic.Int64

	// Under display.mu:
	note    string
	started time.Time
	pace    pace
	ended   bool
}

// Start opens a task that will count total of the unit, such as "documents" or
// "tok"; "B" counts bytes. A negative total is unknown. Every task needs Done.
func (d *Display) Start(label, unit string, total int64) *Task {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	t := &Task{display: d, label: oneLine(label), unit: oneLine(unit), total: total, started: now, pace: pace{at: now}}
	if d.opt.Quiet {
		t.ended = true
		return t
	}
	if len(d.open) == 0 {
		d.last, d.gap = now, d.opt.Interval // a plain line comes one interval from here
	}
	d.open = append(d.open, t)
	if d.terminal {
		d.flush(d.above(now, ""))
	}
	if d.stop == nil && d.opt.Now == nil {
		d.stop, d.done = make(chan struct{}), make(chan struct{})
		go d.tick(d.stop, d.done)
	}
	return t
}

// tick draws at every interval until stop closes.
func (d *Display) tick(stop <-chan struct{}, done chan<- struct{}) {
	defer close(done)
	ticker := time.NewTicker(d.opt.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			d.showIfDue()
		}
	}
}

// Add counts n more. It is cheap enough for every row.
func (t *Task) Add(n int64) {
	t.count.Add(n)
	if t.display.opt.Now != nil {
		t.display.showIfDue()
	}
}

// Note shows a short text beside the count, such as "loss 4.12", until the
// next one. The last line of the task carries it too.
func (t *Task) Note(text string) {
	t.display.mu.Lock()
	t.note = oneLine(text)
	t.display.mu.Unlock()
	if t.display.opt.Now != nil {
		t.display.showIfDue()
	}
}

// Done ends the task and prints its last line. Calls after the first one do
// nothing.
func (t *Task) Done() {
	d := t.display
	d.mu.Lock()
	if t.ended {
		d.mu.Unlock()
		return
	}
	now := d.now()
	d.flush(d.above(now, d.end(t, now)))
	done := d.stopIfIdle()
	d.mu.Unlock()
	if done != nil {
		<-done
	}
}

// Close ends all open tasks, as Done does, for instance after an interruption.
// The Display can be used again.
func (d *Display) Close() {
	d.mu.Lock()
	now := d.now()
	lines := ""
	for len(d.open) > 0 {
		lines += d.end(d.open[0], now)
	}
	d.flush(d.above(now, lines))
	done := d.stopIfIdle()
	d.mu.Unlock()
	if done != nil {
		<-done
	}
}

// Write puts text, such as a log line, above the open tasks, so that both can
// share a terminal. Each call should hold whole lines.
func (d *Display) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.drawn) == 0 {
		return d.w.Write(p)
	}
	text := string(p)
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	if _, err := d.w.Write(d.above(d.now(), text)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// end takes t off the open tasks and returns its last line.
func (d *Display) end(t *Task, now time.Time) string {
	t.ended = true
	for i, o := range d.open {
		if o == t {
			d.open = append(d.open[:i], d.open[i+1:]...)
			break
		}
	}
	return t.lastLine(now, d.opt.LabelWidth) + "\n"
}

// stopIfIdle asks the background goroutine to end when no task is open, and
// returns what to wait for once mu is free.
func (d *Display) stopIfIdle() <-chan struct{} {
	if len(d.open) > 0 || d.stop == nil {
		return nil
	}
	close(d.stop)
	done := d.done
	d.stop, d.done = nil, nil
	return done
}

// showIfDue draws when it is time; a little too early counts, since a ticker
// is not exact.
func (d *Display) showIfDue() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := d.now(); len(d.open) > 0 && (d.terminal || now.Sub(d.last) >= d.gap-d.opt.Interval/100) {
		d.show(now)
	}
}

// show draws all open tasks.
func (d *Display) show(now time.Time) {
	if d.terminal {
		d.flush(d.above(now, ""))
		return
	}
	d.last, d.gap = now, min(2*d.gap, d.opt.Slowest)
	lines := ""
	for _, t := range d.open {
		t.pace.observe(now, t.count.Load())
		lines += t.plainLine(now) + "\n"
	}
	d.flush([]byte(lines))
}

// flush writes all at once, so that a terminal never shows half a drawing.
func (d *Display) flush(text []byte) {
	if len(text) > 0 {
		_, _ = d.w.Write(text) // see New
	}
}

// pace keeps the recent rate of a task: counts and seconds in two sums that
// forget with a time constant of a few seconds.
type pace struct {
	at             time.Time // of the last count that was new
	seen           int64
	count, seconds float64
}

// memory is the time constant of pace.
const memory = 15.0

// observe tells the count at a time.
func (p *pace) observe(now time.Time, count int64) {
	if count == p.seen {
		return // waiting for a batch is not yet a slower pace; see rate
	}
	passed := now.Sub(p.at).Seconds()
	if passed <= 0 {
		return
	}
	keep := math.Exp(-passed / memory)
	p.count = p.count*keep + float64(count-p.seen)
	p.seconds = p.seconds*keep + passed
	p.at, p.seen = now, count
}

// rate returns counts per second, 0 while unknown. Once nothing has come for
// longer than the sums remember, the rate sinks.
func (p *pace) rate(now time.Time) float64 {
	seconds := max(p.seconds, now.Sub(p.at).Seconds())
	if seconds <= 0 || p.count <= 0 {
		return 0
	}
	return p.count / seconds
}

// oneLine keeps text from breaking out of its line.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f || (r >= 0x80 && r < 0xa0) }), " ")
}
