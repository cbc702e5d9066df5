package shards

import (
	"fmt"

	parquetzstd "github.com/parquet-go/parquet-go/compress/zstd"

	"github.com/klauspost/compress/zstd"
)

// zstdWindow is the window of the encoder: a page. The default of 4 MB makes
// the encoder hold 16 MB and finds nothing more in pages of 1 MB.
const zstdWindow = pageBytes

// zstdCodec compresses pages with zstd, level 3, and one encoder. It is for one
// goroutine, as a rowWriter is.
type zstdCodec struct {
	parquetzstd.Codec // the name, and decoding
	encoder           *zstd.Encoder
}

func newZstdCodec() (*zstdCodec, error) {
	encoder, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedDefault),
		zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(zstdWindow),
		zstd.WithLowerEncoderMem(true),
		zstd.WithZeroFrames(true),  // an empty page is a frame too
		zstd.WithEncoderCRC(false), // pages have their own
	)
	if err != nil {
		return nil, fmt.Errorf("make zstd encoder: %w", err)
	}
	return &zstdCodec{encoder: encoder}, nil
}

// Encode compresses src into dst, from its start.
func (c *zstdCodec) Encode(dst, src []byte) ([]byte, error) {
	return c.encoder.EncodeAll(src, dst[:0]), nil
}
