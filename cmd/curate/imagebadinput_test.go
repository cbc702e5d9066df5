package main

import (
	"bytes"
	"encoding/json"
	"image"
	"image/jpeg"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/curate-data/curate/pipeline"
)

// reasonsOf counts the rows of a selection by reason; "" is kept.
func reasonsOf(t *testing.T, folder string) map[pipeline.Reason]int {
	t.Helper()
	counts := map[pipeline.Reason]int{}
	for _, reason := range decided(t, folder) {
		counts[reason]++
	}
	return counts
}

// measuresOf reads the metrics of a selection.
func measuresOf(t *testing.T, folder string) (m imageMeasures) {
	t.Helper()
	if err := json.Unmarshal(mustRead(t, filepath.Join(folder, metricsName)), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// truncatedJPEG is half a picture.
func truncatedJPEG(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := jpeg.Encode(&out, image.NewGray(image.Rect(0, 0, 64, 64)), nil); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()[:out.Len()-40]
}

// TestBrokenImages: rows whose image cannot be decoded, or that have none, are
// counted with a reason in every stage, and never selected.
func TestBrokenImages(t *testing.T) {
	list := photos(12)
	rows := make([]nestedPhoto, len(list))
	for i, p := range list {
		rows[i] = p.nested(true)
	}
	rows[1].Image, rows[2].Image, rows[3].Image = truncatedJPEG(t), []byte("this is no picture"), nil
	path := putParquet(t, filepath.Join(t.TempDir(), "p.parquet"), rows)
	objects := embed(t, path)
	want := map[pipeline.Reason]int64{pipeline.BrokenImage: 2, pipeline.NoImage: 1}
	if m := readManifest(t, objects); !maps.Equal(m.Counts.Dropped, want) || m.Counts.Kept != 9 || m.Counts.RowsIn != 12 {
		t.Errorf("embed counts %+v", m.Counts)
	}
	chosen := choose(t, "--objects", objects, "--budget", "12")
	if got := reasonsOf(t, chosen); got[pipeline.BrokenImage] != 2 || got[pipeline.NoImage] != 1 || got[""] != 9 {
		t.Errorf("of embedded images: %v", got)
	}
	// Vectors of the user's: the text is known to be no picture by its header
	// alone, which is where the size of an image is read.
	chosen = choose(t, path, "--budget", "12")
	if got := reasonsOf(t, chosen); got[pipeline.BrokenImage] != 1 || got[""] != 11 {
		t.Errorf("of images with vectors: %v", got)
	}
	data := filepath.Join(t.TempDir(), "data")
	mustCurate(t, "write", "--selection", chosen, "--output", data, path)
	if m := readManifest(t, data); m.Counts.Kept != 11 || m.Counts.Dropped[pipeline.BrokenImage] != 1 {
		t.Errorf("write counts %+v", m.Counts)
	}
}

// TestOddObjects: boxes and vectors that cannot be used are left out and counted
// by reason; their images stay candidates.
func TestOddObjects(t *testing.T) {
	rows := []nestedPhoto{}
	for _, p := range photos(24) {
		rows = append(rows, p.nested(true))
	}
	odd := func(o nestedThing) nestedThing {
		if o.Box == nil {
			o.Box = []float32{1, 1, 9, 9}
		}
		if o.Vec == nil {
			o.Vec = []float32{0, 1, 0, 0}
		}
		if o.Class == "" {
			o.Class = "car"
		}
		o.Score = max(o.Score, 0.9)
		return o
	}
	nan := float32(math.NaN())
	rows[0].Objects = []nestedThing{
		odd(nestedThing{Box: []float32{40, 40, 50, 50}}), odd(nestedThing{Box: []float32{20, 20, 4, 4}}), odd(nestedThing{Box: []float32{1, nan, 9, 9}}),
		odd(nestedThing{Vec: []float32{1, 2, 3}}), odd(nestedThing{Vec: []float32{nan, 0, 0, 0}}), odd(nestedThing{Vec: []float32{}}),
		odd(nestedThing{Vec: []float32{0, 0, 0, 0}}), odd(nestedThing{Box: []float32{-8, -8, 9, 99}}),
	}
	low := odd(nestedThing{})
	low.Score = 0.1
	rows[1].Objects = []nestedThing{low}
	path := putParquet(t, filepath.Join(t.TempDir(), "p.parquet"), rows)
	chosen := choose(t, path, "--budget", "6", "--box-form", "xyxy")
	measured := measuresOf(t, chosen)
	want := map[string]int64{"empty_box": 3, "ragged_vector": 1, "nan_vector": 1, "null_vector": 1, "zero_vector": 1, "low_score": 1}
	if !maps.Equal(measured.Filtered, want) {
		t.Errorf("left out %v, want %v", measured.Filtered, want)
	}
	if got := len(decided(t, chosen)); got != 24 || reasonsOf(t, chosen)[""] != 6 {
		t.Errorf("%d decisions, %v", got, reasonsOf(t, chosen))
	}
	page := string(mustRead(t, filepath.Join(chosen, reportName)))
	for reason := range want {
		if !strings.Contains(page, reason) {
			t.Errorf("the page does not say %s", reason)
		}
	}
	// 0 is not "as usual".
	all := choose(t, path, "--budget", "6", "--box-form", "xyxy", "--score-min", "0")
	if measured := measuresOf(t, all); measured.Filtered["low_score"] != 0 {
		t.Errorf("--score-min 0 leaves out %v", measured.Filtered)
	}
}

// TestBudgetsAndClasses: budgets beyond the pool or below the number of classes,
// and classes that no object has, end well and say so.
func TestBudgetsAndClasses(t *testing.T) {
	inputs := nestedShards(t, t.TempDir(), photos(24), true)
	for _, c := range []struct {
		name  string
		args  []string
		kept  int
		warns []string
	}{
		{"more than the pool", []string{"--budget", "100"}, 24, []string{"the budget is 100", "24"}},
		{"less than the classes", []string{"--budget", "2"}, 2, nil},
		{"a baseline, more than the pool", []string{"--budget", "100", "--method", "k_center"}, 24, []string{"100", "24"}},
		{"a class without objects", []string{"--budget", "4", "--classes", "car,unicorn"}, 4, []string{"unicorn"}},
		{"one target class", []string{"--budget", "2", "--classes", "bus"}, 2, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "chosen")
			_, stderr := mustCurate(t, append(append([]string{"select", "--method", "ofds", "--backend", "go", "--compare", "random", "--output", out}, c.args...), inputs...)...)
			reasons := reasonsOf(t, out)
			sum := 0
			for _, n := range reasons {
				sum += n
			}
			if reasons[""] != c.kept || sum != 24 || len(choicesOf(t, out)) != c.kept {
				t.Errorf("decisions %v", reasons)
			}
			for _, want := range c.warns {
				if !strings.Contains(stderr, want) {
					t.Errorf("stderr lacks %q: %s", want, stderr)
				}
			}
		})
	}
	one := choose(t, append([]string{"--budget", "2", "--classes", "bus"}, inputs...)...)
	for _, c := range choicesOf(t, one) {
		if c.Class != "bus" {
			t.Errorf("chosen for %q, the only target is bus", c.Class)
		}
	}
}

