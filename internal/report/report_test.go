package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden pages anew")

// demo is the report that testdata/make_demo.py made of the demo corpus.
func demo(t *testing.T) Report {
	t.Helper()
	data, err := os.ReadFile("testdata/demo.json")
	if err != nil {
		t.Fatal(err)
	}
	var r Report
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// hostile is a report in which every text attacks the page, and every number
// that can be absurd is.
func hostile() Report {
	texts := []string{
		"<script>alert(1)</script><img src=https://evil.example/x onerror=alert(2)>",
		"</textarea></style></title></svg>--><!--<![CDATA[ \"' onload='x' ]]>",
		"مرحبا بالعالم هذا نص طويل \u202e reversed \u202c and \u2066isolated",
		strings.Repeat("x", 100_000),
		"bad \xff\xfe\x80 bytes, \x00 \x01 \x07 \x1b[31m \x7f \u0085 \u009b controls, \ufffe \uffff",
		strings.Repeat("\n", 500) + "after many lines" + strings.Repeat("\nline", 40),
		"javascript:alert(1) {{.Config}} ${x} url(https://evil.example) @import 'x'",
		strings.Repeat("😀", 3000) + "\u0301\u0301",
		"",
	}
	nan, inf := math.NaN(), math.Inf(1)
	one := 1.0
	all := strings.Join(texts[:3], " ")
	r := Report{Title: all, Version: all, Backend: texts[4], Unit: texts[0], Config: strings.Join(texts, "\n")}
	r.Counts = Counts{RowsIn: 9, TokensIn: math.MaxInt64, Kept: 3, KeptTokens: -5}
	r.Scores = Scores{Label: texts[1], Cut: float32(inf), Underflow: 3, Overflow: 4, Bins: []Bin{
		{nan, nan, 1, 1}, {2, 1, 5, 5}, {0, 1, -7, 1}, {0, 1, 2, 3}, {1, inf, 1, 1}}}
	r.Losses = Losses{Prior: []Bin{{5, 5, 1, 1}}, Conditional: []Bin{{0, 1e-300, 1, 1}}}
	r.Training = []Curve{{Name: texts[0]}, {Name: texts[1], Steps: []Point{
		{Loss: nan}, {Loss: inf, Heldout: &nan}, {Loss: 1e300, Heldout: &one, LearningRate: nan}, {Step: 1, Loss: -1e300, LearningRate: -inf}}}}
	group := SampleGroup{Name: texts[0]}
	for i, text := range texts {
		r.Facts = append(r.Facts, Fact{text, text})
		r.Counts.Dropped = append(r.Counts.Dropped, ReasonCount{text, int64(i)})
		r.Domains = append(r.Domains, Domain{Name: text, Rows: int64(i), KeptRows: int64(9 - i)})
		group.Samples = append(group.Samples, Sample{Shard: text, ID: text, Domain: text, Text: text,
			Score: float32(nan), Prior: float32(inf), Conditional: -float32(inf), Row: math.MaxInt64})
	}
	r.Samples = []SampleGroup{group}
	return r
}

// page writes a report that is expected to succeed.
func page(t *testing.T, r Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	file = filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("page differs from %s; look at it, then run go test -update", file)
	}
}

func TestGolden(t *testing.T) {
	golden(t, "demo.html", page(t, demo(t)))
	golden(t, "empty.html", page(t, Report{}))
}

func TestSameReportSamePage(t *testing.T) {
	r := demo(t)
	first := page(t, r)
	for i, j := 0, len(r.Domains)-1; i < j; i, j = i+1, j-1 { // the order of domains is ours
		r.Domains[i], r.Domains[j] = r.Domains[j], r.Domains[i]
	}
	if page(t, r) != first {
		t.Error("the page changed")
	}
}

// all gives the pages that the checks of form run on.
func all(t *testing.T) map[string]string {
	return map[string]string{
		"demo": page(t, demo(t)), "empty": page(t, Report{}), "hostile": page(t, hostile()),
		"ofds": ofdsPage(t, ofdsDemo(t)), "ofds empty": ofdsPage(t, OFDS{}), "ofds hostile": ofdsPage(t, ofdsHostile(t)),
	}
}

var (
	tag        = regexp.MustCompile(`<(/?)([a-zA-Z!?][^\s>/]*)([^>]*)>`)
	attribute  = regexp.MustCompile(`([a-zA-Z_:-]+)\s*=\s*("[^"]*"|'[^']*'|[^\s>]+)`)
	style      = regexp.MustCompile(`(?s)<style>(.*?)</style>`)
	elements   = "!doctype html head meta title style body header main section nav a h1 h2 h3 p strong bdi em br small code pre span div dl dt dd article details summary table caption thead tbody tr th td figure figcaption svg g rect line path circle text desc ul li image"
	attributes = "lang charset name content http-equiv class id role aria-label aria-labelledby aria-hidden href scope dir height width viewBox preserveAspectRatio x y x1 x2 y1 y2 dx dy cx cy r d text-anchor data-name"
)

