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

// mistakes are inputs with faults, and commands on them.
type mistakes struct {
	dir, input, objects, unfinished, plain, twins, none, broken, bare, gone, instances string
}

func newMistakes(t *testing.T) mistakes {
	t.Helper()
	encoderCache(t)
	m := mistakes{dir: t.TempDir()}
	list := photos(12)
	m.input = nestedShards(t, m.at("pool"), list, true)[0]
	m.objects, m.unfinished = embed(t, m.input), embed(t, m.input)
	if err := os.Remove(filepath.Join(m.unfinished, manifestName)); err != nil {
		t.Fatal(err)
	}
	m.instances, _ = cocoJSON(t, m.at("coco"), list)
	m.gone, _ = cocoJSON(t, m.at("gone"), list)
	if err := os.Remove(m.at("gone/images/photo_004.png")); err != nil {
		t.Fatal(err)
	}
	m.twins = putParquet(t, m.at("twins.parquet"), []nestedPhoto{list[0].nested(true), list[1].nested(true), list[0].nested(true)})
	m.none = putParquet(t, m.at("none.parquet"), []nestedPhoto{})
	m.broken = putParquet(t, m.at("broken.parquet"), []nestedPhoto{{ImageID: "x", Image: []byte("text")}})
	m.bare = putParquet(t, m.at("bare.parquet"), []barePhoto{{list[0].name, list[0].png}})
	m.plain = nestedShards(t, m.at("plain"), list, false)[0]
	put(t, m.at("other.json"), `{"images":[{"id":1,"file_name":"elsewhere.png","width":9,"height":9}],"annotations":[],"categories":[]}`)
	put(t, m.at("ids.txt"), "photo_000\nnobody\n")
	put(t, m.at("empty.txt"), "\n")
	put(t, m.at("encoder/config.json"), `{"model_type":"dinov2"}`)
	return m
}

func (m mistakes) at(name string) string { return filepath.Join(m.dir, name) }

func (m mistakes) choose(args ...string) []string {
	return append([]string{"select", "--method", "ofds", "--backend", "go", "--output", m.at("o"), "--budget", "3"}, args...)
}

func (m mistakes) embed(args ...string) []string {
	return append([]string{"embed", "--backend", "go", "--output", m.at("e"), "--encoder", nano}, args...)
}

// mistake is a command that fails, and what its message has.
type mistake struct {
	name string
	args []string
	code int
	want []string // all in stderr
}

