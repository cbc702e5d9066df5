package main

import (
	"context"
	"encoding/json"
	"fmt"
	"image"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/curate-data/curate/filters/ofds/metrics"
	"github.com/curate-data/curate/internal/progress"
	"github.com/curate-data/curate/internal/report"
	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring/vision/pixels"
)

// shownPicks is how many of the chosen images the page shows.
const shownPicks = 48

// mapPoints is how many objects of a class the page's map has at most, beside the
// chosen ones.
const mapPoints = 600

// page collects what the page shows and returns what writes it.
func (w *imageSelection) page(ctx context.Context, opt selectImagesOptions, evaluator *metrics.Evaluator, m *imageMeasures) (func(io.Writer) error, error) {
	page := report.OFDS{
		Title: w.title(), Version: version, Backend: w.stage.backend, Method: w.methodTitle(), Asked: fmt.Sprintf("%s images", progress.Count(int64(w.config.Budget))),
		Warnings: w.outcome.Warnings, Figures: figuresOf(m.Measures),
	}
	if unit := w.config.BudgetUnit; unit != "" && unit != "images" {
		page.Asked = fmt.Sprintf("%s %s", progress.Count(int64(w.config.Budget)), unit)
	}
	var err error
	if page.Config, page.Options, err = w.settings(); err != nil {
		return nil, err
	}
	page.Facts = []report.Fact{{Name: "seed", Value: fmt.Sprint(w.seed)}, {Name: "k-means runs", Value: fmt.Sprint(w.outcome.Fits)}}
	if p, ok := w.source.(*embedPool); ok {
		var detail embedDetail
		if err := decodeDetail(p.manifest, &detail); err != nil {
			return nil, err
		}
		page.Facts = append(page.Facts, report.Fact{Name: "vectors", Value: detail.Encoder})
	}
	w.counts(&page)
	w.classes(&page, m)
	page.Curves = charts(m.Curves)
	if w.pool.Vectors.Rows() > 0 {
		if page.Maps, err = w.maps(ctx, evaluator); err != nil {
			return nil, err
		}
	}
	page.Picks = w.picks(ctx, opt.Thumbs)
	return func(out io.Writer) error { return report.WriteOFDS(out, page) }, nil
}

// title names the page by its inputs, so that it does not depend on where it is.
func (w *imageSelection) title() string {
	var names []string
	for _, in := range w.stage.inputs {
		names = append(names, in.Shard)
	}
	return someOf(names)
}

func (w *imageSelection) methodTitle() string {
	if w.config.isOFDS() {
		return "OFDS (reconstruction)"
	}
	return w.config.Method
}

// settings returns the section of the config, and the choice points one by one.
func (w *imageSelection) settings() (text string, options []report.Fact, err error) {
	section := w.config.resolved()
	raw, err := yaml.Marshal(map[string]any{"ofds": section})
	if err != nil || !w.config.isOFDS() {
		return string(raw), nil, err
	}
	encoded, err := json.Marshal(section.Options)
	if err != nil {
		return "", nil, err
	}
	var tree map[string]any
	if err := json.Unmarshal(encoded, &tree); err != nil {
		return "", nil, err
	}
	for _, key := range slices.Sorted(maps.Keys(tree)) {
		options = append(options, report.Fact{Name: key, Value: fmt.Sprint(tree[key])})
	}
	return string(raw), options, nil
}

// counts fills in what came in and what was dropped.
func (w *imageSelection) counts(page *report.OFDS) {
	for _, unit := range w.stage.units {
		page.Images.RowsIn += unit.Counts.RowsIn
		page.Images.Kept += unit.Counts.Kept
		for reason, n := range unit.Counts.Dropped {
			page.Images.Dropped = addReason(page.Images.Dropped, string(reason), n)
		}
	}
	page.Objects = report.Counts{RowsIn: int64(len(w.pool.Objects)), Kept: int64(len(w.pool.Objects))}
	for _, reason := range slices.Sorted(maps.Keys(w.pool.Filtered)) {
		page.Objects.RowsIn += w.pool.Filtered[reason]
		page.Objects.Dropped = append(page.Objects.Dropped, report.ReasonCount{Reason: string(reason), Rows: w.pool.Filtered[reason]})
	}
	for _, c := range w.outcome.Chosen {
		image := w.pool.Images[c.Image]
		page.ChosenObjects += int64(image.End - image.First)
	}
}