// The page holds only elements and attributes of ours, none of which can run
// or fetch anything, whatever the texts say.
func TestNothingRunsAndNothingIsFetched(t *testing.T) {
	for name, html := range all(t) {
		for _, m := range tag.FindAllStringSubmatch(html, -1) {
			if !contains(elements, m[2]) {
				t.Errorf("%s: element %.80q", name, m[0])
			}
			for _, a := range attribute.FindAllStringSubmatch(m[3], -1) {
				if !contains(attributes, a[1]) {
					t.Errorf("%s: attribute %s in %.80q", name, a[1], m[0])
				}
				own := `"#`
				if m[2] == "image" {
					own = `"data:image/jpeg;base64,`
				}
				if a[1] == "href" && !strings.HasPrefix(a[2], own) {
					t.Errorf("%s: link to %s", name, a[2])
				}
			}
		}
		css := style.FindAllStringSubmatch(html, -1)
		if len(css) != 1 || regexp.MustCompile(`url\(|@import|//`).MatchString(css[0][1]) {
			t.Errorf("%s: the style sheet refers to something else", name)
		}
		pictures := ""
		if strings.HasPrefix(name, "ofds") {
			pictures = "; img-src data:"
		}
		if !strings.Contains(html, `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'`+pictures+`">`) {
			t.Errorf("%s: no content security policy", name)
		}
	}
}

func contains(list, word string) bool { return strings.Contains(" "+list+" ", " "+word+" ") }

// Every element is closed where it should be, and ids are unique: the page is
// read by a strict parser after the few parts of HTML that XML lacks are gone.
func TestWellFormed(t *testing.T) {
	void := regexp.MustCompile(`<(meta|br)([^>]*)>`)
	for name, html := range all(t) {
		text := strings.TrimPrefix(html, "<!doctype html>\n")
		text = style.ReplaceAllString(text, "")
		text = void.ReplaceAllString(text, "<$1$2/>")
		seen := map[string]bool{}
		decoder := xml.NewDecoder(strings.NewReader(text))
		charts := 0
		for {
			token, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			start, isStart := token.(xml.StartElement)
			if !isStart {
				continue
			}
			for _, a := range start.Attr {
				if a.Name.Local == "id" && seen[a.Value] {
					t.Errorf("%s: id %s occurs twice", name, a.Value)
				}
				if a.Name.Local == "id" {
					seen[a.Value] = true
				}
				if a.Name.Local == "role" && a.Value == "img" {
					charts++
				}
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					t.Errorf("%s: <%s %s=%q>", name, start.Name.Local, a.Name.Local, a.Value)
				}
			}
		}
		for _, label := range regexp.MustCompile(`aria-labelledby="([^"]*)"`).FindAllStringSubmatch(html, -1) {
			for id := range strings.FieldsSeq(label[1]) {
				if !seen[id] {
					t.Errorf("%s: label %s is missing", name, id)
				}
			}
		}
		if want := map[string]int{"demo": 6, "empty": 0, "hostile": 3,
			"ofds": 4 + 29 + 6, "ofds empty": 0, "ofds hostile": 1 + 1 + mostMaps}[name]; charts != want {
			t.Errorf("%s: %d charts, want %d", name, charts, want)
		}
	}
}

func TestHostileTexts(t *testing.T) {
	html := page(t, hostile())
	if len(html) > 400_000 {
		t.Errorf("page has %d bytes: a long text was not cut", len(html))
	}
	for _, r := range html {
		if r < 0x20 && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || r == '\u202e' || r == 0xfffe || r == 0xffff {
			t.Errorf("page holds %U", r)
		}
	}
	for _, want := range []string{
		"&lt;script&gt;alert(1)&lt;/script&gt;", "[U+202E]", "bad \ufffd", "\u2400 \u2401 \u2407 \u241b[31m \u2421",
		"94,000 more bytes", "<em>no text</em>", "The counts do not add up: 39 ",
	} {
		if !strings.Contains(strings.ReplaceAll(html, "&#43;", "+"), want) {
			t.Errorf("page lacks %q", want)
		}
	}
}

func TestLead(t *testing.T) {
	books := []Domain{{Name: "books", Rows: 66, KeptRows: 53}, {Name: "docs", Rows: 974, KeptRows: 77}}
	for _, test := range []struct {
		report Report
		want   string
	}{
		{Report{Counts: Counts{RowsIn: 1040, Kept: 130}, Domains: books}, "Kept 130 of 1,040 documents (12.5\u00a0%); books rose from 6.3\u00a0% to 40.8\u00a0%."},
		{Report{Counts: Counts{RowsIn: 1040, Kept: 130}, Unit: "sequences"}, "Kept 130 of 1,040 sequences (12.5\u00a0%)."},
		{Report{Counts: Counts{RowsIn: 4, Kept: 4}, Domains: books}, "Kept all 4 documents."},
		{Report{Counts: Counts{RowsIn: 4}, Domains: []Domain{{Name: "a", Rows: 4}}}, "Kept none of 4 documents."},
		{Report{}, "The pool held no documents."},
	} {
		v, got := newView(test.report), ""
		for _, p := range v.Lead {
			got += p.Text
		}
		if got != test.want {
			t.Errorf("got  %q\nwant %q", got, test.want)
		}
	}
}

func TestWriteReportsTheWritersError(t *testing.T) {
	if err := Write(failing{}, demo(t)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func ExampleWrite() {
	var page bytes.Buffer
	err := Write(&page, Report{Title: "demo", Counts: Counts{RowsIn: 1040, Kept: 130}})
	fmt.Println(strings.Contains(page.String(), "<h1>demo</h1>"), err)
	// Output: true <nil>
}
