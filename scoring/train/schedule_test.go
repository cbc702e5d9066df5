package train

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// golden is testdata/olmo/golden.json, made by scripts/golden/make_train.py.
type golden struct {
	Batches [][]int32 `json:"batches"` // a step each, sequences one after the other
	Batch   int       `json:"batch"`
	Length  int       `json:"length"`
	Runs    map[string]struct {
		Options struct {
			LR          float64    `json:"lr"`
			Betas       [2]float64 `json:"betas"`
			Eps         float64    `json:"eps"`
			WeightDecay float64    `json:"weight_decay"`
			Clip        float64    `json:"clip"`
			ZLoss       float64    `json:"z_loss"`
			Warmup      int        `json:"warmup"`
		} `json:"options"`
		Steps []struct {
			Loss     float64 `json:"loss"`
			ZLoss    float64 `json:"z_loss"`
			GradNorm float64 `json:"grad_norm"`
			LR       float64 `json:"lr"`
		} `json:"steps"`
		FinalNorms map[string]float64 `json:"final_norms"`
	} `json:"runs"`
	Schedules []struct {
		Peak   float64   `json:"peak"`
		Warmup int       `json:"warmup"`
		Steps  int       `json:"steps"`
		At     []int     `json:"at"`
		LR     []float64 `json:"lr"`
	} `json:"schedules"`
}

func loadGolden(t *testing.T) golden {
	t.Helper()
	var g golden
	text, err := os.ReadFile("testdata/olmo/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestScheduleIsOLMos(t *testing.T) {
	const tolerance = 1e-12 // relative
	for _, s := range loadGolden(t).Schedules {
		schedule := Schedule{Peak: s.Peak, Warmup: s.Warmup, Steps: s.Steps}
		for i, step := range s.At {
			if got := schedule.At(step); math.Abs(got-s.LR[i]) > tolerance*s.LR[i] {
				t.Errorf("warm-up %d of %d steps, step %d: %v, OLMo gives %v", s.Warmup, s.Steps, step, got, s.LR[i])
			}
		}
	}
}
