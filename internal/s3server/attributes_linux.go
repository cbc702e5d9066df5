package s3server

import "syscall"

// hasAttributes reports whether files in a folder can have extended attributes.
func hasAttributes(folder string) bool {
	return syscall.Setxattr(folder, "user.curate-test", []byte("1"), 0) == nil
}
