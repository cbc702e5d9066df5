package shards

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/parquet-go/parquet-go/format"

	"github.com/curate-data/curate/pipeline"
)

// copyWith is CopyKept with decisions of the test's own.
func copyWith(t *testing.T, input []byte, f Format, decisions iter.Seq2[*pipeline.Decisions, error], opt CopyOptions) ([]byte, CopyCounts, error) {
	t.Helper()
	s, err := openBytes(input, f)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	counts, err := CopyKept(t.Context(), s, decisions, &out, opt)
	return out.Bytes(), counts, err
}

// one yields a single batch of decisions.
func one(d *pipeline.Decisions, err error) iter.Seq2[*pipeline.Decisions, error] {
	return func(yield func(*pipeline.Decisions, error) bool) { yield(d, err) }
}

// keepRows decides to keep n rows.
func keepRows(n int) *pipeline.Decisions {
	d := &pipeline.Decisions{Shard: "test", Seq: make([]int32, n), Keep: make([]bool, n), Reason: make([]pipeline.Reason, n), Score: make([]float32, n)}
	for i := range n {
		d.Row, d.Keep[i] = append(d.Row, int64(i)), true
	}
	return d
}

func TestCopyWantsEveryRowOnce(t *testing.T) {
	for _, file := range []string{"string.parquet", "all.arrow", "jsonl/rows.jsonl"} {
		input, f := typeFile(t, file), map[bool]Format{true: Parquet, false: JSONL}[strings.HasSuffix(file, ".parquet")]
		if file == "all.arrow" {
			f = Arrow
		}
		for want, change := range map[string]func(*pipeline.Decisions) error{
			"end before row 49": func(d *pipeline.Decisions) error { *d = *keepRows(49); return nil },
			"one for row 50":    func(d *pipeline.Decisions) error { *d = *keepRows(51); return nil },
			"want that for row 7 of test, got that for row 8": func(d *pipeline.Decisions) error { d.Row[7] = 8; return nil },
			"for row 3 of test, got that for row 2 of test":   func(d *pipeline.Decisions) error { d.Row[3] = 2; return nil },
			"of other":             func(d *pipeline.Decisions) error { d.Shard = "other"; return nil },
			"seq 1":                func(d *pipeline.Decisions) error { d.Seq[20] = 1; return nil },
			"row 4: keep is true":  func(d *pipeline.Decisions) error { d.Reason[4] = pipeline.BelowCut; return nil },
			"row 4: keep is false": func(d *pipeline.Decisions) error { d.Keep[4] = false; return nil },
			"different lengths":    func(d *pipeline.Decisions) error { d.Score = d.Score[:3]; return nil },
			"the disk is on fire":  func(d *pipeline.Decisions) error { return errors.New("the disk is on fire") },
		} {
			d := keepRows(50)
			_, _, err := copyWith(t, input, f, one(d, change(d)), CopyOptions{})
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "shard test") {
				t.Errorf("%s: error %v, want one with %q", file, err, want)
			}
		}
	}
}

func TestCopyNothingKept(t *testing.T) {
	for file, f := range map[string]Format{"string.parquet": Parquet, "all.arrow": Arrow, "jsonl/rows.jsonl": JSONL} {
		got, counts, err := copyBytes(typeFile(t, file), f, 50, func(int) bool { return false }, CopyOptions{ScoreColumn: "s"})
		if err != nil || len(got) > 0 || counts.RowsIn != 50 || counts.Kept != 0 || counts.Dropped[pipeline.BelowCut] != 50 {
			t.Errorf("%s: %d bytes, counts %+v, %v", file, len(got), counts, err)
		}
	}
	got, counts, err := copyBytes([]byte("\n"), JSONL, 0, masks["all"], CopyOptions{})
	if err != nil || len(got) > 0 || counts.RowsIn != 0 {
		t.Errorf("empty JSONL: %d bytes, counts %+v, %v", len(got), counts, err)
	}
}

