package lint

import (
	"bytes"
	"fmt"
)

// forbidden are traces of one machine: its folders, and the hosts that it gets
// packages from, which pip and go know by themselves. They are cut in two here,
// so that this file does not hold them.
var forbidden = [][2]string{
	{"/wo", "rk/"},
	{"/tmp/", "oracle"},
	{"/tmp/", "bash_jobs"},
	{"/ro", "ot/"},
	{"pypi", ".org"},
	{"python", "hosted.org"},
	{"proxy.gol", "ang.org"},
	{"sum.gol", "ang.org"},
	{"--index", "-url"},
}

// hosted are the files that may name the package index, with the reason.
var hosted = map[string]string{
	"scoring/backend/install/fetch.go": "it fetches plugins without pip, so it has to know where from",
}

// checkWords wants none of the forbidden words in any file.
func (m *module) checkWords() {
	for _, f := range m.texts {
		for i, line := range bytes.Split(f.text, []byte("\n")) {
			for _, halves := range forbidden {
				word := halves[0] + halves[1]
				if bytes.Contains(line, []byte(word)) && !(hosted[f.path] != "" && halves[0] == "pypi") {
					m.found = append(m.found, Violation{f.path, i + 1, "words", fmt.Sprintf("%q is of one machine: leave it out", word)})
				}
			}
		}
	}
}
