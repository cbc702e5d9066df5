package shards

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
	"github.com/pierrec/lz4/v4"
)

// canUnpack tells which codecs unpackBytes knows: all of Parquet's but LZO.
func canUnpack(codec format.CompressionCodec) bool {
	switch codec {
	case format.Uncompressed, format.Snappy, format.Gzip, format.Brotli, format.Zstd, format.Lz4, format.Lz4Raw:
		return true
	}
	return false
}

// unpackBytes fills raw, exactly, from a packed page.
func unpackBytes(codec format.CompressionCodec, raw, packed []byte) error {
	if len(raw) == 0 {
		return nil
	}
	switch codec {
	case format.Lz4Raw:
		return unpackLZ4(raw, packed)
	case format.Lz4:
		if unpackHadoopLZ4(raw, packed) == nil {
			return nil
		}
		return unpackLZ4(raw, packed) // as early versions of parquet-cpp wrote it
	case format.Uncompressed:
		if copy(raw, packed) != len(raw) || len(packed) != len(raw) {
			return fmt.Errorf("%d bytes, the header says %d", len(packed), len(raw))
		}
		return nil
	}
	if codec == format.Zstd || codec == format.Snappy { // which allocate what the page says it holds
		var frame zstd.Header
		claim, _ := binary.Uvarint(packed)
		if codec == format.Zstd {
			if claim = 0; frame.Decode(packed) == nil && frame.HasFCS {
				claim = frame.FrameContentSize
			}
		}
		if claim > uint64(len(raw)) {
			return fmt.Errorf("%d bytes, the header says %d", claim, len(raw))
		}
	}
	var out []byte
	err := guard(func() (err error) {
		out, err = parquet.LookupCompressionCodec(codec).Decode(raw[:0:len(raw)], packed)
		return err
	})
	if err == nil && len(out) != len(raw) {
		err = fmt.Errorf("%d bytes, the header says %d", len(out), len(raw))
	}
	copy(raw, out)
	return err
}

// unpackLZ4 unpacks one LZ4 block.
func unpackLZ4(raw, packed []byte) error {
	n, err := lz4.UncompressBlock(packed, raw)
	if err == nil && n != len(raw) {
		err = fmt.Errorf("%d bytes, the header says %d", n, len(raw))
	}
	return err
}

// unpackHadoopLZ4 unpacks what Hadoop's codec makes: blocks, each behind its
// unpacked and its packed length, four bytes each, most significant first.
func unpackHadoopLZ4(raw, packed []byte) error {
	for len(packed) > 0 {
		if len(packed) < 8 {
			return errors.New("a Hadoop block without its lengths")
		}
		size, length := binary.BigEndian.Uint32(packed), binary.BigEndian.Uint32(packed[4:])
		if packed = packed[8:]; uint64(size) > uint64(len(raw)) || uint64(length) > uint64(len(packed)) {
			return errors.New("a Hadoop block passes the end of the page")
		}
		if err := unpackLZ4(raw[:size], packed[:length]); err != nil {
			return err
		}
		raw, packed = raw[size:], packed[length:]
	}
	if len(raw) > 0 {
		return fmt.Errorf("the page ends %d bytes early", len(raw))
	}
	return nil
}
