package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring/backend"
	"github.com/curate-data/curate/scoring/lm"
	"github.com/curate-data/curate/scoring/tokenizer"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/local"
)

// randomModel saves a tiny model of random weights with the demo's tokenizer.
func randomModel(t *testing.T, folder string, seed uint64) string {
	t.Helper()
	raw := mustRead(t, "../../configs/demo/tokenizer.json")
	tok, err := tokenizer.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	config, err := lm.Preset("olmo-nano", tok.VocabSize(), 32)
	if err != nil {
		t.Fatal(err)
	}
	model, err := lm.Init(config, seed)
	if err != nil {
		t.Fatal(err)
	}
	if err := model.Save(folder, raw); err != nil {
		t.Fatal(err)
	}
	return folder
}

// reuseDrill is a pool of three shards, a prior and two conditionals.
type reuseDrill struct {
	t                    *testing.T
	dir                  string
	prior, first, second string
	inputs               []string
	more                 []string // arguments of every scoring
}

func newReuseDrill(t *testing.T, more ...string) *reuseDrill {
	t.Helper()
	dir := t.TempDir()
	d := &reuseDrill{t: t, dir: dir, more: more}
	for i, folder := range []*string{&d.prior, &d.first, &d.second} {
		*folder = randomModel(t, filepath.Join(dir, "m", string(rune('a'+i))), uint64(i+1))
	}
	third := filepath.Join(dir, "third.jsonl")
	put(t, third, "{\"id\":\"t\",\"domain\":\"x\",\"text\":\"Third time lucky, said the mate, and cast again.\"}\n{\"id\":\"u\",\"domain\":\"x\",\"text\":\"He did not.\"}\n")
	d.inputs = []string{filepath.Join(dir, "first.jsonl"), tinyJSONL(t, dir), third}
	put(t, d.inputs[0], "{\"id\":\"f\",\"domain\":\"sea\",\"text\":\"The ship lay still at the quay and the gulls were loud, and nobody came down to her all that long grey morning.\"}\n")
	return d
}

// score scores into a folder below dir and returns its digests, and how many units
// took over prior losses.
func (d *reuseDrill) score(out, conditional string, inputs int, more ...string) (digests map[string]string, reused int) {
	d.t.Helper()
	folder := filepath.Join(d.dir, out)
	args := append([]string{"score", "--prior", d.prior, "--conditional", conditional, "--output", folder, "--sequence-length", "32", "--json"}, d.more...)
	stdout, stderr := mustCurate(d.t, append(append(args, more...), d.inputs[:inputs]...)...)
	var report struct {
		Units  []shards.Unit
		Reused int `json:"reused_prior_units"`
	}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || len(report.Units) != inputs {
		d.t.Errorf("report: %v\n%s%s", err, stdout, stderr)
	}
	return treeDigests(d.t, folder), report.Reused
}

func (d *reuseDrill) equal(what string, got, want map[string]string, reused, wantReused int) {
	d.t.Helper()
	if !maps.Equal(got, want) {
		d.t.Errorf("%s: other files: %v", what, differences(got, want))
	}
	if reused != wantReused {
		d.t.Errorf("%s: prior losses of %d units were reused, want %d", what, reused, wantReused)
	}
}

// TestSecondTargetReusesPriorLosses: every file is that of scoring with both models,
// byte for byte, whether the earlier scores are in the same folder, in another, or
// cover only some shards.
func TestSecondTargetReusesPriorLosses(t *testing.T) {
	cases := map[string][]string{"documents, go": {"--backend", "go"}, "sequences, go": {"--backend", "go", "--unit", "sequence"}}
	if backendForTests(t) == backend.CPU {
		cases["documents, xla:cpu"] = []string{"--backend", backend.CPU}
	}
	for name, more := range cases {
		t.Run(name, func(t *testing.T) {
			d := newReuseDrill(t, more...)
			d.score("one", d.first, 2)
			want, reused := d.score("want", d.second, 3)
			d.equal("from scratch", want, want, reused, 0)
			got, reused := d.score("two", d.second, 3, "--reuse", filepath.Join(d.dir, "one"))
			d.equal("another folder", got, want, reused, 2)
			got, reused = d.score("one", d.second, 3)
			d.equal("the same folder", got, want, reused, 2)
			if got, _ = d.score("one", d.second, 3); !maps.Equal(got, want) {
				t.Error("nothing to do, but something changed")
			}
		})
	}
}

