package shards

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// tarSample is what testdata/make_tars.py says about a sample.
type tarSample struct {
	Key           string
	Start, End    int64 // bytes of the archive
	Exts          []string
	Text, Caption *string
	Cls, Jpg      string
}

func tarFiles(t testing.TB) map[string][]tarSample {
	t.Helper()
	b, err := os.ReadFile("testdata/tars.json")
	if err != nil {
		t.Fatal(err)
	}
	var kinds map[string][]tarSample
	if err := json.Unmarshal(b, &kinds); err != nil {
		t.Fatal(err)
	}
	for _, samples := range kinds {
		for i := range samples {
			if samples[i].Text != nil {
				text, err := base64.StdEncoding.DecodeString(*samples[i].Text)
				if err != nil {
					t.Fatal(err)
				}
				*samples[i].Text = string(text)
			}
		}
	}
	paths, err := filepath.Glob("testdata/tars/*")
	if err != nil || len(paths) < 6 {
		t.Fatalf("%d archives: %v", len(paths), err)
	}
	files := map[string][]tarSample{}
	for _, path := range paths {
		kind, _, _ := strings.Cut(filepath.Base(path), ".")
		files[path] = kinds[kind]
	}
	return files
}

func readTestFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTarSamples(t *testing.T) {
	for path, want := range tarFiles(t) {
		rows := 0
		for s, err := range TarSamples(t.Context(), bytesObject(readTestFile(t, path))) {
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			w := want[rows]
			var exts []string
			for _, m := range s.Members {
				exts = append(exts, m.Ext)
			}
			slices.Sort(exts)
			text, hasText := s.Text()
			class, hasClass, err := s.Class()
			var meta struct {
				Caption *string
				W       int
			}
			hasJSON, jsonErr := s.JSON(&meta)
			jpg, _ := s.Member("jpg")
			sum := sha256.Sum256(jpg)
			switch {
			case err != nil || jsonErr != nil || !hasClass || !hasJSON:
				t.Errorf("%s row %d: class %t %v, json %t %v", path, rows, hasClass, err, hasJSON, jsonErr)
			case s.Row != int64(rows) || s.Key != w.Key || !slices.Equal(exts, w.Exts) || fmt.Sprint(class) != w.Cls || meta.W != rows:
				t.Errorf("%s row %d: %d %s %v class %d, want %+v", path, rows, s.Row, s.Key, exts, class, w)
			case hasText != (w.Text != nil) || hasText && text != *w.Text || hex.EncodeToString(sum[:]) != w.Jpg:
				t.Errorf("%s row %d: text %t %q, jpg of %d bytes", path, rows, hasText, text, len(jpg))
			case (meta.Caption == nil) != (w.Caption == nil) || meta.Caption != nil && *meta.Caption != *w.Caption:
				t.Errorf("%s row %d: caption differs", path, rows)
			}
			rows++
		}
		if rows != len(want) {
			t.Errorf("%s: %d samples, want %d", path, rows, len(want))
		}
	}
}

// tarColumns reads text, id and domain of an archive; "-" is null.
func tarColumns(t testing.TB, b []byte, cols Columns) ([][3]string, error) {
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t.(memory.TestingT), 0)
	s, err := openBytes(b, Tar)
	if err != nil {
		return nil, err
	}
	s.Memory = mem
	var rows [][3]string
	for batch, err := range s.Batches(context.Background(), cols, 0, s.NumRowGroups()) {
		if err != nil {
			return rows, err
		}
		if batch.FirstRow != int64(len(rows)) {
			t.Errorf("batch begins at row %d, want %d", batch.FirstRow, len(rows))
		}
		text := batch.Record.Column(0).(*array.Binary)
		for i := range batch.NumRows() {
			row := [3]string{"-", "-", "-"}
			if text.IsValid(i) {
				row[0] = string(text.Value(i))
			}
			for c := 1; c < 3; c++ {
				if labels := batch.Record.Column(c).(*array.String); labels.IsValid(i) {
					row[c] = strings.Clone(labels.Value(i))
				}
			}
			rows = append(rows, row)
		}
		batch.Release()
	}
	return rows, nil
}

