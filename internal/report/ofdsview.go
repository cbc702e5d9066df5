package report

import (
	"cmp"
	"fmt"
	"slices"
)

// Most classes in the open table, maps on a page, and warnings at its head.
const (
	mostClasses  = 40
	mostMaps     = 24
	mostWarnings = 6
)

// ofdsView is what the templates of the OFDS page read.
type ofdsView struct {
	frame
	MoreWarnings  []string   // unfold
	Classes, More []classRow // More unfold
	Legend        []legendEntry
	Charts        []*coverageView
	Picks         []pickView
	PickNote      string
	Maps          []mapView
	MapNote       string
	Images        reasonTable
	Objects       reasonTable
	Options       []Fact
}

// classRow is one class with what was asked for it and what came of it. Widths of
// bars are percent.
type classRow struct {
	Name, Bin                       string
	PoolW, ChosenW                  coord
	Tip                             string
	Objects, Images, Quota, Chosen  string
	Achieved, Recall                string
	Starved, Unreachable, Uncovered bool
}

func newOFDSView(r OFDS) (*ofdsView, error) {
	v := &ofdsView{
		frame:   newFrame(r.Title, r.Version, r.Backend, r.Facts, r.Config),
		Images:  newReasonTable(r.Images, "images", "chosen", ofdsMeanings),
		Objects: newReasonTable(r.Objects, "objects", "in the pool", ofdsMeanings),
		Options: facts(r.Options),
	}
	v.Pictures, v.Lead, v.Tiles = true, ofdsLead(r), ofdsTiles(r)
	for _, w := range r.Warnings {
		v.Warnings = append(v.Warnings, sentence(w, "(an empty warning)"))
	}
	for _, table := range []reasonTable{v.Images, v.Objects} {
		if table.Unbalanced != "" {
			v.Warnings = append(v.Warnings, table.Unbalanced)
		}
	}
	first := min(len(v.Warnings), mostWarnings)
	v.Warnings, v.MoreWarnings = v.Warnings[:first], v.Warnings[first:]
	rows := classRows(r.Classes)
	v.Classes, v.More = rows[:min(len(rows), mostClasses)], rows[min(len(rows), mostClasses):]
	var class map[string]string
	v.Legend, class = legend(r.Curves)
	for i, c := range r.Curves {
		if chart := newCoverageView(c, fmt.Sprintf("coverage-%d", i), name(r.Unit, "images"), class); chart != nil {
			v.Charts = append(v.Charts, chart)
		}
	}
	var err error
	if v.Picks, err = newPicks(r.Picks); err != nil {
		return nil, err
	}
	if n := int64(len(v.Picks)); n < r.Images.Kept {
		v.PickNote = fmt.Sprintf("The first %s of %s.", count(n), count(r.Images.Kept))
	}
	for i, m := range r.Maps[:min(len(r.Maps), mostMaps)] {
		v.Maps = append(v.Maps, newMapView(m, fmt.Sprintf("map-%d", i)))
	}
	if left := len(r.Maps) - mostMaps; left > 0 {
		v.MapNote = fmt.Sprintf("%s more classes are not drawn.", count(int64(left)))
	}
	return v, nil
}

// ofdsLead is the selection in one sentence.
func ofdsLead(r OFDS) []phrase {
	c, f := r.Images, r.Figures
	method := name(r.Method, "The method")
	if c.RowsIn == 0 {
		return []phrase{{"The pool held no images.", false}}
	}
	s := []phrase{{method + " chose ", false}, {count(c.Kept), true},
		{fmt.Sprintf(" of %s images (%s)", count(c.RowsIn), percent(c.Kept, c.RowsIn)), false}}
	switch {
	case c.Kept == 0 || f.Reachable == 0:
	case f.Covered == f.Reachable && f.Reachable == 1:
		s = append(s, phrase{", which show ", false}, phrase{"the only class", true})
	case f.Covered == f.Reachable:
		s = append(s, phrase{", which show ", false}, phrase{"all " + count(f.Reachable) + " classes", true})
	default:
		s = append(s, phrase{", which show ", false}, phrase{count(f.Covered) + " of " + count(f.Reachable) + " classes", true})
	}
	return append(s, phrase{".", false})
}

