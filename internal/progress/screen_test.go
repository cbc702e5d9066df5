package progress

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/rivo/uniseg"
)

// screen is as much of a terminal as the tests need: it wraps at its width and
// obeys the control sequences that the package sends. Others panic.
type screen struct {
	width    int
	lines    [][]string // cells; the second cell of a wide character is empty
	row, col int
	raw      bytes.Buffer
}

func newScreen(width int) *screen { return &screen{width: width, lines: [][]string{nil}} }

var sequence = regexp.MustCompile(`^\x1b\[(\d*)([AKJm])`)

func (s *screen) Write(p []byte) (int, error) {
	s.raw.Write(p)
	for rest := string(p); rest != ""; {
		if m := sequence.FindStringSubmatch(rest); m != nil {
			s.obey(m[1], m[2])
			rest = rest[len(m[0]):]
			continue
		}
		cluster, tail, width, _ := uniseg.FirstGraphemeClusterInString(rest, -1)
		s.put(cluster, width)
		rest = tail
	}
	return len(p), nil
}

func (s *screen) obey(arg, command string) {
	switch command {
	case "A":
		n, _ := strconv.Atoi(arg)
		s.row = max(0, s.row-n)
	case "K":
		s.clearLine()
	case "J":
		s.clearLine()
		s.lines = s.lines[:s.row+1]
	}
}

func (s *screen) clearLine() {
	if s.col < len(s.lines[s.row]) {
		s.lines[s.row] = s.lines[s.row][:s.col]
	}
}

func (s *screen) put(cluster string, width int) {
	switch cluster {
	case "\r":
		s.col = 0
		return
	case "\n", "\r\n": // a terminal's driver adds the return
		s.row, s.col = s.row+1, 0
		if s.row == len(s.lines) {
			s.lines = append(s.lines, nil)
		}
		return
	}
	if width == 0 || cluster[0] < 0x20 {
		panic(fmt.Sprintf("screen: unexpected %q", cluster))
	}
	if s.col+width > s.width && s.width > 1 {
		s.put("\n", 0)
	}
	for len(s.lines[s.row]) < s.col+width {
		s.lines[s.row] = append(s.lines[s.row], " ")
	}
	s.lines[s.row][s.col] = cluster
	for i := 1; i < width; i++ {
		s.lines[s.row][s.col+i] = ""
	}
	s.col += width
}

// text is what is to be read on the screen.
func (s *screen) text() string {
	var out []string
	for _, line := range s.lines {
		out = append(out, strings.TrimRight(strings.Join(line, ""), " "))
	}
	return strings.TrimRight(strings.Join(out, "\n"), "\n")
}

// narrow makes the window narrower: lines wrap, the cursor stays with its text.
func (s *screen) narrow(width int) {
	var lines [][]string
	for _, line := range s.lines {
		for len(line) > width {
			lines, line = append(lines, line[:width:width]), line[width:]
		}
		lines = append(lines, line)
	}
	s.lines, s.width = lines, width
	s.row, s.col = len(lines)-1, len(lines[len(lines)-1])
}
