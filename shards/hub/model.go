package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/curate-data/curate/shards"
)

// Model is a repository of models at one commit, to read. What is read comes from
// the cache that Python's huggingface_hub has, and is put there first where it is
// missing. Contents are compared with their digests before they are used. Without
// network (Options.Offline) it is what the cache has.
type Model struct {
	hub    *Store // nil: offline
	place  place
	commit string
	cache  cache
	files  map[string]shards.ObjectInfo
	names  []string // of files, sorted

	mu    sync.Mutex
	whole map[string]bool // files that are in the cache and were checked
}

var _ shards.Store = (*Model)(nil)

// filesAtOnce is how many files of a model are fetched side by side. Each keeps
// several requests going.
const filesAtOnce = 3

// Model opens what a URI like hf://ORG/NAME or hf://ORG/NAME@REVISION names. A
// revision is looked up once.
func (c *Client) Model(ctx context.Context, uri string) (*Model, error) {
	p, err := parse(uri)
	if err != nil {
		return nil, err
	}
	if p.kind != kindModel || p.name != "" {
		return nil, fmt.Errorf("%s is no model: want hf://ORG/NAME[@REVISION]", uri)
	}
	return c.model(ctx, p)
}

func (c *Client) model(ctx context.Context, p place) (*Model, error) {
	key := p.id + "@" + p.revision
	c.mu.Lock()
	known := c.models[key]
	c.mu.Unlock()
	if known != nil {
		return known, nil
	}
	if c.opt.Cache == "" {
		return nil, errors.New("there is no folder for models of the hub: set HF_HOME to one")
	}
	p.name = ""
	m := &Model{place: p, cache: cacheOf(c.opt.Cache, p.repo), files: map[string]shards.ObjectInfo{}, whole: map[string]bool{}}
	var err error
	if c.opt.Offline {
		err = m.openOffline()
	} else {
		err = m.openOnline(ctx, c)
	}
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.models[key] = m
	return m, nil
}

func (m *Model) openOnline(ctx context.Context, c *Client) (err error) {
	if m.commit, err = c.commit(ctx, m.place.repo, m.place.revision); err != nil {
		if _, cached := m.cache.commit(m.place.revision); cached == nil {
			err = fmt.Errorf("%w (with HF_HUB_OFFLINE=1 the copy in the cache is taken)", err)
		}
		return err
	}
	m.hub = &Store{client: c, repo: m.place.repo, revision: m.place.revision, commit: m.commit}
	infos, err := m.hub.List(ctx, "")
	if err != nil {
		return err
	}
	for _, info := range infos {
		if !isContentID(info.Version) {
			return fmt.Errorf("list %s: the hub gives %s the id %q", m.URI(""), info.Name, info.Version)
		}
		info.Digest = contentDigest(info.Version)
		m.files[info.Name], m.names = info, append(m.names, info.Name)
	}
	return nil
}

// contentDigest is the id of a content where it is its SHA-256: then the model has
// the digest that it has in any other place.
func contentDigest(id string) string {
	if len(id) == 64 {
		return id
	}
	return ""
}

func (m *Model) openOffline() (err error) {
	m.commit, err = m.cache.commit(m.place.revision)
	if err == nil {
		m.names, err = m.cache.listed(m.commit)
	}
	if err != nil {
		return fmt.Errorf("look up %s at %s: %w; %w", m.place.repo, m.place.revision, err, errOffline)
	}
	for _, name := range m.names {
		info := shards.ObjectInfo{Name: name}
		if stat, err := os.Stat(m.path(name)); err == nil { // else Open says what is wrong
			id := idOf(m.path(name))
			info.Size, info.Modified, info.Digest = stat.Size(), stat.ModTime(), contentDigest(id)
			info.Version = fmt.Sprintf("%s-%d-%d", id, stat.Size(), stat.ModTime().UnixNano())
		}
		m.files[name] = info
	}
	return nil
}

// Commit is the commit that the revision stands for.
func (m *Model) Commit() string { return m.commit }

func (m *Model) path(name string) string {
	return m.cache.folder("snapshots", m.commit, filepath.FromSlash(name))
}

// URI names a file as the user would.
func (m *Model) URI(name string) string {
	return strings.TrimSuffix("hf://"+m.place.id+"@"+m.place.revision+"/"+name, "/")
}

// List implements shards.Store.
func (m *Model) List(_ context.Context, prefix string) ([]shards.ObjectInfo, error) {
	var infos []shards.ObjectInfo
	for _, name := range m.names {
		if strings.HasPrefix(name, prefix) {
			infos = append(infos, m.files[name])
		}
	}
	return infos, nil
}

// WhyMissing says why a file is not listed, nil if the repository has none.
func (m *Model) WhyMissing(name string) error {
	if m.hub != nil {
		return nil
	}
	if err := m.cache.brokenFile(m.path(name)); err != nil {
		return fmt.Errorf("%w; %w", err, errOffline)
	}
	return nil
}

// Open implements shards.Store.
func (m *Model) Open(ctx context.Context, name string) (shards.Object, error) {
	if err := m.ensure(ctx, name, nil); err != nil {
		return nil, fmt.Errorf("open object %s: %w", m.URI(name), err)
	}
	file, err := os.Open(m.path(name))
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return object{file, info.Size()}, nil
}

// object is a file of the cache.
type object struct {
	*os.File
	size int64
}

// Size implements shards.Object.
func (o object) Size() int64 { return o.size }

// Create fails: the hub is for reading.
func (m *Model) Create(_ context.Context, name string) (shards.Pending, error) {
	return nil, fmt.Errorf("create object %s: %w", m.URI(name), ErrReadOnly)
}

