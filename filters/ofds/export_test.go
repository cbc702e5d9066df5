package ofds

import (
	"context"

	"github.com/curate-data/curate/filters/ofds/kmeans"
)

// SelectClustered selects with another clustering than k-means, which an oracle
// in another language can have too.
func SelectClustered(ctx context.Context, o OFDS, pool *Pool, budget int, seed uint64,
	cluster func(context.Context, kmeans.Matrix, kmeans.Options) (*kmeans.Result, error)) (*Selection, error) {
	r, err := newRun(o, pool, budget, seed)
	if err != nil {
		return nil, err
	}
	r.cluster = cluster
	return r.do(ctx)
}
