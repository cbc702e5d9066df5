package kmeans

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"testing"
)

// numbers is base64 of little-endian values.
func numbers[T float32 | uint16](t *testing.T, text string) []T {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	var one T
	out := make([]T, len(raw)/binary.Size(one))
	if err := binary.Read(bytes.NewReader(raw), binary.LittleEndian, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestSameAsScikitLearn begins with the centroids that scikit-learn began with;
// see scripts/golden/make_kmeans.py.
func TestSameAsScikitLearn(t *testing.T) {
	text, err := os.ReadFile("testdata/sklearn.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name                                      string
		Dim, K, Rounds                            int
		Points, Start, Weights, Labels, Centroids string
		Inertia                                   float64
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			opt := Options{K: c.K, MaxIterations: c.Rounds, Tolerance: -1, Start: Matrix{c.Dim, numbers[float32](t, c.Start)}}
			if c.Weights != "" {
				opt.Weights = numbers[float32](t, c.Weights)
			}
			r, err := Fit(context.Background(), Matrix{c.Dim, numbers[float32](t, c.Points)}, opt)
			if err != nil {
				t.Fatal(err)
			}
			for i, label := range numbers[uint16](t, c.Labels) {
				if r.Cluster[i] != int32(label) {
					t.Fatalf("point %d is in cluster %d, in scikit-learn in %d", i, r.Cluster[i], label)
				}
			}
			for i, want := range numbers[float32](t, c.Centroids) {
				if got := r.Centroids.Data[i]; math.Abs(float64(got-want)) > 1e-5*max(1, math.Abs(float64(want))) {
					t.Fatalf("coordinate %d of centroid %d is %g, in scikit-learn %g", i%c.Dim, i/c.Dim, got, want)
				}
			}
			if math.Abs(r.Inertia-c.Inertia) > 1e-5*c.Inertia {
				t.Errorf("inertia %g, in scikit-learn %g", r.Inertia, c.Inertia)
			}
		})
	}
}
