package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/curate-data/curate/filters/ofds"
	"github.com/curate-data/curate/filters/ofds/baseline"
	"github.com/curate-data/curate/shards"
)

// TestPreselected: images of a list, or of an earlier selection, are not chosen
// again, cost nothing, and have their own reason; together the two selections are
// disjoint.
func TestPreselected(t *testing.T) {
	dir := t.TempDir()
	inputs := nestedShards(t, dir, photos(24), true)
	first := choose(t, append([]string{"--budget", "5"}, inputs...)...)
	ids := filepath.Join(dir, "ids.txt")
	put(t, ids, strings.Join(namesOf(t, first), "\r\n")+"\n\n")
	var want []string
	for _, place := range []string{ids, first} {
		for _, method := range []string{"ofds", "class_balanced_random", "k_center"} {
			second := choose(t, append([]string{"--budget", "6", "--method", method, "--preselected", place}, inputs...)...)
			names := namesOf(t, second)
			for _, name := range names {
				if slices.Contains(namesOf(t, first), name) {
					t.Errorf("%s chose %s again", method, name)
				}
			}
			reasons := reasonsOf(t, second)
			if len(names) != 6 || reasons[ofds.Preselected] != 5 || reasons[""] != 6 || len(decided(t, second)) != 24 {
				t.Errorf("%s: %d chosen, %v", method, len(names), reasons)
			}
			if method == "ofds" {
				if want == nil {
					want = names
				}
				if !slices.Equal(names, want) {
					t.Errorf("%s: chosen are %v, of the list %v", place, names, want)
				}
			}
		}
	}
}

// TestGroups: no more images of a scene than group_max.
func TestGroups(t *testing.T) {
	list := photos(24)
	inputs := nestedShards(t, t.TempDir(), list, true)
	chosen := choose(t, append([]string{"--budget", "10", "--option", "group_max=1"}, inputs...)...)
	seen := map[string]int{}
	for _, c := range choicesOf(t, chosen) {
		if want := photoNamed(t, list, c.ImageID).scene; c.Group != want {
			t.Errorf("%s is in group %q, want %q", c.ImageID, c.Group, want)
		}
		seen[c.Group]++
	}
	if len(seen) != 6 { // all scenes that there are
		t.Errorf("groups are chosen %v", seen)
	}
	for group, n := range seen {
		if n > 1 {
			t.Errorf("%d images of %s", n, group)
		}
	}
	if reasons := reasonsOf(t, chosen); reasons[""] != 6 || reasons[ofds.GroupFull] == 0 {
		t.Errorf("reasons %v", reasons)
	}
}

// TestNestedBudgets: with nested, a smaller budget's choice is the beginning of a
// larger one's.
func TestNestedBudgets(t *testing.T) {
	inputs := nestedShards(t, t.TempDir(), photos(24), true)
	var before []string
	for _, budget := range []int{3, 7, 12} {
		names := namesOf(t, choose(t, append([]string{"--budget", fmt.Sprint(budget), "--option", "nested=true"}, inputs...)...))
		if len(names) != budget || !slices.Equal(names[:len(before)], before) {
			t.Errorf("budget %d chooses %v, a smaller one %v", budget, names, before)
		}
		before = names
	}
}

// TestBudgetUnits: a budget of objects, or of cost, is not exceeded and nearly spent.
func TestBudgetUnits(t *testing.T) {
	list := photos(24)
	inputs := nestedShards(t, t.TempDir(), list, true)
	for _, c := range []struct {
		options     []string
		image, each float64
	}{
		{[]string{"--option", "budget_unit=objects"}, 0, 1},
		{[]string{"--option", "budget_unit=cost", "--option", "image_cost=2", "--option", "object_cost=0.5"}, 2, 0.5},
	} {
		chosen := choose(t, append(append([]string{"--budget", "10"}, c.options...), inputs...)...)
		spent := 0.0
		for _, name := range namesOf(t, chosen) {
			spent += c.image + c.each*float64(len(photoNamed(t, list, name).things))
		}
		if spent > 10 || spent < 7 {
			t.Errorf("%v: the choice costs %v of 10", c.options, spent)
		}
		page := string(mustRead(t, filepath.Join(chosen, reportName)))
		if !strings.Contains(page, "10 "+strings.TrimPrefix(c.options[1], "budget_unit=")) {
			t.Errorf("%v: the page does not say what was asked for", c.options)
		}
	}
}

