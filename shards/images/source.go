package images

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
)

// ErrMixed says that vectors of different encoders would come into one pool.
var ErrMixed = errors.New("vectors of different encoders")

// Source is the images of several shards, in the order of Inputs. It is a
// pipeline.ImageSource. Vector sidecars among the inputs must be of one encoder,
// and inputs without one must then not be among them.
type Source struct {
	Inputs  []shards.Input // as shards.ListInputs returns them
	Options Options
}

// Images yields the images of all shards; see Reader.Images. One shard is open at
// a time.
func (s Source) Images(ctx context.Context) iter.Seq2[*pipeline.Image, error] {
	return func(yield func(*pipeline.Image, error) bool) {
		var first Encoder
		for i, in := range s.Inputs {
			r, err := Open(ctx, in, s.Options)
			if err != nil {
				yield(nil, err)
				return
			}
			if i == 0 {
				first = r.Encoder()
			}
			more, err := true, sameEncoder(first, r.Encoder())
			if err != nil {
				err = fmt.Errorf("read images of shards %s and %s: %w", s.Inputs[0].Shard, in.Shard, err)
			} else {
				more, err = yieldAll(r.Images(ctx), yield)
			}
			if err = errors.Join(err, r.Close()); err != nil && more {
				yield(nil, err)
			}
			if err != nil || !more {
				return
			}
		}
	}
}

// yieldAll yields images until there is an error or no more are wanted.
func yieldAll(all iter.Seq2[*pipeline.Image, error], yield func(*pipeline.Image, error) bool) (more bool, err error) {
	for img, err := range all {
		if err != nil {
			return true, err
		}
		if !yield(img, nil) {
			return false, nil
		}
	}
	return true, nil
}

// sameEncoder is ErrMixed where the vectors of two shards are not to be compared.
// In what precision they are stored does not matter.
func sameEncoder(a, b Encoder) error {
	if a.Name == b.Name && a.Dim == b.Dim {
		return nil
	}
	return fmt.Errorf("%w: %s and %s: embed all shards with one model, or select from each alone", ErrMixed, a, b)
}

// String names the encoder for messages.
func (e Encoder) String() string {
	if e == (Encoder{}) {
		return "no vector sidecar"
	}
	return fmt.Sprintf("%q of dimension %d", e.Name, e.Dim)
}
