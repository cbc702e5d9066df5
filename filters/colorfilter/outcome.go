package colorfilter

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/curate-data/curate/pipeline"
)

// Outcome says what a selection kept and dropped.
type Outcome struct {
	Kept        int64                     `json:"kept"`
	KeptTokens  int64                     `json:"kept_tokens"`
	TiesKept    int64                     `json:"ties_kept"`    // rows with exactly the score of the cut
	TiesDropped int64                     `json:"ties_dropped"` // the same, dropped
	Dropped     map[pipeline.Reason]int64 `json:"dropped"`      // rows by reason; with Kept they add up to all rows
	Domains     []DomainCount             `json:"domains"`      // most rows first
}

// DomainCount is the part of one domain in a pool and in what is kept of it.
type DomainCount struct {
	Domain     string `json:"domain"`
	Rows       int64  `json:"rows"`
	Tokens     int64  `json:"tokens"`
	KeptRows   int64  `json:"kept_rows"`
	KeptTokens int64  `json:"kept_tokens"`
}

// Rows without a domain count as NoDomain. The first MaxDomains domains of a
// pool, in its order, are counted one by one and all others as OtherDomains: a
// column of host names must not fill the memory.
const (
	NoDomain     = "(none)"
	OtherDomains = "(other)"
	MaxDomains   = 256
)

// tally adds decisions up.
type tally struct {
	kept, keptTokens int64
	dropped          reasonCounts
	domains          map[string]*DomainCount
}

func newTally() tally {
	return tally{domains: make(map[string]*DomainCount)}
}

func (t *tally) add(s *pipeline.Scores, d *pipeline.Decisions) {
	var domain *DomainCount
	var name string
	for i, tokens := range s.TokenCount {
		// Neighbours mostly share their domain, so the map is asked only at a change.
		if len(s.Domain) > 0 && s.Domain[i] != name || domain == nil {
			if len(s.Domain) > 0 {
				name = s.Domain[i]
			}
			domain = t.domain(name)
		}
		domain.Rows++
		domain.Tokens += int64(tokens)
		if d.Keep[i] {
			t.kept++
			t.keptTokens += int64(tokens)
			domain.KeptRows++
			domain.KeptTokens += int64(tokens)
			continue
		}
		t.dropped.add(d.Reason[i])
	}
}

func (t *tally) domain(name string) *DomainCount {
	if name == "" {
		name = NoDomain
	}
	if known := t.domains[name]; known != nil {
		return known
	}
	if len(t.domains) >= MaxDomains {
		name = OtherDomains
		if known := t.domains[name]; known != nil {
			return known
		}
	}
	name = strings.Clone(name) // the source may own the bytes
	count := &DomainCount{Domain: name}
	t.domains[name] = count
	return count
}

func (t *tally) result() Outcome {
	domains := make([]DomainCount, 0, len(t.domains))
	for _, d := range slices.SortedFunc(maps.Values(t.domains), func(a, b *DomainCount) int {
		return cmp.Or(cmp.Compare(b.Rows, a.Rows), strings.Compare(a.Domain, b.Domain))
	}) {
		domains = append(domains, *d)
	}
	return Outcome{Kept: t.kept, KeptTokens: t.keptTokens, Dropped: t.dropped.all(), Domains: domains}
}

// reasonCounts counts rows by reason. Neighbours mostly share their reason, so
// it asks the map only at a change.
type reasonCounts struct {
	counts map[pipeline.Reason]int64
	last   pipeline.Reason
	run    int64 // rows with the last reason that are not yet in counts
}

func (c *reasonCounts) add(reason pipeline.Reason) {
	if reason != c.last {
		c.all()
		c.last = reason
	}
	c.run++
}

// all returns the counts, never nil.
func (c *reasonCounts) all() map[pipeline.Reason]int64 {
	if c.counts == nil {
		c.counts = make(map[pipeline.Reason]int64)
	}
	if c.run > 0 {
		c.counts[c.last] += c.run
		c.run = 0
	}
	return c.counts
}
