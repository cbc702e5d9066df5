package progress

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a clock that only the test moves.
type clock struct{ at time.Time }

func newClock() *clock                   { return &clock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }
func (c *clock) now() time.Time          { return c.at }
func (c *clock) advance(d time.Duration) { c.at = c.at.Add(d) }

func plain(w io.Writer, c *clock) *Display {
	no := false
	return New(w, Options{Terminal: &no, Now: c.now})
}

func onTerminal(w io.Writer, c *clock, width int) *Display {
	yes := true
	return New(w, Options{Terminal: &yes, Now: c.now, Width: func() int { return width }})
}

func TestPlainLines(t *testing.T) {
	var out bytes.Buffer
	c := newClock()
	d := plain(&out, c)
	task := d.Start("score", "documents", 1040)
	for range 13 {
		c.advance(time.Second)
		task.Add(80)
		task.Note("loss 4.12")
	}
	task.Done()
	want := "score: 720 of 1,040 documents (69%), 80/s, 10.0 s, 4.0 s left\n"
	want = strings.Replace(want, "720", "800", 1)
	want = strings.Replace(want, "(69%)", "(76%)", 1)
	want = strings.Replace(want, "4.0 s left", "3.0 s left, loss 4.12", 1)
	want += "score  1,040 documents  13.0 s  80/s  loss 4.12\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestLastLine(t *testing.T) {
	for _, test := range []struct {
		name, unit string
		total, n   int64
		took       time.Duration
		note, want string
	}{
		{"score", "documents", 1040, 1040, 12400 * time.Millisecond, "", "score  1,040 documents  12.4 s  84/s"},
		{"score", "tok", -1, 152520, 12400 * time.Millisecond, "", "score  152,520 tok  12.4 s  12.3k tok/s"},
		{"score", "documents", 1040, 512, time.Minute, "interrupted", "score  512 of 1,040 documents  1m 00s  8.5/s  interrupted"},
		{"train", "tok", 400_000, 400_000, 65 * time.Minute, "loss 4.12", "train  400,000 tok  1h 05m  103 tok/s  loss 4.12"},
		{"write", "B", -1, 3_400_000_000, 10 * time.Second, "", "write  3.40 GB  10.0 s  340 MB/s"},
		{"select", "documents", 0, 0, 0, "", "select  0 documents  0.0 s"},
		{"select", "documents", -1, 3, 0, "", "select  3 documents  0.0 s"},
		{"more", "rows", 10, 12, 4 * time.Second, "", "more  12 of 10 rows  4.0 s  3/s"},
		{"no\nunit", "", -1, 5, 50 * time.Hour, "a\tb\x1b[2J", "no unit  5  2d 02h  0.00/s  a b [2J"},
	} {
		var out bytes.Buffer
		c := newClock()
		task := plain(&out, c).Start(test.name, test.unit, test.total)
		task.Note(test.note)
		task.Add(test.n)
		c.advance(test.took)
		task.Done()
		if diff := cmp.Diff(test.want+"\n", out.String()); diff != "" {
			t.Error(diff)
		}
	}
}

