package shards

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// copyTar copies the kept samples of a WebDataset tar to a tar that is
// compressed as the input is: the headers, names, contents and padding of their
// members as they are. Where a score is asked for, a member KEY.SCORECOLUMN with
// the number follows each sample.
//
// Memory: the headers of a member.
func copyTar(ctx context.Context, in *tarReader, target copyTarget) error {
	if len(target.opt.KeyValues) > 0 {
		return fmt.Errorf("%w: a tar has no metadata for %s", ErrUnsupported, target.opt.KeyValues[0].Key)
	}
	compression, err := tarCompression(in.obj)
	if err != nil {
		return err
	}
	scan, err := scanTar(in.obj, true)
	if err != nil {
		return err
	}
	defer scan.close()
	out, err := newTarOutput(target.w, compression)
	if err != nil {
		return err
	}
	defer out.abort()
	c := tarCopy{scan: scan, target: target, out: out}
	scan.bytes.keep = &c.read
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		member, err := scan.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if scan.globals {
			return fmt.Errorf("row %d: %w: a PAX header for all members that follow, which may be dropped; write the archive again without", scan.row, ErrUnsupported)
		}
		if err := c.member(member); err != nil {
			return fmt.Errorf("row %d: %w", scan.row, err)
		}
	}
	if err := c.endSample(); err != nil {
		return err
	}
	if err := target.rows.end(); err != nil || target.rows.count.Kept == 0 {
		return err
	}
	return out.finish()
}

// tarCopy moves members from one archive to another.
type tarCopy struct {
	scan   *tarScan
	target copyTarget
	out    *tarOutput
	read   bytes.Buffer // what was read and neither written nor dropped
	pad    int64        // how much of it is behind the last member
	kept   bool         // the current sample
	key    string
	score  float32
}

// member copies a member, if its sample is kept.
func (c *tarCopy) member(m *tarMember) error {
	// Directories lie between members and belong to none.
	headers := c.read.Bytes()[c.pad:]
	if m.first {
		if err := c.endSample(); err != nil {
			return err
		}
		keep, scores, err := c.target.rows.take(1)
		if err != nil {
			return err
		}
		c.key = m.key
		if c.kept = keep[0]; c.kept {
			c.score = scores[0]
		}
	}
	if c.kept && m.ext == c.target.opt.ScoreColumn {
		return fmt.Errorf("add score %q: the sample has a member of this extension; choose another name for the score", m.ext)
	}
	var to io.Writer = io.Discard
	if c.kept {
		to = c.out
		if _, err := to.Write(headers); err != nil {
			return fmt.Errorf("write header: %w", err)
		}
	}
	c.read.Reset()
	c.scan.bytes.keep = nil
	n, err := io.Copy(to, c.scan.archive)
	c.scan.bytes.keep = &c.read
	if err != nil || n != m.header.Size {
		return fmt.Errorf("copy member %q: %w", m.header.Name, noEOF(errors.Join(err, c.scan.bytes.failed)))
	}
	c.pad = -n & (tarBlock - 1)
	if c.kept {
		_, err = to.Write(make([]byte, c.pad))
	}
	return err
}

// endSample adds the score of a sample that is kept.
func (c *tarCopy) endSample() error {
	if !c.kept || c.target.opt.ScoreColumn == "" || isNaN32(c.score) {
		return nil
	}
	text := strconv.FormatFloat(float64(c.score), 'g', -1, 32)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	header := &tar.Header{Typeflag: tar.TypeReg, Name: c.key + "." + c.target.opt.ScoreColumn, Size: int64(len(text)), Mode: 0o644}
	if err := w.WriteHeader(header); err != nil {
		return fmt.Errorf("add score to %s: %w", c.key, err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("add score to %s: %w", c.key, err)
	}
	if err := w.Flush(); err != nil { // pads the member; Close would end the archive
		return fmt.Errorf("add score to %s: %w", c.key, err)
	}
	_, err := c.out.Write(b.Bytes())
	return err
}

// tarOutput compresses an archive. Nothing is written before the first member.
type tarOutput struct {
	io.Writer
	close func() error
}

func newTarOutput(w io.Writer, compression string) (*tarOutput, error) {
	switch compression {
	case gzipd:
		z := gzip.NewWriter(w)
		return &tarOutput{z, z.Close}, nil
	case zstdd:
		z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1))
		if err != nil {
			return nil, fmt.Errorf("make zstd encoder: %w", err)
		}
		return &tarOutput{z, z.Close}, nil
	}
	return &tarOutput{w, func() error { return nil }}, nil
}

// finish writes the end of the archive.
func (t *tarOutput) finish() error {
	if _, err := t.Write(make([]byte, 2*tarBlock)); err != nil {
		return fmt.Errorf("write end of archive: %w", err)
	}
	if err := t.close(); err != nil {
		return fmt.Errorf("write end of archive: %w", err)
	}
	t.close = nil
	return nil
}

// abort gives back what the compressor holds.
func (t *tarOutput) abort() {
	if z, ok := t.Writer.(*zstd.Encoder); ok && t.close != nil {
		z.Reset(nil)
	}
}
