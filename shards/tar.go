package shards

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/curate-data/curate/pipeline"
)

// IsTar tells by its name whether a shard is a tar archive, which CopyKept copies
// to one.
func IsTar(shard string) bool {
	f, _, _ := formatOf(shard)
	return f == Tar
}

// Sample is a row of a WebDataset tar: the members with one key.
type Sample struct {
	Row     int64  // from 0
	Key     string // the members' path up to the first dot of the file name
	Members []Member
}

// Member is a file of a sample.
type Member struct {
	Name string // path in the archive, as it stands there
	Ext  string // what follows the key and a dot, in lower case: jpg, json, seg.png
	Data []byte
}

// Member returns what the member with an extension holds.
func (s Sample) Member(ext string) ([]byte, bool) {
	for _, m := range s.Members {
		if m.Ext == ext {
			return m.Data, true
		}
	}
	return nil, false
}

// Text returns the member txt; false where there is none.
func (s Sample) Text() (string, bool) {
	data, ok := s.Member("txt")
	return string(data), ok
}

// Class returns the number in the member cls; false where there is none.
func (s Sample) Class() (int64, bool, error) {
	data, ok := s.Member("cls")
	if !ok {
		return 0, false, nil
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	if err != nil {
		return 0, true, fmt.Errorf("%w: row %d: member %s.cls: %w", ErrCorrupt, s.Row, s.Key, err)
	}
	return n, true, nil
}

// JSON decodes the member json into v; false where there is none.
func (s Sample) JSON(v any) (bool, error) {
	data, ok := s.Member("json")
	if !ok {
		return false, nil
	}
	if err := json.Unmarshal(data, v); err != nil {
		return true, fmt.Errorf("%w: row %d: member %s.json: %w", ErrCorrupt, s.Row, s.Key, err)
	}
	return true, nil
}

// TarSamples yields the samples of a WebDataset tar, plain or compressed with
// gzip or zstd, in the order of the archive. Directories are passed over; links,
// devices, sparse files, paths that lead out of the archive, files that belong to
// no sample, a key that comes again later and an extension that a sample has
// twice are errors that wrap ErrUnsupported, damage is one that wraps ErrCorrupt.
// After an error nothing more is yielded. The receiver owns each sample. Memory
// is one sample, at most 1 GiB, and 16 bytes or so for each that went before.
func TarSamples(ctx context.Context, obj Object) iter.Seq2[Sample, error] {
	return tarSamples(ctx, obj, func(string) bool { return true })
}

// tarSamples is TarSamples, in which members whose extension is not wanted have
// no data.
func tarSamples(ctx context.Context, obj Object, wanted func(ext string) bool) iter.Seq2[Sample, error] {
	return func(yield func(Sample, error) bool) {
		scan, err := scanTar(obj, false)
		if err != nil {
			yield(Sample{}, err)
			return
		}
		defer scan.close()
		var sample Sample
		for {
			if ctx.Err() != nil {
				yield(Sample{}, context.Cause(ctx))
				return
			}
			member, err := scan.next()
			if err != nil && !errors.Is(err, io.EOF) {
				yield(Sample{}, err)
				return
			}
			if (err != nil || member.first) && len(sample.Members) > 0 && !yield(sample, nil) || err != nil {
				return
			}
			if member.first {
				sample = Sample{Row: scan.row, Key: member.key}
			}
			m := Member{Name: member.header.Name, Ext: member.ext}
			if wanted(m.Ext) {
				if m.Data, err = scan.read(member); err != nil {
					yield(Sample{}, err)
					return
				}
			}
			sample.Members = append(sample.Members, m)
		}
	}
}

// tarReader reads WebDataset tars. A sample is a row; there is one row group.
// Columns are extensions of members, or paths into a member json: json.caption.
// tarKey names the key, which is the id where no other column is asked for.
type tarReader struct{ obj Object }

// tarKey is the column that holds a sample's key, as WebDataset names it.
const tarKey = "__key__"

func openTar(obj Object) (*tarReader, error) {
	scan, err := scanTar(obj, false)
	if err != nil {
		return nil, err
	}
	defer scan.close()
	if _, err := scan.next(); err != nil && err != io.EOF {
		return nil, err
	}
	return &tarReader{obj}, nil
}

func (r *tarReader) numRows() int64     { return -1 }
func (r *tarReader) rowGroups() []int64 { return []int64{-1} }

func (r *tarReader) batches(ctx context.Context, mem memory.Allocator, cols Columns, from, to int) iter.Seq2[pipeline.Batch, error] {
	return func(yield func(pipeline.Batch, error) bool) {
		if from == to {
			return
		}
		build := newBatchBuilder(mem)
		defer build.release()
		plan, first := newTarPlan(cols), int64(0)
		flush := func() bool {
			b := pipeline.Batch{Record: build.record(), FirstRow: first}
			first += b.Record.NumRows()
			return yield(b, nil)
		}
		rows := int64(0)
		build.begin()
		for sample, err := range tarSamples(ctx, r.obj, plan.wanted) {
			if err == nil {
				if err = plan.row(sample, build); err != nil {
					err = fmt.Errorf("row %d: %w", sample.Row, err)
				}
			}
			if err != nil {
				yield(pipeline.Batch{}, err)
				return
			}
			if rows++; build.full() {
				if !flush() {
					return
				}
				build.begin()
			}
		}
		if build.text.Len() > 0 && !flush() {
			return
		}
		if err := plan.checkSeen(rows); err != nil {
			yield(pipeline.Batch{}, err)
		}
	}
}

// tarPlan takes text, id and domain from the samples of a tar.
type tarPlan struct {
	cols [3]string
	seen [3]bool
	exts []string // of the first sample, for the error message
}

func newTarPlan(cols Columns) *tarPlan {
	p := &tarPlan{cols: [3]string{cols.Text, cols.ID, cols.Domain}}
	if p.cols[1] == "" {
		p.cols[1] = tarKey
	}
	return p
}

// wanted tells whether a column may be in the member with an extension.
func (p *tarPlan) wanted(ext string) bool {
	return slices.ContainsFunc(p.cols[:], func(name string) bool { return name == ext || isJSONExt(ext) && strings.HasPrefix(name, ext+".") })
}

// isJSONExt tells whether columns may lead into a member.
func isJSONExt(ext string) bool { return ext == "json" || strings.HasSuffix(ext, ".json") }

// row adds one row.
func (p *tarPlan) row(sample Sample, build *batchBuilder) error {
	if p.exts == nil {
		for _, m := range sample.Members {
			p.exts = append(p.exts, m.Ext)
		}
		slices.Sort(p.exts)
	}
	for i, name := range p.cols {
		value, ok, err := p.value(sample, name, i)
		if err != nil {
			return err
		}
		switch {
		case i == 0 && ok:
			build.text.Append(value)
		case i == 0:
			build.text.AppendNull()
		case ok:
			appendLabel(build.labels()[i-1], string(value))
		default:
			build.labels()[i-1].AppendNull()
		}
	}
	return nil
}

// value finds a column in a sample; false where it is missing, null or not wanted.
func (p *tarPlan) value(sample Sample, name string, column int) ([]byte, bool, error) {
	if name == tarKey {
		p.seen[column] = true
		return []byte(sample.Key), true, nil
	}
	if data, ok := sample.Member(name); ok || name == "" {
		p.seen[column] = p.seen[column] || ok
		if column > 0 {
			data = []byte(strings.TrimSpace(string(data))) // a class has a line end
		}
		return data, ok, nil
	}
	for _, m := range sample.Members {
		rest, ok := strings.CutPrefix(name, m.Ext+".")
		if !ok || !isJSONExt(m.Ext) {
			continue
		}
		value, seen, err := jsonMember(m.Data, rest, column > 0)
		p.seen[column] = p.seen[column] || seen
		if err != nil {
			return nil, false, fmt.Errorf("member %q: %w", m.Name, err)
		}
		return value, value != nil, nil
	}
	return nil, false, nil
}

// jsonMember returns the string, or the integer where label is set, at a path of
// a JSON object; nil where it is null or missing.
func jsonMember(data []byte, path string, label bool) (value []byte, seen bool, err error) {
	if len(strings.TrimSpace(string(data))) == 0 {
		return nil, false, fmt.Errorf("%w: no JSON in it", ErrCorrupt)
	}
	if err := checkJSON(data); err != nil {
		return nil, false, err
	}
	plan := newJSONPlan(Columns{Text: path})
	found, err := plan.value(trimSpace(data), 0)
	switch {
	case err != nil || found == nil:
		return nil, plan.seen[0], err
	case found[0] == '"':
		return append([]byte{}, unquote(found)...), true, nil
	case label && kindOfJSON(found) == "a number" && !strings.ContainsAny(string(found), ".eE"):
		return found, true, nil
	}
	return nil, true, fmt.Errorf("%w %q: it is %s, want a string", ErrColumn, path, kindOfJSON(found))
}

// checkSeen is an error when a column that was asked for is in no sample.
func (p *tarPlan) checkSeen(rows int64) error {
	for i, name := range p.cols {
		if name != "" && !p.seen[i] && rows > 0 {
			return columnError(name, fmt.Sprintf("none of %d samples has a member with this extension, or this path in a member json", rows), append([]string{tarKey}, p.exts...))
		}
	}
	return nil
}
