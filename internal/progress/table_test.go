package progress

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTable(t *testing.T) {
	var out bytes.Buffer
	Table(&out, []string{"domain", "before", "after"}, [][]string{
		{"books", "7.6 %", "48.5 %"},
		{"日本語", "12.2 %", "8.5 %"},
		{"line\nbreak", "1 %"},
		{"e\u0301t\u00e9", "", "0 %", "extra"},
	}, []bool{false, true, true})
	want := `domain      before   after
---------------------------------
books        7.6 %  48.5 %
日本語      12.2 %   8.5 %
line break     1 %
` + "e\u0301t\u00e9                    0 %  extra\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestTableEdges(t *testing.T) {
	for _, test := range []struct {
		name string
		head []string
		rows [][]string
		want string
	}{
		{"nothing", nil, nil, ""},
		{"head alone", []string{"a", "b"}, nil, "a  b\n----\n"},
		{"no head", nil, [][]string{{"a", "1"}, {"bb", "2"}}, "a   1\nbb  2\n"},
	} {
		var out bytes.Buffer
		Table(&out, test.head, test.rows, nil)
		if diff := cmp.Diff(test.want, out.String()); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}