func TestTarBatches(t *testing.T) {
	orNull := func(s *string) string {
		if s == nil {
			return "-"
		}
		return *s
	}
	for path, samples := range tarFiles(t) {
		b := readTestFile(t, path)
		for _, c := range []struct {
			cols Columns
			want func(s tarSample, i int) [3]string
		}{
			{Columns{Text: "txt", Domain: "cls"}, func(s tarSample, _ int) [3]string { return [3]string{orNull(s.Text), s.Key, s.Cls} }},
			{Columns{Text: "json.caption", ID: "json.w", Domain: "json.nested.id"}, func(s tarSample, i int) [3]string {
				return [3]string{orNull(s.Caption), fmt.Sprint(i), fmt.Sprintf("n%d", i)}
			}},
			{Columns{Text: "cls", ID: "__key__"}, func(s tarSample, _ int) [3]string { return [3]string{s.Cls + "\n", s.Key, "-"} }},
		} {
			rows, err := tarColumns(t, b, c.cols)
			if err != nil {
				t.Errorf("%s %+v: %v", path, c.cols, err)
				continue
			}
			var want [][3]string
			for i, s := range samples {
				want = append(want, c.want(s, i))
			}
			if !slices.Equal(rows, want) {
				t.Errorf("%s %+v: got\n%.600q\nwant\n%.600q", path, c.cols, rows, want)
			}
		}
		for column, want := range map[string]string{"body": "none of 23 samples", "json.x": "none of 23 samples", "json.w": "it is a number, want a string", "json.caption.x": "want an object"} {
			if _, err := tarColumns(t, b, Columns{Text: column}); !errors.Is(err, ErrColumn) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s column %s: error %v, want %q", path, column, err, want)
			}
		}
	}
}

