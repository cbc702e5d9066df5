package colorfilter

import (
	"encoding/json"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestValidateListsEveryFault(t *testing.T) {
	err := Options{Method: "best", KeepFraction: 1.5, KeepRows: -1, KeepTokens: -2}.Validate()
	if err == nil {
		t.Fatal("no fault found")
	}
	for _, want := range []string{`unknown method "best"`, "3 budgets are set", "fraction 1.5", "rows -1", "tokens -2"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not mention %q:\n%v", want, err)
		}
	}
	for _, o := range []Options{{}, {KeepFraction: math.NaN()}, {KeepFraction: 0.1, KeepRows: 2}, {KeepFraction: -0.1}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v passes", o)
		}
	}
	if f, err := New(Options{KeepRows: 1}); err != nil || f.options.Method != Color {
		t.Errorf("without a method: %v, %v; want color", f, err)
	}
}

// A fraction means the decimal number that the user wrote.
func TestFloorFractionIsExactInDecimals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		digits := rapid.IntRange(1, 6).Draw(t, "digits")
		text := "0." + strconv.Itoa(rapid.IntRange(0, 999999).Draw(t, "decimals") + 1000000)[1:1+digits]
		n := rapid.Int64Range(0, 1e9).Draw(t, "rows")
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatal(err)
		}
		exact, _ := new(big.Rat).SetString(text)
		exact.Mul(exact, new(big.Rat).SetInt64(n))
		want := new(big.Int).Div(exact.Num(), exact.Denom()).Int64()
		if got := floorFraction(f, n); got != want {
			t.Fatalf("%s of %d rows is %d, want %d", text, n, got, want)
		}
	})
	for _, c := range []struct {
		f       float64
		n, want int64
	}{{0.1, 30, 3}, {0.29, 100, 29}, {1.0 / 3, 3, 1}, {1.0 / 7, 7e9, 1e9}, {1, 1e12, 1e12}, {0.999, 1000, 999}, {0.0009, 1000, 0}, {1e-300, 1e9, 0},
		{0.7666666666666666, 30, 22}, {0.18367346938775508, 49, 8}} { // one step below 23/30 and 9/49: the product rounds up
		if got := floorFraction(c.f, c.n); got != c.want {
			t.Errorf("%v of %d rows is %d, want %d", c.f, c.n, got, c.want)
		}
	}
}

func TestSortKeyKeepsTheOrder(t *testing.T) {
	edge := []float32{-math.MaxFloat32, -1, -1e-38, -math.SmallestNonzeroFloat32, 0, math.SmallestNonzeroFloat32, 1e-38, 1, math.MaxFloat32}
	keys := make([]uint32, len(edge))
	for i, v := range edge {
		keys[i] = sortKey(v)
	}
	if !slices.IsSorted(keys) || len(slices.Compact(keys)) != len(edge) {
		t.Errorf("keys of ascending scores: %x", keys)
	}
	if minus := float32(math.Copysign(0, -1)); sortKey(minus) != sortKey(0) {
		t.Error("minus zero and zero have different keys")
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Float32().Draw(t, "a"), rapid.Float32().Draw(t, "b")
		if a < b != (sortKey(a) < sortKey(b)) || a == b != (sortKey(a) == sortKey(b)) {
			t.Fatalf("%g and %g have keys %x and %x", a, b, sortKey(a), sortKey(b))
		}
		if keyScore(sortKey(a)) != a {
			t.Fatalf("%g comes back as %g", a, keyScore(sortKey(a)))
		}
	})
}

// A manifest holds the cut as JSON, whatever the pool.
func TestCutIsJSON(t *testing.T) {
	nan := float32(math.NaN())
	for _, pool := range []*memoryPool{losses(), losses([2]float32{nan, nan}), manyTies(500)} {
		_, want := mustSelect(t, Options{KeepFraction: 0.001}, pool)
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Cut
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if got.Threshold != want.Threshold || got.Rows != want.Rows || got.Kept != want.Kept || got.Checksum != want.Checksum {
			t.Errorf("the cut came back as %+v, want %+v", got, want)
		}
	}
}
