package shards

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// largeGroups writes a file of about size bytes of text, which compresses well, in
// row groups of about group bytes, and returns its rows.
func largeGroups(t *testing.T, path string, size, group int64) int {
	t.Helper()
	type row struct {
		ID   int64    `parquet:"id"`
		Text string   `parquet:"text"`
		Tags []string `parquet:"tags,list"`
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := parquet.NewGenericWriter[row](f, parquet.Compression(&parquet.Zstd))
	rows, ended := 0, int64(0)
	for have := int64(0); have < size; rows++ {
		if have-ended >= group {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			ended = have
		}
		text := fmt.Sprintf("row %d: %s", rows, strings.Repeat("words that come again ", 60+rows%80))
		have += int64(len(text))
		if _, err := w.Write([]row{{int64(rows), text, []string{"a", text[:9]}}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return rows
}

// TestCopyPeak: the peak memory of a copy is the same for a row group of 300 MB
// as for one of 120 MB, filtered and spliced. CURATE_PEAK_MB sets another size,
// CURATE_PEAK_GROUP_MB that of row groups in a file of that size.
func TestCopyPeak(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("no /proc/self/status to read peaks from")
	}
	large := int64(300)
	if mb, err := strconv.ParseInt(os.Getenv("CURATE_PEAK_MB"), 10, 64); err == nil {
		large = mb
	}
	group := large
	if mb, err := strconv.ParseInt(os.Getenv("CURATE_PEAK_GROUP_MB"), 10, 64); err == nil {
		group = mb
	}
	dir := t.TempDir()
	for _, mode := range []string{"filter", "splice"} {
		var peaks []int64
		for _, mb := range []int64{120, large} {
			path := filepath.Join(dir, fmt.Sprintf("%d.parquet", mb))
			rows := largeGroups(t, path, mb<<20, group<<20)
			child := exec.Command(os.Args[0], "-test.run=^TestCopyPeakChild$", "-test.v")
			child.Env = append(os.Environ(), "CURATE_PEAK_CHILD="+mode, "CURATE_PEAK_IN="+path, "CURATE_PEAK_ROWS="+strconv.Itoa(rows))
			out, err := child.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			_, after, _ := bytes.Cut(out, []byte("peak "))
			digits, _, _ := bytes.Cut(after, []byte(" kB"))
			peak, err := strconv.ParseInt(string(digits), 10, 64)
			if err != nil {
				t.Fatalf("no peak in %s", out)
			}
			peaks = append(peaks, peak>>10)
		}
		t.Logf("%s: peak %d MB for a row group of 120 MB, %d MB for %d MB in row groups of %d MB", mode, peaks[0], peaks[1], large, group)
		// parquet-go keeps the bounds of every page until the file ends, and the
		// test a byte for every row: some MB for a GB.
		if peaks[1] > peaks[0]+32+large/160 {
			t.Errorf("%s: the peak grows with the row group: %d MB for 120 MB, %d MB for %d MB", mode, peaks[0], peaks[1], large)
		}
	}
}

// TestCopyPeakChild is the process that TestCopyPeak measures.
func TestCopyPeakChild(t *testing.T) {
	mode := os.Getenv("CURATE_PEAK_CHILD")
	if mode == "" {
		t.Skip("a process of TestCopyPeak")
	}
	debug.SetGCPercent(50) // as curate does
	rows, err := strconv.Atoi(os.Getenv("CURATE_PEAK_ROWS"))
	if err != nil {
		t.Fatal(err)
	}
	keep := func(row int) bool { return mode == "splice" || row%3 != 1 }
	mask := make([]byte, rows)
	for i := range mask {
		if mask[i] = '0'; keep(i) {
			mask[i] = '1'
		}
	}
	in := os.Getenv("CURATE_PEAK_IN")
	if err := copyFile(in, in+".out", mask); err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if peak, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			fmt.Printf("peak %s\n", strings.TrimSpace(peak))
		}
	}
}
