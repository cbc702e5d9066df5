package report

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"

	"github.com/curate-data/curate/pipeline"
)

// frame is what all pages have: text that is ready to be escaped.
type frame struct {
	Style          template.CSS
	Pictures       bool // the page may show pictures that it holds itself
	Title, Eyebrow string
	Lead           []phrase
	Warnings       []string
	Tiles          []tile
	Facts          []Fact
	Config         string
}

// view is what the templates of the page of a run read.
type view struct {
	frame
	Unit    string
	Score   *scoreChart
	Domain  *domainView
	Curves  []*curveChart
	Loss    *lossChart
	Groups  []groupView
	Dropped reasonTable
}

// phrase is a part of the leading sentence.
type phrase struct {
	Text   string
	Strong bool
}

// tile is one headline figure.
type tile struct{ Name, Value, Detail string }

// reasonTable says what was dropped and why.
type reasonTable struct {
	Unit, Whole string // of the columns with counts and with shares
	None        string // shown when nothing was dropped
	Rows        []dropRow
	Balance     string // the sum of the counts, in words
	Unbalanced  string // what does not add up, empty when all does
}

// dropRow is one reason with its rows.
type dropRow struct {
	Reason, Meaning, Rows, Share string
	W                            coord
}

// groupView is a column of samples.
type groupView struct {
	Name, Meaning, Class string
	Cards                []card
}

// card is one sample.
type card struct {
	Where, ID, Domain, Tokens string
	Score, Prior, Conditional string
	Kept                      bool
	Head, Rest, Left          string
}

func newView(r Report) view {
	unit := name(r.Unit, "documents")
	v := view{
		frame: newFrame(r.Title, r.Version, r.Backend, r.Facts, r.Config), Unit: unit,
		Score: newScoreChart(r.Scores, r.Counts.Kept, unit), Domain: newDomainView(r.Domains, unit),
		Loss: newLossChart(r.Losses, unit), Dropped: newReasonTable(r.Counts, unit, "kept", meanings),
	}
	if v.Dropped.Unbalanced != "" {
		v.Warnings = []string{v.Dropped.Unbalanced}
	}
	gain := biggestGain(r.Domains)
	v.Lead = lead(r.Counts, gain, unit)
	v.Tiles = tiles(r, gain, unit)
	for i, c := range r.Training {
		hue := []string{"prior", "conditional"}[i%2]
		if chart := newCurveChart(c, hue); chart != nil {
			chart.ID = fmt.Sprintf("curve-%d", i)
			v.Curves = append(v.Curves, chart)
		}
	}
	for _, g := range r.Samples {
		if len(g.Samples) > 0 {
			v.Groups = append(v.Groups, newGroup(g))
		}
	}
	return v
}

// newFrame cleans what all pages have.
func newFrame(title, version, backend string, about []Fact, config string) frame {
	f := frame{Title: name(title, "curate run"), Facts: facts(about), Config: strings.TrimSpace(clean(config))}
	var eyebrow []string
	for _, part := range []string{"curate " + name(version, ""), name(backend, "")} {
		if part = strings.TrimSpace(part); part != "" {
			eyebrow = append(eyebrow, part)
		}
	}
	f.Eyebrow = strings.Join(eyebrow, " \u00b7 ")
	return f
}

// facts makes facts safe to show.
func facts(all []Fact) []Fact {
	var out []Fact
	for _, f := range all {
		out = append(out, Fact{name(f.Name, ""), strings.TrimSpace(clean(f.Value))})
	}
	return out
}

// gained is the domain whose share of the rows grew by the most points.
type gained struct {
	row domainRow
	ok  bool
}

func biggestGain(domains []Domain) gained {
	view := newDomainView(domains, "")
	if view == nil {
		return gained{}
	}
	var best gained
	for _, row := range view.Rows {
		if gain := row.after - row.before; !row.joined && gain > max(0, best.row.after-best.row.before) {
			best = gained{row, true}
		}
	}
	best.row.Before, best.row.After = share(best.row.before), share(best.row.after)
	return best
}

// lead is the run in one sentence.
func lead(c Counts, gain gained, unit string) []phrase {
	switch {
	case c.RowsIn == 0:
		return []phrase{{"The pool held no " + unit + ".", false}}
	case c.Kept == 0:
		return []phrase{{"Kept ", false}, {"none", true}, {fmt.Sprintf(" of %s %s.", count(c.RowsIn), unit), false}}
	case c.Kept == c.RowsIn:
		return []phrase{{"Kept ", false}, {"all " + count(c.RowsIn), true}, {" " + unit + ".", false}}
	}
	s := []phrase{{"Kept ", false}, {count(c.Kept), true},
		{fmt.Sprintf(" of %s %s (%s)", count(c.RowsIn), unit, percent(c.Kept, c.RowsIn)), false}}
	if gain.ok {
		s = append(s, phrase{"; ", false}, phrase{gain.row.Name, true},
			phrase{fmt.Sprintf(" rose from %s to ", gain.row.Before), false}, phrase{gain.row.After, true})
	}
	return append(s, phrase{".", false})
}