// unpackTar returns the archive without its compression.
func unpackTar(t testing.TB, b []byte) []byte {
	t.Helper()
	var in io.Reader = bytes.NewReader(b)
	compression, err := tarCompression(bytesObject(b))
	switch {
	case err != nil:
	case compression == gzipd:
		in, err = gzip.NewReader(in)
	case compression == zstdd:
		in, err = zstd.NewReader(in)
	}
	if err == nil {
		b, err = io.ReadAll(in)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCopyTar(t *testing.T) {
	for path, samples := range tarFiles(t) {
		b := readTestFile(t, path)
		archive := unpackTar(t, b)
		for name, keep := range masks {
			var want []byte
			kept := 0
			for i, s := range samples {
				if keep(i) {
					want = append(want, archive[s.Start:s.End]...)
					kept++
				}
			}
			got, counts, err := copyBytes(b, Tar, len(samples), keep, CopyOptions{})
			if err != nil {
				t.Fatalf("%s %s: %v", path, name, err)
			}
			if counts.RowsIn != int64(len(samples)) || counts.Kept != int64(kept) {
				t.Errorf("%s %s: counts %+v", path, name, counts)
			}
			if kept == 0 {
				if len(got) > 0 {
					t.Errorf("%s %s: %d bytes for no rows", path, name, len(got))
				}
				continue
			}
			want = append(want, make([]byte, 2*tarBlock)...)
			if keep(0) { // the folder before the first sample
				want = append(archive[:samples[0].Start:samples[0].Start], want...)
			}
			if in, err := tarCompression(bytesObject(b)); err != nil {
				t.Fatal(err)
			} else if out, err := tarCompression(bytesObject(got)); err != nil || in != out {
				t.Errorf("%s %s: compressed as %q, want %q, error %v", path, name, out, in, err)
			}
			if got := unpackTar(t, got); !bytes.Equal(got, want) {
				t.Errorf("%s %s: %d bytes differ from the input's members, %d bytes", path, name, len(got), len(want))
			}
			checkTarScores(t, b, len(samples), keep)
		}
	}
}

// checkTarScores copies an archive with scores and finds them in the copy.
func checkTarScores(t *testing.T, b []byte, rows int, keep func(int) bool) {
	t.Helper()
	got, _, err := copyBytes(b, Tar, rows, keep, CopyOptions{ScoreColumn: "color_score"})
	if err != nil {
		t.Fatal(err)
	}
	row := 0
	for s, err := range TarSamples(t.Context(), bytesObject(got)) {
		if err != nil {
			t.Fatal(err)
		}
		for !keep(row) {
			row++
		}
		if score, _ := s.Member("color_score"); string(score) != fmt.Sprint(float32(row)+0.5) {
			t.Errorf("row %d, %s: score %q", row, s.Key, score)
		}
		row++
	}
}

// tarOf writes an archive of headers with their contents.
func tarOf(t testing.TB, entries ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		data := h.Linkname
		if h.Typeflag == 0 {
			h.Typeflag, h.Linkname, h.Size = tar.TypeReg, "", int64(len(data))
		}
		if h.Typeflag != tar.TypeXGlobalHeader {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := io.WriteString(w, data); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// plainFile is a member with a content.
func plainFile(name, content string) tar.Header { return tar.Header{Name: name, Linkname: content} }

func TestTarRefuses(t *testing.T) {
	good := tarOf(t, plainFile("a.txt", "first"), plainFile("b.txt", "second"))
	lying := slices.Clone(good)
	copy(lying[124:], "77777777777\x00") // the size of a.txt: 8 GiB
	setTarChecksum(lying[:tarBlock])
	tooLong := slices.Clone(good)
	copy(tooLong[124:], "00000010000\x00") // 4096 bytes, more than there are
	setTarChecksum(tooLong[:tarBlock])
	damaged := slices.Clone(good)
	damaged[5] ^= 1
	for name, c := range map[string]struct {
		archive []byte
		want    string
		is      error
	}{
		"parent":        {tarOf(t, plainFile("a.txt", "x"), plainFile("../b.txt", "x")), `row 0: member "../b.txt": unsupported file: its path leads out`, ErrUnsupported},
		"inner parent":  {tarOf(t, plainFile("a/../../b.txt", "x")), "its path leads out", ErrUnsupported},
		"absolute":      {tarOf(t, plainFile("/etc/a.txt", "x")), "its path leads out", ErrUnsupported},
		"backslash":     {tarOf(t, plainFile(`..\a.txt`, "x")), "its path leads out", ErrUnsupported},
		"folder":        {tarOf(t, tar.Header{Typeflag: tar.TypeDir, Name: "../up/"}), "its path leads out", ErrUnsupported},
		"symbolic link": {tarOf(t, tar.Header{Typeflag: tar.TypeSymlink, Name: "a.txt", Linkname: "/etc/passwd"}), "it is a link", ErrUnsupported},
		"hard link":     {tarOf(t, plainFile("a.txt", "x"), tar.Header{Typeflag: tar.TypeLink, Name: "b.txt", Linkname: "a.txt"}), "it is a link", ErrUnsupported},
		"device":        {tarOf(t, tar.Header{Typeflag: tar.TypeChar, Name: "a.txt"}), "it is a device", ErrUnsupported},
		"pipe":          {tarOf(t, tar.Header{Typeflag: tar.TypeFifo, Name: "a.txt"}), "it is a device", ErrUnsupported},
		"no extension":  {tarOf(t, plainFile("a.txt", "x"), plainFile("README", "x")), `member "README": unsupported file: its name is not`, ErrUnsupported},
		"hidden":        {tarOf(t, plainFile(".a.txt", "x")), "its name is not", ErrUnsupported},
		"twice":         {tarOf(t, plainFile("a.txt", "x"), plainFile("a.TXT", "y")), "another member with extension", ErrUnsupported},
		"again":         {tarOf(t, plainFile("a.txt", "x"), plainFile("b.txt", "y"), plainFile("a.cls", "1")), `member "a.cls": unsupported file: its key was there before`, ErrUnsupported},
		"lying size":    {lying, "more than", ErrUnsupported},
		"long size":     {tooLong, "corrupt file", ErrCorrupt},
		"damaged":       {damaged, "corrupt file", ErrCorrupt},
		"cut in data":   {good[:tarBlock+3], "corrupt file", ErrCorrupt},
		"cut in header": {good[:2*tarBlock+100], "corrupt file", ErrCorrupt},
		"cut at member": {good[:2*tarBlock], "no end of archive", ErrCorrupt},
		"joined":        {append(slices.Clone(good), good...), "something follows the end", ErrUnsupported},
		"not a tar":     {bytes.Repeat([]byte("no tar "), 200), "corrupt file", ErrCorrupt},
		"cut gzip":      {gzipped(t, good)[:60], "corrupt file", ErrCorrupt},
		"tail of gzip":  {append(gzipped(t, good), "junk"...), "corrupt file", ErrCorrupt},
	} {
		var err error
		for _, err = range TarSamples(t.Context(), bytesObject(c.archive)) {
			if err != nil {
				break
			}
		}
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
		if _, _, err := copyBytes(c.archive, Tar, 2, masks["all"], CopyOptions{}); !errors.Is(err, c.is) {
			t.Errorf("%s: copied with error %v", name, err)
		}
	}
	global := tarOf(t, tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "x"}}, plainFile("a.txt", "x"))
	if _, _, err := copyBytes(global, Tar, 1, masks["all"], CopyOptions{}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("global header: %v", err)
	}
	if _, _, err := copyBytes(good, Tar, 2, masks["all"], CopyOptions{ScoreColumn: "txt"}); err == nil {
		t.Error("a score over a member: no error")
	}
	if _, _, err := copyBytes(good, Tar, 1, masks["all"], CopyOptions{}); err == nil {
		t.Error("one decision for two samples: no error")
	}
	if _, _, err := copyBytes(good, Tar, 3, masks["all"], CopyOptions{}); err == nil {
		t.Error("three decisions for two samples: no error")
	}
}

func gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// setTarChecksum makes a header valid that was changed.
func setTarChecksum(header []byte) {
	copy(header[148:156], "        ")
	sum := 0
	for _, c := range header {
		sum += int(c)
	}
	copy(header[148:], fmt.Sprintf("%06o\x00 ", sum))
}

// FuzzTar reads and copies archives: no panic, and as many rows both ways.
func FuzzTar(f *testing.F) {
	f.Add(tarOf(f, plainFile("a.txt", "first"), plainFile("a.cls", "1"), plainFile("b.json", `{"caption":"x"}`)))
	f.Add(tarOf(f, plainFile(strings.Repeat("long/", 40)+"ü.txt", "x"), tar.Header{Typeflag: tar.TypeDir, Name: "d/"}, plainFile("../a.txt", "")))
	f.Add(gzipped(f, tarOf(f, plainFile("a.txt", "first"), plainFile("b.txt", ""))))
	f.Fuzz(func(t *testing.T, b []byte) {
		rows, err := tarColumns(t, b, Columns{Text: "__key__", Domain: "json.caption"})
		if err != nil {
			return
		}
		got, counts, err := copyBytes(b, Tar, len(rows), masks["all"], CopyOptions{})
		if errors.Is(err, ErrUnsupported) {
			return
		}
		if err != nil || counts.Kept != int64(len(rows)) {
			t.Fatalf("read %d rows, copied %d: %v", len(rows), counts.Kept, err)
		}
		if len(rows) == 0 {
			return
		}
		again, err := tarColumns(t, got, Columns{Text: "__key__", Domain: "json.caption"})
		if err != nil || !slices.Equal(rows, again) {
			t.Fatalf("the copy reads as %q, %v, want %q", again, err, rows)
		}
	})
}
