package metrics

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/kmeans"
	"github.com/curate-data/curate/pipeline"
)

// goldens is testdata/metrics.json, as scripts/golden/make_ofds_metrics.py
// writes it.
type goldens struct {
	Pools []struct {
		Images, Classes         []string
		Objects, Vectors, Modes []byte
		Dim                     int
	}
	Cases []struct {
		Name        string
		Pool, Truth int
		Chosen      []int32
		Starved     []bool
		Options     Options
		Others      []Chosen
		Want        map[string]any
	}
	Projections []struct {
		Name      string
		Dim       int
		Vectors   []byte
		Axes      [2][]float64
		Explained [2]Number
	}
}

func readGoldens(t *testing.T) goldens {
	t.Helper()
	data, err := os.ReadFile("testdata/metrics.json")
	if err != nil {
		t.Fatal(err)
	}
	var g goldens
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// array reads little-endian values.
func array[T float32 | int32](t *testing.T, data []byte) []T {
	t.Helper()
	out := make([]T, len(data)/4)
	if err := binary.Read(bytes.NewReader(data), binary.LittleEndian, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// pool builds a pool of the golden file, and its modes.
func (g *goldens) pool(t *testing.T, at int) (*ofds.Pool, []int32) {
	t.Helper()
	in := g.Pools[at]
	p := &ofds.Pool{Classes: in.Classes, Vectors: kmeans.Matrix{Dim: in.Dim, Data: array[float32](t, in.Vectors)}}
	for i, id := range in.Images {
		p.Images = append(p.Images, ofds.Image{RowID: pipeline.RowID{Row: int64(i)}, ID: id})
	}
	for row := range slices.Chunk(array[float32](t, in.Objects), 7) {
		image := &p.Images[int(row[0])]
		at := int32(len(p.Objects))
		if image.End == 0 {
			image.First = at
		}
		image.End = at + 1
		p.Objects = append(p.Objects, ofds.Object{Image: int32(row[0]), Class: int32(row[1]), Score: row[2],
			Box: pipeline.Box{X1: row[3], Y1: row[4], X2: row[5], Y2: row[6]}, ID: fmt.Sprint(at - image.First)})
	}
	var modes []int32
	if len(in.Modes) > 0 {
		modes = array[int32](t, in.Modes)
	}
	return p, modes
}

func TestGolden(t *testing.T) {
	g := readGoldens(t)
	if len(g.Cases) < 6 {
		t.Fatalf("%d cases", len(g.Cases))
	}
	for _, test := range g.Cases {
		t.Run(test.Name, func(t *testing.T) {
			opt := test.Options
			var pool *ofds.Pool
			pool, opt.Modes = g.pool(t, test.Pool)
			if test.Truth >= 0 {
				opt.Truth, opt.TruthModes = g.pool(t, test.Truth)
			}
			e, err := New(t.Context(), pool, opt)
			if err != nil {
				t.Fatal(err)
			}
			chosen := Chosen{Name: "it", Images: test.Chosen}
			for _, starved := range test.Starved {
				chosen.Classes = append(chosen.Classes, ofds.ClassOutcome{Starved: starved})
			}
			slices.Reverse(chosen.Images) // the order makes no difference
			m, err := e.Measure(t.Context(), chosen, test.Others...)
			if err != nil {
				t.Fatal(err)
			}
			data, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := json.Unmarshal(data, &got); err != nil {
				t.Fatal(err)
			}
			compare(t, "", got, test.Want)
		})
	}
}

// compare wants the same fields with the same values.
func compare(t *testing.T, at string, got, want any) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		if !ok {
			t.Errorf("%s: got no object", at)
			return
		}
		for key := range got {
			if _, ok := want[key]; !ok {
				t.Errorf("%s.%s: got a field that is not wanted", at, key)
			}
		}
		for key, value := range want {
			if _, ok := got[key]; !ok {
				t.Errorf("%s.%s is missing", at, key)
				continue
			}
			compare(t, at+"."+key, got[key], value)
		}
	case []any:
		got, ok := got.([]any)
		if !ok || len(got) != len(want) {
			t.Errorf("%s: got %v, want %v", at, got, want)
			return
		}
		for i := range want {
			compare(t, fmt.Sprintf("%s[%d]", at, i), got[i], want[i])
		}
	case float64:
		tolerance := 1e-12
		for _, of := range []string{"cover_", "nearest_", "limit", "deltas"} {
			if strings.Contains(at, of) && !strings.Contains(at, "cover_at") {
				tolerance = 1e-6
			}
		}
		if got, ok := got.(float64); !ok || math.Abs(got-want) > tolerance*max(1, math.Abs(want)) {
			t.Errorf("%s: got %v, want %v", at, got, want)
		}
	default:
		if got != want {
			t.Errorf("%s: got %v, want %v", at, got, want)
		}
	}
}

func TestProjectGolden(t *testing.T) {
	g := readGoldens(t)
	if len(g.Projections) < 7 {
		t.Fatalf("%d projections", len(g.Projections))
	}
	for _, test := range g.Projections {
		p, err := Project(kmeans.Matrix{Dim: test.Dim, Data: array[float32](t, test.Vectors)})
		if err != nil {
			t.Fatal(err)
		}
		for a := range 2 {
			if got, want := p.Explained[a], test.Explained[a]; got.Exists() != want.Exists() || math.Abs(float64(got-want)) > 1e-9 {
				t.Errorf("%s: axis %d has %v of the variance, want %v", test.Name, a, got, want)
			}
			for j, want := range test.Axes[a] {
				if got := p.Axes[a][j]; math.Abs(got-want) > 1e-7 {
					t.Errorf("%s: axis %d is %v, want %v", test.Name, a, p.Axes[a], test.Axes[a])
					break
				}
			}
		}
	}
}
