package shards

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/curate-data/curate/pipeline"
)

// child is a SandboxProcess in this process: whatever serve does with its two
// ends of pipes.
type child struct {
	io.Reader
	io.Writer
	kill func(error)
	done chan error
}

func startChild(serve func(r io.Reader, w io.Writer) error) *child {
	toChild, fromParent := io.Pipe()
	toParent, fromChild := io.Pipe()
	c := &child{toParent, fromParent, func(err error) { toChild.CloseWithError(err); toParent.CloseWithError(err) }, make(chan error, 1)}
	go func() {
		err := serve(toChild, fromChild)
		fromChild.Close()
		toChild.Close()
		c.done <- err
	}()
	return c
}

func (c *child) Kill()       { c.kill(errors.New("killed")) }
func (c *child) Wait() error { return <-c.done }

// deaf runs a child that never looks at what it is told.
func deaf(says []byte) func(r io.Reader, w io.Writer) error {
	return func(r io.Reader, w io.Writer) error {
		go io.Copy(io.Discard, r)
		_, err := w.Write(says)
		return err
	}
}

func sandboxOf(serve func(r io.Reader, w io.Writer) error) *Sandbox {
	return &Sandbox{Start: func() (SandboxProcess, error) { return startChild(serve), nil }, Silence: time.Minute}
}

// sandboxed opens a file's bytes in a sandbox, or in this process if it is nil.
func sandboxed(name string, b []byte, box *Sandbox) (*Shard, error) {
	format, _, _ := formatOf(name)
	return Open(context.Background(), Input{Store: mutantStore{content: b}, Path: name, Shard: "test", Size: int64(len(b)), Format: format, Sandbox: box})
}

// textOf reads the rows of a shard as lines.
func textOf(s *Shard, cols Columns, from, to int) (lines []string, err error) {
	for b, err := range s.Batches(context.Background(), cols, from, to) {
		if err != nil {
			return lines, err
		}
		for i, value := range batchValues(b.Record) {
			for row := range b.NumRows() {
				text := "null"
				if !b.Record.Column(i).IsNull(row) {
					text = string(value(row))
				}
				lines = append(lines, strings.Join([]string{b.RowID(row).Shard, text}, " "))
			}
		}
		b.Release()
	}
	return lines, nil
}

// TestSandboxReadsTheSame: every input of testdata gives the same rows, row
// groups and columns in a sandbox, and the same kinds of errors.
func TestSandboxReadsTheSame(t *testing.T) {
	files, err := filepath.Glob("testdata/inputs/*")
	if err != nil || len(files) < 80 {
		t.Fatal(len(files), err)
	}
	box := sandboxOf(ServeShard)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want, wantErr := sandboxed(file, b, nil)
		got, gotErr := sandboxed(file, b, box)
		if !sameFault(gotErr, wantErr) {
			t.Errorf("%s: open: error %v, want %v", file, gotErr, wantErr)
		}
		if wantErr != nil || gotErr != nil {
			continue
		}
		if got.NumRows() != want.NumRows() || got.NumRowGroups() != want.NumRowGroups() || !slices.Equal(got.Columns(), want.Columns()) {
			t.Errorf("%s: %d rows in %d groups, columns %v", file, got.NumRows(), got.NumRowGroups(), got.Columns())
		}
		last := want.NumRowGroups()
		for _, groups := range [][2]int{{0, last}, {min(1, last), last}, {last, last}} {
			for _, cols := range []Columns{{"text", "id", "domain"}, {"text", "", ""}, {"nope", "", ""}} {
				lines, wantErr := textOf(want, cols, groups[0], groups[1])
				again, gotErr := textOf(got, cols, groups[0], groups[1])
				if !sameFault(gotErr, wantErr) || !slices.Equal(again, lines) {
					t.Errorf("%s %v %v: %d values, error %v; want %d, %v", file, cols, groups, len(again), gotErr, len(lines), wantErr)
				}
			}
		}
		if err := errors.Join(got.Close(), want.Close()); err != nil {
			t.Error(err)
		}
	}
}

// sameFault tells whether two errors say the same and are of the same kinds.
func sameFault(got, want error) bool {
	if got == nil || want == nil {
		return got == want
	}
	for _, kind := range faultKinds {
		if errors.Is(got, kind) != errors.Is(want, kind) {
			return false
		}
	}
	return oneLine(got.Error()) == oneLine(want.Error())
}

