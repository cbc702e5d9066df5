//go:build !linux

package s3server

// hasAttributes reports whether files in a folder can have extended
// attributes, false where that cannot be told.
func hasAttributes(string) bool { return false }
