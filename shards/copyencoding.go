package shards

import (
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"
	"github.com/parquet-go/parquet-go/format"
)

// outputEncoding is the encoding of a column in the output: that of the
// input's data pages, a dictionary where none of them fell back from it.
func outputEncoding(groups []format.RowGroup, column int) encoding.Encoding {
	chosen := format.Encoding(-1)
	for g := range groups {
		m := &groups[g].Columns[column].MetaData
		pages := m.EncodingStats
		if len(pages) == 0 { // an older writer: the chunk's list, levels and dictionary page included
			for _, e := range m.Encoding {
				if e != format.RLE && e != format.BitPacked && !(e == format.Plain && m.DictionaryPageOffset > 0) {
					pages = append(pages, format.PageEncodingStats{PageType: format.DataPage, Encoding: e})
				}
			}
		}
		for _, p := range pages {
			e := p.Encoding
			switch {
			case p.PageType == format.DictionaryPage:
				continue
			//lint:ignore SA1019 older files have it
			case e == format.PlainDictionary:
				e = format.RLEDictionary
			case e == format.RLE: // of booleans
				e = format.Plain
			}
			if chosen != -1 && chosen != e {
				return &parquet.Plain
			}
			chosen = e
		}
	}
	switch chosen {
	case format.RLEDictionary:
		return &parquet.RLEDictionary
	case format.DeltaBinaryPacked:
		return &parquet.DeltaBinaryPacked
	case format.DeltaLengthByteArray:
		return &parquet.DeltaLengthByteArray
	case format.DeltaByteArray:
		return &parquet.DeltaByteArray
	case format.ByteStreamSplit:
		return &parquet.ByteStreamSplit
	}
	return &parquet.Plain
}

// repeats tells, by the header of its dictionary, whether a chunk has each of
// its values twice or more on average: with fewer a dictionary saves nothing.
func repeats(obj Object, meta *format.ColumnMetaData) (bool, error) {
	if meta.TotalCompressedSize == 0 {
		return true, nil // without values
	}
	pages := pageHeaders{section: io.NewSectionReader(obj, chunkStart(meta), meta.TotalCompressedSize)}
	header, err := pages.next()
	if err != nil {
		return false, err
	}
	return header.Type != format.DictionaryPage || int64(header.DictionaryPageHeader.V.NumValues) <= meta.NumValues/2, nil
}
