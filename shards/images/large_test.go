package images_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/images"
)

// picture returns the bytes of image i, which no codec makes smaller.
func picture(i int) []byte {
	r := rand.New(rand.NewPCG(7, uint64(i)))
	var b []byte
	for size := 1000 + r.IntN(700<<10); len(b) < size; {
		b = binary.LittleEndian.AppendUint64(b, r.Uint64())
	}
	return b
}

const largeRows = 24

// largeParquet writes images of some hundred KB, in a column of bytes and in one
// of structs as on the Hugging Face Hub.
func largeParquet(t *testing.T) []byte {
	t.Helper()
	hub := arrow.StructOf(arrow.Field{Name: "bytes", Type: arrow.BinaryTypes.Binary, Nullable: true}, arrow.Field{Name: "path", Type: arrow.BinaryTypes.String, Nullable: true})
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "image_id", Type: arrow.BinaryTypes.String}, {Name: "width", Type: arrow.PrimitiveTypes.Int32}, {Name: "height", Type: arrow.PrimitiveTypes.Int32},
		{Name: "image", Type: arrow.BinaryTypes.Binary}, {Name: "hub", Type: hub},
	}, nil)
	var b bytes.Buffer
	w, err := shards.NewRecordWriter(&b, schema, shards.CopyOptions{MaxRowGroupBytes: 5 << 20})
	if err != nil {
		t.Fatal(err)
	}
	build := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer build.Release()
	for i := range largeRows {
		build.Field(0).(*array.StringBuilder).Append(fmt.Sprint(i))
		build.Field(1).(*array.Int32Builder).Append(1000)
		build.Field(2).(*array.Int32Builder).Append(700)
		build.Field(3).(*array.BinaryBuilder).Append(picture(i))
		s := build.Field(4).(*array.StructBuilder)
		s.Append(true)
		s.FieldBuilder(0).(*array.BinaryBuilder).Append(picture(i))
		s.FieldBuilder(1).(*array.StringBuilder).Append(fmt.Sprint("at/", i))
		record := build.NewRecord()
		err := w.Write(record)
		record.Release()
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func largeTar(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(name string, data []byte) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	for i := range largeRows {
		add(fmt.Sprintf("%02d.jpg", i), picture(i))
		add(fmt.Sprintf("%02d.json", i), []byte(`{"width":1000,"height":700,"objects":[]}`))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestLargeImagesAreIntact copies a choice of large images and compares all bytes.
func TestLargeImagesAreIntact(t *testing.T) {
	dir := t.TempDir()
	keep := func(i int) bool { return i%4 != 2 }
	for name, content := range map[string][]byte{"a.parquet": largeParquet(t), "a.tar": largeTar(t)} {
		in, out := filepath.Join(dir, name), filepath.Join(dir, "kept-"+name)
		if err := os.WriteFile(in, content, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := images.Open(context.Background(), inputOf(t, in), images.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := shards.Open(context.Background(), r.Input())
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := shards.CopyKept(context.Background(), s, decide(t, r, keep), &b, shards.CopyOptions{Format: shards.OutSame}); err != nil {
			t.Fatal(err)
		}
		s.Close()
		r.Close()
		if err := os.WriteFile(out, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		columns := []string{"image"}
		if name == "a.parquet" {
			columns = append(columns, "hub")
		} else {
			columns = []string{"jpg"}
		}
		for _, column := range columns {
			all, err := readAll(t, out, images.Options{Data: true, Columns: images.Columns{Image: column}})
			if err != nil {
				t.Fatal(err)
			}
			next := 0
			for i := range largeRows {
				if !keep(i) {
					continue
				}
				if img := all[next]; !bytes.Equal(img.Data, picture(i)) || img.Width != 1000 {
					t.Errorf("%s, column %s: image %d is %d bytes, not those that went in", name, column, i, len(img.Data))
				}
				next++
			}
			if next != len(all) {
				t.Errorf("%s: %d images, want %d", name, len(all), next)
			}
		}
	}
}
