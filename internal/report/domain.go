package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// mostDomains is as many domains as a page lists; the smallest beyond it
// become one line.
const mostDomains = 24

// domainView is the change of shares by domain.
type domainView struct {
	Rows     []domainRow
	Total    domainRow
	HasToken bool
	Note     string
}

// domainRow is one domain with its share of the rows of the pool and of the
// kept rows. Widths of bars are percent.
type domainRow struct {
	Name                    string
	Before, After, Lift     string
	BeforeW, AfterW         coord
	Up, Down                bool
	Rows, Kept, Rate        string
	Tokens, KeptTokens      string
	TokenBefore, TokenAfter string
	lift, before, after     float64
	joined                  bool // stands for several domains; goes last
}

func newDomainView(domains []Domain, unit string) *domainView {
	if len(domains) == 0 {
		return nil
	}
	all, joined := largest(domains)
	var sum Domain
	for _, d := range all {
		sum.add(d)
	}
	v := &domainView{HasToken: sum.Tokens > 0}
	for _, d := range all {
		v.Rows = append(v.Rows, newDomainRow(d, sum))
	}
	v.Rows[len(v.Rows)-1].joined = joined > 0
	v.Total = newDomainRow(sum, sum)
	v.Total.Name = "all"
	slices.SortStableFunc(v.Rows, func(a, b domainRow) int {
		return cmp.Or(cmp.Compare(b.rank(), a.rank()), cmp.Compare(b.before, a.before), cmp.Compare(a.Name, b.Name))
	})
	widest := 0.0
	for _, r := range v.Rows {
		widest = max(widest, r.before, r.after)
	}
	if widest > 0 {
		for i := range v.Rows {
			v.Rows[i].BeforeW = coord(v.Rows[i].before / widest * 100)
			v.Rows[i].AfterW = coord(v.Rows[i].after / widest * 100)
		}
	}
	if joined > 0 {
		v.Note = fmt.Sprintf("The %s domains with the fewest %s are joined in one line.", count(int64(joined)), unit)
	}
	return v
}

// rank orders domains: by lift, then those without rows in the pool, which
// have none, then the joined ones.
func (r domainRow) rank() float64 {
	switch {
	case r.joined:
		return -2
	case math.IsNaN(r.lift):
		return -1
	}
	return r.lift
}

func (d *Domain) add(e Domain) {
	d.Rows += e.Rows
	d.Tokens += e.Tokens
	d.KeptRows += e.KeptRows
	d.KeptTokens += e.KeptTokens
}

// largest returns the domains with the most rows and the rest as one, and the
// number of domains in that one.
func largest(domains []Domain) ([]Domain, int) {
	all := slices.Clone(domains)
	for i := range all {
		all[i].Name = name(all[i].Name, "(no domain)")
	}
	if len(all) <= mostDomains {
		return all, 0
	}
	slices.SortStableFunc(all, func(a, b Domain) int {
		return cmp.Or(cmp.Compare(b.Rows, a.Rows), cmp.Compare(a.Name, b.Name))
	})
	rest := all[mostDomains-1:]
	other := Domain{Name: fmt.Sprintf("%s smaller domains", count(int64(len(rest))))}
	for _, d := range rest {
		other.add(d)
	}
	return append(all[:mostDomains-1:mostDomains-1], other), len(rest)
}

func newDomainRow(d, sum Domain) domainRow {
	r := domainRow{
		Name: d.Name, Before: evenly(d.Rows, sum.Rows), After: evenly(d.KeptRows, sum.KeptRows),
		Rows: count(d.Rows), Kept: count(d.KeptRows), Rate: evenly(d.KeptRows, d.Rows),
		Tokens: count(d.Tokens), KeptTokens: count(d.KeptTokens),
		TokenBefore: evenly(d.Tokens, sum.Tokens), TokenAfter: evenly(d.KeptTokens, sum.KeptTokens),
		before: ratio(d.Rows, sum.Rows), after: ratio(d.KeptRows, sum.KeptRows), lift: math.NaN(),
	}
	if r.before > 0 && sum.KeptRows > 0 {
		r.lift = r.after / r.before
	}
	r.Lift, r.Up, r.Down = lift(r.lift), r.lift > 1, r.lift < 1
	return r
}

// ratio is part of whole, zero of nothing.
func ratio(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
