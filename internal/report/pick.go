package report

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
)

// mostPicks is as many chosen images as a page shows, mostBoxes as many boxes as
// it draws on one of them.
const (
	mostPicks = 48
	mostBoxes = 150
)

// pickView is one chosen image.
type pickView struct {
	Order            string // "1" for the first
	ID, Where, Group string
	Class, Why       string
	Boxes            []boxView
	Counts           []classCount
	Hidden           string // boxes that are not drawn, in words
	Problem          string
	W, H             int
	Source           template.URL // data URI; empty without a picture
}

// boxView is a drawn box.
type boxView struct {
	X, Y, W, H coord
	Kind, Tip  string
}

// classCount is the number of objects of a class in an image.
type classCount struct {
	Name, Count string
	Own         bool // the image was chosen for this class
}

func newPicks(all []Pick) ([]pickView, error) {
	var picks []pickView
	for i, p := range all[:min(len(all), mostPicks)] {
		v := pickView{
			Order: count(int64(i) + 1), ID: name(p.ID, "(no name)"), Where: name(p.URI, ""), Group: name(p.Group, ""),
			Class: name(p.Reason.Class, ""), Why: p.Reason.words(), Problem: sentence(p.Problem, ""),
			W: p.Thumbnail.Width, H: p.Thumbnail.Height, Counts: counted(p),
		}
		if v.Where == v.ID {
			v.Where = ""
		}
		if len(p.Thumbnail.JPEG) > 0 {
			if err := p.Thumbnail.check(); err != nil {
				return nil, fmt.Errorf("image %q: %w", v.ID, err)
			}
			v.Source = template.URL("data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(p.Thumbnail.JPEG))
			v.draw(p)
		} else if v.Problem == "" {
			v.Problem = "no picture"
		}
		picks = append(picks, v)
	}
	return picks, nil
}

// draw places the boxes, the one that matters on top. If there are too many,
// those of the highest scores are drawn.
func (v *pickView) draw(p Pick) {
	boxes := slices.DeleteFunc(slices.Clone(p.Boxes), func(b Box) bool {
		sum := float64(b.X1) + float64(b.Y1) + float64(b.X2) + float64(b.Y2)
		return !finite(sum) || !(b.X1 < b.X2 && b.Y1 < b.Y2)
	})
	own := func(b Box) int {
		switch {
		case b.Representative:
			return 2
		case b.Class == p.Reason.Class && b.Class != "":
			return 1
		}
		return 0
	}
	slices.SortStableFunc(boxes, func(a, b Box) int { return cmp.Or(own(b)-own(a), cmp.Compare(b.Score, a.Score)) })
	if left := len(p.Boxes) - min(len(boxes), mostBoxes); left > 0 {
		v.Hidden = count(int64(left)) + " boxes are not drawn"
	}
	boxes = boxes[:min(len(boxes), mostBoxes)]
	slices.Reverse(boxes)
	for _, b := range boxes {
		box := boxView{coord(b.X1), coord(b.Y1), coord(b.X2 - b.X1), coord(b.Y2 - b.Y1),
			[]string{"other", "same", "own"}[own(b)], name(b.Class, "(no class)")}
		if finite(float64(b.Score)) && b.Score != 1 {
			box.Tip += " " + fixed(float64(b.Score), 2)
		}
		v.Boxes = append(v.Boxes, box)
	}
}

// counted counts the objects of an image by class, the one that it was chosen
// for first, then the most frequent.
func counted(p Pick) []classCount {
	const most = 8
	n := make(map[string]int64)
	for _, b := range p.Boxes {
		n[b.Class]++
	}
	var classes []string
	for c := range n {
		classes = append(classes, c)
	}
	slices.SortFunc(classes, func(a, b string) int {
		if own := p.Reason.Class; (a == own) != (b == own) {
			return cmp.Compare(one(b == own), one(a == own))
		}
		return cmp.Or(cmp.Compare(n[b], n[a]), cmp.Compare(a, b))
	})
	var out []classCount
	for _, c := range classes[:min(len(classes), most)] {
		out = append(out, classCount{name(c, "(no class)"), count(n[c]), c == p.Reason.Class && c != ""})
	}
	if rest := len(classes) - most; rest > 0 {
		out = append(out, classCount{Name: "more classes", Count: count(int64(rest))})
	}
	return out
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// rules puts the rules that find the object of a cluster in words.
var rules = map[string]string{
	"":                 "nearest to the centre of",
	"nearest_centroid": "nearest to the centre of",
	"max_score":        "highest score in",
	"medoid":           "nearest to all others of",
	"score_centrality": "best by score and nearness to the centre in",
	"random":           "drawn at random from",
}

// words says why an image was chosen, without the class.
func (r Reason) words() string {
	var s string
	switch r.Kind {
	case "coverage":
		rule, known := rules[r.Representative]
		if !known {
			rule = "by " + name(r.Representative, "") + " from"
		}
		switch {
		case r.K > 0:
			s = fmt.Sprintf("%s cluster %s of %s", rule, count(int64(r.Cluster)+1), count(int64(r.K)))
		default:
			s = rule + " its cluster"
		}
		if r.Size > 0 {
			s += ", " + objects(int64(r.Size))
		}
	case "leftover":
		s = "fills the budget that coverage could not spend"
	case "background":
		s = "an image without objects, for the background"
	case "method", "":
		s = "by the method, which gives no reason"
	default:
		s = name(r.Kind, "")
	}
	if r.Distance >= 0 && !math.IsInf(r.Distance, 0) {
		s += "; distance " + fixed(r.Distance, 2)
	}
	if r.Round > 0 {
		s += "; round " + count(int64(r.Round)+1)
	}
	return s
}

// objects writes a number of objects.
func objects(n int64) string {
	if n == 1 {
		return "1 object"
	}
	return count(n) + " objects"
}

// plural writes a number of things.
func plural(n int64, one, many string) string {
	return count(n) + " " + strings.TrimSpace(map[bool]string{true: one, false: many}[n == 1])
}
