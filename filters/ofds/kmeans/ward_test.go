package kmeans

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// cutAt returns the leaves of each cluster of a tree cut into k, as text.
func cutAt(leaves int, merges []Merge, k int) string {
	members := make([][]int, leaves, 2*leaves)
	for i := range leaves {
		members[i] = []int{i}
	}
	for _, m := range merges[:leaves-k] {
		both := slices.Concat(members[m.A], members[m.B])
		members[m.A], members[m.B] = nil, nil
		slices.Sort(both)
		members = append(members, both)
	}
	var list []string
	for _, m := range members {
		if m != nil {
			list = append(list, fmt.Sprint(m))
		}
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// bruteWard tries all pairs for each merge.
func bruteWard(centroids Matrix, sizes []float64) []Merge {
	type live struct {
		number int
		size   float64
		mean   []float64
	}
	var nodes []live
	for i, size := range sizes {
		mean := make([]float64, centroids.Dim)
		for j, x := range centroids.Row(i) {
			mean[j] = float64(x)
		}
		nodes = append(nodes, live{i, size, mean})
	}
	var merges []Merge
	for len(nodes) > 1 {
		a, b, least := 0, 0, math.Inf(1)
		for i := range nodes {
			for j := range i {
				d := 0.0
				for k, x := range nodes[i].mean {
					d += (x - nodes[j].mean[k]) * (x - nodes[j].mean[k])
				}
				if d *= nodes[i].size * nodes[j].size / (nodes[i].size + nodes[j].size); d < least {
					a, b, least = j, i, d
				}
			}
		}
		both := live{len(sizes) + len(merges), nodes[a].size + nodes[b].size, nil}
		for k, x := range nodes[a].mean {
			both.mean = append(both.mean, (x*nodes[a].size+nodes[b].mean[k]*nodes[b].size)/both.size)
		}
		merges = append(merges, Merge{nodes[a].number, nodes[b].number, least})
		nodes[a] = both
		nodes = slices.Delete(nodes, b, b+1)
	}
	return merges
}

func TestWard(t *testing.T) {
	for seed := range uint64(10) {
		random := rand.New(rand.NewPCG(seed, 8))
		n := 2 + random.IntN(60)
		centroids, sizes := mixture(random, n, 5, 6, false), make([]float64, n)
		for i := range sizes {
			sizes[i] = float64(1 + random.IntN(20))
		}
		want := bruteWard(centroids, sizes)
		got, err := Ward(context.Background(), centroids, sizes, 2)
		if err != nil {
			t.Fatal(err)
		}
		for k := 1; k <= n; k++ {
			if g, w := cutAt(n, got, k), cutAt(n, want, k); g != w {
				t.Fatalf("seed %d, %d leaves in %d: %s, want %s", seed, n, k, g, w)
			}
		}
		for i, m := range got {
			if math.Abs(m.Height-want[i].Height) > 1e-4*want[i].Height {
				t.Errorf("height %d is %g, want %g", i, m.Height, want[i].Height)
			}
		}
	}
}

// TestWardOfMany has more leaves than are merged at once, and many that coincide.
func TestWardOfMany(t *testing.T) {
	for name, points := range map[string]Matrix{
		"apart":  mixture(rand.New(rand.NewPCG(9, 9)), mostMerged+500, 2, 4, false),
		"grid":   mixture(rand.New(rand.NewPCG(9, 9)), mostMerged+500, 2, 4, true),
		"at one": NewMatrix(mostMerged+500, 2),
	} {
		sizes := make([]float64, points.Rows())
		for i := range sizes {
			sizes[i] = 1
		}
		merges, err := Ward(context.Background(), points, sizes, 0)
		if err != nil {
			t.Fatal(err)
		}
		used := make(map[int]bool)
		for i, m := range merges {
			for _, part := range []int{m.A, m.B} {
				if used[part] || part >= len(sizes)+i {
					t.Fatalf("%s: merge %d takes node %d twice, or before it is there", name, i, part)
				}
				used[part] = true
			}
			if i > 0 && m.Height < merges[i-1].Height {
				t.Fatalf("%s: merge %d is lower than the one before", name, i)
			}
		}
		if len(merges) != len(sizes)-1 {
			t.Errorf("%s: %d merges", name, len(merges))
		}
	}
}

func TestWardRefuses(t *testing.T) {
	if _, err := Ward(context.Background(), NewMatrix(2, 1), []float64{1}, 0); err == nil {
		t.Error("2 centroids and 1 size")
	}
	if _, err := Ward(context.Background(), NewMatrix(2, 1), []float64{1, 0}, 0); err == nil || !strings.Contains(err.Error(), "size of cluster 1 is 0") {
		t.Error(err)
	}
	if merges, err := Ward(context.Background(), Matrix{}, nil, 0); err != nil || len(merges) != 0 {
		t.Error(merges, err)
	}
}
