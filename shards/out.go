package shards

import (
	"fmt"
	"slices"
	"strings"
)

// OutputFormat is the file format, and with it the compression, of kept rows.
type OutputFormat string

// The formats that CopyKept writes. The values are the extensions that output
// files get, but for OutSame.
const (
	OutParquet     OutputFormat = "parquet"   // zstd, level 3
	OutJSONL       OutputFormat = "jsonl"     // one object a line
	OutJSONLZstd   OutputFormat = "jsonl.zst" // one frame, level 3, window of 4 MiB
	OutJSONLGzip   OutputFormat = "jsonl.gz"  // one member, without name and time
	OutArrowFile   OutputFormat = "arrow"     // Arrow IPC file, uncompressed: it can be mapped into memory
	OutArrowStream OutputFormat = "arrows"    // Arrow IPC stream, uncompressed
	OutSame        OutputFormat = "same"      // that of the input, its compression included
)

// outputFormats are all values of OutputFormat, in the order of help texts.
func outputFormats() []OutputFormat {
	return []OutputFormat{OutParquet, OutJSONL, OutJSONLZstd, OutJSONLGzip, OutArrowFile, OutArrowStream, OutSame}
}

// Validate is an error that lists the formats unless f is one. Empty is one: it
// means OutParquet.
func (f OutputFormat) Validate() error {
	if f == "" || slices.Contains(outputFormats(), f) {
		return nil
	}
	var known []string
	for _, k := range outputFormats() {
		known = append(known, string(k))
	}
	return fmt.Errorf("output format %q: want one of %s", f, strings.Join(known, ", "))
}

// Name returns the name of the output file for a shard: the same, with the
// extension of the format. OutSame keeps the name, and so does a tar where no
// format is asked for.
func (f OutputFormat) Name(shard string) string {
	if f == "" && IsTar(shard) {
		return shard
	}
	if f == "" {
		f = OutParquet
	}
	if f == OutSame || strings.HasSuffix(shard, "."+string(f)) {
		return shard
	}
	suffix := ""
	for _, e := range extensions {
		if strings.HasSuffix(strings.ToLower(shard), e.suffix) && len(e.suffix) > len(suffix) {
			suffix = e.suffix
		}
	}
	return shard[:len(shard)-len(suffix)] + "." + string(f)
}

// outputOf is what OutSame means for this input: the format of its content.
func (s *Shard) outputOf(f OutputFormat) OutputFormat {
	switch {
	case f == "":
		return OutParquet
	case f != OutSame:
		return f
	}
	switch r := s.reader.(type) {
	case *jsonlReader:
		switch _, compression, _ := formatOf(s.in.Path); compression {
		case gzipd:
			return OutJSONLGzip
		case zstdd:
			return OutJSONLZstd
		}
		return OutJSONL
	case *arrowReader:
		if r.file {
			return OutArrowFile
		}
		return OutArrowStream
	}
	return OutParquet
}

// lines tells whether f is JSONL, compressed or not.
func (f OutputFormat) lines() bool {
	return f == OutJSONL || f == OutJSONLZstd || f == OutJSONLGzip
}
