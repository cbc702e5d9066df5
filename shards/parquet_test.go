package shards_test

import (
	"context"
	"testing"

	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/local"
)

func TestReadDemo(t *testing.T) {
	ctx := context.Background()
	inputs, err := shards.ListInputs(ctx, local.Locate, []string{"../configs/demo/pool-*.parquet"})
	if err != nil {
		t.Fatal(err)
	}
	rows, bytes := 0, 0
	for _, in := range inputs {
		s, err := shards.Open(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		for b, err := range s.Batches(ctx, shards.Columns{Text: "text", ID: "id", Domain: "domain"}, 0, s.NumRowGroups()) {
			if err != nil {
				t.Fatal(err)
			}
			rows += b.NumRows()
			bytes += len(b.Record.Column(0).Data().Buffers()[2].Bytes())
			b.Release()
		}
		s.Close()
	}
	t.Log(len(inputs), rows, bytes)
}