func addReason(list []report.ReasonCount, reason string, n int64) []report.ReasonCount {
	at, found := slices.BinarySearchFunc(list, reason, func(r report.ReasonCount, name string) int { return strings.Compare(r.Reason, name) })
	if !found {
		list = slices.Insert(list, at, report.ReasonCount{Reason: reason})
	}
	list[at].Rows += n
	return list
}

// classes fills in what was asked and achieved for each class.
func (w *imageSelection) classes(page *report.OFDS, m *imageMeasures) {
	for i, c := range m.Measures.Proposals.Classes {
		row := report.Class{
			Name: c.Name, Bin: string(c.Bin), Objects: c.Objects, Images: c.Images, Achieved: c.ChosenObjects, Unreachable: c.Unreachable, Starved: c.Starved,
		}
		if i < len(w.outcome.Classes) {
			row.Quota, row.Chosen = w.outcome.Classes[i].Quota, w.outcome.Classes[i].Chosen
		}
		page.Classes = append(page.Classes, row)
	}
}

// figuresOf are the figures at the head of the page, of the true objects where
// they are known.
func figuresOf(m *metrics.Metrics) report.Coverage {
	of := m.Proposals
	rare := of.Bins[0]
	return report.Coverage{
		Reachable: int64(of.Overall.Classes), Covered: int64(of.Overall.Covered), RareRecall: float64(rare.Recall), RareLift: float64(rare.Lift),
		ModeRecall: float64(of.Overall.ModeRecall), Modes: int64(of.Overall.Modes), ModesHit: int64(of.Overall.ModesHit),
		CoverP95: float64(of.Overall.CoverP95), Balance: float64(of.Overall.Balance),
	}
}

// charts turns curves of methods into charts of figures.
func charts(curves []metrics.Curve) (list []report.CoverageChart) {
	if len(curves) == 0 {
		return nil
	}
	for _, figure := range []struct {
		name, meaning string
		lower         bool
		of            func(metrics.CurvePoint) metrics.Estimate
	}{
		{"Recall of rare classes", "Share of the objects of rare classes that are in chosen images.", false, func(p metrics.CurvePoint) metrics.Estimate { return p.RareRecall }},
		{"Clusters hit", "Share of the clusters of a class, made with another seed, with a chosen object; mean over classes.", false, func(p metrics.CurvePoint) metrics.Estimate { return p.ModeRecall }},
		{"Cover radius", "95 % of a class's objects are this near to a chosen one; mean over classes.", true, func(p metrics.CurvePoint) metrics.Estimate { return p.CoverP95 }},
		{"Balance", "Entropy of the classes of chosen objects; 1 when all are equal.", false, func(p metrics.CurvePoint) metrics.Estimate { return p.Balance }},
	} {
		chart := report.CoverageChart{Name: figure.name, Meaning: figure.meaning, Lower: figure.lower}
		for _, c := range curves {
			series := report.Series{Name: c.Name, Failed: c.Failed}
			for _, p := range c.Points {
				e := figure.of(p)
				if e.Mean.Exists() {
					series.Points = append(series.Points, report.BudgetPoint{Budget: int64(p.Budget), Mean: float64(e.Mean), Error: float64(e.Error)})
				}
			}
			chart.Series = append(chart.Series, series)
		}
		list = append(list, chart)
	}
	return list
}

// maps lays out the objects of each class.
func (w *imageSelection) maps(ctx context.Context, evaluator *metrics.Evaluator) (list []report.ClassMap, err error) {
	for c, name := range w.pool.Classes {
		points, shown, err := evaluator.Map(ctx, int32(c), w.outcome, mapPoints)
		if err != nil {
			return nil, err
		}
		m := report.ClassMap{Class: name, Shown: float64(shown)}
		for _, p := range points {
			point := report.MapPoint{X: p.X, Y: p.Y, Chosen: p.Chosen, Representative: p.Representative}
			if p.Representative {
				o := w.pool.Objects[p.Object]
				point.Label = fmt.Sprintf("%s, object %s", w.pool.Images[o.Image].ID, o.ID)
			}
			m.Points = append(m.Points, point)
		}
		if len(m.Points) > 0 {
			list = append(list, m)
		}
	}
	return list, nil
}

