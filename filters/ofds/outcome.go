package ofds

import (
	"fmt"
	"strings"

	"github.com/curate-data/curate/pipeline"
)

// selection says what became of every image and every class.
func (r *run) selection() *Selection {
	s := &Selection{Chosen: r.choices, Dropped: r.dropped(), Classes: r.outcomes(), Fits: r.fits}
	r.warnBudget()
	r.warnClasses(s.Classes)
	s.Warnings = r.warnings
	return s
}

func (r *run) dropped() map[int32]pipeline.Reason {
	dropped := make(map[int32]pipeline.Reason, len(r.in)-len(r.choices))
	for i := range r.in {
		image := int32(i)
		switch {
		case r.before[i]:
			dropped[image] = Preselected
		case r.in[i]:
		case r.empty(image):
			dropped[image] = NoProposals
		case r.groupFull(image):
			dropped[image] = GroupFull
		case r.opt.BudgetUnit != "images" && r.price(image) > r.left:
			dropped[image] = OverBudget
		default:
			dropped[image] = NotChosen
		}
	}
	return dropped
}

func (r *run) outcomes() []ClassOutcome {
	out := make([]ClassOutcome, len(r.classes))
	for i := range r.classes {
		c := &r.classes[i]
		out[i] = ClassOutcome{
			Objects: int64(len(c.objects)), Images: int64(c.images), Quota: int64(max(c.quota, c.chosen)), Chosen: int64(c.chosen),
			Unreachable: len(c.objects) == 0,
		}
	}
	for _, choice := range r.choices {
		i := &r.pool.Images[choice.Image]
		for _, o := range r.pool.Objects[i.First:i.End] {
			out[o.Class].Achieved++
		}
	}
	for i := range out {
		o := &out[i]
		o.Starved = o.Objects > 0 && o.Quota == 0 && o.Achieved == 0 && r.budget < float64(len(r.order)) && r.opt.Quota != "explicit"
	}
	return out
}

func (r *run) warnBudget() {
	if r.filled > 0 {
		r.warn("%d images fill a budget that coverage could not spend", r.filled)
	}
	if r.opt.BudgetUnit != "images" || r.left <= 0 {
		return
	}
	free := 0
	for i := range r.in {
		if r.free(int32(i)) {
			free++
		}
	}
	if free == 0 {
		r.warn("the budget is %v images and only %d could be chosen: the pool has no more", r.budget, len(r.choices))
	}
}

func (r *run) warnClasses(outcomes []ClassOutcome) {
	var starved, unreachable []string
	for i, o := range outcomes {
		switch {
		case o.Starved:
			starved = append(starved, r.pool.Classes[i])
		case o.Unreachable:
			unreachable = append(unreachable, r.pool.Classes[i])
		}
	}
	if len(starved) > 0 {
		r.warn("the budget of %v is smaller than the number of classes, %d: nothing was chosen for %s", r.budget, len(r.order), shorten(starved))
	}
	if len(unreachable) > 0 {
		r.warn("no proposal of these classes passed the filters: %s", shorten(unreachable))
	}
}

// shorten lists names, the first twenty of many.
func shorten(names []string) string {
	const most = 20
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
