package shards

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/curate-data/curate/pipeline"
)

// ManifestFormat is the version of the manifest's form that this package
// writes, and the only one that it reads.
const ManifestFormat = 1

// Manifest is the JSON that makes output exist: it is published after all
// that it names, so a folder without it is unfinished. It holds no times and
// no host names: the same work gives the same bytes.
type Manifest struct {
	Format    int             `json:"format"`              // ManifestFormat; WriteManifest sets it
	Stage     string          `json:"stage"`               // train, score, select, write or run
	Key       string          `json:"key,omitempty"`       // UnitKey of all that decides the result but the inputs
	Curate    string          `json:"curate"`              // version of curate that did the work
	Options   json.RawMessage `json:"options,omitempty"`   // the options that matter to the result
	Inputs    []ManifestInput `json:"inputs"`              // by shard name
	Models    []ManifestModel `json:"models,omitempty"`    // in the order the stage used them
	Tokenizer string          `json:"tokenizer,omitempty"` // digest of tokenizer.json
	Backend   string          `json:"backend,omitempty"`   // what computed the losses, such as xla:cpu
	Units     []Unit          `json:"units"`               // by shard, first row group and file
	Counts    Counts          `json:"counts"`
	Detail    json.RawMessage `json:"detail,omitempty"` // what the stage tells the next ones, such as the cut
}

// ManifestInput is one input of a stage. Rows is -1 when they were not counted
// because the input was quarantined.
type ManifestInput struct {
	Shard  string `json:"shard"`
	URI    string `json:"uri"`
	Size   int64  `json:"size"`   // bytes
	Digest string `json:"digest"` // sha256 of the content, hex
	Rows   int64  `json:"rows"`
	Fault  string `json:"fault,omitempty"` // why it was quarantined
}

// ManifestModel is a model that a stage used or made.
type ManifestModel struct {
	Role   string `json:"role"` // prior or conditional
	Digest string `json:"digest"`
}

// Unit is one file that a stage made, from row groups of one shard or, with an
// empty Shard, from all inputs.
type Unit struct {
	File          string `json:"file"`                // name in the output's store
	Size          int64  `json:"size"`                // bytes
	SHA256        string `json:"sha256"`              // of the content, hex
	Key           string `json:"key"`                 // UnitKey of all that the file depends on
	PriorKey      string `json:"prior_key,omitempty"` // of scores: UnitKey of all that the prior's losses depend on
	Shard         string `json:"shard,omitempty"`
	FirstRowGroup int    `json:"first_row_group,omitempty"`
	RowGroups     int    `json:"row_groups,omitempty"`    // how many, from the first on
	Rows          int64  `json:"rows"`                    // rows in File
	Tokens        int64  `json:"tokens,omitempty"`        // of the texts read; of a token file: in it
	TailTokens    int64  `json:"tail_tokens,omitempty"`   // after the last whole sequence, which are in none
	DeviceTokens  int64  `json:"device_tokens,omitempty"` // of scoring: that each model computed
	Padding       int64  `json:"padding,omitempty"`       // of those: of no text
	Counts        Counts `json:"counts"`
}

// Counts accounts for every input row once.
type Counts struct {
	RowsIn      int64                     `json:"rows_in"`
	Kept        int64                     `json:"kept"`
	Dropped     map[pipeline.Reason]int64 `json:"dropped"`
	Quarantined int64                     `json:"quarantined"` // rows of shards that could not be read
}

// ErrManifest says that an object is not a manifest that this curate can go
// on from: damaged, of another format, or with counts or names that cannot be.
var ErrManifest = errors.New("not a usable manifest")

// ErrConservation says that rows were lost or counted twice.
var ErrConservation = errors.New("rows are not conserved")

// Check is an ErrConservation unless rows_in = kept + dropped + quarantined,
// none of them negative.
func (c Counts) Check() error {
	dropped := int64(0)
	for reason, n := range c.Dropped {
		if n < 0 || reason == "" {
			return fmt.Errorf("%w: %d rows dropped for reason %q", ErrConservation, n, reason)
		}
		dropped += n
	}
	if c.RowsIn < 0 || c.Kept < 0 || c.Quarantined < 0 || c.RowsIn != c.Kept+dropped+c.Quarantined {
		return fmt.Errorf("%w: %d rows in, but %d kept + %d dropped + %d quarantined = %d",
			ErrConservation, c.RowsIn, c.Kept, dropped, c.Quarantined, c.Kept+dropped+c.Quarantined)
	}
	return nil
}

// Add adds the counts of another part of the work.
func (c *Counts) Add(o Counts) {
	c.RowsIn += o.RowsIn
	c.Kept += o.Kept
	c.Quarantined += o.Quarantined
	if c.Dropped == nil {
		c.Dropped = map[pipeline.Reason]int64{}
	}
	for reason, n := range o.Dropped {
		c.Dropped[reason] += n
	}
}

// Check is an ErrConservation unless the manifest's counts and those of each
// unit add up, and the units that count rows account for all that were kept
// and dropped. A file name that leads out of the folder is an error as well.
func (m *Manifest) Check() error {
	if err := m.Counts.Check(); err != nil {
		return err
	}
	for _, in := range m.Inputs {
		if !isName(in.Shard) {
			return fmt.Errorf("shard %q is not a name inside a folder", in.Shard)
		}
	}
	var sum Counts
	for _, u := range m.Units {
		if u.Shard != "" && !isName(u.Shard) {
			return fmt.Errorf("shard %q of unit %s is not a name inside a folder", u.Shard, u.File)
		}
		if u.File != "" && !isName(u.File) {
			return fmt.Errorf("unit file %q is not a name inside the folder", u.File)
		}
		if err := u.Counts.Check(); err != nil {
			return fmt.Errorf("unit %s: %w", u.File, err)
		}
		sum.Add(u.Counts)
	}
	if sum.RowsIn == 0 {
		return nil
	}
	if sum.Kept != m.Counts.Kept || !maps.Equal(nonZero(sum.Dropped), nonZero(m.Counts.Dropped)) {
		return fmt.Errorf("%w: the units keep %d rows and drop %v, the whole keeps %d and drops %v",
			ErrConservation, sum.Kept, sum.Dropped, m.Counts.Kept, m.Counts.Dropped)
	}
	return nil
}

