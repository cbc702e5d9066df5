package hub

import (
	"fmt"
	"io/fs"
	"net/url"
	"regexp"
	"strings"
)

// Kinds of repositories, as the hub's interface names them.
const (
	kindDataset = "datasets"
	kindModel   = "models"
)

// repo is a repository of the hub.
type repo struct {
	kind string
	id   string // ORG/NAME
}

// String names it in messages.
func (r repo) String() string { return strings.TrimSuffix(r.kind, "s") + " " + r.id }

// path is where its files are, below the endpoint and in URIs: those of models
// have no kind before them.
func (r repo) path() string {
	if r.kind == kindModel {
		return r.id
	}
	return r.kind + "/" + r.id
}

// place is what a URI names.
type place struct {
	repo
	revision string // main where the URI names none
	name     string // path in the repository; empty, or ending in a slash, for a folder
}

// Revisions with slashes that are known, besides "~parquet" for
// refs/convert/parquet. Others are written with %2F.
var longRevision = regexp.MustCompile(`^(refs/(?:convert|pr)/[^/]+)(?:/|$)`)

// parse splits hf://datasets/ORG/NAME[@REVISION][/PATH], and the same of models
// without the kind.
func parse(uri string) (place, error) {
	p := place{repo: repo{kind: kindModel}, revision: "main"}
	wrong := fmt.Errorf("%s is no URI of a model or dataset: want hf://ORG/NAME[@REVISION], or hf://datasets/ORG/NAME[@REVISION]/PATH", uri)
	rest, ok := strings.CutPrefix(uri, "hf://")
	if !ok {
		return p, wrong
	}
	if of, ok := strings.CutPrefix(rest, "datasets/"); ok {
		rest, p.kind = of, kindDataset
	}
	parts := strings.SplitN(rest, "/", 3)
	if len(parts) < 2 || parts[0] == "datasets" || parts[0] == "spaces" || parts[0] == "models" {
		return p, wrong
	}
	base, revision, given := strings.Cut(parts[1], "@")
	p.id = parts[0] + "/" + base
	if len(parts) == 3 {
		p.name = parts[2]
	}
	switch {
	case !given:
	case revision == "~parquet":
		p.revision = "refs/convert/parquet"
	case revision == "refs":
		long := longRevision.FindStringSubmatch(revision + "/" + p.name)
		if long == nil {
			return p, wrong
		}
		p.revision, p.name = long[1], strings.TrimPrefix((revision + "/" + p.name)[len(long[1]):], "/")
	default:
		var err error
		if p.revision, err = url.PathUnescape(revision); err != nil {
			return p, wrong
		}
	}
	folder := strings.TrimSuffix(p.name, "/")
	// A revision is a path in the cache, too.
	if strings.ContainsAny(p.id, "@\\") || !fs.ValidPath(p.id) || base == "" || base == "." || !fs.ValidPath(p.revision) || p.revision == "." ||
		strings.ContainsAny(p.revision, "\\\x00") || p.name != "" && (!fs.ValidPath(folder) || folder == ".") {
		return p, wrong
	}
	return p, nil
}
