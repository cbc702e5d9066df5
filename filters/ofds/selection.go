package ofds

import (
	"context"

	"github.com/curate-data/curate/filters/ofds/kmeans"
	"github.com/curate-data/curate/pipeline"
)

// Selector chooses images of a pool: OFDS and every method that it is compared
// with. Budget counts new images, whatever was selected before.
type Selector interface {
	Select(ctx context.Context, pool *Pool, budget int, seed uint64) (*Selection, error)
}

// Selection is the outcome of a method.
type Selection struct {
	Chosen   []Choice                  // in the order of selection, without the preselected
	Dropped  map[int32]pipeline.Reason // of every other image, by its index; empty for methods whose only reason is NotChosen
	Classes  []ClassOutcome            // one per class of the pool, in its order; nil where a method does not look at classes
	Fits     int                       // how many times k-means ran
	Warnings []string                  // what the user should know: starved or unreachable classes, budgets that could not be spent
}

// Choice is a chosen image and why it was chosen.
type Choice struct {
	Image  int32 // index in Pool.Images
	Reason Why
}

// Why says what an image was chosen for. Fields that do not apply are -1 or empty.
type Why struct {
	Kind     Kind
	Class    int32   // index in Pool.Classes
	Round    int     // of the spending of the budget, from 0
	Cluster  int     // number of the cluster
	K        int     // number of clusters of the class at that time
	Size     int     // objects in the cluster
	Distance float32 // of the object to its centroid
	Object   int32   // index in Pool.Objects
}

// Kind is the kind of reason for a choice.
type Kind string

// Reasons to choose an image.
const (
	Coverage   Kind = "coverage"   // its object represents a cluster that had nothing covered
	Leftover   Kind = "leftover"   // fills a budget that coverage could not spend
	Background Kind = "background" // an image without proposals, for BackgroundShare
	Method     Kind = "method"     // by a method that is not OFDS
)

// Reasons not to choose an image.
const (
	NotChosen   pipeline.Reason = "not_chosen"   // others were
	NoProposals pipeline.Reason = "no_proposals" // no object of a target class that passed the filters
	Preselected pipeline.Reason = "preselected"  // selected before, so not again
	GroupFull   pipeline.Reason = "group_full"   // enough images of its group are chosen
	OverBudget  pipeline.Reason = "over_budget"  // costs more than what was left
)

// ClassOutcome is what became of a class.
type ClassOutcome struct {
	Objects     int64 // proposals of the pool
	Images      int64 // images of the pool with one
	Quota       int64 // images asked for, over all rounds
	Chosen      int64 // images chosen for it
	Achieved    int64 // its proposals in all chosen images
	Starved     bool  // it got nothing, because the budget was smaller than the number of classes
	Unreachable bool  // it has no proposals
}

// OFDS is the reconstruction as a Selector.
type OFDS struct {
	Options Options
	Product kmeans.Product // nil means plain Go
	Workers int            // goroutines of k-means; 0 means one per processor; does not change the result
}
