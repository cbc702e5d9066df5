package shards

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/curate-data/curate/pipeline"
)

// jsonlReader reads JSONL. Each line that is not blank is a row and must be a
// JSON object; a key that is missing or null is a null. There is one row group.
type jsonlReader struct {
	in  Input
	obj Object
}

func openJSONL(in Input, obj Object) (*jsonlReader, error) {
	lines, err := openLines(in, obj) // tells at once whether the compression is what the name says
	if err != nil {
		return nil, err
	}
	lines.close()
	return &jsonlReader{in, obj}, nil
}

func (r *jsonlReader) numRows() int64     { return -1 }
func (r *jsonlReader) rowGroups() []int64 { return []int64{-1} }

func (r *jsonlReader) batches(ctx context.Context, mem memory.Allocator, cols Columns, from, to int) iter.Seq2[pipeline.Batch, error] {
	return func(yield func(pipeline.Batch, error) bool) {
		if from == to {
			return
		}
		lines, err := openLines(r.in, r.obj)
		if err != nil {
			yield(pipeline.Batch{}, err)
			return
		}
		defer lines.close()
		build := newBatchBuilder(mem)
		defer build.release()
		plan, row := newJSONPlan(cols), int64(0)
		for done := false; !done; {
			if done, err = plan.fill(ctx, lines, build); err != nil {
				yield(pipeline.Batch{}, err)
				return
			}
			if build.text.Len() == 0 {
				break
			}
			b := pipeline.Batch{Record: build.record(), FirstRow: row}
			row += b.Record.NumRows()
			if !yield(b, nil) {
				return
			}
		}
		if err := plan.checkSeen(row); err != nil {
			yield(pipeline.Batch{}, err)
		}
	}
}

// jsonPlan takes text, id and domain from the objects of a shard.
type jsonPlan struct {
	cols [3]string
	seen [3]bool  // whether any row had the key
	keys []string // of the first row, for the error message
}

func newJSONPlan(cols Columns) *jsonPlan {
	return &jsonPlan{cols: [3]string{cols.Text, cols.ID, cols.Domain}}
}

// fill adds rows until the batch is full; done says that the file ended.
func (p *jsonPlan) fill(ctx context.Context, lines *lineReader, build *batchBuilder) (done bool, err error) {
	build.begin()
	for !build.full() {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		line, err := lines.next()
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err == nil {
			err = p.row(line, build)
			if err != nil {
				err = fmt.Errorf("line %d: %w", lines.line, err)
			}
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// row adds one row.
func (p *jsonPlan) row(line []byte, build *batchBuilder) error {
	if err := checkObject(line); err != nil {
		return err
	}
	line = trimSpace(line)
	if p.keys == nil {
		p.keys = []string{} // not again, also when there are none
		eachField(line, func(key, _ []byte) { p.keys = append(p.keys, string(unquote(key))) })
		slices.Sort(p.keys)
	}
	text, err := p.value(line, 0)
	if err != nil {
		return err
	}
	if text == nil {
		build.text.AppendNull()
	} else if text[0] != '"' {
		return fmt.Errorf("%w %q: it is %s, want a string", ErrColumn, p.cols[0], kindOfJSON(text))
	} else {
		build.text.Append(unquote(text))
	}
	for i, labels := range build.labels() {
		if err := p.label(line, 1+i, labels); err != nil {
			return err
		}
	}
	return nil
}

// label adds the id or domain of a row.
func (p *jsonPlan) label(object []byte, column int, to *array.StringBuilder) error {
	value, err := p.value(object, column)
	switch {
	case err != nil:
		return err
	case value == nil:
		to.AppendNull()
	case value[0] == '"':
		appendLabel(to, string(unquote(value)))
	case kindOfJSON(value) == "a number" && !bytes.ContainsAny(value, ".eE"):
		to.Append(string(value))
	default:
		return fmt.Errorf("%w %q: it is %s, want a string or an integer", ErrColumn, p.cols[column], kindOfJSON(value))
	}
	return nil
}

// value finds a column in a row; nil when it is missing, null or not wanted.
// A key that contains dots itself wins over a path.
func (p *jsonPlan) value(object []byte, column int) ([]byte, error) {
	name := p.cols[column]
	if name == "" {
		return nil, nil
	}
	value, ok := field(object, name)
	for rest := name; !ok; {
		var part string
		var more bool
		part, rest, more = strings.Cut(rest, ".")
		value, ok = field(object, part)
		if !ok || !more || isNull(value) {
			break
		}
		if value[0] != '{' {
			return nil, fmt.Errorf("%w %q: its part %q is %s, want an object", ErrColumn, name, part, kindOfJSON(value))
		}
		object, ok = value, false
	}
	if ok {
		p.seen[column] = true
	}
	if !ok || isNull(value) {
		return nil, nil
	}
	return value, nil
}

// checkSeen is an error when a column that was asked for is in no row at all:
// more likely its name is wrong than every value null.
func (p *jsonPlan) checkSeen(rows int64) error {
	for i, name := range p.cols {
		if name != "" && !p.seen[i] && rows > 0 {
			return columnError(name, fmt.Sprintf("none of %d rows has this key", rows), p.keys)
		}
	}
	return nil
}

// checkObject checks that a line, which is not blank, is one JSON object.
func checkObject(line []byte) error {
	begin := trimSpace(line)
	if begin[0] == '[' {
		return fmt.Errorf("%w: a JSON array, want an object on each line; convert it, with jq -c '.[]' for example", ErrUnsupported)
	}
	if begin[0] == '{' && len(trimSpace(begin[1:])) == 0 {
		return fmt.Errorf("%w: an object over several lines, want it on one; convert it, with jq -c . for example", ErrUnsupported)
	}
	return checkJSON(line)
}

// checkJSON checks that b, which is not blank, is one JSON object.
func checkJSON(b []byte) error {
	if !json.Valid(b) {
		var ignored json.RawMessage
		return fmt.Errorf("%w: %w", ErrCorrupt, json.Unmarshal(b, &ignored)) // which says where
	}
	if begin := trimSpace(b); begin[0] != '{' {
		return fmt.Errorf("%w: %s, want an object", ErrCorrupt, kindOfJSON(begin))
	}
	return nil
}

func isNull(value []byte) bool { return value[0] == 'n' }

// kindOfJSON names what a valid JSON value is.
func kindOfJSON(value []byte) string {
	switch value[0] {
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "a list"
	case 't', 'f':
		return "true or false"
	case 'n':
		return "null"
	}
	return "a number"
}
