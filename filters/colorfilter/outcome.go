package colorfilter

import (
	"cmp"
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
	Plot        Plot                      `json:"plot"`
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

// domainCounts counts rows by domain.
type domainCounts struct {
	all map[string]*DomainCount
	// recent finds most names without hashing them: one slot each for names of
	// equal length and equal outer letters.
	recent [64]*DomainCount
}

// add counts a run of rows, neighbours of one domain at a time.
func (c *domainCounts) add(s *pipeline.Scores, d *pipeline.Decisions) {
	for start, n := 0, s.Len(); start < n; {
		name, end := "", n
		if len(s.Domain) > 0 {
			name, end = s.Domain[start], start+1
			for end < n && s.Domain[end] == name {
				end++
			}
		}
		var tokens, keptRows, keptTokens int64
		keep := d.Keep[start:end]
		for i, t := range s.TokenCount[start:end] {
			tokens += int64(t)
			if keep[i] {
				keptRows++
				keptTokens += int64(t)
			}
		}
		count := c.find(name)
		count.Rows += int64(end - start)
		count.Tokens += tokens
		count.KeptRows += keptRows
		count.KeptTokens += keptTokens
		start = end
	}
}

func (c *domainCounts) find(name string) *DomainCount {
	if name == "" {
		name = NoDomain
	}
	slot := (len(name) + 5*int(name[0]) + 11*int(name[len(name)-1])) % len(c.recent)
	if known := c.recent[slot]; known != nil && known.Domain == name {
		return known
	}
	count := c.all[name]
	if count == nil && len(c.all) >= MaxDomains {
		name = OtherDomains
		count = c.all[name]
	}
	if count == nil {
		count = &DomainCount{Domain: strings.Clone(name)} // the source may overwrite its bytes
		c.all[count.Domain] = count
	}
	c.recent[slot] = count
	return count
}

func (c *domainCounts) list() []DomainCount {
	domains := make([]DomainCount, 0, len(c.all))
	for _, count := range c.all {
		domains = append(domains, *count)
	}
	slices.SortFunc(domains, func(a, b DomainCount) int {
		return cmp.Or(cmp.Compare(b.Rows, a.Rows), strings.Compare(a.Domain, b.Domain))
	})
	return domains
}
