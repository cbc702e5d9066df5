package images

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"math"

	"golang.org/x/image/webp"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
)

// bytes returns the encoded image of a row, and where else it is; both may be
// empty. The bytes are the row's.
func (d *decoder) bytes(r *row, n *names) (data []byte, path string, err error) {
	if r.data != nil {
		n.seen[imageBytes] = true
		return r.data, "", nil
	}
	v, name, _ := n.get(r.values, imageBytes)
	switch v := v.(type) {
	case nil:
		return nil, "", nil
	case []byte:
		return v, "", nil
	case string:
		return nil, v, nil
	case fields: // as on the Hugging Face Hub, or what COCO says of an image
		path, _ = v["path"].(string)
		switch b := v["bytes"].(type) {
		case nil:
		case []byte:
			data = b
		case string:
			if data, err = base64.StdEncoding.DecodeString(b); err != nil {
				return nil, "", columnError(name+".bytes", fmt.Errorf("a string that is no base64: %w", err))
			}
		default:
			return nil, "", columnError(name+".bytes", fmt.Errorf("it is %s, want bytes", kindOf(b)))
		}
		return data, path, nil
	}
	return nil, "", columnError(name, fmt.Errorf("it is %s, want bytes or a path", kindOf(v)))
}

// size finds out the width and height of an image: from columns, else from its
// header.
func (d *decoder) size(r *row, img *pipeline.Image, n *names, data []byte) error {
	info, _ := r.values["image"].(fields)
	for _, t := range []struct {
		role role
		to   *int
	}{{width, &img.Width}, {height, &img.Height}} {
		v, name, _ := n.get(r.values, t.role)
		if v == nil {
			v, name, _ = n.get(info, t.role)
		}
		if v == nil {
			continue
		}
		pixels, ok := integerOf(v)
		if !ok || pixels < 0 || pixels > math.MaxInt32 {
			return columnError(name, fmt.Errorf("it is %v, want a number of pixels", v))
		}
		*t.to = int(pixels)
	}
	if img.Width > 0 && img.Height > 0 || data == nil {
		return nil
	}
	config, err := decodeConfig(data)
	if err != nil {
		err = fmt.Errorf("image %q: %w: no columns for width and height, and the header of its %d bytes does not tell: %w", img.ID, shards.ErrCorrupt, len(data), err)
		if d.opt.Unreadable == nil {
			return err
		}
		d.opt.Unreadable(r.id, err)
		return nil
	}
	img.Width, img.Height = config.Width, config.Height
	return nil
}

// decodeConfig reads the header of a JPEG, PNG or WebP image.
func decodeConfig(data []byte) (config image.Config, err error) {
	var decode func(io.Reader) (image.Config, error)
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xd8")):
		decode = jpeg.DecodeConfig
	case bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")):
		decode = png.DecodeConfig
	case len(data) > 12 && string(data[:4]) == "RIFF" && string(data[8:12]) == "WEBP":
		decode = webp.DecodeConfig
	default:
		return config, errors.New("neither JPEG nor PNG nor WebP")
	}
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("decoder panicked: %v", cause)
		}
	}()
	if config, err = decode(bytes.NewReader(data)); err == nil && (config.Width <= 0 || config.Height <= 0) {
		err = fmt.Errorf("an image of %d x %d pixels", config.Width, config.Height)
	}
	return config, err
}

// unlabelledClasses reads a list of class names.
func unlabelledClasses(f fields, n *names) ([]string, error) {
	v, name, _ := n.get(f, unlabelled)
	count, ok := lengthOf(v)
	if v != nil && !ok {
		return nil, columnError(name, fmt.Errorf("it is %s, want a list of classes", kindOf(v)))
	}
	var out []string
	for i := range count {
		s, err := text(elementOf(v, i))
		if err != nil {
			return nil, columnError(name, fmt.Errorf("element %d: %w", i, err))
		}
		out = append(out, s)
	}
	return out, nil
}