// TestImageMistakesGetClearErrors: what a user gets wrong ends with exit 2, or 1
// where the fault is in a file, and a message that names the thing.
func TestImageMistakesGetClearErrors(t *testing.T) {
	encoderCache(t)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	list := photos(12)
	inputs := nestedShards(t, at("pool"), list, true)
	objects := embed(t, inputs[0])
	instances, _ := cocoJSON(t, at("coco"), list)
	put(t, at("other.json"), `{"images":[{"id":1,"file_name":"elsewhere.png","width":9,"height":9}],"annotations":[],"categories":[]}`)
	gone, _ := cocoJSON(t, at("gone"), list)
	if err := os.Remove(at("gone/images/photo_004.png")); err != nil {
		t.Fatal(err)
	}
	twins := putParquet(t, at("twins.parquet"), []nestedPhoto{list[0].nested(true), list[1].nested(true), list[0].nested(true)})
	none := putParquet(t, at("none.parquet"), []nestedPhoto{})
	broken := putParquet(t, at("broken.parquet"), []nestedPhoto{{ImageID: "x", Image: []byte("text")}})
	bare := putParquet(t, at("bare.parquet"), []barePhoto{{list[0].name, list[0].png}})
	plain := nestedShards(t, at("plain"), list, false)[0]
	put(t, at("ids.txt"), "photo_000\nnobody\n")
	put(t, at("empty.txt"), "\n")
	put(t, at("encoder/config.json"), `{"model_type":"dinov2"}`)
	unfinished := embed(t, inputs[0])
	if err := os.Remove(filepath.Join(unfinished, manifestName)); err != nil {
		t.Fatal(err)
	}
	sel := func(args ...string) []string {
		return append([]string{"select", "--method", "ofds", "--backend", "go", "--output", at("o"), "--budget", "3"}, args...)
	}
	emb := func(args ...string) []string {
		return append([]string{"embed", "--backend", "go", "--output", at("e"), "--encoder", nano}, args...)
	}
	for _, c := range []struct {
		name string
		args []string
		code int
		want []string // all in stderr
	}{
		{"budget 0", sel(inputs[0], "--budget", "0"), exitUsage, []string{"budget", "above 0"}},
		{"budget below 0", sel(inputs[0], "--budget", "-4"), exitUsage, []string{"budget", "-4"}},
		{"no budget", []string{"select", "--method", "ofds", "--output", at("o"), inputs[0]}, exitUsage, []string{"budget"}},
		{"no images", sel(), exitUsage, []string{"shard", "--annotations"}},
		{"unknown method", sel(inputs[0], "--method", "best"), exitUsage, []string{"best", "ofds", "typiclust", "color"}},
		{"images for a method of texts", []string{"select", "--objects", objects, "--output", at("o")}, exitUsage, []string{"--objects", "ofds"}},
		{"unknown option", sel(inputs[0], "--option", "kpolicy=ratio"), exitUsage, []string{"kpolicy", "k_policy"}},
		{"unknown value", sel(inputs[0], "--option", "k_policy=best"), exitUsage, []string{"k_policy", "best", "adaptive_uncovered"}},
		{"option of another kind", sel(inputs[0], "--option", "group_max=many"), exitUsage, []string{"group_max", "many"}},
		{"option without value", sel(inputs[0], "--option", "nested"), exitUsage, []string{"nested", "key=value"}},
		{"option of ofds for a baseline", sel(inputs[0], "--method", "k_center", "--option", "quota=sqrt"), exitUsage, []string{"quota", "k_center"}},
		{"unknown method to compare with", sel(inputs[0], "--compare", "worst"), exitUsage, []string{"worst", "random"}},
		{"no target class is there", sel(inputs[0], "--classes", "unicorn,dragon"), exitUsage, []string{"unicorn", "car"}},
		{"a class twice", sel(inputs[0], "--classes", "car,car"), exitUsage, []string{"car", "twice"}},
		{"two sources", sel("--objects", objects, inputs[0]), exitUsage, []string{"--objects", "leave IN"}},
		{"unfinished vectors", sel("--objects", unfinished), exitFailed, []string{"unfinished", "curate embed"}},
		{"no vectors there", sel("--objects", at("nowhere")), exitFailed, []string{"nowhere", "curate embed"}},
		{"vectors of another stage", sel("--objects", "TAKEN"), exitUsage, []string{"curate select", "curate embed"}},
		{"no object vectors", sel(plain), exitFailed, []string{"vectors", "embed"}},
		{"no image vectors", sel(plain, "--method", "k_center"), exitFailed, []string{"image vectors", "curate embed"}},
		{"ids twice", sel(twins), exitFailed, []string{"photo_000", "row 0", "row 2"}},
		{"empty pool", sel(none), exitUsage, []string{"no images"}},
		{"only broken images", sel(broken), exitFailed, []string{"broken_image 1"}},
		{"preselected that are not there", sel(inputs[0], "--preselected", at("ids.txt")), exitUsage, []string{"nobody", "ids.txt"}},
		{"no preselected", sel(inputs[0], "--preselected", at("empty.txt")), exitFailed, []string{"empty.txt", "the list is empty"}},
		{"labels of other images", sel(bare, "--annotations", at("other.json")), exitUsage, []string{"other.json", "elsewhere.png"}},
		{"labels in no format", sel("--annotations", at("ids.txt")), exitFailed, []string{"ids.txt"}},
		{"labels that are not there", sel("--annotations", at("nowhere.json")), exitFailed, []string{"nowhere.json"}},
		{"results without images", sel("--annotations", filepath.Join(dir, "coco/results.json")), exitFailed, []string{"results.json", "instances"}},
		{"box form", sel(inputs[0], "--box-form", "round"), exitUsage, []string{"round", "xywh"}},
		{"a column that is not there", sel(inputs[0], "--objects-column", "things"), exitFailed, []string{"things", "objects"}},
		{"embed without encoder", []string{"embed", "--output", at("e"), inputs[0]}, exitUsage, []string{"--encoder"}},
		{"preset misspelt", emb(inputs[0], "--encoder", "random:dinov2-nanno"), exitUsage, []string{"dinov2-nanno", "dinov2-nano"}},
		{"seed", emb(inputs[0], "--encoder", "random:dinov2-nano:x"), exitUsage, []string{"seed", `"x"`}},
		{"no encoder there", emb(inputs[0], "--encoder", at("nowhere")), exitFailed, []string{"nowhere", "config.json"}},
		{"encoder without weights", emb(inputs[0], "--encoder", at("encoder")), exitFailed, []string{"model.safetensors"}},
		{"pooling", emb(inputs[0], "--pooling", "middle"), exitUsage, []string{"middle", "box"}},
		{"vector type", emb(inputs[0], "--vector-type", "f8"), exitUsage, []string{"f8", "f16"}},
		{"embed no images", emb(), exitUsage, []string{"shard", "--annotations"}},
		{"embed an empty shard", emb(none), exitUsage, []string{"no images"}},
		{"embed only broken images", emb(broken), exitFailed, []string{"broken_image 1"}},
		{"embed an image that is gone", emb("--annotations", gone), exitFailed, []string{"photo_004.png", "--images"}},
		{"images that are elsewhere", emb("--annotations", instances, "--images", at("pool")), exitFailed, []string{"pool/photo_", "--images"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if i := slices.Index(c.args, "TAKEN"); i >= 0 {
				c.args[i] = choose(t, inputs[0], "--budget", "3")
			}
			code, stdout, stderr := curate(t, c.args...)
			if code != c.code {
				t.Errorf("exit %d, want %d: %s%s", code, c.code, stdout, stderr)
			}
			for _, want := range c.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("stderr lacks %q: %s", want, stderr)
				}
			}
			if strings.Contains(stderr, "goroutine ") {
				t.Errorf("a stack trace for a user's mistake: %s", stderr)
			}
			for _, folder := range []string{at("o"), at("e")} {
				if fileExists(filepath.Join(folder, manifestName)) {
					t.Errorf("%s counts as finished", folder)
				}
				os.RemoveAll(folder)
			}
		})
	}
}
