package local

import (
	"fmt"
	"io/fs"
	"syscall"
)

// version changes with a file's content, also when its modification time and
// size are kept: the kernel sets the time of the last change and the inode.
func version(info fs.FileInfo) string {
	v := fmt.Sprintf("%d-%d", info.ModTime().UnixNano(), info.Size())
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		v += fmt.Sprintf("-%d.%09d-%d", stat.Ctim.Sec, stat.Ctim.Nsec, stat.Ino)
	}
	return v
}