// isName tells whether a name stays inside the folder that it is used in.
func isName(name string) bool { return fs.ValidPath(name) && name != "." }

func nonZero(counts map[pipeline.Reason]int64) map[pipeline.Reason]int64 {
	out := maps.Clone(counts)
	maps.DeleteFunc(out, func(_ pipeline.Reason, n int64) bool { return n == 0 })
	return out
}

// WriteManifest publishes a manifest. It must come last, when all units are at
// their names. Counts that do not add up are an ErrConservation and nothing is
// written. Where the store can promise it, a manifest never replaces another:
// that of an earlier run is removed before its files change.
func WriteManifest(ctx context.Context, store Store, name string, m *Manifest) error {
	if err := m.Check(); err != nil {
		return fmt.Errorf("write manifest %s: %w", name, err)
	}
	b, err := m.encode()
	if err != nil {
		return fmt.Errorf("write manifest %s: %w", name, err)
	}
	create := store.Create
	if c, ok := store.(creator); ok {
		create = c.CreateNew
	}
	if err := writeObject(ctx, create, name, b); err != nil {
		return fmt.Errorf("write manifest %s: %w", name, err)
	}
	return nil
}

// encode returns the manifest's one form: sorted, indented, with a final newline.
func (m *Manifest) encode() ([]byte, error) {
	out := *m
	out.Format = ManifestFormat
	out.Inputs = slices.SortedFunc(slices.Values(m.Inputs), func(a, b ManifestInput) int {
		return cmp.Or(strings.Compare(a.Shard, b.Shard), strings.Compare(a.URI, b.URI))
	})
	out.Units = slices.SortedFunc(slices.Values(m.Units), func(a, b Unit) int {
		return cmp.Or(strings.Compare(a.Shard, b.Shard), cmp.Compare(a.FirstRowGroup, b.FirstRowGroup), strings.Compare(a.File, b.File))
	})
	// Empty rather than null, so that readers of the JSON need no special case.
	if out.Inputs == nil {
		out.Inputs = []ManifestInput{}
	}
	if out.Units == nil {
		out.Units = []Unit{}
	}
	out.Counts.Dropped = orEmpty(out.Counts.Dropped)
	for i := range out.Units {
		out.Units[i].Counts.Dropped = orEmpty(out.Units[i].Counts.Dropped)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(out)
	return b.Bytes(), err
}

func orEmpty(m map[pipeline.Reason]int64) map[pipeline.Reason]int64 {
	if m == nil {
		return map[pipeline.Reason]int64{}
	}
	return m
}

// maxManifest bounds the JSON that is read: a million units take about 500 MB.
const maxManifest = 1 << 30

// ReadManifest reads a manifest and checks it as WriteManifest does. A missing
// one wraps fs.ErrNotExist, one that says nothing usable ErrManifest.
func ReadManifest(ctx context.Context, store Store, name string) (*Manifest, error) {
	b, err := ReadObject(ctx, store, name, maxManifest)
	if err != nil {
		return nil, fmt.Errorf("read manifest %s: %w", name, err)
	}
	m, err := decodeManifest(b)
	if err != nil {
		return nil, fmt.Errorf("read manifest %s: %w: %w", name, ErrManifest, err)
	}
	return m, nil
}

func decodeManifest(b []byte) (*Manifest, error) {
	var version struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(b, &version); err != nil {
		return nil, err
	}
	if version.Format != ManifestFormat {
		return nil, fmt.Errorf("format %d, this curate reads format %d; run the stage again", version.Format, ManifestFormat)
	}
	m := new(Manifest)
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(m); err != nil {
		return nil, err
	}
	for _, raw := range []*json.RawMessage{&m.Options, &m.Detail} {
		if len(*raw) == 0 {
			continue
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, *raw); err != nil {
			return nil, err
		}
		*raw = compact.Bytes()
	}
	return m, m.Check()
}

// UnitKey is the hex sha256 over the parts, each preceded by its length, so
// that no two lists of parts run together into the same bytes.
func UnitKey(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		var length [8]byte
		binary.LittleEndian.PutUint64(length[:], uint64(len(p)))
		h.Write(length[:])
		io.WriteString(h, p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// WriteObject publishes a small object, whole or not at all.
func WriteObject(ctx context.Context, store Store, name string, b []byte) error {
	return writeObject(ctx, store.Create, name, b)
}

func writeObject(ctx context.Context, create func(context.Context, string) (Pending, error), name string, b []byte) error {
	p, err := create(ctx, name)
	if err != nil {
		return err
	}
	if _, err := p.Write(b); err != nil {
		p.Abort()
		return err
	}
	return p.Finish(ctx)
}

// ReadObject reads a whole object of at most limit bytes; a larger one is an error.
func ReadObject(ctx context.Context, store Store, name string, limit int64) ([]byte, error) {
	obj, err := store.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer obj.Close()
	if obj.Size() > limit {
		return nil, fmt.Errorf("%d bytes, want at most %d", obj.Size(), limit)
	}
	b := make([]byte, obj.Size())
	if _, err := io.ReadFull(io.NewSectionReader(obj, 0, obj.Size()), b); err != nil {
		return nil, err
	}
	return b, nil
}
