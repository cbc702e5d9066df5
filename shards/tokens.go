package shards

import (
	"bufio"
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/curate-data/curate/pipeline"
)

// TokenFormat is a layout of files with the tokens of sequences.
// docs/FORMAT.md describes both byte by byte.
type TokenFormat string

// The layouts.
const (
	TokensNPY TokenFormat = "npy" // dolma and OLMo: tokens without a header, and a CSV of the documents in them
	TokensDS  TokenFormat = "ds"  // datatrove: tokens, the ends of the sequences, and a note about the tokenizer
)

// Files returns the names of the files that make one shard of tokens, the
// tokens first.
func (f TokenFormat) Files(base string) []string {
	switch f {
	case TokensNPY:
		return []string{base + ".npy", base + ".csv.gz"}
	case TokensDS:
		return []string{base + ".ds", base + ".ds.index", base + ".ds.metadata"}
	}
	return nil
}

// TokenWidth returns the bytes of a token when ids are below vocabulary: 2
// where all fit, else 4, as dolma and datatrove have it.
func TokenWidth(vocabulary int) int {
	if vocabulary <= math.MaxUint16+1 {
		return 2
	}
	return 4
}

// TokenOptions say how sequences are laid out.
type TokenOptions struct {
	Format         TokenFormat
	Width          int    // bytes of a token: 2 or 4
	SequenceLength int    // T, tokens of each sequence
	Tokenizer      string // what the metadata of TokensDS calls the tokenizer
}

// Validate lists every fault of the options.
func (o TokenOptions) Validate() error {
	var faults []error
	if o.Format.Files("") == nil {
		faults = append(faults, fmt.Errorf("token format %q: want %q or %q", o.Format, TokensNPY, TokensDS))
	}
	if o.Width != 2 && o.Width != 4 {
		faults = append(faults, fmt.Errorf("token width %d: want 2 or 4 bytes", o.Width))
	}
	if o.SequenceLength < 1 {
		faults = append(faults, fmt.Errorf("sequence length %d: want at least 1", o.SequenceLength))
	}
	if strings.ContainsAny(o.Tokenizer, "|\r\n") {
		faults = append(faults, fmt.Errorf("tokenizer name %q: the metadata file has no place for '|' and line ends", o.Tokenizer))
	}
	return errors.Join(faults...)
}

// TokenWriter writes kept sequences of one shard, in order, as token files.
// The bytes depend on the sequences and the options only.
type TokenWriter struct {
	opt    TokenOptions
	shard  string
	tokens *bufio.Writer
	beside tokenCompanion
	buffer []byte
	rows   int64
}

// tokenCompanion writes the files beside the tokens.
type tokenCompanion interface {
	// sequence adds a sequence that begins at token start of the file.
	sequence(s pipeline.Sequence, start int64) error
	// close completes the files after the last of all tokens and returns the
	// rows of each.
	close(sequences, tokens int64) ([]int64, error)
}

// NewTokenWriter begins the token files of a shard: one writer for each of
// opt.Format.Files, in that order.
func NewTokenWriter(shard string, files []io.Writer, opt TokenOptions) (*TokenWriter, error) {
	if err := opt.Validate(); err != nil {
		return nil, fmt.Errorf("write tokens: %w", err)
	}
	if want := len(opt.Format.Files("")); len(files) != want {
		return nil, fmt.Errorf("write tokens: %d files for format %s, want %d", len(files), opt.Format, want)
	}
	w := &TokenWriter{opt: opt, shard: shard, tokens: bufio.NewWriterSize(files[0], 1<<20)}
	if opt.Format == TokensNPY {
		w.beside = newPieceTable(files[1], shard)
	} else {
		w.beside = &sequenceIndex{index: bufio.NewWriterSize(files[1], 1<<16), metadata: files[2], opt: opt}
	}
	return w, nil
}

