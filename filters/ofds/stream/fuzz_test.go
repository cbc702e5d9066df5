package stream_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/ofdstest"
	"github.com/curate-data/curate/filters/ofds/stream"
)

// tiny are the options and the states of a pool of a few images.
func tiny(t testing.TB) (stream.Options, *stream.Codebook, [3][]byte) {
	opt := stream.Options{Budget: 3, Seed: 1, Nearest: 2, Alpha: 1, OFDS: ofds.Options{Preselected: map[string]bool{ofdstest.ImageID(2): true}}}
	config := ofdstest.Default(1.6, 1)
	config.Images, config.Dim, config.Classes = 8, 2, 3
	list := ofdstest.New(config).List
	for _, image := range list {
		image.Group, image.Row = "g", image.Row*1000
	}
	c := census(t, list, 3, opt)
	book, err := stream.Train(context.Background(), c, opt)
	if err != nil {
		t.Fatal(err)
	}
	return opt, book, [3][]byte{c.Encode(), book.Encode(), tally(t, list, 3, book, opt).Encode()}
}

// resealed gives a state a right checksum, so that mutants get beyond it.
func resealed(state []byte) []byte {
	body := bytes.Clone(state[:max(0, len(state)-4)])
	return binary.LittleEndian.AppendUint32(body, crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
}

// FuzzDecode wants decoders to refuse what they did not write, and what they take to be
// written again as it was, and to be good for use.
func FuzzDecode(f *testing.F) {
	opt, book, states := tiny(f)
	for i, state := range states {
		f.Add(i, state)
		f.Add(i, state[:len(state)/2])
		f.Add(i, append(bytes.Clone(state[:len(state)-4]), 1, 2, 3, 4, 5))
	}
	f.Fuzz(func(t *testing.T, which int, state []byte) {
		state = resealed(state)
		var again []byte
		switch which {
		case 0:
			if c, err := stream.DecodeCensus(state); err == nil {
				again = c.Encode()
				_, _ = stream.Train(context.Background(), c, opt)
			}
		case 1:
			if b, err := stream.DecodeCodebook(state); err == nil {
				again = b.Encode()
			}
		case 2:
			if s, err := stream.DecodeTally(state, book, opt); err == nil {
				again = s.Encode()
				_, _ = s.Choose(context.Background())
			}
		}
		if again != nil && !bytes.Equal(again, state) {
			// Varints have longer forms; what is decoded must be the same anyway.
			switch which {
			case 0:
				if c, err := stream.DecodeCensus(again); err != nil || !bytes.Equal(c.Encode(), again) {
					t.Fatal("what was decoded is written otherwise", err)
				}
			case 1:
				if b, err := stream.DecodeCodebook(again); err != nil || !bytes.Equal(b.Encode(), again) {
					t.Fatal("what was decoded is written otherwise", err)
				}
			case 2:
				if s, err := stream.DecodeTally(again, book, opt); err != nil || !bytes.Equal(s.Encode(), again) {
					t.Fatal("what was decoded is written otherwise", err)
				}
			}
		}
	})
}

// TestDecodeRefusesDamage flips every bit and cuts at every byte.
func TestDecodeRefusesDamage(t *testing.T) {
	opt, book, states := tiny(t)
	decode := []func([]byte) error{
		func(s []byte) error { _, err := stream.DecodeCensus(s); return err },
		func(s []byte) error { _, err := stream.DecodeCodebook(s); return err },
		func(s []byte) error { _, err := stream.DecodeTally(s, book, opt); return err },
	}
	for i, state := range states {
		for at := range state {
			if decode[i](state[:at]) == nil {
				t.Fatalf("state %d cut at %d is taken", i, at)
			}
			for bit := range 8 {
				state[at] ^= 1 << bit
				if decode[i](state) == nil {
					t.Fatalf("state %d with bit %d of byte %d flipped is taken", i, bit, at)
				}
				state[at] ^= 1 << bit
			}
		}
		if err := decode[i](state); err != nil {
			t.Fatal(err)
		}
		if err := decode[(i+1)%3](state); err == nil {
			t.Errorf("state %d is taken for another", i)
		}
	}
}
