package shards

import (
	"context"
	"errors"
	"os"
	"testing"
)

// TestOutputOfFailingWriter stops the output after any number of bytes: every
// format says so.
func TestOutputOfFailingWriter(t *testing.T) {
	for path, f := range map[string]Format{"types/all.arrows": Arrow, "types/list_dictionary.parquet": Parquet, "types/jsonl/rows.jsonl": JSONL} {
		input, err := os.ReadFile("testdata/" + path)
		if err != nil {
			t.Fatal(err)
		}
		for _, format := range []OutputFormat{OutJSONL, OutJSONLZstd, OutJSONLGzip, OutArrowFile, OutArrowStream} {
			whole, _, err := copyBytes(input, f, 50, masks["all"], CopyOptions{Format: format})
			if err != nil {
				t.Fatal(err)
			}
			for limit := 0; limit < len(whole); limit += 1 + len(whole)/20 {
				s, err := openBytes(input, f)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := CopyKept(t.Context(), s, decide(50, masks["all"]), &limitedWriter{limit}, CopyOptions{Format: format}); !errors.Is(err, errFull) {
					t.Errorf("%s as %s, %d of %d bytes: %v", path, format, limit, len(whole), err)
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			s, err := openBytes(input, f)
			if err != nil {
				t.Fatal(err)
			}
			w := writerFunc(func(b []byte) (int, error) { return len(b), nil })
			if _, err := CopyKept(ctx, s, decide(50, masks["all"]), w, CopyOptions{Format: format}); !errors.Is(err, context.Canceled) {
				t.Errorf("%s as %s, interrupted: %v", path, format, err)
			}
		}
	}
}