// Recent speed counts: a run that slows down from 100/s to 10/s must not go on
// promising the old pace.
func TestTimeLeftFollowsRecentRate(t *testing.T) {
	var out bytes.Buffer
	c := newClock()
	d := plain(&out, c)
	task := d.Start("score", "rows", 10_000)
	for range 60 {
		c.advance(time.Second)
		task.Add(100)
	}
	for range 60 {
		c.advance(time.Second)
		task.Add(10)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if got := lines[5]; !strings.Contains(got, "100/s") || !strings.HasSuffix(got, ", 40.0 s left") {
		t.Errorf("steady pace: %q", got)
	}
	// After one minute of 10/s, 15 s of memory leave e^-4 of the fast part.
	if got := lines[11]; !strings.Contains(got, ", 12/s, ") {
		t.Errorf("slower pace: %q", got)
	}
	// Nothing at all for ten minutes: what the sums hold, 100/(1-e^(-10/15))
	// of the slow part and e^-4 of the fast one, now came in 600 s.
	c.advance(10 * time.Minute)
	task.Note("stalled")
	lines = strings.Split(strings.TrimSpace(out.String()), "\n")
	if got := lines[12]; !strings.Contains(got, ", 0.40/s, ") {
		t.Errorf("stalled: %q", got)
	}
	task.Done()
}

// TestPlainLinesGetRare: an hour in a log file is a dozen lines.
func TestPlainLinesGetRare(t *testing.T) {
	var out bytes.Buffer
	c := newClock()
	no := false
	d := New(&out, Options{Terminal: &no, Now: c.now, Slowest: 10 * time.Minute})
	task := d.Start("score", "rows", 10_000)
	for range 3600 {
		c.advance(time.Second)
		task.Add(1)
	}
	// After 10, 30, 70, 150, 310, 630 and 1230 seconds, then every ten minutes.
	if got := strings.Count(out.String(), "\n"); got != 10 {
		t.Errorf("%d lines in an hour:\n%s", got, out.String())
	}
	task.Done()
	out.Reset()
	task = d.Start("write", "rows", 10)
	c.advance(11 * time.Second)
	task.Add(1)
	if out.Len() == 0 {
		t.Error("the next task does not begin with short gaps")
	}
	task.Done()
}

func TestQuiet(t *testing.T) {
	var out bytes.Buffer
	yes := true
	d := New(&out, Options{Quiet: true, Terminal: &yes})
	task := d.Start("score", "rows", 10)
	task.Add(10)
	task.Note("x")
	task.Done()
	d.Close()
	if out.Len() > 0 {
		t.Errorf("quiet display wrote %q", out.String())
	}
	fmt.Fprintln(d, "a log line")
	if out.String() != "a log line\n" {
		t.Errorf("log line became %q", out.String())
	}
}

func TestNothingAfterDone(t *testing.T) {
	for _, terminal := range []bool{false, true} {
		var out bytes.Buffer
		c := newClock()
		d := New(&out, Options{Terminal: &terminal, Now: c.now})
		task := d.Start("score", "rows", 10)
		task.Done()
		before := out.String()
		c.advance(time.Hour)
		task.Add(1)
		task.Note("late")
		task.Done()
		d.Close()
		if got := out.String(); got != before {
			t.Errorf("terminal %v: after Done came %q", terminal, strings.TrimPrefix(got, before))
		}
	}
}

func TestTerminalLine(t *testing.T) {
	t.Setenv("NO_COLOR", "1")
	for _, test := range []struct {
		width int
		want  string
	}{
		{120, "score  ━━━━━━━━━━━━━━━───────────────    520 of 1,040 documents   50%  52/s     10.0 s left   loss 4.12"},
		{90, "score  ━━━━━━━━────────    520 of 1,040 documents   50%  52/s     10.0 s left   loss 4.12"},
		{80, "score  ━━━━━━━━─────────  520 documents   50%  52/s     10.0 s left   loss 4.12"},
		{60, "score  ━━━━━━━━─────────  520 documents   50%  10.0 s left"},
		{48, "score  ━━━━━━━━━━──────────   50%  10.0 s left"},
		{36, "score  ━━━━────   50%  10.0 s left"},
		{24, "score   50%  10.0 s le…"},
		{9, "score  …"},
		{2, "…"},
		{0, "…"},
	} {
		screen := newScreen(max(test.width, 1))
		c := newClock()
		d := onTerminal(screen, c, test.width)
		task := d.Start("score", "documents", 1040)
		task.Note("loss 4.12")
		c.advance(10 * time.Second)
		task.Add(520)
		if diff := cmp.Diff(test.want, screen.text()); diff != "" {
			t.Errorf("width %d: %s", test.width, diff)
		}
		if strings.Contains(screen.raw.String(), "\x1b[3") {
			t.Error("NO_COLOR is set and there is color")
		}
		task.Done()
	}
}

func TestTerminalColor(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	screen, c := newScreen(80), newClock()
	task := onTerminal(screen, c, 80).Start("score", "rows", 4)
	c.advance(time.Second)
	task.Add(1)
	if got := screen.raw.String(); !strings.Contains(got, "\x1b[36m━") || !strings.Contains(got, "\x1b[0m") {
		t.Errorf("no color in %q", got)
	}
	task.Done()
}

// What stays on the screen: last lines and log lines, in order, and nothing of
// the lines that were drawn between.
func TestTerminalLeavesOnlyLastLines(t *testing.T) {
	screen, c := newScreen(60), newClock()
	d := onTerminal(screen, c, 60)
	a := d.Start("read", "rows", 100)
	b := d.Start("score 日本語", "tok", -1)
	for range 50 {
		c.advance(200 * time.Millisecond)
		a.Add(2)
		b.Add(4321)
		b.Note("loss " + strings.Repeat("9", 70))
	}
	fmt.Fprintln(d, "WARN a log line")
	fmt.Fprint(d, "half a line")
	a.Done()
	fmt.Fprintln(d, "another")
	if got := strings.Count(screen.text(), "\n"); got != 4 {
		t.Errorf("expected four lines above the open one:\n%s", screen.text())
	}
	b.Note("")
	b.Done()
	want := "WARN a log line\nhalf a line\nread  100 rows  10.0 s  10/s\nanother\n" +
		"score 日本語  216,050 tok  10.0 s  21.6k tok/s\n"
	if diff := cmp.Diff(want, screen.text()+"\n"); diff != "" {
		t.Error(diff)
	}
}

func TestCloseEndsOpenTasks(t *testing.T) {
	screen, c := newScreen(60), newClock()
	d := onTerminal(screen, c, 60)
	d.Start("read", "rows", 100).Add(7)
	d.Start("score", "rows", 100)
	c.advance(time.Second)
	d.Close()
	want := "read  7 of 100 rows  1.0 s  7/s\nscore  0 of 100 rows  1.0 s"
	if diff := cmp.Diff(want, screen.text()); diff != "" {
		t.Error(diff)
	}
}

// A window made narrower wraps what was drawn, and still nothing of it stays.
func TestTerminalShrinks(t *testing.T) {
	screen, c := newScreen(100), newClock()
	yes := true
	d := New(screen, Options{Terminal: &yes, Now: c.now, Width: func() int { return screen.width }})
	d.Start("read", "rows", -1)
	task := d.Start("score", "rows", 1000)
	c.advance(time.Second)
	task.Add(10)
	screen.narrow(30)
	if rows := len(screen.lines); rows != 4 {
		t.Fatalf("expected one line of one row and one of three:\n%s", screen.text())
	}
	c.advance(time.Second)
	task.Add(10)
	want := "read  0 rows  2.0 s\nscore    2%  1m 38s left"
	if diff := cmp.Diff(want, screen.text()); diff != "" {
		t.Error(diff)
	}
	d.Close()
}

func TestShorterNoteLeavesNothing(t *testing.T) {
	screen, c := newScreen(80), newClock()
	d := onTerminal(screen, c, 80)
	task := d.Start("score", "rows", -1)
	d.Start("below", "rows", -1)
	for _, note := range []string{"a long note", "short", ""} {
		c.advance(time.Second)
		task.Note(note)
		if want := strings.TrimRight(fmt.Sprintf("score  0 rows  %d.0 s         %s", c.at.Second()-5, note), " "); strings.Split(screen.text(), "\n")[0] != want {
			t.Errorf("got %q, want %q first", screen.text(), want)
		}
	}
	d.Close()
}

func TestBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out safeBuffer
		no := false
		d := New(&out, Options{Terminal: &no})
		task := d.Start("score", "rows", 100)
		time.Sleep(25 * time.Second) // no Add: the lines come all the same
		task.Add(50)
		task.Done()
		d.Start("write", "rows", 1).Done()
		want := "score: 0 of 100 rows (0%), 10.0 s\nscore: 0 of 100 rows (0%), 20.0 s\n" +
			"score  50 of 100 rows  25.0 s  2/s\nwrite  0 of 1 rows  0.0 s\n"
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Error(diff)
		}
	}) // fails when a goroutine is left
}