// TestEveryMethodByName runs all baselines; each chooses exactly the budget, and
// the same again.
func TestEveryMethodByName(t *testing.T) {
	inputs := nestedShards(t, t.TempDir(), photos(24), true)
	for _, m := range append(baseline.Names(), baseline.Name{Name: methodOFDS}) {
		t.Run(m.Name, func(t *testing.T) {
			args := append([]string{"--budget", "6", "--method", m.Name, "--seed", "3"}, inputs...)
			a, b := choose(t, args...), choose(t, args...)
			names := namesOf(t, a)
			if len(names) != 6 || !slices.Equal(names, namesOf(t, b)) || len(slices.Compact(slices.Sorted(slices.Values(names)))) != 6 {
				t.Errorf("chosen %v and %v", names, namesOf(t, b))
			}
			if len(decided(t, a)) != 24 || reasonsOf(t, a)[""] != 6 {
				t.Errorf("reasons %v", reasonsOf(t, a))
			}
			if measured := measuresOf(t, a); measured.Method != m.Name || measured.Chosen != 6 || len(measured.Curves) == 0 {
				t.Errorf("metrics of %s: %d chosen, %d curves", measured.Method, measured.Chosen, len(measured.Curves))
			}
		})
	}
}

// TestStreamedMistakes: the form for large pools refuses what the other one does.
func TestStreamedMistakes(t *testing.T) {
	inputs := nestedShards(t, t.TempDir(), photos(24), true)
	for _, wrong := range [][]string{{"--classes", "unicorn"}, {"--preselected", inputs[0] + ".no"}, {"--method", "k_center"}} {
		code, _, stderr := curate(t, append(append([]string{"select", "--method", "ofds", "--stream", "--budget", "7", "--backend", "go", "--output", filepath.Join(t.TempDir(), "o")}, wrong...), inputs...)...)
		if code == 0 || !strings.Contains(stderr, strings.TrimPrefix(wrong[0], "--")) && !strings.Contains(stderr, wrong[1]) {
			t.Errorf("%v: exit %d: %s", wrong, code, stderr)
		}
	}
}

// TestImagesInJSONAndQuietly: --json prints the manifest and nothing else, --quiet
// nothing at all, and both say the same as the folder.
func TestImagesInJSONAndQuietly(t *testing.T) {
	encoderCache(t)
	dir := t.TempDir()
	inputs := nestedShards(t, dir, photos(12), false)
	objects, chosen, data := filepath.Join(dir, "objects"), filepath.Join(dir, "chosen"), filepath.Join(dir, "data")
	for _, c := range [][]string{
		append([]string{"embed", "--encoder", nano, "--backend", "go", "--output", objects}, inputs...),
		{"select", "--method", "ofds", "--budget", "4", "--backend", "go", "--objects", objects, "--compare", "random", "--output", chosen},
		append([]string{"write", "--selection", chosen, "--output", data}, inputs...),
	} {
		stdout, _ := mustCurate(t, append(slices.Clone(c), "--json")...)
		var m shards.Manifest
		if err := json.Unmarshal([]byte(stdout), &m); err != nil || m.Stage != c[0] || m.Counts.RowsIn != 12 {
			t.Errorf("%s --json prints %q (%v)", c[0], stdout, err)
		}
		if stdout, stderr := mustCurate(t, append(slices.Clone(c), "--quiet")...); stdout+stderr != "" {
			t.Errorf("%s --quiet prints %q and %q", c[0], stdout, stderr)
		}
	}
	for folder, want := range map[string][]string{
		objects: {"curate embed", "rows in 12", "dimension 48", "dinov2-nano", "f32", "objects"},
		chosen:  {"curate select", "rows in 12, kept 4", "not_chosen", "budget 4", "car", "report.html"},
	} {
		stdout, _ := mustCurate(t, "inspect", folder)
		for _, text := range want {
			if !strings.Contains(stdout, text) {
				t.Errorf("inspect of %s lacks %q:\n%s", folder, text, stdout)
			}
		}
		if stdout, _ := mustCurate(t, "inspect", folder, "--json"); !json.Valid([]byte(stdout)) {
			t.Errorf("inspect --json prints %s", stdout)
		}
	}
}
