package report

import (
	"fmt"
	"html/template"
	"io"
)

// OFDS is what an object-focused selection did. As in Report, any part may be
// empty, and all texts are hostile. Figures that do not exist are NaN.
type OFDS struct {
	Title   string // name of the run
	Version string // version of curate
	Backend string // name of the backend; empty where no vectors were made
	Method  string // such as "OFDS (reconstruction)"
	Config  string // the resolved configuration, as YAML
	Options []Fact // the choice points of the method, in the order to show
	Facts   []Fact // about the run, in the order to show

	Warnings []string // such as classes that nothing was chosen for
	Asked    string   // the budget in words, such as "20 images"; empty to leave it out
	Unit     string   // of budgets, in the plural; "images" when empty

	Images  Counts // candidate images: RowsIn, Kept and Dropped; tokens are not used
	Objects Counts // objects of the candidates: RowsIn came in, Kept passed the filters, Dropped did not
	// ChosenObjects is the number of objects in the chosen images.
	ChosenObjects int64

	Figures Coverage
	Classes []Class // in any order; the page sorts by images
	Curves  []CoverageChart
	Picks   []Pick // in the order of selection; the page shows the first 48
	Maps    []ClassMap
}

// Coverage are the figures at the head of the page.
type Coverage struct {
	Reachable, Covered int64   // classes that have objects, and those of them with an object in a chosen image
	RareRecall         float64 // share of the objects of rare classes that are in chosen images
	RareLift           float64 // how many times as many as random images have
	ModeRecall         float64 // share of the clusters with a chosen object, mean over classes
	Modes, ModesHit    int64
	CoverP95           float64 // 95 % of a class's objects are this near to a chosen one, mean over classes
	Balance            float64 // entropy of the classes of chosen objects, 1 when even
}

// Class is what was asked for a class and what became of it.
type Class struct {
	Name            string
	Bin             string // rare, common or frequent; empty for none
	Objects, Images int64  // of the pool: objects of the class, and images with one
	Quota           int64  // images asked for
	Chosen          int64  // images chosen for it
	Achieved        int64  // its objects in all chosen images
	Starved         bool   // the budget was smaller than the number of classes
	Unreachable     bool   // it has no objects
}

// CoverageChart compares methods in one figure, by budget.
type CoverageChart struct {
	Name    string // of the figure
	Meaning string // what it is, in a sentence
	Lower   bool   // lower is better
	Series  []Series
}

// Series is one method in a chart. The first of a chart is the run's own method.
type Series struct {
	Name   string
	Points []BudgetPoint // by rising budget
	Failed string        // why there are no more points; empty when all is well
}

// BudgetPoint is the mean over some seeds at one budget, and its standard error,
// NaN where there was one seed.
type BudgetPoint struct {
	Budget      int64
	Mean, Error float64
}

// Pick is a chosen image.
type Pick struct {
	ID, URI, Group string
	Thumbnail      Thumbnail // without bytes where the image could not be read
	Problem        string    // why it could not
	Reason         Reason
	Boxes          []Box
}

// Reason says what an image was chosen for.
type Reason struct {
	Kind           string  // coverage, leftover, background, method
	Class          string  // empty for none
	Representative string  // the rule that found the object, as in the options; empty means nearest_centroid
	Round          int     // of the spending of the budget, from 0
	Cluster, K     int     // number of the cluster from 0, and of all; K = 0 for none
	Size           int     // objects in the cluster
	Distance       float64 // of the object to the centre of the cluster; NaN or below 0 for none
}

// Box is an object of a chosen image, in pixels of the whole image.
type Box struct {
	Class          string
	Score          float32
	X1, Y1, X2, Y2 float32
	Representative bool // the image was chosen for it
}

// ClassMap lays the objects of a class out in two dimensions.
type ClassMap struct {
	Class  string
	Shown  float64 // share of the variance that the two dimensions have
	Points []MapPoint
}

// MapPoint is an object in a ClassMap.
type MapPoint struct {
	X, Y           float64
	Chosen         bool   // its image is chosen
	Representative bool   // its image was chosen for it
	Label          string // shown where the pointer rests on a representative
}

// WriteOFDS writes the page of an object-focused selection. Errors are those of
// w, and thumbnails that are no JPEG.
func WriteOFDS(w io.Writer, r OFDS) error {
	css, err := files.ReadFile("style.css")
	if err != nil {
		return fmt.Errorf("read report style: %w", err)
	}
	more, err := files.ReadFile("ofds.css")
	if err != nil {
		return fmt.Errorf("read report style: %w", err)
	}
	page, err := template.New("ofds.html").ParseFS(files, "ofds.html", "ofdsparts.html", "charts.html", "shared.html")
	if err != nil {
		return fmt.Errorf("parse report template: %w", err)
	}
	v, err := newOFDSView(r)
	if err != nil {
		return fmt.Errorf("make report of %s: %w", name(r.Method, "a selection"), err)
	}
	v.Style = template.CSS(css) + template.CSS(more)
	if err := page.Execute(w, v); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