func TestConcurrentUse(t *testing.T) {
	var out safeBuffer
	yes := true
	d := New(&out, Options{Terminal: &yes, Interval: time.Millisecond, Width: func() int { return 80 }})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			task := d.Start(fmt.Sprint("task ", i), "rows", 1000)
			for range 1000 {
				task.Add(1)
				task.Note("n")
			}
			fmt.Fprintln(d, "log")
			task.Done()
		})
	}
	all.Wait()
	d.Close()
	if got := regexp.MustCompile(`task \d  1,000 rows  `).FindAllString(out.String(), -1); len(got) != 8 {
		t.Errorf("last lines %q, want 8", got)
	}
}

func TestFailingWriterIsNoTrouble(t *testing.T) {
	d := New(failing{}, Options{})
	task := d.Start("score", "rows", 1)
	task.Add(1)
	task.Done()
	if _, err := d.Write([]byte("log\n")); err == nil {
		t.Error("Write hides the writer's error")
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234", -123: "-123"} {
		if got := Count(n); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
	for x, want := range map[float64]string{0: "0", 0.523: "0.52", 0.996: "1.0", 1: "1", 8.46: "8.5", 9.96: "10", 84.2: "84", 999.4: "999",
		999.6: "1.00k", 12_345: "12.3k", 99_960: "100k", 4.5e6: "4.50M", 2e18: "2000P"} {
		if got := Scale(x); got != want {
			t.Errorf("Scale(%v) = %q, want %q", x, got, want)
		}
	}
	for d, want := range map[time.Duration]string{-time.Second: "0.0 s", 59940 * time.Millisecond: "59.9 s", 59960 * time.Millisecond: "1m 00s",
		3599600 * time.Millisecond: "1h 00m", 26 * time.Hour: "1d 02h"} {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%v) = %q, want %q", d, got, want)
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	no := false
	task := New(io.Discard, Options{Terminal: &no}).Start("score", "rows", -1)
	defer task.Done()
	for b.Loop() {
		task.Add(1)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// safeBuffer is a bytes.Buffer for several goroutines.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