// Write appends a sequence of T tokens. Ids that do not fit the width are an
// error: nothing is cut off.
func (w *TokenWriter) Write(s pipeline.Sequence) error {
	if len(s.Tokens) != w.opt.SequenceLength {
		return fmt.Errorf("write sequence %d of %s: %d tokens, want %d", s.Seq, w.shard, len(s.Tokens), w.opt.SequenceLength)
	}
	w.buffer = w.buffer[:0]
	for _, id := range s.Tokens {
		switch {
		case id < 0 || w.opt.Width == 2 && id > math.MaxUint16:
			return fmt.Errorf("write sequence %d of %s: id %d does not fit %d bytes", s.Seq, w.shard, id, w.opt.Width)
		case w.opt.Width == 2:
			w.buffer = binary.LittleEndian.AppendUint16(w.buffer, uint16(id))
		default:
			w.buffer = binary.LittleEndian.AppendUint32(w.buffer, uint32(id))
		}
	}
	err := w.beside.sequence(s, w.rows*int64(w.opt.SequenceLength))
	if err == nil {
		_, err = w.tokens.Write(w.buffer)
	}
	if err != nil {
		return fmt.Errorf("write sequence %d of %s: %w", s.Seq, w.shard, err)
	}
	w.rows++
	return nil
}

// Close completes the files and returns how many rows each has: sequences of
// the tokens and of the index, documents of the CSV, lines of the metadata. It
// does not close the underlying writers.
func (w *TokenWriter) Close() ([]int64, error) {
	if err := w.tokens.Flush(); err != nil {
		return nil, fmt.Errorf("write tokens of %s: %w", w.shard, err)
	}
	rows, err := w.beside.close(w.rows, w.rows*int64(w.opt.SequenceLength))
	if err != nil {
		return nil, fmt.Errorf("write tokens of %s: %w", w.shard, err)
	}
	return append([]int64{w.rows}, rows...), nil
}

// pieceTable writes dolma's CSV: start, end, id, src, loc of each document's
// part of each sequence.
type pieceTable struct {
	gzip  *gzip.Writer
	csv   *csv.Writer
	shard string
	rows  int64
}

func newPieceTable(w io.Writer, shard string) *pieceTable {
	compressed := gzip.NewWriter(w)
	compressed.ModTime = time.Unix(0, 0) // none: the same bytes each time
	return &pieceTable{gzip: compressed, csv: csv.NewWriter(compressed), shard: shard}
}

func (p *pieceTable) sequence(s pipeline.Sequence, start int64) error {
	for _, piece := range s.Pieces {
		end := start + int64(piece.Tokens)
		row := strconv.FormatInt(piece.Row, 10)
		id := piece.ID
		if id == "" {
			id = p.shard + "/" + row
		}
		if err := p.csv.Write([]string{strconv.FormatInt(start, 10), strconv.FormatInt(end, 10), id, p.shard, row}); err != nil {
			return err
		}
		start = end
		p.rows++
	}
	return nil
}

func (p *pieceTable) close(int64, int64) ([]int64, error) {
	p.csv.Flush()
	if err := p.csv.Error(); err != nil {
		return nil, err
	}
	return []int64{p.rows}, p.gzip.Close()
}

// sequenceIndex writes datatrove's index and metadata.
type sequenceIndex struct {
	index    *bufio.Writer
	metadata io.Writer
	opt      TokenOptions
}

func (x *sequenceIndex) sequence(s pipeline.Sequence, start int64) error {
	_, err := x.index.Write(binary.LittleEndian.AppendUint64(nil, uint64(start)+uint64(len(s.Tokens))))
	return err
}

func (x *sequenceIndex) close(sequences, tokens int64) ([]int64, error) {
	if err := x.index.Flush(); err != nil {
		return nil, err
	}
	_, err := io.WriteString(x.metadata, tokenMetadata(x.opt, tokens))
	return []int64{sequences, 3}, err
}

// tokenMetadata is the content of datatrove's metadata file: three lines, the
// last one without an end.
func tokenMetadata(o TokenOptions, tokens int64) string {
	return fmt.Sprintf("%s|%d\n%d\n%s", o.Tokenizer, o.Width, tokens, metricTokens(tokens))
}

// metricTokens writes a number of tokens with three digits and an SI prefix:
// "65.5 kT", as Python's humanize.metric does.
func metricTokens(tokens int64) string {
	exponent := len(strconv.FormatInt(tokens, 10)) - 1
	for {
		value := float64(tokens) / math.Pow10(exponent/3*3)
		digits := 2 - exponent%3
		text := strconv.FormatFloat(value, 'f', digits, 64)
		if rounded, _ := strconv.ParseFloat(text, 64); rounded >= math.Pow10(exponent%3+1) {
			exponent++ // 999,999 is 1.00 MT, not 1000 kT
			continue
		}
		return text + " " + []string{"", "k", "M", "G", "T", "P", "E"}[exponent/3] + "T"
	}
}
