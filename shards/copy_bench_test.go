package shards

import (
	"bufio"
	"context"
	"os"
	"testing"
)

// BenchmarkCopyKept filters a file of your own, CURATE_COPY_IN, with a file of
// one character per row, 1 for kept, CURATE_COPY_KEEP, into CURATE_COPY_OUT.
func BenchmarkCopyKept(b *testing.B) {
	input, mask, output := os.Getenv("CURATE_COPY_IN"), os.Getenv("CURATE_COPY_KEEP"), os.Getenv("CURATE_COPY_OUT")
	if input == "" || mask == "" || output == "" {
		b.Skip("set CURATE_COPY_IN, CURATE_COPY_KEEP and CURATE_COPY_OUT")
	}
	keep, err := os.ReadFile(mask)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := copyFile(input, output, keep); err != nil {
			b.Fatal(err)
		}
	}
}

// fileObject is an Object on a file.
type fileObject struct {
	*os.File
	size int64
}

func (f fileObject) Size() int64 { return f.size }

func copyFile(input, output string, keep []byte) error {
	f, err := os.Open(input)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	obj := fileObject{f, info.Size()}
	reader, err := openParquet(obj)
	if err != nil {
		return err
	}
	out, err := os.Create(output)
	if err != nil {
		return err
	}
	buffer := bufio.NewWriterSize(out, 1<<20)
	s := &Shard{in: Input{Shard: "test", Format: Parquet}, obj: obj, reader: reader}
	if _, err := CopyKept(context.Background(), s, decide(len(keep), func(row int) bool { return keep[row] == '1' }), buffer, CopyOptions{}); err != nil {
		return err
	}
	if err := buffer.Flush(); err != nil {
		return err
	}
	return out.Close()
}
