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

// view is what the templates read: text that is ready to be escaped, and
// coordinates.
type view struct {
	Style          template.CSS
	Title, Eyebrow string
	Unit           string
	Lead           []phrase
	Tiles          []tile
	Score          *scoreChart
	Domain         *domainView
	Curves         []*curveChart
	Loss           *lossChart
	Groups         []groupView
	Dropped        []dropRow
	Balance        string // the sum of the counts, in words
	Unbalanced     string // what does not add up, empty when all does
	Facts          []Fact
	Config         string
}

// phrase is a part of the leading sentence.
type phrase struct {
	Text   string
	Strong bool
}

// tile is one headline figure.
type tile struct{ Name, Value, Detail string }

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
		Title: name(r.Title, "curate run"), Unit: unit, Config: strings.TrimSpace(clean(r.Config)),
		Score: newScoreChart(r.Scores, r.Counts.Kept, unit), Domain: newDomainView(r.Domains, unit),
		Loss: newLossChart(r.Losses, unit),
	}
	var eyebrow []string
	for _, part := range []string{"curate " + name(r.Version, ""), name(r.Backend, "")} {
		if part = strings.TrimSpace(part); part != "" {
			eyebrow = append(eyebrow, part)
		}
	}
	v.Eyebrow = strings.Join(eyebrow, " \u00b7 ")
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
	v.addDropped(r.Counts, unit)
	for _, f := range r.Facts {
		v.Facts = append(v.Facts, Fact{name(f.Name, ""), strings.TrimSpace(clean(f.Value))})
	}
	return v
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

func (v *view) addDropped(c Counts, unit string) {
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
		v.Dropped = append(v.Dropped, dropRow{
			Reason: name(d.Reason, "(no reason)"), Meaning: meanings[d.Reason],
			Rows: count(d.Rows), Share: evenly(d.Rows, c.RowsIn), W: coord(ratio(d.Rows, most) * 100),
		})
	}
	v.Balance = fmt.Sprintf("%s %s in = %s kept + %s dropped", count(c.RowsIn), unit, count(c.Kept), count(dropped))
	if missing := c.RowsIn - c.Kept - dropped; missing != 0 {
		v.Unbalanced = fmt.Sprintf("The counts do not add up: %s %s are kept plus dropped, %s came in.",
			count(c.Kept+dropped), unit, count(c.RowsIn))
	}
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
