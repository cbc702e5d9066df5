package shards

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/bloom"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// bloomBits is the size of Bloom filters in bits per value: about one in a
// hundred values that are not there is not ruled out.
const bloomBits = 10

// newCopyWriter begins the output of a copy.
func newCopyWriter(target copyTarget, schema fileSchema, leaves []*leafColumn, meta []format.KeyValue) (*rowWriter, error) {
	w, err := newRowWriter(target.w, schema, leaves, meta, target.opt.rowGroupBytes())
	if err != nil {
		return nil, err
	}
	w.ids = target.opt.ids
	if target.opt.BloomColumn == "" {
		return w, nil
	}
	names := make([]string, len(leaves))
	for i, c := range leaves {
		names[i] = c.name()
	}
	at := slices.Index(names, target.opt.BloomColumn)
	if at < 0 {
		return nil, columnError(target.opt.BloomColumn, "a Bloom filter was asked for, but there is no such column", names)
	}
	if leaves[at].element.Type.V == format.Boolean {
		return nil, columnError(target.opt.BloomColumn, "a Bloom filter was asked for, but booleans have none", names)
	}
	w.bloom = leaves[at]
	return w, nil
}

// makeBloomFilter makes the Bloom filter of a column chunk, its header included,
// from the chunk's pages, which it closes, and the number of its values.
func makeBloomFilter(pages parquet.Pages, values int64) (filter []byte, err error) {
	size := parquet.SplitBlockFilter(bloomBits).Size(max(1, values))
	bits := make([]byte, size)
	blocks := bloom.MakeSplitBlockFilter(bits)
	defer func() { err = errors.Join(err, pages.Close()) }()
	for {
		page, err := pages.ReadPage()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read page: %w", err)
		}
		err = insertValues(blocks, page.Values())
		parquet.Release(page)
		if err != nil {
			return nil, err
		}
	}
	header := format.BloomFilterHeader{NumBytes: int32(size)}
	header.Algorithm.Value = new(format.SplitBlockAlgorithm)
	header.Hash.Value = new(format.XxHash)
	header.Compression.Value = new(format.BloomFilterUncompressed)
	head, err := thrift.Marshal(new(thrift.CompactProtocol), &header)
	if err != nil {
		return nil, fmt.Errorf("encode header: %w", err)
	}
	return append(head, bits...), nil
}

// insertValues adds all values that are not null.
func insertValues(blocks bloom.SplitBlockFilter, values parquet.ValueReader) error {
	var run [valueRun]parquet.Value
	for {
		n, err := values.ReadValues(run[:])
		for _, v := range run[:n] {
			if !v.IsNull() {
				blocks.Insert(bloom.XXH64{}.Sum64(v.Bytes()))
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("decode values: %w", err)
		}
	}
}
