package shards

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// linesWindow is the zstd window of JSONL output: readers must hold as much. A
// larger one finds little more in text and costs every reader its memory.
const linesWindow = 4 << 20

// lineWriter writes JSONL, compressed as the format says. Nothing is written
// before the first line.
type lineWriter struct {
	w      io.Writer
	format OutputFormat
	buffer *bufio.Writer
	close  func() error // ends the compressed stream
}

// begin makes the compressor. One goroutine each, and so the same bytes
// whatever the machine and however the lines come.
//
// There is one zstd frame in a file: python-zstandard's read_to_iter and
// decompressobj take the end of a frame for the end of the file and lose the
// rest without a word.
func (l *lineWriter) begin() error {
	out := l.w
	l.close = func() error { return nil }
	switch l.format {
	case OutJSONLZstd:
		z, err := zstd.NewWriter(l.w, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(linesWindow))
		if err != nil {
			return fmt.Errorf("make zstd encoder: %w", err)
		}
		out, l.close = z, z.Close
	case OutJSONLGzip:
		z := gzip.NewWriter(l.w)
		z.ModTime = time.Unix(0, 0) // which means none; the zero time would be written as one
		out, l.close = z, z.Close
	}
	l.buffer = bufio.NewWriterSize(out, 256<<10)
	return nil
}

// line writes the parts of a line and its end.
func (l *lineWriter) line(parts ...[]byte) error {
	if l.buffer == nil {
		if err := l.begin(); err != nil {
			return err
		}
	}
	for _, part := range parts {
		if _, err := l.buffer.Write(part); err != nil {
			return fmt.Errorf("write line: %w", err)
		}
	}
	if err := l.buffer.WriteByte('\n'); err != nil {
		return fmt.Errorf("write line: %w", err)
	}
	return nil
}

// finish ends the file, if there is one.
func (l *lineWriter) finish() error {
	if l.buffer == nil {
		return nil
	}
	if err := l.buffer.Flush(); err != nil {
		return fmt.Errorf("write lines: %w", err)
	}
	if err := l.close(); err != nil {
		return fmt.Errorf("end compressed lines: %w", err)
	}
	return nil
}

// copyLines copies the kept lines of a JSONL file as they are: key order,
// spelling of numbers and escapes, spaces and bytes that are not UTF-8 stay. A
// byte order mark and blank lines, which are no rows, do not, and every line
// ends with a line feed. The score, if one is asked for, becomes the last key.
//
// Memory: one line and what the compressors need.
func copyLines(ctx context.Context, in *jsonlReader, format OutputFormat, target copyTarget) error {
	out := &lineWriter{w: target.w, format: format}
	var tail []byte
	err := in.eachLine(ctx, func(line []byte, _ int64) error {
		keep, scores, err := target.rows.take(1)
		if err != nil || !keep[0] {
			return err
		}
		if _, err := walkObject(line); err != nil {
			return err
		}
		if target.opt.ScoreColumn == "" {
			return out.line(line)
		}
		brace := bytes.LastIndexByte(line, '}')
		if tail, err = scoreTail(tail[:0], line, target.opt.ScoreColumn, scores[0]); err != nil {
			return err
		}
		return out.line(line[:brace], tail, line[brace:])
	})
	if err != nil {
		return err
	}
	if err := target.rows.end(); err != nil {
		return err
	}
	return out.finish()
}

// scoreTail appends what stands before the last brace of a line that gets a
// score: a comma unless the object is empty, the key and the number.
func scoreTail(to, line []byte, key string, score float32) ([]byte, error) {
	empty, found := true, false
	eachField(line, func(k, _ []byte) {
		empty = false
		found = found || string(unquote(k)) == key
	})
	if found {
		return nil, fmt.Errorf("add score column %q: the row has a key of this name; choose another name for the score", key)
	}
	if !empty {
		to = append(to, ',')
	}
	to = append(appendJSONString(to, []byte(key)), ':')
	return appendJSONScore(to, score)
}

// appendJSONScore appends a score, null where there is none, with the digits
// that tell it from every other float32.
func appendJSONScore(to []byte, score float32) ([]byte, error) {
	if isNaN32(score) {
		return append(to, "null"...), nil
	}
	return appendJSONFloat(to, uint64(math.Float32bits(score)), 4)
}

// appendJSONString appends a string literal. Of what is UTF-8, only what JSON
// forbids in strings is escaped.
func appendJSONString(to, s []byte) []byte {
	const hex = "0123456789abcdef"
	to = append(to, '"')
	start := 0
	for i, c := range s {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		to = append(to, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			to = append(to, '\\', c)
		case '\n':
			to = append(to, `\n`...)
		case '\r':
			to = append(to, `\r`...)
		case '\t':
			to = append(to, `\t`...)
		default:
			to = append(to, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(to, s[start:]...), '"')
}