func tiles(r Report, gain gained, unit string) []tile {
	c := r.Counts
	var all []tile
	if c.RowsIn > 0 {
		all = append(all, tile{"kept " + unit, headline(c.Kept),
			fmt.Sprintf("of %s (%s)", headline(c.RowsIn), percent(c.Kept, c.RowsIn))})
	}
	if c.TokensIn > 0 {
		all = append(all, tile{"kept tokens", headline(c.KeptTokens),
			fmt.Sprintf("of %s (%s)", headline(c.TokensIn), percent(c.KeptTokens, c.TokensIn))})
	}
	if cut := float64(r.Scores.Cut); len(r.Scores.Bins) > 0 && finite(cut) {
		detail := "the lowest score that is kept"
		if r.Scores.Label == "" {
			detail = "nats per token; scores from here up are kept"
		}
		all = append(all, tile{"cut", signed(cut, 4), detail})
	}
	if gain.ok && !math.IsNaN(gain.row.lift) {
		all = append(all, tile{"lift of " + gain.row.Name, gain.row.Lift,
			fmt.Sprintf("%s of the pool, %s of what was kept", gain.row.Before, gain.row.After)})
	}
	return all
}

// headline writes a count in full while it fits a tile.
func headline(n int64) string {
	if n < 1e9 {
		return count(n)
	}
	if n >= 1e12 {
		return decimal(float64(n)/1e12, 4) + " trillion"
	}
	return decimal(float64(n)/1e9, 4) + " billion"
}

// meanings explains the reasons that curate gives.
var meanings = map[string]string{
	string(pipeline.BelowCut):    "score below the cut",
	string(pipeline.TieAtCut):    "score equal to the cut, after the budget was full",
	string(pipeline.NullText):    "no text",
	string(pipeline.EmptyText):   "text of no bytes",
	string(pipeline.InvalidUTF8): "text is not valid UTF-8",
	string(pipeline.TooShort):    "fewer than two tokens, so no token has a loss",
	string(pipeline.NaNScore):    "a loss or the score is not a number",
	string(pipeline.InfScore):    "a loss or the score is infinite",
}

// newReasonTable lists the reasons, the most frequent first. Kept is the word for
// what was not dropped.
func newReasonTable(c Counts, unit, kept string, meanings map[string]string) reasonTable {
	t := reasonTable{Unit: unit, Whole: "of the pool", None: "Nothing was dropped."}
	rows := slices.Clone(c.Dropped)
	slices.SortStableFunc(rows, func(a, b ReasonCount) int {
		return cmp.Or(cmp.Compare(b.Rows, a.Rows), cmp.Compare(a.Reason, b.Reason))
	})
	var dropped, most int64
	for _, d := range rows {
		dropped += d.Rows
		most = max(most, d.Rows)
	}
	for _, d := range rows {
		t.Rows = append(t.Rows, dropRow{
			Reason: name(d.Reason, "(no reason)"), Meaning: meanings[d.Reason],
			Rows: count(d.Rows), Share: evenly(d.Rows, c.RowsIn), W: coord(max(0, ratio(d.Rows, most)*100)),
		})
	}
	t.Balance = fmt.Sprintf("%s %s in = %s %s + %s dropped", count(c.RowsIn), unit, count(c.Kept), kept, count(dropped))
	if missing := c.RowsIn - c.Kept - dropped; missing != 0 {
		t.Unbalanced = fmt.Sprintf("The counts do not add up: %s %s are %s plus dropped, %s came in.",
			count(c.Kept+dropped), unit, kept, count(c.RowsIn))
	}
	return t
}

// groupMeanings explains the groups that curate makes.
var groupMeanings = map[string]string{
	"best":       "the highest scores",
	"borderline": "nearest to the cut, on both sides",
	"worst":      "the lowest scores",
}

func newGroup(g SampleGroup) groupView {
	v := groupView{Name: name(g.Name, "samples"), Meaning: groupMeanings[g.Name], Class: "other"}
	if v.Meaning != "" {
		v.Class = g.Name
	}
	for _, s := range g.Samples {
		c := card{
			Where: name(s.Shard, "(no shard)") + " row " + count(s.Row), ID: name(s.ID, ""), Domain: name(s.Domain, ""),
			Tokens: count(s.Tokens), Kept: s.Kept, Score: signed(float64(s.Score), 3),
			Prior: fixed(float64(s.Prior), 3), Conditional: fixed(float64(s.Conditional), 3),
		}
		var left int
		c.Head, c.Rest, left = excerpt(s.Text)
		if left > 0 {
			c.Left = count(int64(left)) + " more bytes"
		}
		v.Cards = append(v.Cards, c)
	}
	return v
}
