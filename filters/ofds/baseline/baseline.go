package baseline

import (
	"errors"
	"fmt"
	"strings"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/kmeans"
)

// Errors of methods that lack what they work on.
var (
	ErrNoImageVectors  = errors.New("the pool has no image vectors: make them with `curate embed`, or name the column that has them")
	ErrNoObjectVectors = errors.New("the pool has no object vectors: make them with `curate embed`, or name the column that has them")
	ErrUnknown         = errors.New("unknown method")
)

// Common is what all methods have.
type Common struct {
	Preselected map[string]bool // IDs of images that are labelled already
	Product     kmeans.Product  // nil means plain Go
	Workers     int             // goroutines; 0 means one per processor
}

// Options are those of all methods. The zero value has the published defaults.
type Options struct {
	Common    `json:"-"`
	TypiClust TypiClustOptions `json:"typiclust"`
	ProbCover ProbCoverOptions `json:"probcover"`
	FreeSel   FreeSelOptions   `json:"freesel"`
	ActiveFT  ActiveFTOptions  `json:"activeft"`
	ObjectD2  ObjectD2Options  `json:"object_d2"`
}

// Name names a method and says in one line what it does.
type Name struct{ Name, Does string }

// Names returns the methods in the order in which help texts list them.
func Names() []Name {
	return []Name{
		{random, "random images"},
		{classBalanced, "random images of each class in turn, the rarest class first"},
		{kCenter, "the image farthest from all chosen ones, again and again (coreset)"},
		{kmeansImage, "k-means on image vectors, the image nearest to each centroid"},
		{typiClust, "the most typical image of each cluster of image vectors"},
		{probCover, "images whose neighbourhoods cover most of the others"},
		{freeSel, "images drawn by the distance of their patterns (up to 5 per image) to those of chosen images"},
		{activeFT, "images nearest to centres that are trained to be spread as the pool is"},
		{objectD2, "images drawn by the distance of their objects to those of chosen images"},
	}
}

// The names of the methods.
const (
	random        = "random"
	classBalanced = "class_balanced_random"
	kCenter       = "k_center"
	kmeansImage   = "kmeans_image"
	typiClust     = "typiclust"
	probCover     = "probcover"
	freeSel       = "freesel"
	activeFT      = "activeft"
	objectD2      = "object_d2"
)

// ByName returns a method, or ErrUnknown with the names that there are.
func ByName(name string, opt Options) (ofds.Selector, error) {
	switch name {
	case random:
		return Random{opt.Common}, nil
	case classBalanced:
		return ClassBalancedRandom{opt.Common}, nil
	case kCenter:
		return KCenter{opt.Common}, nil
	case kmeansImage:
		return KMeansImage{opt.Common}, nil
	case typiClust:
		return TypiClust{opt.Common, opt.TypiClust}, nil
	case probCover:
		return ProbCover{opt.Common, opt.ProbCover}, nil
	case freeSel:
		return FreeSel{opt.Common, opt.FreeSel}, nil
	case activeFT:
		return ActiveFT{opt.Common, opt.ActiveFT}, nil
	case objectD2:
		return ObjectD2{opt.Common, opt.ObjectD2}, nil
	}
	var names []string
	for _, n := range Names() {
		names = append(names, n.Name)
	}
	return nil, fmt.Errorf("find method %q: %w: there are %s", name, ErrUnknown, strings.Join(names, ", "))
}
