package shards

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// CheckTokens reads the files beside a token file and checks them against it
// and against each other: sizes, documents that cover all tokens in order and
// cross no sequence, ends of sequences that rise by T, the count in the
// metadata. base is the name without extensions. It returns the rows of each
// of opt.Format.Files.
func CheckTokens(ctx context.Context, store Store, base string, opt TokenOptions) ([]int64, error) {
	if err := opt.Validate(); err != nil {
		return nil, fmt.Errorf("check tokens %s: %w", base, err)
	}
	names := opt.Format.Files(base)
	objects := make([]Object, len(names))
	for i, name := range names {
		object, err := store.Open(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("check tokens %s: %w", base, err)
		}
		defer object.Close()
		objects[i] = object
	}
	sequenceBytes := int64(opt.Width) * int64(opt.SequenceLength)
	size := objects[0].Size()
	if size == 0 || size%sequenceBytes != 0 {
		return nil, fmt.Errorf("%w: %s has %d bytes: want sequences of %d tokens of %d bytes", ErrCorrupt, names[0], size, opt.SequenceLength, opt.Width)
	}
	rows := []int64{size / sequenceBytes}
	if opt.Format == TokensNPY {
		pieces, err := checkPieces(ctx, io.NewSectionReader(objects[1], 0, objects[1].Size()), rows[0], int64(opt.SequenceLength))
		if err != nil {
			return nil, fmt.Errorf("check %s: %w", names[1], err)
		}
		return append(rows, pieces), nil
	}
	if err := checkIndex(ctx, objects[1], rows[0], uint64(opt.SequenceLength)); err != nil {
		return nil, fmt.Errorf("check %s: %w", names[1], err)
	}
	if err := checkTokenMetadata(objects[2], rows[0]*int64(opt.SequenceLength), opt.Width); err != nil {
		return nil, fmt.Errorf("check %s: %w", names[2], err)
	}
	return append(rows, rows[0], 3), nil
}

// checkPieces reads dolma's CSV and returns its rows.
func checkPieces(ctx context.Context, r io.Reader, sequences, length int64) (int64, error) {
	compressed, err := gzip.NewReader(bufio.NewReaderSize(r, 1<<16))
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	defer compressed.Close()
	table := csv.NewReader(compressed)
	table.FieldsPerRecord = 5
	table.ReuseRecord = true
	var rows, at int64
	for {
		record, err := table.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return rows, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		var numbers [3]int64 // start, end, loc
		for i, text := range []string{record[0], record[1], record[4]} {
			if numbers[i], err = strconv.ParseInt(text, 10, 64); err != nil {
				return rows, fmt.Errorf("%w: row %d: %w", ErrCorrupt, rows, err)
			}
		}
		start, end := numbers[0], numbers[1]
		if start != at || end <= start || start/length != (end-1)/length || numbers[2] < 0 {
			return rows, fmt.Errorf("%w: row %d covers the tokens %d to %d, want a part of one sequence from %d on", ErrCorrupt, rows, start, end, at)
		}
		at = end
		if rows++; rows%8192 == 0 && ctx.Err() != nil {
			return rows, context.Cause(ctx)
		}
	}
	if at != sequences*length {
		return rows, fmt.Errorf("%w: the documents cover %d tokens of %d", ErrCorrupt, at, sequences*length)
	}
	return rows, nil
}

// checkIndex reads datatrove's index.
func checkIndex(ctx context.Context, object Object, sequences int64, length uint64) error {
	if object.Size() != 8*sequences {
		return fmt.Errorf("%w: %d bytes for %d sequences, want %d", ErrCorrupt, object.Size(), sequences, 8*sequences)
	}
	reader := bufio.NewReaderSize(io.NewSectionReader(object, 0, object.Size()), 1<<16)
	var entry [8]byte
	for i := range uint64(sequences) {
		if _, err := io.ReadFull(reader, entry[:]); err != nil {
			return err
		}
		if end := binary.LittleEndian.Uint64(entry[:]); end != (i+1)*length {
			return fmt.Errorf("%w: sequence %d ends at token %d, want %d", ErrCorrupt, i, end, (i+1)*length)
		}
		if i%8192 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// maxTokenMetadata bounds the metadata file, which takes some hundred bytes.
const maxTokenMetadata = 1 << 16

// checkTokenMetadata reads datatrove's note about the tokenizer.
func checkTokenMetadata(object Object, tokens int64, width int) error {
	if object.Size() > maxTokenMetadata {
		return fmt.Errorf("%w: %d bytes", ErrCorrupt, object.Size())
	}
	raw, err := io.ReadAll(io.NewSectionReader(object, 0, object.Size()))
	if err != nil {
		return err
	}
	name, _, _ := strings.Cut(string(raw), "|")
	if want := tokenMetadata(TokenOptions{Width: width, Tokenizer: name}, tokens); string(raw) != want {
		return fmt.Errorf("%w: it says %q, want %q", ErrCorrupt, raw, want)
	}
	return nil
}
