package shards_test

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"testing"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/local"
)

// TestChoices writes choices and reads the same ones.
func TestChoices(t *testing.T) {
	want := make([]shards.Choice, 9000)
	for i := range want {
		want[i] = shards.Choice{RowID: pipeline.RowID{Shard: fmt.Sprint("s", i%3), Row: int64(i)}, ImageID: fmt.Sprint(i), Kind: "coverage", Class: "cat",
			Round: 1, Cluster: 0, K: 7, ClusterSize: 3, Distance: 0.25, Object: "o", Score: 0.5, Box: pipeline.Box{X1: 1, Y1: 2, X2: 3, Y2: 4}}
		if i%5 == 0 {
			want[i] = shards.Choice{RowID: want[i].RowID, ImageID: "i", Group: "g", Kind: "leftover", Round: -1, Cluster: -1, K: -1, ClusterSize: -1, Distance: -7}
		}
	}
	ctx, store := context.Background(), local.New(t.TempDir())
	out, err := store.Create(ctx, "choices.parquet")
	if err != nil {
		t.Fatal(err)
	}
	written := append([]shards.Choice(nil), want...)
	for i := range written {
		if written[i].Distance == -7 {
			written[i].Distance = float32(math.NaN())
		}
	}
	if err := shards.WriteChoices(out, written, map[string]string{"curate.method": "ofds"}); err != nil {
		t.Fatal(err)
	}
	if err := out.Finish(ctx); err != nil {
		t.Fatal(err)
	}
	object, err := store.Open(ctx, "choices.parquet")
	if err != nil {
		t.Fatal(err)
	}
	defer object.Close()
	got, err := shards.ReadChoices(ctx, object)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if got[i].Distance != got[i].Distance {
			got[i].Distance = -7
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %d choices, the first %+v", len(got), got[0])
	}
}
