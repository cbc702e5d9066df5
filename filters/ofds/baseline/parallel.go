package baseline

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// ranges calls work for all stretches of 0 to n of the given size, on several
// goroutines, and waits for them. After an error no more begin.
func ranges(ctx context.Context, n, size, workers int, work func(from, to int) error) error {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	stretches := (n + size - 1) / size
	var (
		next  atomic.Int64
		wait  sync.WaitGroup
		once  sync.Once
		first error
	)
	for range min(workers, stretches) {
		wait.Go(func() {
			for {
				at := int(next.Add(1)) - 1
				if at >= stretches {
					return
				}
				err := ctx.Err()
				if err == nil {
					err = work(at*size, min(n, (at+1)*size))
				}
				if err != nil {
					once.Do(func() { first = err })
					next.Store(int64(stretches))
					return
				}
			}
		})
	}
	wait.Wait()
	if first != nil {
		return first
	}
	return ctx.Err()
}
