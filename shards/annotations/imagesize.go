package annotations

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
	"golang.org/x/image/webp"
)

// imageSize reads width and height in pixels from the header of an image. A file
// without a sound header is errBroken.
func imageSize(ctx context.Context, files Files, name string) (width, height int, err error) {
	obj, err := files.Open(ctx, name)
	if err != nil {
		return 0, 0, err
	}
	defer obj.Close()
	config, err := decodeHeader(io.NewSectionReader(obj, 0, obj.Size()))
	if err != nil {
		return 0, 0, fmt.Errorf("%w: %w", errBroken, err)
	}
	if width, err = checkSide(float64(config.Width)); err == nil {
		height, err = checkSide(float64(config.Height))
	}
	if err == nil && (width == 0 || height == 0) {
		err = fmt.Errorf("the image has %d x %d pixels", width, height)
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", errBroken, err)
	}
	return width, height, err
}

// errBroken says that a file is there and is no image.
var errBroken = errors.New("not an image that can be read")

// decodeHeader reads the header of an image by the bytes it begins with; its name
// may tell another format.
func decodeHeader(src io.ReadSeeker) (image.Config, error) {
	r := bufio.NewReaderSize(src, 32<<10)
	head, err := r.Peek(12)
	if err != nil {
		return image.Config{}, fmt.Errorf("the image ends within its first bytes: %w", err)
	}
	switch {
	case string(head[:3]) == "\xff\xd8\xff":
		return jpeg.DecodeConfig(r)
	case string(head[:8]) == "\x89PNG\r\n\x1a\n":
		return png.DecodeConfig(r)
	case string(head[:4]) == "RIFF" && string(head[8:12]) == "WEBP":
		return webp.DecodeConfig(r)
	case string(head[:4]) == "GIF8":
		return gif.DecodeConfig(r)
	case string(head[:2]) == "BM":
		return bmp.DecodeConfig(r)
	case string(head[:4]) == "II*\x00", string(head[:4]) == "MM\x00*":
		if _, err := src.Seek(0, io.SeekStart); err != nil {
			return image.Config{}, err
		}
		return tiff.DecodeConfig(src)
	}
	return image.Config{}, errors.New("it is no JPEG, PNG, WebP, GIF, BMP or TIFF")
}