// TestPriorLossesAreReusedOnlyIfEqual changes what decides them, in turn.
func TestPriorLossesAreReusedOnlyIfEqual(t *testing.T) {
	d := newReuseDrill(t, "--backend", "go")
	d.score("one", d.first, 2)
	one := filepath.Join(d.dir, "one")
	want, _ := d.score("want", d.second, 2)
	for name, more := range map[string][]string{
		"sequence length": {"--sequence-length", "16"}, "unit": {"--unit", "sequence"}, "prior": {"--prior", d.second}, "text": {"--text-column", "domain"},
	} {
		got, reused := d.score(name, d.first, 2, append(more, "--reuse", one)...)
		d.equal(name, got, got, reused, 0)
	}

	// Interrupted scores are as good as finished ones.
	manifest := filepath.Join(one, manifestName)
	raw := mustRead(t, manifest)
	if err := os.Remove(manifest); err != nil {
		t.Fatal(err)
	}
	got, reused := d.score("unfinished", d.second, 2, "--reuse", one)
	d.equal("unfinished", got, want, reused, 2)
	put(t, manifest, string(raw))

	// Sidecars that are not what their record says are not believed.
	sidecar := filepath.Join(one, "more.jsonl.rg-00000-00000.scores.parquet")
	whole := mustRead(t, sidecar)
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/3] ^= 4
	put(t, sidecar, string(flipped))
	got, reused = d.score("flipped bit", d.second, 2, "--reuse", one)
	d.equal("flipped bit", got, want, reused, 1)
	if err := os.Remove(sidecar); err != nil {
		t.Fatal(err)
	}
	got, reused = d.score("gone", d.second, 2, "--reuse", one)
	d.equal("gone", got, want, reused, 1)

	// Another input of the same name.
	put(t, sidecar, string(whole))
	put(t, d.inputs[1], strings.Replace(string(mustRead(t, d.inputs[1])), "old sailor", "new sailor", 1))
	got, reused = d.score("changed", d.second, 2, "--reuse", one)
	d.equal("changed input", got, got, reused, 1)
}

// TestReuseOfWrongFolders is an error before anything is loaded.
func TestReuseOfWrongFolders(t *testing.T) {
	d := newReuseDrill(t, "--backend", "go")
	d.score("one", d.first, 1)
	selection := filepath.Join(d.dir, "selection")
	mustCurate(t, "select", "--scores", filepath.Join(d.dir, "one"), "--output", selection, "--keep-rows", "3", "--quiet")
	for folder, want := range map[string]string{filepath.Join(d.dir, "none"): "there are no scores", selection: "output of select, not scores"} {
		code, _, stderr := curate(t, "score", "--prior", d.prior, "--conditional", d.second, "--output", filepath.Join(d.dir, "x"), "--reuse", folder, d.inputs[0])
		if code != exitFailed || !strings.Contains(stderr, want) || !strings.Contains(stderr, folder) {
			t.Errorf("exit %d, no %q: %s", code, want, stderr)
		}
	}
}

// TestEarlierScoresLoadOneModel: the prior is loaded when a unit needs it.
func TestEarlierScoresLoadOneModel(t *testing.T) {
	d := newReuseDrill(t)
	a := &app{stores: newStores()}
	defer a.stores.close()
	opt := scoreOptions{Prior: d.prior, Conditional: d.second, Backend: "go"}
	opt.Scoring.SequenceLength = 32
	m, err := openModels(t.Context(), a, opt, &priors{some: true})
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	if m.both != nil || m.prior != nil || m.conditional == nil {
		t.Errorf("loaded: %+v", m)
	}
	if _, err := m.losses(); err != nil || m.prior == nil {
		t.Errorf("the prior is not loaded: %v", err)
	}
}

// TestRowsWithoutALossAreNotReused: the prior's loss of a row whose score was not
// finite is not in its sidecar.
func TestRowsWithoutALossAreNotReused(t *testing.T) {
	store, nan := local.New(t.TempDir()), float32(math.NaN())
	pending, err := store.Create(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	out := newDigesting(pending)
	w := shards.NewScoreWriter(out, nil)
	row := pipeline.Scores{Shard: "s", Row: []int64{0}, Seq: []int32{0}, ID: []string{""}, Domain: []string{""}, TokenCount: []int32{3},
		Prior: []float32{nan}, Conditional: []float32{nan}, Color: []float32{nan}, Reason: []pipeline.Reason{pipeline.NaNScore}}
	for _, err := range []error{w.Write(&row), w.Close(), pending.Finish(t.Context())} {
		if err != nil {
			t.Fatal(err)
		}
	}
	object, err := store.Open(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	defer object.Close()
	if err := checkEarlier(t.Context(), object, fmt.Sprintf("%x", out.sum.Sum(nil))); err == nil || !strings.Contains(err.Error(), "nan_score") {
		t.Errorf("error %v", err)
	}
}
