package shards

import (
	"syscall"
	"testing"
)

// limitData bounds the data of this process, so that a huge allocation fails
// and does not take the machine along. RLIMIT_DATA counts what is writable;
// RLIMIT_AS would also count what Go reserves.
func limitData(t *testing.T) {
	t.Helper()
	limit := &syscall.Rlimit{Cur: dataLimit, Max: dataLimit}
	if err := syscall.Setrlimit(syscall.RLIMIT_DATA, limit); err != nil {
		t.Fatal(err)
	}
}
