package shards

import (
	"fmt"
	"io"
	"slices"

	"github.com/parquet-go/parquet-go"
)

// valueRun is how many values are handed from a reader to a writer at once.
const valueRun = 256

// columnReader reads the values of a column chunk as whole rows.
type columnReader struct {
	leaf   *leafColumn
	pages  parquet.Pages
	page   parquet.Page
	values parquet.ValueReader
	buf    [valueRun]parquet.Value
	at, n  int // buf[at:n] are read and not yet used
	eof    bool
	count  int64 // values used
	out    []parquet.Value
	runs   *runPage // where values are read in runs instead
}

// copyRows moves past one row for each element of keep and emits the values of
// those that are kept, whole rows at a time. Emitted values are valid until
// emit returns.
func (c *columnReader) copyRows(keep []bool, emit func([]parquet.Value) error) error {
	c.out = c.out[:0]
	for i, kept := range keep {
		if err := c.row(kept, emit); err != nil {
			if err == io.EOF {
				return fmt.Errorf("%w: it ends %d rows early", ErrCorrupt, len(keep)-i)
			}
			return err
		}
		if len(c.out) >= valueRun {
			if err := c.flush(emit); err != nil {
				return err
			}
		}
	}
	return c.flush(emit)
}

// row uses up the values of one row: the next one and those that repeat.
func (c *columnReader) row(kept bool, emit func([]parquet.Value) error) error {
	begin := len(c.out)
	if err := c.fill(&begin, emit); err != nil {
		return err
	}
	if c.buf[c.at].RepetitionLevel() != 0 {
		return fmt.Errorf("%w: a row begins in the middle of a list", ErrCorrupt)
	}
	for {
		if kept {
			c.out = append(c.out, c.buf[c.at])
		}
		c.at++
		c.count++
		if err := c.fill(&begin, emit); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if c.buf[c.at].RepetitionLevel() == 0 {
			return nil
		}
	}
}

// fill makes sure that buf[at] is the next value. Before a page is given back,
// the rows in out are emitted, except for the one that begins at *begin, which
// may go on in the next page: its values are cloned.
func (c *columnReader) fill(begin *int, emit func([]parquet.Value) error) error {
	for c.at == c.n {
		if c.eof {
			return io.EOF
		}
		if c.values != nil {
			n, err := c.values.ReadValues(c.buf[:])
			c.at, c.n = 0, n
			if err != nil && err != io.EOF {
				return fmt.Errorf("decode values: %w", err)
			}
			if n > 0 {
				return c.checkLevels()
			}
		}
		if err := c.letGo(begin, emit); err != nil {
			return err
		}
		page, err := c.pages.ReadPage()
		if err == io.EOF {
			c.eof = true
			continue
		}
		if err != nil {
			return fmt.Errorf("read page: %w", err)
		}
		c.page, c.values = page, page.Values()
	}
	return nil
}

// checkLevels checks the values that were just read: the decoder lets levels
// pass that the schema does not have.
func (c *columnReader) checkLevels() error {
	for i := range c.buf[:c.n] {
		v := &c.buf[i]
		rep, def := v.RepetitionLevel(), v.DefinitionLevel()
		if rep > c.leaf.maxRep || def > c.leaf.maxDef || v.IsNull() != (def < c.leaf.maxDef) {
			return fmt.Errorf("%w: a value at repetition level %d of %d, definition level %d of %d", ErrCorrupt, rep, c.leaf.maxRep, def, c.leaf.maxDef)
		}
	}
	return nil
}

// letGo gives the current page back.
func (c *columnReader) letGo(begin *int, emit func([]parquet.Value) error) error {
	if c.page == nil {
		return nil
	}
	if *begin > 0 {
		if err := emit(c.out[:*begin]); err != nil {
			return err
		}
		c.out = slices.Delete(c.out, 0, *begin)
		*begin = 0
	}
	for i := range c.out {
		c.out[i] = c.out[i].Clone()
	}
	parquet.Release(c.page)
	c.page, c.values = nil, nil
	return nil
}

func (c *columnReader) flush(emit func([]parquet.Value) error) error {
	if len(c.out) == 0 {
		return nil
	}
	err := emit(c.out)
	c.out = c.out[:0]
	return err
}

// end checks that nothing is left and that want values were read in all.
func (c *columnReader) end(want int64) error {
	if c.runs != nil {
		return c.endRuns(want)
	}
	begin := 0
	switch err := c.fill(&begin, nil); {
	case err == nil:
		return fmt.Errorf("%w: it has more rows than the row group", ErrCorrupt)
	case err != io.EOF:
		return err
	}
	if c.count != want {
		return fmt.Errorf("%w: it has %d values, the footer says %d", ErrCorrupt, c.count, want)
	}
	return nil
}

func (c *columnReader) close() error {
	if c.page != nil {
		parquet.Release(c.page)
	}
	return c.pages.Close()
}
