//go:build unix

package install

import (
	"errors"
	"math"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// FreeBytes returns how much a folder's disk has free for this user. A folder
// that is not there yet counts as the one above it; unknown is plenty.
func FreeBytes(folder string) int64 {
	var stat unix.Statfs_t
	for err := unix.Statfs(folder, &stat); err != nil; err = unix.Statfs(folder, &stat) {
		above := filepath.Dir(folder)
		if !errors.Is(err, unix.ENOENT) || above == folder {
			return math.MaxInt64
		}
		folder = above
	}
	return int64(stat.Bavail) * int64(stat.Bsize)
}