// TestCopyAddsScore reads the added column back, and has Arrow decode the
// schema message that was edited.
func TestCopyAddsScore(t *testing.T) {
	for _, file := range []string{"struct_deep.parquet", "dictionary.parquet", "timestamp_us_tz.parquet", "decimal256.parquet"} {
		input := typeFile(t, file)
		d := keepRows(50)
		for i := range d.Score {
			d.Score[i] = -float32(i) / 3
		}
		d.Score[9] = float32(math.NaN())
		got, _, err := copyWith(t, input, Parquet, one(d, nil), CopyOptions{ScoreColumn: "my score"})
		if err != nil {
			t.Fatal(err)
		}
		before, after := arrowSchemaOf(t, input), arrowSchemaOf(t, got)
		fields := after.Fields()
		added := fields[len(fields)-1]
		if added.Name != "my score" || !added.Nullable || !arrow.TypeEqual(added.Type, arrow.PrimitiveTypes.Float32) {
			t.Errorf("%s: added field %v", file, added)
		}
		if !slices.EqualFunc(before.Fields(), fields[:len(fields)-1], arrow.Field.Equal) || !before.Metadata().Equal(after.Metadata()) {
			t.Errorf("%s: schema was %v, is %v", file, before, after)
		}
		columns := storedColumns(t, got)
		for i, v := range columns[len(columns)-1] {
			want := fmt.Sprintf("r0 d1 %#x", math.Float32bits(d.Score[i]))
			if i == 9 {
				want = `r0 d0 "<null>"`
			}
			if v != want {
				t.Errorf("%s: score of row %d is %s, want %s", file, i, v, want)
			}
		}
	}
}

// arrowSchemaOf decodes the ARROW:schema entry of a Parquet file.
func arrowSchemaOf(t *testing.T, b []byte) *arrow.Schema {
	t.Helper()
	for _, kv := range footerOf(t, b).meta.KeyValueMetadata {
		if kv.Key != arrowSchemaKey {
			continue
		}
		message, err := base64.StdEncoding.DecodeString(kv.Value)
		if err != nil {
			t.Fatal(err)
		}
		r, err := ipc.NewReader(bytes.NewReader(message))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Release()
		return r.Schema()
	}
	t.Fatal("no ARROW:schema")
	return nil
}

func TestCopyScoreNameTaken(t *testing.T) {
	for file, f := range map[string]Format{"string.parquet": Parquet, "all.arrow": Arrow, "jsonl/rows.jsonl": JSONL} {
		name := map[Format]string{Parquet: "v", Arrow: "list_list", JSONL: "text"}[f]
		got, _, err := copyBytes(typeFile(t, file), f, 50, masks["all"], CopyOptions{ScoreColumn: name})
		if err == nil || len(got) > 0 || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "choose another name") {
			t.Errorf("%s: %d bytes, error %v; want one that says that %s is taken", file, len(got), err, name)
		}
	}
}

func TestCopyKeyValues(t *testing.T) {
	got, _, err := copyBytes(typeFile(t, "string.parquet"), Parquet, 50, masks["all"], CopyOptions{KeyValues: []KeyValue{{"curate", "x"}, {"type", "mine"}}})
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]string{}
	for _, kv := range footerOf(t, got).meta.KeyValueMetadata {
		if _, twice := have[kv.Key]; twice {
			t.Errorf("key %s twice", kv.Key)
		}
		have[kv.Key] = kv.Value
	}
	if have["curate"] != "x" || have["type"] != "mine" || have["made_by"] != "make_types.py" || have[arrowSchemaKey] == "" {
		t.Errorf("metadata %v", have)
	}
	bad := CopyOptions{MaxRowGroupBytes: -1, KeyValues: []KeyValue{{"a", ""}, {"a", ""}, {"", ""}, {arrowSchemaKey, ""}}}
	if err := bad.Validate(); err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("want four faults, got %v", err)
	}
	if _, _, err := copyBytes(typeFile(t, "string.parquet"), Parquet, 50, masks["all"], bad); err == nil {
		t.Error("bad options accepted")
	}
}

