//go:build unix

package tokenizer

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
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

// BenchmarkLongWord encodes one word of 10 MB.
func BenchmarkLongWord(b *testing.B) {
	tok, err := Load(demoFile)
	if err != nil {
		b.Fatal(err)
	}
	text := bytes.Repeat([]byte("abracadabra"), 10<<20/11)
	e := tok.NewEncoder()
	ids := make([]int32, 0, len(text))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		ids = e.Append(ids[:0], text)
	}
}

// reportRun appends one line about a run with a fresh Encoder to CURATE_BENCH_RESULTS.
func reportRun(b *testing.B, path string, tok *Tokenizer, texts [][]byte) {
	results := os.Getenv("CURATE_BENCH_RESULTS")
	if results == "" {
		return
	}
	e := tok.NewEncoder()
	var ids []int32
	var sum uint32
	tokens := 0
	start, cpu := time.Now(), cpuTime(b)
	for _, text := range texts {
		ids = e.Append(ids[:0], text)
		tokens += len(ids)
	}
	wall, cpu := time.Since(start).Seconds(), cpuTime(b)-cpu
	var raw []byte
	for _, text := range texts {
		ids = e.Append(ids[:0], text)
		raw = raw[:0]
		for _, id := range ids {
			raw = binary.LittleEndian.AppendUint32(raw, uint32(id))
		}
		sum = crc32.Update(sum, crc32.IEEETable, raw)
	}
	line, err := json.Marshal(map[string]any{
		"engine": "curate", "tokenizer": path, "wall": wall, "cpu": cpu, "tokens": tokens, "checksum": fmt.Sprintf("%08x", sum),
	})
	if err != nil {
		b.Fatal(err)
	}
	f, err := os.OpenFile(results, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
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
