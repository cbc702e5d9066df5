package colorfilter

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/curate-data/curate/pipeline"
	"github.com/google/go-cmp/cmp"
)

// The golden selections are numpy's: see scripts/golden/make_select.py.

type goldenPool struct {
	Name                                        string
	Lengths                                     []int // rows of each shard
	Sequences                                   bool  // row i*2/3 rounded down to even, seq i
	Domains                                     int   // row i of the pool is of domain i*7 mod Domains
	Prior, Conditional, Color, Tokens, Rejected string
	Runs                                        []goldenRun
}

type goldenRun struct {
	Method     Method
	Fraction   float64
	Rows       int64
	Tokens     int64
	Seed       uint64
	Kept       string
	KeptTokens int64 `json:"kept_tokens"`
	Last       *float32
	Dropped    map[pipeline.Reason]int64
	Domains    [][4]int64 // rows, tokens, kept rows, kept tokens
	Low, High  *float64   // 0.1 and 99.9 percentile of the eligible scores
}

func TestSelectionEqualsNumpy(t *testing.T) {
	text, err := os.ReadFile("testdata/select.json")
	if err != nil {
		t.Fatal(err)
	}
	var pools []goldenPool
	if err := json.Unmarshal(text, &pools); err != nil {
		t.Fatal(err)
	}
	runs := 0
	for _, g := range pools {
		for i, want := range g.Runs {
			runs++
			t.Run(fmt.Sprintf("%s/%d %s", g.Name, i, want.Method), func(t *testing.T) {
				pool := g.pool(t)
				pool.runLength = 1 + i*13
				checkGolden(t, pool, want, g.Domains)
			})
		}
	}
	if len(pools) < 16 || runs < 300 {
		t.Errorf("testdata holds %d pools with %d selections: has it been cut short?", len(pools), runs)
	}
}

func checkGolden(t *testing.T, pool *memoryPool, want goldenRun, domains int) {
	options := Options{Method: want.Method, KeepFraction: want.Fraction, KeepRows: want.Rows, KeepTokens: want.Tokens, Seed: want.Seed}
	all, cut := mustSelect(t, options, pool)
	if len(all) != len(pool.rows) {
		t.Fatalf("%d decisions for %d rows", len(all), len(pool.rows))
	}
	kept := decode[byte](t, want.Kept)
	for i, d := range all {
		if wantKeep := kept[i/8]>>(i%8)&1 == 1; d.Keep != wantKeep {
			t.Errorf("row %d, score %g, reason %q: keep is %t, numpy's is %t", i, d.Score, d.Reason, d.Keep, wantKeep)
		}
	}
	if cut.KeptTokens != want.KeptTokens {
		t.Errorf("%d tokens kept, numpy's %d", cut.KeptTokens, want.KeptTokens)
	}
	if diff := cmp.Diff(want.Dropped, cut.Dropped); diff != "" {
		t.Errorf("dropped by reason (-numpy +got):\n%s", diff)
	}
	if want.Last != nil && cut.Unit == "rows" && cut.Threshold != *want.Last {
		t.Errorf("the threshold is %g, numpy's last row kept has %g", cut.Threshold, *want.Last)
	}
	gotDomains := make(map[string][4]int64)
	for _, d := range cut.Domains {
		gotDomains[d.Domain] = [4]int64{d.Rows, d.Tokens, d.KeptRows, d.KeptTokens}
	}
	wantDomains := make(map[string][4]int64)
	for i, counts := range want.Domains {
		wantDomains[domainName(i, domains)] = counts
	}
	if diff := cmp.Diff(wantDomains, gotDomains); diff != "" {
		t.Errorf("domains (-numpy +got):\n%s", diff)
	}
	if want.Low != nil && (float64(cut.Low) > *want.Low || float64(cut.High) < *want.High) {
		t.Errorf("the plot covers %g to %g, numpy's percentiles are %g and %g", cut.Low, cut.High, *want.Low, *want.High)
	}
}

func domainName(i, domains int) string {
	if domains == 1 {
		return NoDomain
	}
	return fmt.Sprint("domain ", i)
}

func (g *goldenPool) pool(t *testing.T) *memoryPool {
	reasons := []pipeline.Reason{"", pipeline.NullText, pipeline.EmptyText, pipeline.InvalidUTF8, pipeline.TooShort}
	prior, conditional, color := decode[uint32](t, g.Prior), decode[uint32](t, g.Conditional), decode[uint32](t, g.Color)
	tokens, reason := decode[uint16](t, g.Tokens), decode[byte](t, g.Rejected)
	p := &memoryPool{}
	for shard, length := range g.Lengths {
		for i := range length {
			id := pipeline.RowID{Shard: fmt.Sprintf("part-%02d.parquet", shard), Row: int64(i)}
			if g.Sequences {
				id.Row, id.Seq = int64(i/3*2), int32(i)
			}
			n := len(p.rows)
			domain := ""
			if g.Domains > 1 {
				domain = domainName(n*7%g.Domains, g.Domains)
			}
			p.rows = append(p.rows, poolRow{
				id: id, domain: domain, tokens: int32(tokens[n]), reason: reasons[reason[n]],
				prior: math.Float32frombits(prior[n]), conditional: math.Float32frombits(conditional[n]), color: math.Float32frombits(color[n]),
			})
		}
	}
	return p
}

// decode reads base64 of little-endian integers.
func decode[T byte | uint16 | uint32](t *testing.T, text string) []T {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]T, len(raw)/binary.Size(T(0)))
	if _, err := binary.Decode(raw, binary.LittleEndian, out); err != nil {
		t.Fatal(err)
	}
	return out
}
