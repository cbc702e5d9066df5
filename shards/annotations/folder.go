package annotations

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
)

// imageFolder is where names of images lead to.
type imageFolder struct{ Place }

// uri returns the address of an image. A name that is itself a URI or an absolute
// path stays what it is; a relative one must not lead out of the folder.
func (f imageFolder) uri(name string) (string, error) {
	name = strings.ReplaceAll(name, `\`, "/")
	if strings.Contains(name, "://") || strings.HasPrefix(name, "/") {
		return name, nil
	}
	clean := path.Clean(name)
	if name == "" || clean == "." {
		return "", errors.New("the image has no file name")
	}
	if clean == ".." || strings.HasPrefix(clean, "../") {
		return "", fmt.Errorf("file name %q leads out of the folder of the images, %s", name, f.Place)
	}
	return joinURI(f.String(), clean), nil
}

// parent returns the folder of a place.
func parent(place Place) Place {
	if place.Name == "" {
		return Place{URI: joinURI(place.URI, "..")}
	}
	place.Name = path.Dir(place.Name)
	if place.Name == "." {
		place.Name = ""
	}
	return place
}

// holds says whether a file is in a folder that is named relative to another, as
// far as the place reaches.
func holds(ctx context.Context, folder Place, below, file string) (Place, bool) {
	if folder.Files == nil {
		return Place{}, false
	}
	folder.Name = path.Join(folder.Name, below)
	name := path.Join(folder.Name, file)
	if folder.Name == ".." || strings.HasPrefix(folder.Name, "../") || strings.HasPrefix(name, "../") || path.IsAbs(file) || strings.Contains(file, "://") {
		return Place{}, false
	}
	obj, err := folder.Files.Open(ctx, name)
	if err != nil {
		return Place{}, false
	}
	if folder.Name == "." {
		folder.Name = ""
	}
	return folder, obj.Close() == nil
}
