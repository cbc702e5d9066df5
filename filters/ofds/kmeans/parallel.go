package kmeans

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// spread calls f for consecutive ranges of at most grain indices below n, on
// several goroutines. It returns the first error that came, after all
// goroutines have ended.
func spread(ctx context.Context, workers, n, grain int, f func(from, to int) error) error {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	ranges := (n + grain - 1) / grain
	workers = min(workers, ranges)
	var next atomic.Int64
	work := func() error {
		for {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			at := int(next.Add(1) - 1)
			if at >= ranges {
				return nil
			}
			if err := f(at*grain, min(n, (at+1)*grain)); err != nil {
				return err
			}
		}
	}
	if workers <= 1 {
		return work()
	}
	var wg sync.WaitGroup
	var once sync.Once
	var first error
	for range workers {
		wg.Go(func() {
			if err := work(); err != nil {
				once.Do(func() { first = err })
				next.Store(int64(ranges)) // the others finish what they have begun
			}
		})
	}
	wg.Wait()
	return first
}
