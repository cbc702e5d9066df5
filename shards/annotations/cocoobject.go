package annotations

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/curate-data/curate/pipeline"
)

// cocoAnnotation is an element of "annotations", or a prediction.
type cocoAnnotation struct {
	ID           json.RawMessage
	Category     json.RawMessage `json:"category_id"`
	Box          json.RawMessage `json:"bbox"`
	Score        json.RawMessage
	Area         json.RawMessage
	Crowd        json.RawMessage `json:"iscrowd"`
	Ignore       json.RawMessage
	Segmentation json.RawMessage
	Segments     json.RawMessage `json:"segments_info"`
	Caption      json.RawMessage
}

// objects adds a run of annotations to their image.
func (c *coco) objects(image *pipeline.Image, raw []byte) error {
	text := make([]byte, 0, len(raw)+2)
	text = append(append(append(text, '['), raw...), ']')
	var list []cocoAnnotation
	if err := json.Unmarshal(text, &list); err != nil {
		return fmt.Errorf("annotations: %w", err)
	}
	for i := range list {
		object, err := c.object(image, &list[i])
		if err != nil {
			name := brief(list[i].ID)
			if absent(list[i].ID) {
				name = strconv.Itoa(len(image.Objects)) + " of the image"
			}
			return fmt.Errorf("annotation %s: %w", name, err)
		}
		image.Objects = append(image.Objects, object)
	}
	return nil
}

func (c *coco) object(image *pipeline.Image, a *cocoAnnotation) (pipeline.Object, error) {
	o := pipeline.Object{Source: c.opt.Source}
	var err error
	if !absent(a.ID) {
		if o.ID, err = idText(a.ID); err != nil {
			return o, err
		}
	}
	if o.Class, err = c.classOf(a); err != nil {
		return o, err
	}
	if o.Score, err = score(a.Score); err != nil {
		return o, fmt.Errorf("score: %w", err)
	}
	crowd, err := flag(a.Crowd)
	if err != nil {
		return o, fmt.Errorf("iscrowd: %w", err)
	}
	ignore, err := flag(a.Ignore)
	if err != nil {
		return o, fmt.Errorf("ignore: %w", err)
	}
	o.Ignore = crowd || ignore
	if o.Mask, err = segmentation(a.Segmentation); err != nil {
		return o, fmt.Errorf("segmentation: %w", err)
	}
	if m := o.Mask; m != nil {
		if m.Polygons == nil && image.Width > 0 && image.Height > 0 && (m.Width != image.Width || m.Height != image.Height) {
			return o, fmt.Errorf("segmentation: a mask of %d x %d pixels in an image of %d x %d", m.Width, m.Height, image.Width, image.Height)
		}
		if o.Area, err = maskArea(m, a.Area); err != nil {
			return o, fmt.Errorf("area: %w", err)
		}
	}
	o.Box, err = cocoBox(a.Box, o.Mask)
	return o, err
}

// classOf returns the name of an annotation's class.
func (c *coco) classOf(a *cocoAnnotation) (string, error) {
	if absent(a.Category) {
		switch {
		case !absent(a.Segments):
			return "", errors.New("it is panoptic: segments_info instead of category_id, which cannot be read")
		case !absent(a.Caption):
			return "", errors.New("it is a caption, which has no object")
		}
		return "", errors.New("category_id: it is missing")
	}
	id, err := idText(a.Category)
	if err != nil {
		return "", fmt.Errorf("category_id: %w", err)
	}
	class, ok := c.class[id]
	if !ok {
		return "", fmt.Errorf("there is no category %s", id)
	}
	return class, nil
}

// maskArea returns the area that the labels state, or the mask's own.
func maskArea(m *pipeline.Mask, stated json.RawMessage) (float32, error) {
	if !absent(stated) {
		area, err := number(stated)
		if err != nil || area > 0 {
			return float32(area), err
		}
	}
	return float32(m.Area()), nil
}

// cocoBox reads [x, y, width, height], or takes the mask's bounds.
func cocoBox(raw json.RawMessage, mask *pipeline.Mask) (pipeline.Box, error) {
	if absent(raw) {
		if mask == nil {
			return pipeline.Box{}, errors.New("it has neither bbox nor segmentation")
		}
		return mask.Bounds(), nil
	}
	b, err := floats(raw)
	if err == nil && len(b) != 4 {
		err = fmt.Errorf("want 4 numbers, found %d", len(b))
	}
	if err != nil {
		return pipeline.Box{}, fmt.Errorf("bbox: %w", err)
	}
	return pipeline.Box{X1: b[0], Y1: b[1], X2: b[0] + b[2], Y2: b[1] + b[3]}, nil
}

// nameObjects gives the objects of an image IDs that are distinct.
func nameObjects(objects []pipeline.Object) {
	seen := make(map[string]bool, len(objects))
	for i := range objects {
		seen[objects[i].ID] = true
	}
	if len(seen) == len(objects) && !seen[""] {
		return
	}
	for i := range objects {
		objects[i].ID = strconv.Itoa(i)
	}
}
