package shards

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Codecs of Arrow's bodies, by their numbers in Message.fbs.
const (
	bodyLZ4  = 0
	bodyZstd = 1
)

// bodyCodec compresses the buffers of Arrow messages, for output that is to be
// as its input.
type bodyCodec struct {
	id   byte
	zstd *zstd.Encoder
	lz4  *lz4.Writer
}

func newBodyCodec(id byte) (*bodyCodec, error) {
	c := &bodyCodec{id: id}
	switch id {
	case bodyLZ4:
		c.lz4 = lz4.NewWriter(nil)
	case bodyZstd:
		var err error
		if c.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1)); err != nil {
			return nil, fmt.Errorf("make zstd encoder: %w", err)
		}
	default:
		return nil, fmt.Errorf("%w: Arrow compression number %d", ErrUnsupported, id)
	}
	return c, nil
}

// compress returns the size of b and b compressed.
func (c *bodyCodec) compress(b []byte) ([]byte, error) {
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(b)))
	if c.zstd != nil {
		return c.zstd.EncodeAll(b, out), nil
	}
	buffer := bytes.NewBuffer(out)
	c.lz4.Reset(buffer)
	if _, err := c.lz4.Write(b); err != nil {
		return nil, fmt.Errorf("compress with LZ4: %w", err)
	}
	if err := c.lz4.Close(); err != nil {
		return nil, fmt.Errorf("compress with LZ4: %w", err)
	}
	return buffer.Bytes(), nil
}
