package tokenizer

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// TestPool: any number of goroutines gives the ids of one Encoder, in order, of
// long texts and empty ones too.
func TestPool(t *testing.T) {
	tok := goldenTokenizers(t)["demo"]
	rng := rand.New(rand.NewPCG(3, 4))
	var texts [][]byte
	var want [][]int32
	e := tok.NewEncoder()
	for i := range 300 {
		text := strings.Repeat("some text, again and again. ", rng.IntN(400))
		if i%97 == 5 {
			text = strings.Repeat("a long one ", longText/11+1)
		}
		texts, want = append(texts, []byte(text)), append(want, e.Append(nil, []byte(text)))
	}
	for _, workers := range []int{0, 1, 2, 7} {
		p := tok.NewPool(workers)
		for range 2 {
			got := make([][]int32, len(texts))
			last := 0
			if err := p.Encode(context.Background(), texts, func(i int, ids []int32) {
				if i < last || len(ids) == 0 {
					t.Fatalf("%d workers: text %d after %d, %d ids", workers, i, last, len(ids))
				}
				last = i
				got[i] = append(got[i], ids...)
			}); err != nil {
				t.Fatal(err)
			}
			for i := range texts {
				if !slices.Equal(got[i], want[i]) {
					t.Fatalf("%d workers: text %d has %d ids, want %d", workers, i, len(got[i]), len(want[i]))
				}
			}
		}
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	stopped := errors.New("stopped")
	cancel(stopped)
	if err := tok.NewPool(2).Encode(ctx, texts, func(int, []int32) { t.Error("a text of a pool that was stopped") }); !errors.Is(err, stopped) {
		t.Errorf("error %v, want %v", err, stopped)
	}
}

// TestEachMemory: ids that are handed out in parts take no memory that grows with
// the text, be it one word or many.
func TestEachMemory(t *testing.T) {
	tok := goldenTokenizers(t)["demo"]
	for name, text := range map[string]string{"one word": strings.Repeat("abracadabra", 1<<20), "words": strings.Repeat("a word ", 1<<20)} {
		e := tok.NewEncoder()
		want := e.Append(nil, []byte(text))
		data := []byte(text)
		var before, after runtime.MemStats
		at := 0
		runtime.ReadMemStats(&before)
		e.Each(data, func(ids []int32) {
			if !slices.Equal(ids, want[at:at+len(ids)]) {
				t.Fatalf("%s: ids from %d on differ", name, at)
			}
			at += len(ids)
		})
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 8<<20 || at != len(want) {
			t.Errorf("%s: allocated %d bytes for a text of %d; %d of %d ids", name, got, len(text), at, len(want))
		}
	}
}
