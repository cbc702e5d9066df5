package stream_test

import (
	"context"
	"testing"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/ofdstest"
	"github.com/curate-data/curate/filters/ofds/stream"
)

// TestAsGoodAsInMemory wants the macro mode recall of the streaming form within
// two points of the form in memory, over eight synthetic pools and both
// imbalances; with samples of everything, and of a third.
func TestAsGoodAsInMemory(t *testing.T) {
	const pools, budget = 8, 100
	for _, zipf := range []float64{1.6, 2.4} {
		var memory, streamed, sampled []ofdstest.Measures
		for seed := range uint64(pools) {
			truth := ofdstest.New(ofdstest.Default(zipf, seed))
			pool, err := ofds.NewPool(context.Background(), truth, ofds.PoolOptions{})
			if err != nil {
				t.Fatal(err)
			}
			selection, err := ofds.OFDS{}.Select(context.Background(), pool, budget, seed)
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, c := range selection.Chosen {
				ids = append(ids, pool.Images[c.Image].ID)
			}
			memory = append(memory, truth.Measure(ids))
			streamed = append(streamed, measure(t, truth, stream.Options{Budget: budget, Seed: seed}))
			sampled = append(sampled, measure(t, truth, stream.Options{Budget: budget, Seed: seed, SampleBytes: int64(len(pool.Objects)) / 3 * 32 * 4}))
		}
		want := ofdstest.Mean(memory)
		for name, measures := range map[string][]ofdstest.Measures{"all objects sampled": streamed, "a third sampled": sampled} {
			got := ofdstest.Mean(measures)
			t.Logf("zipf %.1f, %s: mode recall %.3f (in memory %.3f), rare %.3f (%.3f), cover %.3f (%.3f)",
				zipf, name, got.ModeRecall, want.ModeRecall, got.RareRecall, want.RareRecall, got.CoverP95, want.CoverP95)
			if got.ModeRecall < want.ModeRecall-0.02 {
				t.Errorf("zipf %.1f, %s: mode recall %.3f, in memory %.3f", zipf, name, got.ModeRecall, want.ModeRecall)
			}
		}
	}
}

func measure(t *testing.T, truth *ofdstest.Pool, opt stream.Options) ofdstest.Measures {
	t.Helper()
	out, err := stream.Select(context.Background(), source(truth.List, 500), opt)
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Chosen) != opt.Budget {
		t.Fatalf("%d images, want %d", len(out.Chosen), opt.Budget)
	}
	var ids []string
	for _, image := range out.Images {
		ids = append(ids, image.ID)
	}
	return truth.Measure(ids)
}