// Remove fails: the hub is for reading.
func (m *Model) Remove(_ context.Context, name string) error {
	return fmt.Errorf("remove object %s: %w", m.URI(name), ErrReadOnly)
}

// Fetch brings files into the cache and returns the folder of the snapshot, which
// has them under their names. If there is something to download, start is told
// how many bytes, and returns what is told of the progress.
func (m *Model) Fetch(ctx context.Context, names []string, start func(bytes int64) func(int64)) (folder string, err error) {
	var total int64
	for _, name := range names {
		if info := m.files[name]; m.hub != nil && !m.isThere(info) {
			total += info.Size
		}
	}
	progress := func(int64) {}
	if total > 0 {
		progress = start(total)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(filesAtOnce)
	for _, name := range names {
		group.Go(func() error {
			if err := m.ensure(ctx, name, progress); err != nil {
				return fmt.Errorf("fetch %s: %w", m.URI(name), err)
			}
			return nil
		})
	}
	return m.cache.folder("snapshots", m.commit), group.Wait()
}

// isThere reports whether a file is in the cache with the size that it should have.
func (m *Model) isThere(info shards.ObjectInfo) bool {
	stat, err := os.Stat(m.path(info.Name))
	return err == nil && stat.Mode().IsRegular() && stat.Size() == info.Size
}

// ensure brings one file into the cache and checks its content, once.
func (m *Model) ensure(ctx context.Context, name string, progress func(int64)) error {
	info, ok := m.files[name]
	m.mu.Lock()
	whole := m.whole[name]
	m.mu.Unlock()
	switch {
	case whole:
		return nil
	case !ok:
		if err := m.WhyMissing(name); err != nil {
			return err
		}
		return fs.ErrNotExist
	}
	err := m.check(ctx, info)
	if err != nil && m.hub != nil && ctx.Err() == nil {
		err = m.download(ctx, info, progress)
	}
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.whole[name] = true
	return nil
}

// check compares a file of the cache with its digest, where that is known.
func (m *Model) check(ctx context.Context, info shards.ObjectInfo) error {
	path := m.path(info.Name)
	if err := m.cache.brokenFile(path); err != nil {
		if m.hub == nil {
			err = fmt.Errorf("%w; %w", err, errOffline)
		}
		return err
	}
	id := idOf(path)
	if m.hub != nil {
		if id = info.Version; !m.isThere(info) {
			return errDamaged
		}
		_ = m.cache.remember(m.place.revision, m.commit) // the cache may be read only
	}
	if id == "" {
		return nil
	}
	err := checkContent(ctx, path, id)
	if errors.Is(err, errDamaged) && m.hub == nil {
		err = fmt.Errorf("%w; remove it, and run once without HF_HUB_OFFLINE", err)
	}
	return err
}

// download brings one file into the cache: the blob, then the link to it.
func (m *Model) download(ctx context.Context, info shards.ObjectInfo, progress func(int64)) (err error) {
	id := info.Version
	release, err := m.cache.lock(ctx, id)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	if err := m.cache.remember(m.place.revision, m.commit); err != nil {
		return err
	}
	blob := m.cache.folder("blobs", id)
	// Another process, or another file with the same content, may have brought it.
	if checkContent(ctx, blob, id) == nil {
		if progress != nil {
			progress(info.Size)
		}
	} else if err := m.fetchBlob(ctx, info, blob, progress); err != nil {
		return err
	}
	return m.cache.link(m.path(info.Name), id)
}

// fetchBlob downloads a content, going on where an earlier run ended.
func (m *Model) fetchBlob(ctx context.Context, info shards.ObjectInfo, blob string, progress func(int64)) error {
	if err := os.MkdirAll(filepath.Dir(blob), 0o777); err != nil {
		return err
	}
	source, err := m.hub.Open(ctx, info.Name)
	if err != nil {
		return err
	}
	defer source.Close()
	if source.Size() != info.Size {
		return fmt.Errorf("the hub has %d bytes of it, its listing says %d", source.Size(), info.Size)
	}
	part, err := os.OpenFile(blob+".incomplete", os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	defer part.Close()
	err = fill(ctx, part, source, info.Version, progress)
	if errors.Is(err, errDamaged) { // what was there before may have been something else
		if err = part.Truncate(0); err == nil {
			err = fill(ctx, part, source, info.Version, nil)
		}
	}
	if errors.Is(err, errDamaged) {
		return errors.Join(fmt.Errorf("what the hub sent of it: %w", err), os.Remove(part.Name()))
	}
	if err != nil {
		return err
	}
	if err := part.Sync(); err != nil {
		return err
	}
	return os.Rename(part.Name(), blob)
}

// fill appends what a part lacks of an object, and compares the whole with its id.
func fill(ctx context.Context, part *os.File, source shards.Object, id string, progress func(int64)) error {
	sum := newHash(id, source.Size())
	if _, err := part.Seek(0, io.SeekStart); err != nil {
		return err
	}
	counted := &countingWriter{to: sum}
	if err := copyAll(ctx, counted, part, progress); err != nil {
		return err
	}
	if counted.n > source.Size() {
		return errDamaged
	}
	rest := io.NewSectionReader(source, counted.n, source.Size()-counted.n)
	if err := copyAll(ctx, io.MultiWriter(sum, part), rest, progress); err != nil {
		return err
	}
	if fmt.Sprintf("%x", sum.Sum(nil)) != id {
		return errDamaged
	}
	return nil
}

// countingWriter counts what passes.
type countingWriter struct {
	to io.Writer
	n  int64
}

func (w *countingWriter) Write(b []byte) (int, error) {
	w.n += int64(len(b))
	return w.to.Write(b)
}
