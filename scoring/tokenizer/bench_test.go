//go:build unix

package tokenizer

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// benchTexts returns the documents of the goldens, or those of the file that
// CURATE_BENCH_TEXTS names: each text behind its length (4 bytes, little endian).
func benchTexts(b *testing.B) (texts [][]byte, size int64) {
	b.Helper()
	path := os.Getenv("CURATE_BENCH_TEXTS")
	if path == "" {
		for _, line := range readLines[goldenLine](b, "testdata/encode.jsonl.gz") {
			if line.Kind == "document" {
				texts = append(texts, []byte(line.Text))
				size += int64(len(line.Text))
			}
		}
		return texts, size
	}
	data, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	for len(data) > 0 {
		n := binary.LittleEndian.Uint32(data)
		texts = append(texts, data[4:4+n])
		size += int64(n)
		data = data[4+n:]
	}
	return texts, size
}

// benchTokenizers returns the demo's tokenizer, or the files that
// CURATE_BENCH_TOKENIZERS lists.
func benchTokenizers() []string {
	if list := os.Getenv("CURATE_BENCH_TOKENIZERS"); list != "" {
		return strings.Split(list, ",")
	}
	return []string{demoFile}
}

// BenchmarkEncode encodes documents one by one on one thread with one Encoder.
// bench/tokenizer.sh runs it beside HF tokenizers; it then also writes times
// and a checksum of all ids as JSON lines to CURATE_BENCH_RESULTS.
func BenchmarkEncode(b *testing.B) {
	texts, size := benchTexts(b)
	for _, path := range benchTokenizers() {
		b.Run(filepath.Base(path), func(b *testing.B) {
			tok, err := Load(path)
			if err != nil {
				b.Fatal(err)
			}
			e := tok.NewEncoder()
			var ids []int32
			tokens := 0
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				tokens = 0
				for _, text := range texts {
					ids = e.Append(ids[:0], text)
					tokens += len(ids)
				}
			}
			b.ReportMetric(float64(tokens)*float64(b.N)/b.Elapsed().Seconds(), "tok/s")
			b.ReportMetric(float64(tokens), "tokens")
			reportRun(b, path, tok, texts)
		})
	}
}

// BenchmarkLongWord encodes one word of 10 MB, or as many as CURATE_BENCH_WORD says,
// by bytes and by characters, and reports the most memory that the process had.
func BenchmarkLongWord(b *testing.B) {
	megabytes := 10
	if text := os.Getenv("CURATE_BENCH_WORD"); text != "" {
		var err error
		if megabytes, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	text := bytes.Repeat([]byte("abracadabra"), megabytes<<20/11)
	for name, path := range map[string]string{"bytes": demoFile, "characters": "testdata/sp-tokenizer.json"} {
		b.Run(name, func(b *testing.B) {
			tok, err := Load(path)
			if err != nil {
				b.Fatal(err)
			}
			e := tok.NewEncoder()
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				e.Each(text, func([]int32) {})
			}
			var usage syscall.Rusage
			if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(usage.Maxrss)/1024, "MiB-peak")
		})
	}
}

// reportRun appends one line about a run with a fresh Encoder, and one with a Pool of
// all processors, to CURATE_BENCH_RESULTS. The checksums of all texts, 4 bytes each,
// go to a file of that name with .crc behind it.
func reportRun(b *testing.B, path string, tok *Tokenizer, texts [][]byte) {
	results := os.Getenv("CURATE_BENCH_RESULTS")
	if results == "" {
		return
	}
	e := tok.NewEncoder()
	var ids []int32
	tokens := 0
	start, cpu := time.Now(), cpuTime(b)
	for _, text := range texts {
		ids = e.Append(ids[:0], text)
		tokens += len(ids)
	}
	wall, cpu := time.Since(start).Seconds(), cpuTime(b)-cpu
	pool := tok.NewPool(0)
	all := time.Now()
	for batch := range slices.Chunk(texts, 1000) {
		if err := pool.Encode(b.Context(), batch, func(int, []int32) {}); err != nil {
			b.Fatal(err)
		}
	}
	wallAll := time.Since(all).Seconds()
	var sums, raw []byte
	for _, text := range texts {
		ids = e.Append(ids[:0], text)
		raw = raw[:0]
		for _, id := range ids {
			raw = binary.LittleEndian.AppendUint32(raw, uint32(id))
		}
		sums = binary.LittleEndian.AppendUint32(sums, crc32.ChecksumIEEE(raw))
	}
	if err := os.WriteFile(results+".crc", sums, 0o600); err != nil {
		b.Fatal(err)
	}
	line, err := json.Marshal(map[string]any{"tokenizer": path, "wall": wall, "cpu": cpu, "wall_all": wallAll, "tokens": tokens})
	if err != nil {
		b.Fatal(err)
	}
	f, err := os.OpenFile(results, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(append(line, '\n')); err != nil {
		b.Fatal(err)
	}
}

// cpuTime is the processor time of this process in seconds.
func cpuTime(b *testing.B) float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return seconds(usage.Utime) + seconds(usage.Stime)
}
