package shards

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/curate-data/curate/pipeline"
)

// CopyPart is a run of kept rows of one shard: those numbered From, ..., To-1
// among its kept rows. Rows that are dropped count to the part that has the next
// kept row, those after the last one to the part that is Last of its shard.
type CopyPart struct {
	Shard     *Shard
	Decisions iter.Seq2[*pipeline.Decisions, error] // of the whole shard, as CopyKept wants them
	From, To  int64
	Last      bool
}

// Copy writes the kept rows of the parts, one after the other, to w as one
// Parquet file, as CopyKept does for one shard. The shards must be among those
// that were unified; each may be closed once the next part is asked for. It
// returns the counts of each part. If there is no kept row, nothing is written.
func (u *UnifiedSchema) Copy(ctx context.Context, parts iter.Seq2[CopyPart, error], w io.Writer, opt CopyOptions) ([]CopyCounts, error) {
	if err := opt.Validate(); err != nil {
		return nil, fmt.Errorf("copy shards: %w", err)
	}
	if len(u.parts) == 0 { // no shard has a row
		return u.copyParts(ctx, parts, nil, copyTarget{w: w, opt: opt})
	}
	target := copyTarget{w: w, opt: opt}
	out, err := beginCopy(target, u.schema, u.meta)
	if err != nil {
		return nil, fmt.Errorf("copy shards: %w", err)
	}
	counts, err := u.copyParts(ctx, parts, out, target)
	if err != nil {
		return counts, err
	}
	if err := guard(out.finish); err != nil {
		return counts, fmt.Errorf("copy shards: %w", err)
	}
	return counts, nil
}

func (u *UnifiedSchema) copyParts(ctx context.Context, parts iter.Seq2[CopyPart, error], out *rowWriter, target copyTarget) (counts []CopyCounts, err error) {
	for part, err := range parts {
		if err != nil {
			return counts, fmt.Errorf("copy shards: %w", err)
		}
		rows, stop := newRowDecisions(part.Shard.in.Shard, part.Decisions)
		rows.part = &partRange{from: part.From, to: part.To, last: part.Last}
		target.rows = rows
		err = u.copyPart(ctx, part.Shard, target, out)
		stop()
		counts = append(counts, rows.count)
		if want := part.To - part.From; err == nil && rows.count.Kept != want {
			err = fmt.Errorf("%w: %d kept rows from %d on, want %d", ErrDecisions, rows.count.Kept, part.From, want)
		}
		if err != nil {
			return counts, fmt.Errorf("copy shard %s: %w", part.Shard.in.Shard, err)
		}
	}
	return counts, nil
}

// copyPart copies the rows of one part.
func (u *UnifiedSchema) copyPart(ctx context.Context, s *Shard, target copyTarget, out *rowWriter) error {
	part := u.parts[s.in.Shard]
	if part == nil { // a shard without rows
		return target.rows.end()
	}
	sink := newUnifiedSink(part.tree, part.columns, out)
	switch reader := s.reader.(type) {
	case *parquetReader:
		return unifyParquet(ctx, reader, target, out, sink)
	case *jsonlReader:
		root, err := part.json.nodes()
		if err != nil {
			return err
		}
		c := &jsonCopy{target: target, root: root, out: sink, shred: newShredder(root.shredNode)}
		if err := reader.eachLine(ctx, c.line); err != nil {
			return err
		}
		return errors.Join(c.flush(), target.rows.end())
	case *arrowReader:
		c := &arrowCopy{target: target, root: part.root, out: sink, shred: newShredder(part.root)}
		for record, err := range reader.records(ctx, s.Memory, 0, len(reader.rows)) {
			if err == nil {
				err = c.record(record)
			}
			if err != nil {
				return err
			}
		}
		return target.rows.end()
	}
	return fmt.Errorf("%w: format %q", ErrUnsupported, s.in.Format)
}

// unifyParquet copies the kept rows of a Parquet file to a sink. Row groups
// without one are not read.
func unifyParquet(ctx context.Context, in *parquetReader, target copyTarget, out *rowWriter, sink rowSink) error {
	footer, err := readFooter(in.obj)
	if err != nil {
		return err
	}
	leaves, err := footer.schema.leaves()
	if err != nil {
		return err
	}
	err = walkGroups(in.obj, footer, leaves, func(_ int, walk *groupWalk) error {
		return walk.run(ctx, target.rows.take, copySink{sink, out, target.opt.addedColumn() != ""})
	})
	if err != nil {
		return err
	}
	return target.rows.end()
}
