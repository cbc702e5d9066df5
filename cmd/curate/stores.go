package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/hub"
	"github.com/curate-data/curate/shards/local"
)

// stores opens what paths and URIs name, each by its scheme. It is made in
// newRoot and handed to every command.
type stores struct {
	remote map[string]remoteStore // by scheme
	s3     *s3Places
	hub    *hubPlaces
}

func newStores() *stores {
	s, h := &s3Places{}, &hubPlaces{}
	return &stores{remote: map[string]remoteStore{"s3": {s.locate, s.folder}, "hf": {locate: h.locate}}, s3: s, hub: h}
}

// close ends connections.
func (s *stores) close() {
	s.s3.close()
	s.hub.close()
}

// hubPlaces opens datasets and models of the Hugging Face Hub, which can only be
// read. The client is made for the first of them.
type hubPlaces struct {
	mu     sync.Mutex
	client *hub.Client
}

// open returns the client.
func (h *hubPlaces) open() (*hub.Client, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.client == nil {
		client, err := hub.New(hub.OptionsFromEnv())
		if err != nil {
			return nil, usageError{err}
		}
		h.client = client
	}
	return h.client, nil
}

func (h *hubPlaces) locate(ctx context.Context, uri string) (shards.Store, string, error) {
	client, err := h.open()
	if err != nil {
		return nil, "", err
	}
	return client.Locate(ctx, uri)
}

func (h *hubPlaces) close() {
	if h != nil && h.client != nil {
		h.client.Close()
	}
}

// remoteStore is how places of one scheme are opened.
type remoteStore struct {
	locate shards.Locate
	folder func(ctx context.Context, uri string) (shards.Folder, error) // nil where nothing can be written
}

// localPath returns the path of a place on this machine's disk: one without a
// scheme, or file:///PATH, which is taken as it is, without percent-decoding.
func localPath(place string) (path string, ok bool) {
	if rest, ok := strings.CutPrefix(place, "file://"); ok {
		return rest, strings.HasPrefix(rest, "/")
	}
	return place, !strings.Contains(place, "://")
}

// Locate is the shards.Locate of all schemes.
func (s *stores) Locate(ctx context.Context, place string) (shards.Store, string, error) {
	if name, ok := localPath(place); ok {
		return local.Locate(ctx, name)
	}
	remote, err := s.scheme(place)
	if err != nil {
		return nil, "", err
	}
	return remote.locate(ctx, place)
}

// Folder opens an output folder, which need not exist.
func (s *stores) Folder(ctx context.Context, place string) (shards.Folder, error) {
	if name, ok := localPath(place); ok {
		if name == "" {
			return nil, usagef("the path of a folder is empty")
		}
		return local.New(name), nil
	}
	remote, err := s.scheme(place)
	if err != nil {
		return nil, err
	}
	if remote.folder == nil {
		return nil, usagef("open folder %s: a %s:// place can only be read", place, place[:strings.Index(place, "://")])
	}
	return remote.folder(ctx, place)
}

// ReadFolder opens a folder to read from it: one that Folder opens, or a model of
// the Hugging Face Hub.
func (s *stores) ReadFolder(ctx context.Context, place string) (shards.Store, error) {
	if !strings.HasPrefix(place, "hf://") {
		return s.Folder(ctx, place)
	}
	if _, err := s.scheme(place); err != nil {
		return nil, err
	}
	client, err := s.hub.open()
	if err != nil {
		return nil, err
	}
	return client.Model(ctx, place)
}

func (s *stores) scheme(place string) (remoteStore, error) {
	if err := shards.CheckPlace(place); err != nil {
		return remoteStore{}, usageError{err}
	}
	scheme, _, _ := strings.Cut(place, "://")
	if scheme == "file" {
		return remoteStore{}, usagef("%s: a file URI has three slashes and an absolute path, such as file:///data/pool", place)
	}
	remote, ok := s.remote[scheme]
	if !ok {
		known := slices.Sorted(maps.Keys(s.remote))
		return remoteStore{}, usagef("%s: %s:// is not supported; places are local paths and URIs of file, %s", place, scheme, strings.Join(known, ", "))
	}
	return remote, nil
}

// joinPlace returns the place of a name below a folder. The folder of a URI is
// not cleaned: a store refuses one with .. elements, which might else end
// anywhere.
func joinPlace(folder, name string) string {
	if scheme, rest, ok := strings.Cut(folder, "://"); ok {
		if name = path.Clean(name); name == "." {
			return folder
		}
		return scheme + "://" + strings.TrimRight(rest, "/") + "/" + name
	}
	return filepath.Join(folder, filepath.FromSlash(name))
}

// findObject returns what a store says about one object; a missing one is
// fs.ErrNotExist.
func findObject(ctx context.Context, store shards.Store, name string) (shards.ObjectInfo, error) {
	infos, err := store.List(ctx, name)
	if err != nil {
		return shards.ObjectInfo{}, err
	}
	for _, info := range infos {
		if info.Name == name {
			return info, nil
		}
	}
	return shards.ObjectInfo{}, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
}

// objectExists reports whether a store has an object.
func objectExists(ctx context.Context, store shards.Store, name string) (bool, error) {
	_, err := findObject(ctx, store, name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
