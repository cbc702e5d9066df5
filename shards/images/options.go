package images

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
)

// Options say how rows are read as images. The zero value finds columns by their
// usual names and leaves the images' bytes alone.
type Options struct {
	Columns Columns
	// Box is how boxes are written. Empty means XYXY, with a check that refuses
	// boxes which look like XYWH.
	Box BoxForm
	// Classes are the names of classes that are numbers: class i is Classes[i].
	// Without them the file's own names count, and where it has none a number is
	// its name.
	Classes []string
	// Blob is what vectors hold that are bytes. Empty means Float32.
	Blob Precision
	// Data asks for the encoded images. Without it they are read only to find out
	// their width and height, where no columns tell.
	Data bool
	// Vectors is a side file of vectors, of which Columns.VectorRow and
	// Columns.ObjectVectorRow name rows. Nil means none.
	Vectors *Matrix
	// Unreadable is told of each image whose width and height neither a column nor
	// its header tells; the image is then yielded without them. Nil means that such
	// an image is an error.
	Unreadable func(row pipeline.RowID, err error)
}

// Columns names the columns of a shard: a name, or a dotted path into structs and
// objects of JSON. Empty means the first of the usual names that there is (see
// FORMAT.md), Without means that the column is not read. In the nested form and
// that of lists Class to ObjectVectorRow are names within Objects; in the flat
// form they are columns.
type Columns struct {
	ID         string `json:"id,omitempty"`
	Group      string `json:"group,omitempty"`
	Image      string `json:"image,omitempty"`
	URI        string `json:"uri,omitempty"`
	Width      string `json:"width,omitempty"`
	Height     string `json:"height,omitempty"`
	Objects    string `json:"objects,omitempty"`
	Vector     string `json:"vector,omitempty"`
	VectorRow  string `json:"vector_row,omitempty"`
	Unlabelled string `json:"unlabelled,omitempty"`

	ObjectID        string `json:"object_id,omitempty"`
	Class           string `json:"class,omitempty"`
	Score           string `json:"score,omitempty"`
	Box             string `json:"box,omitempty"`
	Area            string `json:"area,omitempty"`
	Mask            string `json:"mask,omitempty"`
	Source          string `json:"source,omitempty"`
	Ignore          string `json:"ignore,omitempty"`
	ObjectVector    string `json:"object_vector,omitempty"`
	ObjectVectorRow string `json:"object_vector_row,omitempty"`
}

// Without is the name of a column that is not to be read, though it may be there.
// Objects without a class have the class "object".
const Without = "-"

// BoxForm is how the four numbers of a box are meant. Relative ones are fractions
// of the image's width and height, all others pixels.
type BoxForm string

// The forms of boxes.
const (
	XYXY           BoxForm = "xyxy"            // upper left and lower right corner
	XYWH           BoxForm = "xywh"            // upper left corner, width and height, as in COCO
	CXCYWH         BoxForm = "cxcywh"          // centre, width and height
	RelativeXYXY   BoxForm = "relative_xyxy"   //
	RelativeXYWH   BoxForm = "relative_xywh"   // as in FiftyOne
	RelativeCXCYWH BoxForm = "relative_cxcywh" // as in YOLO
)

// Precision is the type of the numbers of a vector in storage.
type Precision string

// The precisions of vectors.
const (
	Float32 Precision = "f32"
	Float16 Precision = "f16"
)

// Validate lists every fault of the options.
func (o Options) Validate() error {
	var faults []error
	if forms := []BoxForm{"", XYXY, XYWH, CXCYWH, RelativeXYXY, RelativeXYWH, RelativeCXCYWH}; !slices.Contains(forms, o.Box) {
		faults = append(faults, fmt.Errorf("box form %q: want one of %s", o.Box, join(forms[1:])))
	}
	if blobs := []Precision{"", Float32, Float16}; !slices.Contains(blobs, o.Blob) {
		faults = append(faults, fmt.Errorf("precision of vectors %q: want one of %s", o.Blob, join(blobs[1:])))
	}
	for i, c := range o.Classes {
		if c == "" || slices.Index(o.Classes, c) < i {
			faults = append(faults, fmt.Errorf("class %d: %q is empty or there twice", i, c))
		}
	}
	if (o.Columns.VectorRow != "" || o.Columns.ObjectVectorRow != "") && o.Vectors == nil {
		faults = append(faults, errors.New("a column names rows of a file of vectors, but there is no such file"))
	}
	return errors.Join(faults...)
}