// picks are the first chosen images with their pictures, boxes and reasons.
func (w *imageSelection) picks(ctx context.Context, thumbs pictures) []report.Pick {
	chosen := w.outcome.Chosen[:min(shownPicks, len(w.outcome.Chosen))]
	wanted := map[pipeline.RowID]bool{}
	for _, c := range chosen {
		wanted[w.pool.Images[c.Image].RowID] = true
	}
	found := thumbs.of(ctx, wanted)
	picks := make([]report.Pick, len(chosen))
	for i, c := range chosen {
		img, why := w.pool.Images[c.Image], c.Reason
		at := found[img.RowID]
		picks[i] = report.Pick{ID: img.ID, Group: img.Group, Thumbnail: at.thumbnail, Problem: at.problem, Reason: report.Reason{
			Kind: string(why.Kind), Round: why.Round, Cluster: why.Cluster, K: why.K, Size: why.Size, Distance: math.NaN(), Representative: w.config.Representative,
		}}
		if why.Class >= 0 {
			picks[i].Reason.Class = w.pool.Classes[why.Class]
		}
		if why.Distance >= 0 {
			picks[i].Reason.Distance = float64(why.Distance)
		}
		for o := img.First; o < img.End; o++ {
			object := w.pool.Objects[o]
			picks[i].Boxes = append(picks[i].Boxes, report.Box{
				Class: w.pool.Classes[object.Class], Score: object.Score, Representative: o == why.Object,
				X1: object.Box.X1, Y1: object.Box.Y1, X2: object.Box.X2, Y2: object.Box.Y2,
			})
		}
	}
	return picks
}

// pictures finds the pictures of rows for the page.
type pictures struct {
	app    *app
	places imagePlaces
}

// picture is a small copy of an image, or why there is none.
type picture struct {
	thumbnail report.Thumbnail
	problem   string
}

// of reads the images of some rows. What cannot be read has a problem: the page
// does without.
func (p pictures) of(ctx context.Context, wanted map[pipeline.RowID]bool) map[pipeline.RowID]picture {
	found := map[pipeline.RowID]picture{}
	if p.app == nil {
		return found
	}
	set, err := p.app.openImages(ctx, p.places)
	if err == nil {
		defer set.close()
		err = p.read(ctx, set, wanted, found)
	}
	for row := range wanted {
		if _, ok := found[row]; !ok && err != nil {
			found[row] = picture{problem: err.Error()}
		}
	}
	return found
}

func (p pictures) read(ctx context.Context, set *imageSet, wanted map[pipeline.RowID]bool, found map[pipeline.RowID]picture) error {
	for image, err := range set.rows(ctx, wanted) {
		if err != nil {
			return err
		}
		if err := set.load(ctx, image); err != nil {
			found[image.RowID] = picture{problem: err.Error()}
		} else {
			found[image.RowID] = thumbnailOf(image)
		}
		image.Data = nil
		if len(found) == len(wanted) {
			return nil
		}
	}
	return nil
}

func thumbnailOf(image *pipeline.Image) picture {
	if len(image.Data) == 0 {
		return picture{problem: "the row holds no image"}
	}
	decoded, err := pixels.Decode(image.Data)
	if err != nil {
		return picture{problem: err.Error()}
	}
	thumbnail, err := report.NewThumbnail(asImage(decoded))
	if err != nil {
		return picture{problem: err.Error()}
	}
	return picture{thumbnail: thumbnail}
}

// asImage copies a picture into a type of the standard library.
func asImage(p *pixels.Picture) image.Image {
	out := image.NewRGBA(image.Rect(0, 0, p.Width, p.Height))
	for i := range p.Width * p.Height {
		copy(out.Pix[4*i:], p.RGB[3*i:3*i+3])
		out.Pix[4*i+3] = 255
	}
	return out
}