func (m mistakes) ofSelect() []mistake {
	return []mistake{
		{"budget 0", m.choose(m.input, "--budget", "0"), exitUsage, []string{"budget", "above 0"}},
		{"budget below 0", m.choose(m.input, "--budget", "-4"), exitUsage, []string{"budget", "-4"}},
		{"no budget", []string{"select", "--method", "ofds", "--output", m.at("o"), m.input}, exitUsage, []string{"budget"}},
		{"no images", m.choose(), exitUsage, []string{"shard", "--annotations"}},
		{"unknown method", m.choose(m.input, "--method", "best"), exitUsage, []string{"best", "ofds", "typiclust", "color"}},
		{"images for a method of texts", []string{"select", "--objects", m.objects, "--output", m.at("o")}, exitUsage, []string{"--objects", "ofds"}},
		{"unknown option", m.choose(m.input, "--option", "kpolicy=ratio"), exitUsage, []string{"kpolicy", "k_policy"}},
		{"unknown value", m.choose(m.input, "--option", "k_policy=best"), exitUsage, []string{"k_policy", "best", "adaptive_uncovered"}},
		{"option of another kind", m.choose(m.input, "--option", "group_max=many"), exitUsage, []string{"group_max", "many"}},
		{"option without value", m.choose(m.input, "--option", "nested"), exitUsage, []string{"nested", "key=value"}},
		{"option of ofds for a baseline", m.choose(m.input, "--method", "k_center", "--option", "quota=sqrt"), exitUsage, []string{"quota", "k_center"}},
		{"unknown method to compare with", m.choose(m.input, "--compare", "worst"), exitUsage, []string{"worst", "random"}},
		{"no target class is there", m.choose(m.input, "--classes", "unicorn,dragon"), exitUsage, []string{"unicorn", "car"}},
		{"a class twice", m.choose(m.input, "--classes", "car,car"), exitUsage, []string{"car", "twice"}},
		{"two sources", m.choose("--objects", m.objects, m.input), exitUsage, []string{"--objects", "leave IN"}},
		{"unfinished vectors", m.choose("--objects", m.unfinished), exitFailed, []string{"unfinished", "curate embed"}},
		{"no vectors there", m.choose("--objects", m.at("nowhere")), exitFailed, []string{"nowhere", "curate embed"}},
		{"vectors of another stage", m.choose("--objects", "TAKEN"), exitUsage, []string{"curate select", "curate embed"}},
		{"no object vectors", m.choose(m.plain), exitFailed, []string{"vectors", "embed"}},
		{"no image vectors", m.choose(m.plain, "--method", "k_center"), exitFailed, []string{"image vectors", "curate embed"}},
		{"ids twice", m.choose(m.twins), exitFailed, []string{"photo_000", "row 0", "row 2"}},
		{"empty pool", m.choose(m.none), exitUsage, []string{"no images"}},
		{"only broken images", m.choose(m.broken), exitFailed, []string{"broken_image 1"}},
		{"preselected that are not there", m.choose(m.input, "--preselected", m.at("ids.txt")), exitUsage, []string{"nobody", "ids.txt"}},
		{"no preselected", m.choose(m.input, "--preselected", m.at("empty.txt")), exitFailed, []string{"empty.txt", "the list is empty"}},
		{"labels of other images", m.choose(m.bare, "--annotations", m.at("other.json")), exitUsage, []string{"other.json", "elsewhere.png"}},
		{"labels in no format", m.choose("--annotations", m.at("ids.txt")), exitFailed, []string{"ids.txt"}},
		{"labels that are not there", m.choose("--annotations", m.at("nowhere.json")), exitFailed, []string{"nowhere.json"}},
		{"results without images", m.choose("--annotations", m.at("coco/results.json")), exitFailed, []string{"results.json", "instances"}},
		{"box form", m.choose(m.input, "--box-form", "round"), exitUsage, []string{"round", "xywh"}},
		{"a column that is not there", m.choose(m.input, "--objects-column", "things"), exitFailed, []string{"things", "objects"}},
	}
}

func (m mistakes) ofEmbed() []mistake {
	return []mistake{
		{"embed without encoder", []string{"embed", "--output", m.at("e"), m.input}, exitUsage, []string{"--encoder"}},
		{"preset misspelt", m.embed(m.input, "--encoder", "random:dinov2-nanno"), exitUsage, []string{"dinov2-nanno", "dinov2-nano"}},
		{"seed", m.embed(m.input, "--encoder", "random:dinov2-nano:x"), exitUsage, []string{"seed", `"x"`}},
		{"no encoder there", m.embed(m.input, "--encoder", m.at("nowhere")), exitFailed, []string{"nowhere", "config.json"}},
		{"encoder without weights", m.embed(m.input, "--encoder", m.at("encoder")), exitFailed, []string{"model.safetensors"}},
		{"pooling", m.embed(m.input, "--pooling", "middle"), exitUsage, []string{"middle", "box"}},
		{"vector type", m.embed(m.input, "--vector-type", "f8"), exitUsage, []string{"f8", "f16"}},
		{"embed no images", m.embed(), exitUsage, []string{"shard", "--annotations"}},
		{"embed an empty shard", m.embed(m.none), exitUsage, []string{"no images"}},
		{"embed only broken images", m.embed(m.broken), exitFailed, []string{"broken_image 1"}},
		{"embed an image that is gone", m.embed("--annotations", m.gone), exitFailed, []string{"photo_004.png", "--images"}},
		{"images that are elsewhere", m.embed("--annotations", m.instances, "--images", m.at("pool")), exitFailed, []string{"pool/photo_", "--images"}},
	}
}

// TestImageMistakesGetClearErrors: what a user gets wrong ends with exit 2, or 1
// where the fault is in a file, and a message that names the thing.
func TestImageMistakesGetClearErrors(t *testing.T) {
	m := newMistakes(t)
	for _, c := range append(m.ofSelect(), m.ofEmbed()...) {
		t.Run(c.name, func(t *testing.T) {
			if i := slices.Index(c.args, "TAKEN"); i >= 0 {
				c.args[i] = choose(t, m.input, "--budget", "3")
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
			for _, folder := range []string{m.at("o"), m.at("e")} {
				if fileExists(filepath.Join(folder, manifestName)) {
					t.Errorf("%s counts as finished", folder)
				}
				os.RemoveAll(folder)
			}
		})
	}
}
