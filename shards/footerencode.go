package shards

import (
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// The types below are the footer as this package writes it, and reads it where
// presence matters. format has them too, but it cannot tell a null count of 0
// from none, and writes 0 where there was none: readers would take columns
// with nulls for columns without.

type outFooter struct {
	Version          int32                              `thrift:"1,required"`
	Schema           thrift.Slice[format.SchemaElement] `thrift:"2,required"`
	NumRows          int64                              `thrift:"3,required"`
	RowGroups        thrift.Slice[outRowGroup]          `thrift:"4,required"`
	KeyValueMetadata thrift.Slice[format.KeyValue]      `thrift:"5,optional"`
	CreatedBy        string                             `thrift:"6,optional"`
	ColumnOrders     thrift.Slice[format.ColumnOrder]   `thrift:"7,optional"`
}

type outRowGroup struct {
	Columns             thrift.Slice[outChunk]             `thrift:"1,required"`
	TotalByteSize       int64                              `thrift:"2,required"`
	NumRows             int64                              `thrift:"3,required"`
	SortingColumns      thrift.Slice[format.SortingColumn] `thrift:"4,optional"`
	FileOffset          int64                              `thrift:"5,optional"`
	TotalCompressedSize int64                              `thrift:"6,optional"`
	Ordinal             thrift.Null[int16]                 `thrift:"7,optional"`
}

type outChunk struct {
	FileOffset        int64        `thrift:"2,required"`
	MetaData          outChunkMeta `thrift:"3,optional"`
	OffsetIndexOffset int64        `thrift:"4,optional"`
	OffsetIndexLength int32        `thrift:"5,optional"`
	ColumnIndexOffset int64        `thrift:"6,optional"`
	ColumnIndexLength int32        `thrift:"7,optional"`
}

type outChunkMeta struct {
	Type                  format.Type                            `thrift:"1,required"`
	Encoding              thrift.Slice[format.Encoding]          `thrift:"2,required"`
	PathInSchema          thrift.Slice[string]                   `thrift:"3,required"`
	Codec                 format.CompressionCodec                `thrift:"4,required"`
	NumValues             int64                                  `thrift:"5,required"`
	TotalUncompressedSize int64                                  `thrift:"6,required"`
	TotalCompressedSize   int64                                  `thrift:"7,required"`
	KeyValueMetadata      thrift.Slice[format.KeyValue]          `thrift:"8,optional"`
	DataPageOffset        int64                                  `thrift:"9,required"`
	DictionaryPageOffset  int64                                  `thrift:"11,optional"`
	Statistics            chunkStatistics                        `thrift:"12,optional"`
	EncodingStats         thrift.Slice[format.PageEncodingStats] `thrift:"13,optional"`
	BloomFilterOffset     int64                                  `thrift:"14,optional"`
	BloomFilterLength     int32                                  `thrift:"15,optional"`
	SizeStatistics        format.SizeStatistics                  `thrift:"16,optional"`
	GeospatialStatistics  format.GeospatialStatistics            `thrift:"17,optional"`
}

// chunkStatistics are the statistics of a column chunk without the deprecated
// bounds, whose order is signed whatever the type.
type chunkStatistics struct {
	NullCount     thrift.Null[int64] `thrift:"3,optional"`
	DistinctCount thrift.Null[int64] `thrift:"4,optional"`
	MaxValue      []byte             `thrift:"5,optional"`
	MinValue      []byte             `thrift:"6,optional"`
	IsMaxExact    thrift.Null[bool]  `thrift:"7,optional"`
	IsMinExact    thrift.Null[bool]  `thrift:"8,optional"`
}

// statisticsOf is for statistics that parquet-go made: it always counts nulls.
func statisticsOf(s *format.Statistics) chunkStatistics {
	return chunkStatistics{NullCount: thrift.New(s.NullCount), MaxValue: s.MaxValue, MinValue: s.MinValue}
}

// newOutRowGroup is a row group with the statistics of its chunks.
func newOutRowGroup(g *format.RowGroup, stats []chunkStatistics) outRowGroup {
	out := outRowGroup{
		TotalByteSize: g.TotalByteSize, NumRows: g.NumRows, SortingColumns: g.SortingColumns,
		FileOffset: g.FileOffset, TotalCompressedSize: g.TotalCompressedSize,
	}
	for i := range g.Columns {
		c := &g.Columns[i]
		m := &c.MetaData
		out.Columns = append(out.Columns, outChunk{
			FileOffset:        c.FileOffset,
			OffsetIndexOffset: c.OffsetIndexOffset, OffsetIndexLength: c.OffsetIndexLength,
			ColumnIndexOffset: c.ColumnIndexOffset, ColumnIndexLength: c.ColumnIndexLength,
			MetaData: outChunkMeta{
				Type: m.Type, Encoding: m.Encoding, PathInSchema: m.PathInSchema, Codec: m.Codec, NumValues: m.NumValues,
				TotalUncompressedSize: m.TotalUncompressedSize, TotalCompressedSize: m.TotalCompressedSize,
				KeyValueMetadata: m.KeyValueMetadata, DataPageOffset: m.DataPageOffset, DictionaryPageOffset: m.DictionaryPageOffset,
				Statistics: stats[i], EncodingStats: m.EncodingStats, BloomFilterOffset: m.BloomFilterOffset,
				BloomFilterLength: m.BloomFilterLength, SizeStatistics: m.SizeStatistics, GeospatialStatistics: m.GeospatialStatistics,
			},
		})
	}
	return out
}

// footerStatistics are the statistics in a footer, where they are.
type footerStatistics struct {
	RowGroups thrift.Slice[struct {
		Columns thrift.Slice[struct {
			MetaData struct {
				Statistics chunkStatistics `thrift:"12,optional"`
			} `thrift:"3,optional"`
		}] `thrift:"1,required"`
	}] `thrift:"4,required"`
}
