package train

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"os"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring/tokenizer"
)

// textSource is a pipeline.Source over texts in memory; nil is a null.
type textSource struct {
	shards map[string][]any // string or nil
	order  []string
	batch  int // rows of a batch
	mem    memory.Allocator
	fail   error // after the last row
	reads  int
}

func (s *textSource) Batches(ctx context.Context) iter.Seq2[pipeline.Batch, error] {
	s.reads++
	return func(yield func(pipeline.Batch, error) bool) {
		for _, shard := range s.order {
			texts := s.shards[shard]
			for at := 0; at < len(texts); at += s.batch {
				part := texts[at:min(at+s.batch, len(texts))]
				b := pipeline.Batch{Record: s.record(part), Shard: shard, FirstRow: int64(at)}
				if !yield(b, nil) {
					return
				}
			}
		}
		if s.fail != nil {
			yield(pipeline.Batch{}, s.fail)
		}
	}
}

func (s *textSource) record(texts []any) arrow.Record {
	b := array.NewRecordBuilder(s.mem, pipeline.TextSchema)
	defer b.Release()
	for _, text := range texts {
		if value, ok := text.(string); ok {
			b.Field(0).(*array.BinaryBuilder).Append([]byte(value))
		} else {
			b.Field(0).AppendNull()
		}
		b.Field(1).AppendNull()
		b.Field(2).AppendNull()
	}
	return b.NewRecord()
}

// oneShard is a source of one shard.
func oneShard(texts ...any) *textSource {
	return &textSource{shards: map[string][]any{"a.parquet": texts}, order: []string{"a.parquet"}, batch: 3, mem: memory.DefaultAllocator}
}

// prose returns n different small texts.
func prose(n int) []any {
	words := []string{"the", "sea", "ship", "and", "captain", "stood", "upon", "a", "deck", "of", "iron", "night", "wind", "rose", "while", "men", "sang"}
	texts := make([]any, n)
	for i := range texts {
		text := fmt.Sprintf("Chapter %d.", i)
		for k := range 12 + i*7%23 {
			text += " " + words[(i*i+3*k*k+k*i)%len(words)]
		}
		texts[i] = text
	}
	return texts
}

func demoTokenizer(t testing.TB) *tokenizer.Tokenizer {
	t.Helper()
	tok, err := tokenizer.Load("../../configs/demo/tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// byteTokenizer has one token for each byte, and <|endoftext|>: models over it
// train in no time.
func byteTokenizer(t testing.TB) *tokenizer.Tokenizer {
	t.Helper()
	vocabulary := map[string]int{"<|endoftext|>": 0}
	next := rune(256) // GPT-2's alphabet: bytes that do not print move up
	for b := range rune(256) {
		letter := b
		if b <= ' ' || b >= 0x7f && b <= 0xa0 || b == 0xad {
			letter = next
			next++
		}
		vocabulary[string(letter)] = len(vocabulary)
	}
	text, err := json.Marshal(map[string]any{
		"added_tokens":  []any{map[string]any{"id": 0, "content": "<|endoftext|>", "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false}},
		"pre_tokenizer": map[string]any{"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
		"model":         map[string]any{"type": "BPE", "vocab": vocabulary, "merges": []string{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// ids returns the stream of the texts as it should be: each followed by eos.
func ids(tok *tokenizer.Tokenizer, eos int32, texts ...any) []int32 {
	var out []int32
	encoder := tok.NewEncoder()
	for _, text := range texts {
		if s, ok := text.(string); ok && s != "" {
			out = append(encoder.Append(out, []byte(s)), eos)
		}
	}
	return out
}

func readAll(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