func join[S ~string](list []S) string {
	var texts []string
	for _, s := range list {
		texts = append(texts, string(s))
	}
	return strings.Join(texts, ", ")
}

// role is what a column is for.
type role int

const (
	imageID role = iota
	group
	imageBytes
	uri
	width
	height
	objects
	imageVector
	imageVectorRow
	unlabelled
	objectID
	class
	score
	box
	area
	mask
	source
	ignore
	objectVector
	objectVectorRow
	roles
)

// usual are the names of columns by role, the first that is there counts. Names
// of lists are in the plural, too.
var usual = [roles][]string{
	imageID:         {"image_id", "id", "file_name", "filename", "image_name"},
	group:           {"group", "group_id", "scene", "scene_id", "video", "video_id"},
	imageBytes:      {"image", "img", "jpg", "jpeg", "png", "webp", "image_bytes", "bytes"},
	uri:             {"uri", "url", "image_uri", "image_url", "image_path", "path", "file_name", "filename"},
	width:           {"width", "image_width"},
	height:          {"height", "image_height"},
	objects:         {"objects", "detections", "predictions", "instances", "annotations"},
	imageVector:     {"image_vec", "image_vector", "image_embedding", "vec", "vector", "embedding"},
	imageVectorRow:  {"image_vec_row", "image_vector_row", "vec_row", "vector_row"},
	unlabelled:      {"unlabelled"},
	objectID:        {"object_id", "annotation_id", "id", "object_ids", "ids"},
	class:           {"class", "category", "label", "class_name", "category_name", "name", "class_id", "category_id", "label_id", "classes", "categories", "labels", "names", "class_ids", "category_ids"},
	score:           {"score", "confidence", "conf", "scores", "confidences"},
	box:             {"box", "bbox", "bounding_box", "boxes", "bboxes", "bounding_boxes"},
	area:            {"area", "areas"},
	mask:            {"mask", "segmentation", "rle", "masks", "segmentations"},
	source:          {"source", "sources"},
	ignore:          {"ignore", "iscrowd", "is_crowd", "crowd", "difficult", "is_group_of", "ignored"},
	objectVector:    {"vec", "vector", "embedding", "feature", "object_vec", "vecs", "vectors", "embeddings", "features"},
	objectVectorRow: {"vec_row", "vector_row", "vec_rows", "vector_rows"},
}

// flatNames are the usual names where they differ in the flat form, in which a
// row has the names of an image and of an object.
var flatNames = map[role][]string{
	imageID:         {"image_id", "file_name", "filename", "image_name"},
	imageVector:     {"image_vec", "image_vector", "image_embedding"},
	imageVectorRow:  {"image_vec_row", "image_vector_row"},
	width:           {"image_width", "width"},
	height:          {"image_height", "height"},
	objectVectorRow: {"vec_row", "vector_row"},
}

// names are the columns of a shard by role.
type names struct {
	given [roles]string
	usual [roles][]string
	seen  [roles]bool // whether the given name was there
}

func newNames(c Columns, flat bool) *names {
	n := &names{usual: usual, given: [roles]string{
		c.ID, c.Group, c.Image, c.URI, c.Width, c.Height, c.Objects, c.Vector, c.VectorRow, c.Unlabelled,
		c.ObjectID, c.Class, c.Score, c.Box, c.Area, c.Mask, c.Source, c.Ignore, c.ObjectVector, c.ObjectVectorRow,
	}}
	if flat {
		for r, list := range flatNames {
			n.usual[r] = list
		}
	}
	return n
}

// get returns the value of a role in a row or an object, and its name; false
// where there is none of any name, or it is not wanted.
func (n *names) get(f fields, r role) (v any, name string, ok bool) {
	if name = n.given[r]; name == Without {
		return nil, name, false
	}
	if name != "" {
		v, ok = follow(f, name)
		n.seen[r] = n.seen[r] || ok
		return v, name, ok
	}
	for _, name = range n.usual[r] {
		if v, ok = f[name]; ok {
			return v, name, true
		}
	}
	return nil, n.usual[r][0], false
}

// follow returns what a path leads to. A name that has dots itself wins.
func follow(f fields, path string) (any, bool) {
	if v, ok := f[path]; ok {
		return v, true
	}
	part, rest, more := strings.Cut(path, ".")
	if !more {
		return nil, false
	}
	below, _ := f[part].(fields)
	return follow(below, rest)
}

// missing is an error where a name that was given was nowhere.
func (n *names) missing(r role) error {
	return fmt.Errorf("%w %q: no row has it", shards.ErrColumn, n.given[r])
}
