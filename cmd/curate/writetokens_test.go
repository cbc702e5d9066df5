package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/csv"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/curate-data/curate/scoring/tokenizer"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/local"
)

// tokenPool is a folder of shards whose sequences are scored and selected.
type tokenPool struct {
	prior, folder, scores, selection string
	length                           int
}

// newTokenPool scores sequences of 16 tokens: of real text, of a shard with
// texts that give no tokens, of one shorter than a sequence, of none that is
// kept.
func newTokenPool(t *testing.T) tokenPool {
	t.Helper()
	prior, conditional := modelsForTests(t)
	dir := t.TempDir()
	p := tokenPool{prior, filepath.Join(dir, "pool"), filepath.Join(dir, "scores"), filepath.Join(dir, "selection"), 16}
	write := func(name, content string) {
		path := filepath.Join(p.folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var b strings.Builder
	for i := range 90 {
		fmt.Fprintf(&b, `{"id":"a,%d \"q\"","text":%q}`+"\n", i, strings.Repeat(fmt.Sprintf("The %d whales were gone, said he. ", i*i), i%7))
	}
	write("en/a.jsonl", b.String())
	write("en/short.jsonl", `{"text":"too few","id":"s"}`+"\n"+`{"text":"","id":null}`+"\n"+`{"text":null}`+"\n")
	write("b.jsonl", `{"id":"","text":"One text that is long enough to be cut into a few sequences of tokens, and then some more of it."}`+"\n"+
		`{"text":"x"}`+"\n"+`{"text":"y"}`+"\n"+`{"text":"And another one, so that a sequence begins in this row too, if all goes well."}`+"\n")
	mustCurate(t, "score", "--prior", prior, "--conditional", conditional, "--backend", backendForTests(t), "--unit", "sequence",
		"--sequence-length", fmt.Sprint(p.length), "--id-column", "id", "--output", p.scores, p.folder)
	mustCurate(t, "select", "--scores", p.scores, "--output", p.selection, "--keep-fraction", "0.3")
	return p
}

// piece is a line of the CSV beside an .npy file.
type piece struct {
	start, end int
	id, src    string
	row        int64
}

// kept is what must be in the files of a shard.
type keptTokens struct {
	sequences, kept, tail int
	tokens                []int32
	pieces                []piece
}

// reference is the plain way: all tokens of the shard with their rows, cut by
// index, kept by looking each sequence up in the selection.
func (p tokenPool) reference(t *testing.T, in shards.Input) keptTokens {
	t.Helper()
	tok, err := tokenizer.Load(filepath.Join(p.prior, "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	shard, err := shards.Open(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	defer shard.Close()
	var ids []int32
	var rows []int64
	names := map[int64]string{}
	for b, err := range shard.Batches(context.Background(), shards.Columns{Text: "text", ID: "id"}, 0, shard.NumRowGroups()) {
		if err != nil {
			t.Fatal(err)
		}
		texts, labels := b.Record.Column(0).(*array.Binary), b.Record.Column(1).(*array.String)
		for i := range texts.Len() {
			row := b.FirstRow + int64(i)
			if names[row] = fmt.Sprintf("%s/%d", in.Shard, row); labels.IsValid(i) && labels.Value(i) != "" {
				names[row] = labels.Value(i)
			}
			if texts.IsNull(i) || len(texts.Value(i)) == 0 {
				continue
			}
			document := append(tok.NewEncoder().Append(nil, texts.Value(i)), 0)
			ids = append(ids, document...)
			rows = append(rows, slices.Repeat([]int64{row}, len(document))...)
		}
		b.Release()
	}
	keep := p.decisions(t, in.Shard)
	out := keptTokens{sequences: len(ids) / p.length, tail: len(ids) % p.length}
	for seq := range out.sequences {
		if !keep[seq] {
			continue
		}
		out.kept++
		for i := seq * p.length; i < (seq+1)*p.length; i++ {
			at := len(out.tokens)
			if last := len(out.pieces) - 1; i > seq*p.length && out.pieces[last].row == rows[i] {
				out.pieces[last].end++
			} else {
				out.pieces = append(out.pieces, piece{at, at + 1, names[rows[i]], in.Shard, rows[i]})
			}
			out.tokens = append(out.tokens, ids[i])
		}
	}
	if len(keep) != out.sequences {
		t.Fatalf("%s: %d decisions for %d sequences", in.Shard, len(keep), out.sequences)
	}
	return out
}

// decisions returns whether each sequence of a shard is kept.
func (p tokenPool) decisions(t *testing.T, shard string) map[int]bool {
	t.Helper()
	object, err := local.New(p.selection).Open(context.Background(), outputName(shard))
	if err != nil {
		t.Fatal(err)
	}
	defer object.Close()
	keep := map[int]bool{}
	for d, err := range shards.ReadSelection(context.Background(), object) {
		if err != nil {
			t.Fatal(err)
		}
		for i := range d.Row {
			keep[int(d.Seq[i])] = d.Keep[i]
		}
	}
	return keep
}

// inputs lists the pool as the command does.
func (p tokenPool) inputs(t *testing.T) []shards.Input {
	t.Helper()
	inputs, err := shards.ListInputs(context.Background(), local.Locate, []string{p.folder})
	if err != nil {
		t.Fatal(err)
	}
	return inputs
}

// write runs `curate write` on the pool and checks its manifest.
func (p tokenPool) write(t *testing.T, args ...string) (output string, manifest *shards.Manifest) {
	t.Helper()
	output = filepath.Join(t.TempDir(), "tokens")
	mustCurate(t, slices.Concat([]string{"write", "--selection", p.selection, "--output", output, "--prior", p.prior}, args, []string{p.folder})...)
	mustCurate(t, "verify", output)
	return output, readManifest(t, output)
}

// TestWriteTokens compares the files of both layouts and their manifests with
// the plain way.
func TestWriteTokens(t *testing.T) {
	p := newTokenPool(t)
	for _, c := range []struct {
		format, width string
		bytes         int
	}{{"", "0", 2}, {"npy", "4", 4}, {"ds", "2", 2}, {"ds", "4", 4}} {
		t.Run(c.format+c.width, func(t *testing.T) {
			output, manifest := p.write(t, "--format", c.format, "--token-bytes", c.width, "--workers", fmt.Sprint(c.bytes-1))
			units := map[string]shards.Unit{}
			for _, u := range manifest.Units {
				units[u.File] = u
			}
			sequences, kept := 0, 0
			var all []int32
			for _, in := range p.inputs(t) {
				want := p.reference(t, in)
				sequences, kept = sequences+want.sequences, kept+want.kept
				all = append(all, want.tokens...)
				base := strings.TrimSuffix(outputName(in.Shard), ".parquet")
				if c.format == "ds" {
					checkDS(t, output, base, c.bytes, p.length, want, units)
				} else {
					checkNPY(t, output, base, c.bytes, p.length, want, units)
				}
			}
			if manifest.Counts.RowsIn != int64(sequences) || manifest.Counts.Kept != int64(kept) || kept == 0 || kept != sequences*3/10 {
				t.Errorf("counts %+v: want %d sequences in, %d kept", manifest.Counts, sequences, kept)
			}
			if python := os.Getenv("CURATE_PYTHON"); python != "" {
				readBack(t, python, "numpy", output, p.length, c.bytes, all)
			}
			before := treeDigests(t, output)
			mustCurate(t, "write", "--selection", p.selection, "--output", output, "--prior", p.prior, "--format", c.format, "--token-bytes", c.width, p.folder)
			if got := treeDigests(t, output); len(differences(got, before)) > 0 {
				t.Errorf("a second run changed %v", differences(got, before))
			}
		})
	}
}

func readFile(t *testing.T, parts ...string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// tokenBytes is the tokens one after the other, little-endian.
func tokenBytes(tokens []int32, width int) []byte {
	var b []byte
	for _, id := range tokens {
		if width == 2 {
			b = binary.LittleEndian.AppendUint16(b, uint16(id))
		} else {
			b = binary.LittleEndian.AppendUint32(b, uint32(id))
		}
	}
	return b
}

// checkTokenFile checks the tokens of a shard and its unit. A shard without
// kept sequences has a unit and no file.
func checkTokenFile(t *testing.T, output, name string, width int, want keptTokens, units map[string]shards.Unit) bool {
	t.Helper()
	if want.kept == 0 {
		if _, err := os.Stat(filepath.Join(output, name)); err == nil {
			t.Errorf("%s is there without a kept sequence", name)
		}
		return false
	}
	if got := readFile(t, output, name); !bytes.Equal(got, tokenBytes(want.tokens, width)) {
		t.Errorf("%s: %d bytes differ from the plain way's %d", name, len(got), len(want.tokens)*width)
	}
	unit := units[name]
	if unit.Rows != int64(want.kept) || unit.Tokens != int64(len(want.tokens)) || unit.TailTokens != int64(want.tail) || unit.Counts.RowsIn != int64(want.sequences) {
		t.Errorf("%s: unit %+v, want %d of %d sequences and a tail of %d tokens", name, unit, want.kept, want.sequences, want.tail)
	}
	return true
}

func checkNPY(t *testing.T, output, base string, width, _ int, want keptTokens, units map[string]shards.Unit) {
	t.Helper()
	if !checkTokenFile(t, output, base+".npy", width, want, units) {
		return
	}
	compressed, err := gzip.NewReader(bytes.NewReader(readFile(t, output, base+".csv.gz")))
	if err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(compressed).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var pieces [][]string
	for _, p := range want.pieces {
		pieces = append(pieces, []string{fmt.Sprint(p.start), fmt.Sprint(p.end), p.id, p.src, fmt.Sprint(p.row)})
	}
	if fmt.Sprint(lines) != fmt.Sprint(pieces) {
		t.Errorf("%s.csv.gz:\n%v\nwant\n%v", base, lines, pieces)
	}
	if rows := units[base+".csv.gz"].Rows; rows != int64(len(pieces)) {
		t.Errorf("%s.csv.gz: unit of %d rows, want %d", base, rows, len(pieces))
	}
}

func checkDS(t *testing.T, output, base string, width, length int, want keptTokens, units map[string]shards.Unit) {
	t.Helper()
	if !checkTokenFile(t, output, base+".ds", width, want, units) {
		return
	}
	var index []byte
	for i := range want.kept {
		index = binary.LittleEndian.AppendUint64(index, uint64((i+1)*length))
	}
	if got := readFile(t, output, base+".ds.index"); !bytes.Equal(got, index) {
		t.Errorf("%s.ds.index: %v, want %v", base, got, index)
	}
	metadata := strings.Split(string(readFile(t, output, base+".ds.metadata")), "\n")
	if len(metadata) != 3 || !strings.HasSuffix(metadata[0], fmt.Sprintf("|%d", width)) || metadata[1] != fmt.Sprint(len(want.tokens)) {
		t.Errorf("%s.ds.metadata: %q", base, metadata)
	}
}

// readBack compares what a Python reader finds in a folder of token files.
func readBack(t *testing.T, python, reader, folder string, length, width int, want []int32) {
	t.Helper()
	cmd := exec.Command(python, "../../scripts/read_tokens.py", reader, folder, fmt.Sprint(length), fmt.Sprint(width))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", reader, err, stderr.String())
	}
	var lines strings.Builder
	for i, id := range want {
		separator := " "
		if (i+1)%length == 0 {
			separator = "\n"
		}
		fmt.Fprintf(&lines, "%d%s", id, separator)
	}
	if string(out) != lines.String() {
		t.Errorf("%s reads other tokens than were selected: %d bytes, want %d", reader, len(out), lines.Len())
	}
}

// TestTokensAreReadByTheirTools reads both layouts with dolma, OLMo and
// datatrove themselves. They bring torch, some gigabytes: `make test-tokens`
// installs them and runs this.
func TestTokensAreReadByTheirTools(t *testing.T) {
	python := os.Getenv("CURATE_TOKENS_PYTHON")
	if python == "" {
		t.Skip("make test-tokens runs this with dolma, ai2-olmo and datatrove")
	}
	p := newTokenPool(t)
	var want []int32
	for _, in := range p.inputs(t) {
		want = append(want, p.reference(t, in).tokens...)
	}
	for _, width := range []int{2, 4} {
		npy, _ := p.write(t, "--format", "npy", "--token-bytes", fmt.Sprint(width))
		ds, _ := p.write(t, "--format", "ds", "--token-bytes", fmt.Sprint(width))
		for reader, folder := range map[string]string{"olmo": npy, "dolma": npy, "datatrove": ds} {
			readBack(t, python, reader, folder, p.length, width, want)
		}
	}
}
