package annotations

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strings"
)

// WriteFiles writes names or addresses of images, one per line: files.txt. A name
// with a line break in it is an error.
func WriteFiles(w io.Writer, names iter.Seq[string]) error {
	to := bufio.NewWriter(w)
	for name := range names {
		if strings.ContainsAny(name, "\r\n") {
			return fmt.Errorf("write list of files: the name %q has a line break", name)
		}
		fmt.Fprintln(to, name) // an error stays in to
	}
	if err := to.Flush(); err != nil {
		return fmt.Errorf("write list of files: %w", err)
	}
	return nil
}

// WriteTag writes a tag and the names of the images that get it,
//
//	{"tag": "...", "filenames": ["...", ...]}
//
// which are the arguments of Lightly's create_tag_from_filenames, and in FiftyOne
// of select_by("filepath", filenames).tag_samples(tag).
func WriteTag(w io.Writer, tag string, names iter.Seq[string]) error {
	quoted, err := json.Marshal(tag)
	if err != nil {
		return fmt.Errorf("write tag: %w", err)
	}
	return writeList(w, "write tag", `{"tag": `+string(quoted)+`, "filenames": [`, names, "]}\n")
}

// WriteCVAT writes the names of images as the validation_params of a CVAT task
// whose frames are chosen by hand: CVAT makes the job with these frames.
//
//	{"mode": "gt", "frame_selection_method": "manual", "frames": ["...", ...]}
func WriteCVAT(w io.Writer, names iter.Seq[string]) error {
	return writeList(w, "write frames for CVAT", `{"mode": "gt", "frame_selection_method": "manual", "frames": [`, names, "]}\n")
}

// writeList writes JSON strings between two texts, one per line.
func writeList(w io.Writer, what, before string, names iter.Seq[string], after string) error {
	to := bufio.NewWriter(w)
	to.WriteString(before) // an error stays in to
	separator := "\n"
	for name := range names {
		quoted, err := json.Marshal(name)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		to.WriteString(separator)
		to.Write(quoted)
		separator = ",\n"
	}
	to.WriteString(after)
	if err := to.Flush(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
