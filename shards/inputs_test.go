package shards_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/local"
)

// inputRow is text, id and domain of a row; nil where null.
type inputRow [3]*string

// goldenInput is what testdata/make_inputs.py says about one of its files.
type goldenInput struct {
	Columns [3]string
	Rows    int     // index of goldenInputs.Tables
	Groups  []int64 // rows of each row group; nil where it does not matter
	Error   string  // part of the error that reading must give
}

type goldenInputs struct {
	Tables [][]inputRow
	Inputs map[string]goldenInput
}

func (g goldenInput) columns() shards.Columns {
	return shards.Columns{Text: g.Columns[0], ID: g.Columns[1], Domain: g.Columns[2]}
}

func loadGolden(t testing.TB) goldenInputs {
	t.Helper()
	b, err := os.ReadFile("testdata/inputs.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden goldenInputs
	if err := json.Unmarshal(b, &golden); err != nil {
		t.Fatal(err)
	}
	for _, rows := range golden.Tables { // texts are in base64
		for i := range rows {
			if rows[i][0] != nil {
				text, err := base64.StdEncoding.DecodeString(*rows[i][0])
				if err != nil {
					t.Fatal(err)
				}
				s := string(text)
				rows[i][0] = &s
			}
		}
	}
	return golden
}

// inputOf returns the Input of a local file.
func inputOf(t testing.TB, file string) shards.Input {
	t.Helper()
	inputs, err := shards.ListInputs(context.Background(), local.Locate, []string{file})
	if err != nil {
		t.Fatal(err)
	}
	if len(inputs) != 1 {
		t.Fatalf("%s: %d inputs", file, len(inputs))
	}
	return inputs[0]
}

// rowsOf copies the rows of a batch.
func rowsOf(b pipeline.Batch) []inputRow {
	rows := make([]inputRow, b.NumRows())
	text := b.Record.Column(0).(*array.Binary)
	for i := range rows {
		if text.IsValid(i) {
			s := string(text.Value(i))
			rows[i][0] = &s
		}
		for c := 1; c < 3; c++ {
			if labels := b.Record.Column(c).(*array.String); labels.IsValid(i) {
				s := strings.Clone(labels.Value(i))
				rows[i][c] = &s
			}
		}
	}
	return rows
}

// readAll reads the row groups from to to-1 of a shard and checks that the
// batches are numbered as their rows are.
func readAll(t testing.TB, s *shards.Shard, cols shards.Columns, from, to int) ([]inputRow, error) {
	var rows []inputRow
	row := int64(0)
	for i := range from {
		row += s.RowGroupRows(i)
	}
	for b, err := range s.Batches(context.Background(), cols, from, to) {
		if err != nil {
			return rows, err
		}
		if b.FirstRow != row || b.Shard != s.Input().Shard || !b.Record.Schema().Equal(pipeline.TextSchema) {
			t.Errorf("batch at row %d: first row %d, shard %q, schema %v", row, b.FirstRow, b.Shard, b.Record.Schema())
		}
		row += int64(b.NumRows())
		rows = append(rows, rowsOf(b)...)
		b.Release()
	}
	return rows, nil
}

func TestInputs(t *testing.T) {
	golden := loadGolden(t)
	if len(golden.Inputs) < 100 {
		t.Fatalf("%d inputs in testdata/inputs.json", len(golden.Inputs))
	}
	for name, want := range golden.Inputs {
		t.Run(name, func(t *testing.T) {
			mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
			defer mem.AssertSize(t, 0)
			s, err := shards.Open(context.Background(), inputOf(t, filepath.Join("testdata/inputs", name)))
			if err != nil {
				checkRefused(t, err, name, want.Error)
				return
			}
			defer s.Close()
			s.Memory = mem
			rows, err := readAll(t, s, want.columns(), 0, s.NumRowGroups())
			if err != nil || want.Error != "" {
				checkRefused(t, err, name, want.Error)
				return
			}
			if diff := cmp.Diff(golden.Tables[want.Rows], rows); diff != "" && len(golden.Tables[want.Rows])+len(rows) > 0 {
				t.Errorf("rows (-pyarrow +shards):\n%.3000s", diff)
			}
			checkGroups(t, s, want, rows)
		})
	}
}

// TestReadParallel reads one shard in several goroutines.
func TestReadParallel(t *testing.T) {
	golden := loadGolden(t)
	for _, name := range []string{"groups-zstd-v2.parquet", "dictionary-file.arrow", "zstd-stream.arrows", "ascii.jsonl.zst"} {
		s, err := shards.Open(context.Background(), inputOf(t, filepath.Join("testdata/inputs", name)))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				rows, err := readAll(t, s, golden.Inputs[name].columns(), 0, s.NumRowGroups())
				if err != nil || !cmp.Equal(rows, golden.Tables[golden.Inputs[name].Rows]) {
					t.Errorf("%s: other rows, error %v", name, err)
				}
			})
		}
		group.Wait()
	}
}

// checkRefused checks an error's text: it names the shard and the cause.
func checkRefused(t *testing.T, err error, shard, want string) {
	t.Helper()
	if want == "" || err == nil {
		t.Fatalf("got error %v, want one with %q", err, want)
	}
	if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "shard "+shard) {
		t.Errorf("got error %q, want one with %q and the shard", err, want)
	}
}

// checkGroups checks the row counts and that reading by row groups gives the
// same rows as reading all.
func checkGroups(t *testing.T, s *shards.Shard, want goldenInput, all []inputRow) {
	t.Helper()
	var groups []int64
	var rows []inputRow
	total := int64(0)
	for i := range s.NumRowGroups() {
		groups = append(groups, s.RowGroupRows(i))
		total += s.RowGroupRows(i)
		part, err := readAll(t, s, want.columns(), i, i+1)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, part...)
	}
	if want.Groups != nil && !cmp.Equal(groups, want.Groups) && len(groups)+len(want.Groups) > 0 {
		t.Errorf("row groups of %d rows, want %d", groups, want.Groups)
	}
	if s.NumRows() != total {
		t.Errorf("NumRows is %d, the row groups have %d", s.NumRows(), total)
	}
	if diff := cmp.Diff(all, rows); diff != "" {
		t.Errorf("row group by row group (-all +parts):\n%.3000s", diff)
	}
}