// TestSandboxCopiesTheSame: copies are the same bytes.
func TestSandboxCopiesTheSame(t *testing.T) {
	box := sandboxOf(ServeShard)
	for name, format := range map[string]OutputFormat{
		"types/struct_deep.parquet": OutParquet, "types/map_list.parquet": OutSame, "encodings/rle-v1-lz4.parquet": OutArrowFile, "types/all.arrow": OutParquet,
		"types/all.arrows": OutSame, "types/jsonl/rows.jsonl": OutSame, "inputs/utf8.jsonl.gz": OutSame, "tars/pax.tar.gz": OutSame,
	} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, mask := range []string{"all", "third", "last"} {
			var want, got bytes.Buffer
			for box, out := range map[*Sandbox]*bytes.Buffer{nil: &want, box: &got} {
				s, err := sandboxed(name, b, box)
				if err != nil {
					t.Fatal(err)
				}
				rows := map[string]int{"encodings/rle-v1-lz4.parquet": 200, "inputs/utf8.jsonl.gz": 40, "tars/pax.tar.gz": 23}[name]
				if rows == 0 {
					rows = 50
				}
				opt := CopyOptions{ScoreColumn: "score", Format: format}
				if format == OutParquet {
					opt.KeyValues = []KeyValue{{"a", "b"}}
				}
				counts, err := CopyKept(context.Background(), s, decide(rows, masks[mask]), out, opt)
				if err != nil || counts.RowsIn != int64(rows) {
					t.Errorf("%s %s: %+v, %v", name, mask, counts, err)
				}
				s.Close()
			}
			if !bytes.Equal(got.Bytes(), want.Bytes()) {
				t.Errorf("%s %s: %d bytes from the sandbox, %d without, or others", name, mask, got.Len(), want.Len())
			}
		}
	}
}