func ofdsTiles(r OFDS) []tile {
	c, f := r.Images, r.Figures
	var all []tile
	if c.RowsIn > 0 {
		detail := fmt.Sprintf("of %s (%s)", headline(c.RowsIn), percent(c.Kept, c.RowsIn))
		if r.Asked != "" {
			detail += "; asked for " + name(r.Asked, "")
		}
		all = append(all, tile{"chosen images", headline(c.Kept), detail})
	}
	if r.Objects.Kept > 0 {
		all = append(all, tile{"objects in them", headline(r.ChosenObjects),
			fmt.Sprintf("of %s (%s)", headline(r.Objects.Kept), percent(r.ChosenObjects, r.Objects.Kept))})
	}
	if f.Reachable <= 0 {
		return all
	}
	covered := "with an object in a chosen image"
	if finite(f.Balance) {
		covered += "; balance " + fixed(f.Balance, 2) + " of 1"
	}
	all = append(all, tile{"classes covered", count(f.Covered) + " of " + count(f.Reachable), covered})
	if finite(f.RareRecall) {
		detail := "of the objects of rare classes"
		if finite(f.RareLift) {
			detail += "; " + lift(f.RareLift) + " what random images have"
		}
		all = append(all, tile{"rare objects", share(f.RareRecall), detail})
	}
	if finite(f.ModeRecall) && f.Modes > 0 {
		all = append(all, tile{"clusters hit", share(f.ModeRecall),
			fmt.Sprintf("%s of %s, mean over classes", count(f.ModesHit), count(f.Modes))})
	}
	if finite(f.CoverP95) {
		all = append(all, tile{"cover radius", fixed(f.CoverP95, 3), "95\u00a0% of a class's objects are this near to a chosen one"})
	}
	return all
}

// classRows sorts classes by their images, the fewest first, as the bins do.
func classRows(classes []Class) []classRow {
	all := slices.Clone(classes)
	slices.SortStableFunc(all, func(a, b Class) int {
		return cmp.Or(cmp.Compare(a.Images, b.Images), cmp.Compare(a.Objects, b.Objects), cmp.Compare(a.Name, b.Name))
	})
	var pool, chosen int64
	for _, c := range all {
		pool, chosen = pool+c.Objects, chosen+c.Achieved
	}
	widest := 0.0
	for _, c := range all {
		widest = max(widest, ratio(c.Objects, pool), ratio(c.Achieved, chosen))
	}
	var rows []classRow
	for _, c := range all {
		row := classRow{
			Name: name(c.Name, "(no class)"), Bin: name(c.Bin, ""), Objects: count(c.Objects), Images: count(c.Images),
			Quota: count(c.Quota), Chosen: count(c.Chosen), Achieved: count(c.Achieved), Recall: evenly(c.Achieved, c.Objects),
			Starved: c.Starved, Unreachable: c.Unreachable || c.Objects == 0, Uncovered: c.Objects > 0 && c.Achieved == 0,
			Tip: fmt.Sprintf("%s of the objects in the pool, %s in chosen images", percent(c.Objects, pool), percent(c.Achieved, chosen)),
		}
		if widest > 0 {
			row.PoolW = coord(max(0, ratio(c.Objects, pool)/widest*100))
			row.ChosenW = coord(max(0, ratio(c.Achieved, chosen)/widest*100))
		}
		rows = append(rows, row)
	}
	return rows
}

// ofdsMeanings explains the reasons of object-focused selection: those for
// which images are not chosen, and those for which objects are left out.
var ofdsMeanings = map[string]string{
	"not_chosen":    "others were",
	"no_proposals":  "no object of a target class that passed the filters",
	"preselected":   "selected before, so not again",
	"group_full":    "enough images of its group are chosen",
	"over_budget":   "costs more than what was left",
	"low_score":     "score below the threshold",
	"small_box":     "the box is too small",
	"empty_box":     "the box has no area inside the image, or coordinates that are not finite",
	"duplicate":     "overlaps a better one of its image and class",
	"other_class":   "not a target class",
	"ignored":       "a crowd, a group, a difficult one",
	"null_vector":   "no vector, though others have one",
	"nan_vector":    "a vector with a NaN or an infinity",
	"zero_vector":   "a vector of length 0, which has no direction",
	"ragged_vector": "another dimension than the first vector's",
}
