package annotations

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
)

// wants says whether an element of a list is kept. raw is valid until it returns.
type wants func(raw json.RawMessage) (bool, error)

// jsonCopy copies a file of JSON without some elements of its lists; every other
// byte stays what it is, but for the separators around what is left out.
type jsonCopy struct {
	t      *tokens
	from   window
	to     *bufio.Writer
	copied int64 // offset in the file up to which all is written or left out
}

// copyJSON copies a file. lists says by the key of the top object which elements of
// which lists are kept; the key "" is for a list at the top.
func copyJSON(ctx context.Context, w io.Writer, c *content, lists map[string]wants) error {
	j := &jsonCopy{t: c.tokens(ctx), from: window{c: c}, to: bufio.NewWriterSize(w, 1<<16), copied: c.base}
	if err := j.all(lists); err != nil {
		return fmt.Errorf("copy labels %s: %w", c.place, err)
	}
	if err := j.upTo(c.info.Size); err != nil {
		return fmt.Errorf("copy labels %s: %w", c.place, err)
	}
	if err := j.to.Flush(); err != nil {
		return fmt.Errorf("write subset: %w", err)
	}
	return nil
}

func (j *jsonCopy) all(lists map[string]wants) error {
	delim, err := j.t.top()
	if err != nil {
		return err
	}
	if keep, ok := lists[""]; ok && delim == '[' {
		err = j.elements(keep)
	} else {
		err = j.t.object(func(key string) error {
			keep, ok := lists[key]
			if !ok {
				return j.t.skip()
			}
			token, err := j.t.token()
			if err != nil || token == nil {
				return err
			}
			if token != json.Delim('[') {
				return j.t.fail(fmt.Errorf("%s: want a list, found %v", key, token))
			}
			return j.elements(keep)
		})
	}
	if err != nil {
		return err
	}
	return j.t.end()
}

// elements copies a list after its "[".
func (j *jsonCopy) elements(keep wants) error {
	if err := j.upTo(j.t.offset()); err != nil {
		return err
	}
	first, n := true, 0
	for ; j.t.more(); n++ {
		start, err := j.t.value()
		if err != nil {
			return err
		}
		end := start + int64(len(j.t.raw))
		kept, err := keep(j.t.raw)
		if err != nil {
			return j.t.fail(fmt.Errorf("element %d: %w", n, err))
		}
		switch {
		case !kept && n > 0, kept && n > 0 && first:
			j.copied = start // the separator before goes
		case !kept:
			if err := j.upTo(start); err != nil {
				return err
			}
		}
		if !kept {
			j.copied = end
			continue
		}
		first = false
		if err := j.upTo(start); err != nil {
			return err
		}
		if _, err := j.to.Write(j.t.raw); err != nil {
			return fmt.Errorf("write subset: %w", err)
		}
		j.copied = end
	}
	_, err := j.t.token()
	return err
}

// offset is where in the file the next token is looked for.
func (t *tokens) offset() int64 { return t.base + t.dec.InputOffset() }

// upTo copies what comes before an offset and is not written yet.
func (j *jsonCopy) upTo(offset int64) error {
	for j.copied < offset {
		part, err := j.from.part(j.copied, int(min(offset-j.copied, ahead)))
		if err != nil {
			return err
		}
		if _, err := j.to.Write(part); err != nil {
			return fmt.Errorf("write subset: %w", err)
		}
		j.copied += int64(len(part))
	}
	return nil
}

// subset implements labels.
func (c *coco) subset(ctx context.Context, w io.Writer, keep map[string]bool) error {
	found := make(map[string]bool, len(keep))
	image := func(raw json.RawMessage) (bool, error) {
		id, err := idField(raw, "id")
		if keep[id] {
			found[id] = true
		}
		return keep[id], err
	}
	annotation := func(raw json.RawMessage) (bool, error) {
		id, err := idField(raw, "image_id")
		return keep[id], err
	}
	if c.results == nil {
		if err := copyJSON(ctx, w, c.instances, map[string]wants{"images": image, "annotations": annotation}); err != nil {
			return err
		}
		return checkFound(keep, found)
	}
	// The ids are checked first: a results json does not have them all.
	if err := copyJSON(ctx, io.Discard, c.instances, map[string]wants{"images": image}); err != nil {
		return err
	}
	if err := copyJSON(ctx, w, c.results, map[string]wants{"": annotation}); err != nil {
		return err
	}
	return checkFound(keep, found)
}

// subset implements labels.
func (f *fiftyOne) subset(ctx context.Context, w io.Writer, keep map[string]bool) error {
	found := make(map[string]bool, len(keep))
	sample := func(raw json.RawMessage) (bool, error) {
		value, err := field(raw, "filepath")
		if err != nil {
			return false, err
		}
		id, err := text(value)
		if keep[id] {
			found[id] = true
		}
		return keep[id], err
	}
	if err := copyJSON(ctx, w, f.samples, map[string]wants{"samples": sample}); err != nil {
		return err
	}
	return checkFound(keep, found)
}