// TestCopyRegroups merges many row groups into one, and splits them again.
func TestCopyRegroups(t *testing.T) {
	var lines bytes.Buffer
	const rows = 3000
	for i := range rows {
		late := "null"
		if i > rows/2 {
			late = fmt.Sprint(i)
		}
		fmt.Fprintf(&lines, `{"i":%d,"text":%q,"tags":[%s],"late":%s,"kind":"k%d"}`+"\n", i, strings.Repeat("ab ", i%300), strings.Repeat(`"t",`, i%4)+"null", late, i%5)
	}
	small, _, err := copyBytes(lines.Bytes(), JSONL, rows, masks["all"], CopyOptions{MaxRowGroupBytes: 32 << 10})
	if err != nil {
		t.Fatal(err)
	}
	one, _, err := copyBytes(small, Parquet, rows, masks["all"], CopyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := copyBytes(one, Parquet, rows, masks["all"], CopyOptions{MaxRowGroupBytes: 32 << 10})
	if err != nil {
		t.Fatal(err)
	}
	groups := func(b []byte) int { return len(footerOf(t, b).meta.RowGroups) }
	if groups(small) < 20 || groups(one) != 1 || groups(again) < 15 {
		t.Errorf("%d, %d, %d row groups, want many, 1, many", groups(small), groups(one), groups(again))
	}
	want := storedRows(t, small)
	if len(want) != rows || !slices.Equal(want, storedRows(t, one)) || !slices.Equal(want, storedRows(t, again)) {
		t.Error("rows differ")
	}
	leaves, err := footerOf(t, one).schema.leaves()
	if err != nil {
		t.Fatal(err)
	}
	for i, chunk := range footerOf(t, one).meta.RowGroups[0].Columns {
		m := chunk.MetaData
		if len(m.Statistics.MinValue) > longestBound || len(m.Statistics.MaxValue) > longestBound {
			t.Errorf("column %s: bounds of %d and %d bytes", leaves[i].name(), len(m.Statistics.MinValue), len(m.Statistics.MaxValue))
		}
		// Texts are all different in the first row group, kinds are five.
		if name := leaves[i].name(); name == "text" && m.DictionaryPageOffset != 0 || name == "kind" && m.DictionaryPageOffset == 0 {
			t.Errorf("column %s: dictionary at %d", name, m.DictionaryPageOffset)
		}
	}
	for g := range footerOf(t, again).meta.RowGroups[1:] { // before the first, the size of a row is a guess
		if raw := footerOf(t, again).meta.RowGroups[1+g].TotalByteSize; raw > 100<<10 {
			t.Errorf("row group %d has %d bytes, want about 32 KiB", g, raw)
		}
	}
}

func TestCopyIsDeterministic(t *testing.T) {
	for file, f := range map[string]Format{"encoding_dictionary_fallback.parquet": Parquet, "all.arrow": Arrow, "jsonl/rows.jsonl": JSONL} {
		a, _, err := copyBytes(typeFile(t, file), f, 50, masks["all"], CopyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		b, _, err := copyWith(t, typeFile(t, file), f, one(keepRows(50), nil), CopyOptions{})
		if err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: other bytes for decisions in other runs: %v", file, err)
		}
	}
}

// jsonLines makes a JSONL file of n rows.
func jsonLines(n int, row func(i int) string) []byte {
	var b bytes.Buffer
	for i := range n {
		b.WriteString(row(i) + "\n")
	}
	return b.Bytes()
}

// TestCopySkipsWindows keeps runs of rows far apart, in one row group with
// lists, so that whole windows are passed over.
func TestCopySkipsWindows(t *testing.T) {
	const rows = 20_000
	lines := jsonLines(rows, func(i int) string {
		return fmt.Sprintf(`{"i":%d,"l":[%s%d],"s":"text of row %d"}`, i, strings.Repeat("1,", i%5), i, i)
	})
	input, _, err := copyBytes(lines, JSONL, rows, masks["all"], CopyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := storedRows(t, input)
	for _, keep := range []func(int) bool{
		func(i int) bool { return i%5000 > 4990 },
		func(i int) bool { return i < 3 || i == 12_345 || i == rows-1 },
		func(i int) bool { return i == 9000 },
	} {
		var want []string
		for i, line := range all {
			if keep(i) {
				want = append(want, line)
			}
		}
		got, _, err := copyBytes(input, Parquet, rows, keep, CopyOptions{MaxRowGroupBytes: 4 << 10})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(storedRows(t, got), want) {
			t.Error("rows differ")
		}
	}
}

// TestCopyBoundsRowGroups: what a dictionary makes small in the input counts in
// full when it is cut into row groups, and a dictionary does not outgrow a page
// of the output by much.
func TestCopyBoundsRowGroups(t *testing.T) {
	const rows = 12_000
	same := strings.Repeat("same text ", 100)
	lines := jsonLines(rows, func(int) string { return `{"s":"` + same + `"}` })
	input, _, err := copyBytes(lines, JSONL, rows, masks["all"], CopyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := copyBytes(input, Parquet, rows, masks["all"], CopyOptions{MaxRowGroupBytes: 256 << 10})
	if err != nil {
		t.Fatal(err)
	}
	for g, group := range footerOf(t, got).meta.RowGroups {
		if group.NumRows > 600 {
			t.Errorf("row group %d has %d rows of 1000 bytes, want about 260", g, group.NumRows)
		}
	}
	lines = jsonLines(rows, func(i int) string {
		return fmt.Sprintf(`{"s":"%x"}`, slices.Repeat([]byte{byte(i), byte(i >> 8), byte(i * 7)}, 200))
	})
	got, _, err = copyBytes(lines, JSONL, rows, masks["all"], CopyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m := footerOf(t, got).meta.RowGroups[0].Columns[0].MetaData
	for _, pages := range m.EncodingStats {
		if pages.PageType == format.DataPage && pages.Encoding == format.RLEDictionary && pages.Count != 1 {
			t.Errorf("%d pages of dictionary indexes, want 1 and plain pages after it", pages.Count)
		}
	}
	if !slices.Contains(m.Encoding, format.Plain) || len(m.EncodingStats) != 3 {
		t.Errorf("pages %+v: the dictionary was never given up", m.EncodingStats)
	}
}

// TestCopyRowCountLies: a footer that hides a row of every column is refused.
func TestCopyRowCountLies(t *testing.T) {
	input := typeFile(t, "list_struct.parquet")
	footer := footerOf(t, input)
	footer.meta.NumRows--
	footer.meta.RowGroups[1].NumRows--
	b, err := encodeFooter(&footer.meta, footer.schema)
	if err != nil {
		t.Fatal(err)
	}
	old := int(binary.LittleEndian.Uint32(input[len(input)-8:]))
	lie := append(slices.Clone(input[:len(input)-8-old]), b...)
	lie = append(binary.LittleEndian.AppendUint32(lie, uint32(len(b))), "PAR1"...)
	if _, _, err := copyBytes(lie, Parquet, 49, masks["all"], CopyOptions{}); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "row group 1") {
		t.Errorf("error %v, want ErrCorrupt that names row group 1", err)
	}
	if err := (&columnReader{eof: true, count: 3}).end(4); !errors.Is(err, ErrCorrupt) {
		t.Errorf("3 values where the footer says 4: %v", err)
	}
}

// limitedWriter fails after so many bytes.
type limitedWriter struct{ left int }

var errFull = errors.New("disk full")

func (w *limitedWriter) Write(b []byte) (int, error) {
	if len(b) > w.left {
		return w.left, errFull
	}
	w.left -= len(b)
	return len(b), nil
}

func TestCopyReportsWriteErrors(t *testing.T) {
	input := typeFile(t, "encoding_plain_v2_pages.parquet")
	whole, _, err := copyBytes(input, Parquet, 50, masks["all"], CopyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(whole); n += 37 {
		s, err := openBytes(input, Parquet)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := CopyKept(t.Context(), s, decide(50, masks["all"]), &limitedWriter{n}, CopyOptions{}); !errors.Is(err, errFull) {
			t.Errorf("room for %d of %d bytes: error %v", n, len(whole), err)
		}
	}
}

func TestCopyStopsWhenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for file, f := range map[string]Format{"string.parquet": Parquet, "all.arrow": Arrow, "jsonl/rows.jsonl": JSONL} {
		s, err := openBytes(typeFile(t, file), f)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := CopyKept(ctx, s, decide(50, masks["all"]), io.Discard, CopyOptions{}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestCopyRefusesBrokenArrowSchema(t *testing.T) {
	input := typeFile(t, "schema_required_field_ids.parquet")
	at := bytes.Index(input, []byte("/////")) // base64 of the message's first bytes
	if at < 0 {
		t.Fatal("no ARROW:schema in the file")
	}
	for name, change := range map[string]func([]byte){
		"not base64":    func(b []byte) { b[at+9] = '!' },
		"length":        func(b []byte) { b[at+6] = 'z' },
		"root":          func(b []byte) { copy(b[at+10:], "zzzz") },
		"zeroed header": func(b []byte) { copy(b[at+16:at+80], bytes.Repeat([]byte("A"), 64)) },
	} {
		b := bytes.Clone(input)
		change(b)
		got, _, err := copyBytes(b, Parquet, 50, masks["all"], CopyOptions{ScoreColumn: "s"})
		if err == nil || len(got) > 0 || !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %d bytes, %v; want ErrCorrupt", name, len(got), err)
		}
	}
}
