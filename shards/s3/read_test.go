package s3_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/parquet-go/parquet-go"

	"github.com/curate-data/curate/internal/s3server"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/s3"
	"github.com/curate-data/curate/shards/storetest"
)

// wide is a row of a file with one small column between large ones.
type wide struct {
	Before string `parquet:"before"`
	ID     string `parquet:"id"`
	After  string `parquet:"after"`
}

const (
	wideGroups = 15
	wideRows   = 200 // of a row group
)

// wideFile is a Parquet file of 15 row groups of 4 MB.
func wideFile(t testing.TB) []byte {
	t.Helper()
	noise := make([]byte, 1<<20)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(noise)
	var b bytes.Buffer
	w := parquet.NewGenericWriter[wide](&b, parquet.SkipPageBounds("before"), parquet.SkipPageBounds("after"))
	for group := range wideGroups {
		rows := make([]wide, wideRows)
		for i := range rows {
			text := noise[(group*wideRows+i)*17%(1<<19):][:10<<10]
			rows[i] = wide{string(text), fmt.Sprintf("id-%d-%d", group, i), string(text)}
		}
		if _, err := w.Write(rows); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// readIDs reads the small column of the file and checks it.
func readIDs(t testing.TB, s shards.Store, name string) {
	t.Helper()
	in := shards.Input{Store: s, Path: name, Shard: name, Format: shards.Parquet}
	shard, err := shards.Open(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	defer shard.Close()
	row := int64(0)
	for b, err := range shard.Batches(context.Background(), shards.Columns{Text: "id"}, 0, shard.NumRowGroups()) {
		if err != nil {
			t.Fatal(err)
		}
		text := b.Record.Column(0).(*array.Binary)
		for i := range text.Len() {
			if got, want := text.Value(i), fmt.Sprintf("id-%d-%d", row/wideRows, row%wideRows); string(got) != want {
				t.Fatalf("row %d: got %q, want %q", row, got, want)
			}
			row++
		}
		b.Release()
	}
	if row != wideGroups*wideRows {
		t.Errorf("%d rows", row)
	}
}

// TestColumnRequests reads one column at 20 ms latency: the chunks are fetched
// in parallel, one request each, and footer and size come with the first.
func TestColumnRequests(t *testing.T) {
	server := s3server.Start(t)
	server.Setenv(t)
	bucket := server.Bucket(t)
	storetest.Put(t, store(t, client(t, s3.Options{}), "s3://"+bucket), "wide.parquet", string(wideFile(t)))
	slow := server.Proxy(t)
	slow.Latency(t, 20*time.Millisecond)
	endpoint, requests := counted(t, slow.URL())
	s := store(t, client(t, s3.Options{Endpoint: endpoint}), "s3://"+bucket)
	began := time.Now()
	readIDs(t, s, "wide.parquet")
	t.Logf("%d requests in %v", requests.Load(), time.Since(began))
	if n := requests.Load(); n > wideGroups+2 { // the end, the beginning
		t.Errorf("%d requests for %d column chunks, the file's beginning and its end", n, wideGroups)
	}
}

// TestDigestRequests reads a large object from its start to its end: requests
// grow, whatever the size of the reads.
func TestDigestRequests(t *testing.T) {
	server := s3server.Start(t)
	server.Setenv(t)
	bucket := server.Bucket(t)
	content := strings.Repeat("0123456789abcdef", 2<<20) // 32 MiB
	storetest.Put(t, store(t, client(t, s3.Options{}), "s3://"+bucket), "big", content)
	endpoint, requests := counted(t, server.URL())
	s := store(t, client(t, s3.Options{Endpoint: endpoint}), "s3://"+bucket)
	got, err := shards.Digest(context.Background(), shards.Input{Store: s, Path: "big"})
	if err != nil {
		t.Fatal(err)
	}
	if want := sha256.Sum256([]byte(content)); got != hex.EncodeToString(want[:]) {
		t.Errorf("digest %s", got)
	}
	if n := requests.Load(); n > 16 {
		t.Errorf("%d requests", n)
	}
	// The same in small pieces, as lines are read.
	requests.Store(0)
	obj, err := s.Open(context.Background(), "big")
	if err != nil {
		t.Fatal(err)
	}
	defer obj.Close()
	h := sha256.New()
	if _, err := io.CopyBuffer(struct{ io.Writer }{h}, io.NewSectionReader(obj, 0, obj.Size()), make([]byte, 4<<10)); err != nil {
		t.Fatal(err)
	}
	if hex.EncodeToString(h.Sum(nil)) != got {
		t.Error("the digest differs in small pieces")
	}
	if n := requests.Load(); n > 16 {
		t.Errorf("%d requests in small pieces", n)
	}
	t.Logf("%d requests in small pieces", requests.Load())
}