// TestSandboxStopsEarly: who has seen enough leaves no child behind (goleak
// looks), and the shard can be read again.
func TestSandboxStopsEarly(t *testing.T) {
	b := typeFile(t, "string.parquet")
	s, err := sandboxed("string.parquet", b, sandboxOf(ServeShard))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 3 {
		for b, err := range s.Batches(context.Background(), Columns{Text: "v"}, 0, s.NumRowGroups()) {
			if err != nil {
				t.Fatal(err)
			}
			b.Release()
			break
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for b, err := range s.Batches(ctx, Columns{Text: "v"}, 0, s.NumRowGroups()) {
		if err == nil {
			b.Release()
		} else if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	}
	if _, err := CopyKept(context.Background(), s, decide(50, masks["all"]), &limitedWriter{10}, CopyOptions{}); err == nil || errors.Is(err, ErrSandbox) {
		t.Errorf("a full disk: %v", err)
	}
	if _, err := CopyKept(context.Background(), s, decide(49, masks["all"]), io.Discard, CopyOptions{}); err == nil {
		t.Error("decisions that end early: no error")
	}
	if _, err := CopyKept(context.Background(), s, decide(51, masks["all"]), io.Discard, CopyOptions{}); err == nil {
		t.Error("decisions that do not end: no error")
	}
}

// TestSandboxDeaths: a child that dies at once, dies later, says nothing, or
// talks nonsense is an ErrSandbox.
func TestSandboxDeaths(t *testing.T) {
	b := typeFile(t, "string.parquet")
	dead := errors.New("signal: killed")
	bad := map[string]func(r io.Reader, w io.Writer) error{
		"at once": func(io.Reader, io.Writer) error { return dead },
		"later": func(r io.Reader, w io.Writer) error {
			return ServeShard(io.LimitReader(r, 100), w)
		},
		"silence":  func(r io.Reader, w io.Writer) error { io.Copy(io.Discard, r); return dead },
		"nonsense": deaf(bytes.Repeat([]byte("nonsense"), 1<<10)),
		"huge":     deaf([]byte{frameInfo, 0xFF, 0xFF, 0xFF, 0xFF, 'x'}),
		"greedy":   deaf(append([]byte{frameRead, 16, 0, 0, 0}, appendRanges(nil, Range{0, 1 << 40})...)),
		"no reading": func(_ io.Reader, w io.Writer) error {
			for {
				if _, err := w.Write(make([]byte, 100)); err != nil {
					return err
				}
			}
		},
	}
	for name, serve := range bad {
		box := sandboxOf(serve)
		if name == "silence" || name == "no reading" {
			box.Silence = time.Millisecond
		}
		s, err := sandboxed("string.parquet", b, box)
		if err == nil {
			s.Close()
		}
		if !errors.Is(err, ErrSandbox) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
}

// liar changes what a child says: rows that are missing, twice, or too many.
func liar(change func(kind byte, payload []byte) [][]byte) func(r io.Reader, w io.Writer) error {
	return func(r io.Reader, w io.Writer) error {
		says, from := io.Pipe()
		go func() {
			var buffer bytes.Buffer
			for {
				kind, payload, err := readFrame(says, &buffer)
				if err != nil {
					return
				}
				for _, p := range change(kind, payload) {
					head := []byte{kind, byte(len(p)), byte(len(p) >> 8), byte(len(p) >> 16), byte(len(p) >> 24)}
					w.Write(append(head, p...))
				}
			}
		}()
		err := ServeShard(r, from)
		from.Close()
		return err
	}
}

// TestSandboxCountsRows: a child that loses rows, or brings them twice, is found out.
func TestSandboxCountsRows(t *testing.T) {
	b := typeFile(t, "string.parquet")
	batches := 0
	for name, change := range map[string]func(kind byte, payload []byte) [][]byte{
		"lost": func(kind byte, p []byte) [][]byte {
			if batches++; kind == frameBatch && batches%2 == 0 {
				return nil
			}
			return [][]byte{p}
		},
		"twice": func(kind byte, p []byte) [][]byte {
			if kind == frameBatch {
				return [][]byte{p, p}
			}
			return [][]byte{p}
		},
		"counts": func(kind byte, p []byte) [][]byte {
			if kind == frameCounts {
				return [][]byte{[]byte(`{"RowsIn":49,"Kept":49}`)}
			}
			return [][]byte{p}
		},
	} {
		s, err := sandboxed("string.parquet", b, sandboxOf(liar(change)))
		if err != nil {
			t.Fatal(err)
		}
		if name == "counts" {
			_, err = CopyKept(context.Background(), s, decide(50, masks["all"]), io.Discard, CopyOptions{})
		} else {
			_, err = textOf(s, Columns{Text: "v"}, 0, s.NumRowGroups())
		}
		if !errors.Is(err, ErrSandbox) {
			t.Errorf("%s: got error %v", name, err)
		}
		s.Close()
	}
}

// FuzzSandboxSays: whatever a child says, the parent gets an error or rows that
// add up.
func FuzzSandboxSays(f *testing.F) {
	b := typeFile(f, "string.parquet")
	for _, name := range []string{"string.parquet", "jsonl/rows.jsonl"} {
		var said bytes.Buffer
		s, err := sandboxed(name, typeFile(f, name), sandboxOf(func(r io.Reader, w io.Writer) error { return ServeShard(r, io.MultiWriter(&said, w)) }))
		if err != nil {
			f.Fatal(err)
		}
		textOf(s, Columns{Text: "v"}, 0, s.NumRowGroups())
		s.Close()
		f.Add(said.Bytes())
	}
	f.Fuzz(func(t *testing.T, says []byte) {
		s, err := sandboxed("string.parquet", b, sandboxOf(deaf(says)))
		if err != nil {
			return
		}
		defer s.Close()
		rows := int64(0)
		for b, err := range s.Batches(context.Background(), Columns{Text: "v"}, 0, s.NumRowGroups()) {
			if err != nil {
				return
			}
			rows += int64(b.NumRows())
			b.Release()
		}
		if s.NumRows() >= 0 && rows != s.NumRows() {
			t.Errorf("%d rows, promised %d", rows, s.NumRows())
		}
	})
}

// FuzzBatchFrame: any bytes are refused or give a batch that encodes to itself.
func FuzzBatchFrame(f *testing.F) {
	f.Add([]byte{0, 0, 1, 2, 0, 1, 'x'})
	f.Fuzz(func(t *testing.T, b []byte) {
		build := newBatchBuilder(memory.DefaultAllocator)
		defer build.release()
		batch, err := parseBatch(b, build)
		if err != nil {
			return
		}
		defer batch.Release()
		again, err := parseBatch(appendBatch(nil, batch), build)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Release()
		if !equalBatches(batch, again) {
			t.Error("another batch")
		}
	})
}

func equalBatches(a, b pipeline.Batch) bool {
	return a.FirstRow == b.FirstRow && a.RowGroup == b.RowGroup && bytes.Equal(appendBatch(nil, a), appendBatch(nil, b))
}
