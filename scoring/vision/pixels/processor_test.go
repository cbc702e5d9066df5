package pixels

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tolerance is of values of about -2 to 2, which one of 255 changes by .017:
// no byte may differ.
const tolerance = 1e-5

type processed struct {
	Config  json.RawMessage
	Results []struct {
		Picture                 string
		Shape                   []int
		Rows, Columns, Channels []float64
		Probes                  [][2]float64
	}
}

func processors(t testing.TB) map[string]processed {
	t.Helper()
	var cases map[string]processed
	if err := json.Unmarshal(readFile(t, "processors.json"), &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 12 {
		t.Fatalf("only %d cases", len(cases))
	}
	return cases
}

func TestPixelsEqualTransformers(t *testing.T) {
	for name, c := range processors(t) {
		p, err := ParseProcessor(c.Config)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		in, err := p.Input(Cropped, 0)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, want := range c.Results {
			got := make([]float32, in.Len())
			if _, err := in.Fill(decodeFile(t, want.Picture), got); err != nil {
				t.Fatal(err)
			}
			if in.Height != want.Shape[1] || in.Width != want.Shape[2] {
				t.Errorf("%s: %d x %d values, want %v", name, in.Height, in.Width, want.Shape)
				continue
			}
			rows, columns, channels := make([]float64, in.Height), make([]float64, in.Width), make([]float64, 3)
			for i, v := range got {
				x, y, c := i%in.Width, i/in.Width%in.Height, i/in.Width/in.Height
				rows[y] += float64(v)
				columns[x] += float64(v)
				channels[c] += float64(v)
			}
			scale := max(1, math.Abs(float64(in.values[0][255]))) // sums of hundreds of values
			for what, pair := range map[string][2][]float64{"rows": {rows, want.Rows}, "columns": {columns, want.Columns}, "channels": {channels, want.Channels}} {
				for i, w := range pair[1] {
					if d := math.Abs(pair[0][i] - w); !(d <= 100*tolerance*scale) {
						t.Errorf("%s, %s: %s %d sum up to %v, transformers' %v", name, want.Picture, what, i, pair[0][i], w)
						break
					}
				}
			}
			for _, probe := range want.Probes {
				if d := math.Abs(float64(got[int(probe[0])]) - probe[1]); !(d <= tolerance*scale) {
					t.Errorf("%s, %s: value %v is %v, transformers' %v", name, want.Picture, probe[0], got[int(probe[0])], probe[1])
				}
			}
		}
	}
}

func TestProcessorsThatWouldDifferAreRefused(t *testing.T) {
	for config, want := range map[string]string{
		`{`:  "parse preprocessor_config.json",
		`{}`: "image_processor_type is missing",
		`{"image_processor_type":"SiglipImageProcessor"}`:                                                        `"SiglipImageProcessor" is not implemented`,
		`{"image_processor_type":"ViTImageProcessor","do_pad":true,"size_divisor":32,"resample":1}`:              "do_pad is not implemented\nsize_divisor is not implemented\nresample = 1",
		`{"image_processor_type":"ViTImageProcessor","do_resize":false}`:                                         "do_resize = false",
		`{"image_processor_type":"ViTImageProcessor","size":{"longest_edge":7}}`:                                 "longest_edge is not implemented",
		`{"image_processor_type":"ViTImageProcessor","size":{"height":7}}`:                                       "want height and width",
		`{"image_processor_type":"ViTImageProcessor","size":"large"}`:                                            "neither a number",
		`{"image_processor_type":"ViTImageProcessor","size":-3}`:                                                 "from 1 to",
		`{"image_processor_type":"ViTImageProcessor","size":{"height":7,"width":70000}}`:                         "from 1 to",
		`{"image_processor_type":"ViTImageProcessor","do_center_crop":true}`:                                     "do_center_crop needs crop_size",
		`{"image_processor_type":"CLIPImageProcessor","crop_size":{"shortest_edge":3}}`:                          "do_center_crop needs crop_size",
		`{"image_processor_type":"CLIPImageProcessor","image_std":[1,0,1]}`:                                      "image_std",
		`{"image_processor_type":"CLIPImageProcessor","image_mean":[1]}`:                                         "image_mean has 1 values",
		`{"image_processor_type":"CLIPImageProcessor","rescale_factor":0}`:                                       "rescale_factor = 0",
		`{"image_processor_type":"CLIPImageProcessor","crop_pct":0.9}`:                                           "crop_pct is not implemented",
		`{"image_processor_type":"CLIPImageProcessor","image_mean":"imagenet"}`:                                  "image_mean",
		`{"feature_extractor_type":"DetrFeatureExtractor","size":800}`:                                           `"DetrFeatureExtractor" is not implemented`,
		`{"image_processor_type":"BitImageProcessor","size":{"shortest_edge":256,"height":3,"width":4}}`:         "or shortest_edge",
		`{"image_processor_type":"BitImageProcessorFast","size":{"shortest_edge":256},"crop_size":{"width":24}}`: "crop_size",
	} {
		_, err := ParseProcessor([]byte(config))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", config, err, want)
		}
	}
}

func TestReadProcessorFindsBothFiles(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadProcessor(dir); err == nil || !strings.Contains(err.Error(), "preprocessor_config.json is missing") {
		t.Error(err)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("processor_config.json", `{"processor_class":"CLIPProcessor","image_processor":{"image_processor_type":"CLIPImageProcessor","size":30}}`)
	if p, err := ReadProcessor(dir); err != nil || p.Shortest != 30 || p.Arithmetic != Pillow {
		t.Errorf("%+v, %v", p, err)
	}
	write("processor_config.json", `{}`)
	if _, err := ReadProcessor(dir); err == nil || !strings.Contains(err.Error(), "image_processor is missing") {
		t.Error(err)
	}
	write("preprocessor_config.json", `{"feature_extractor_type":"ViTFeatureExtractor","size":31,"crop_size":null,"do_center_crop":false}`)
	if p, err := ReadProcessor(dir); err != nil || p.Height != 31 || p.Width != 31 || p.Filter != Bilinear || p.CropWidth != 0 {
		t.Errorf("%+v, %v", p, err)
	}
	write("preprocessor_config.json", `{"size":30,"do_normalize":true}`)
	if _, err := ReadProcessor(dir); err == nil || !strings.Contains(err.Error(), "image_processor_type is missing") {
		t.Error(err)
	}
	for model, want := range map[string]string{"vit": "ViTImageProcessor", "clip": "CLIPImageProcessor", "dinov2": "BitImageProcessor"} {
		write("config.json", `{"model_type":"`+model+`"}`)
		if p, err := ReadProcessor(dir); err != nil || p.Type != want || max(p.Height, p.Shortest) != 30 {
			t.Errorf("%s: %+v, %v", model, p, err)
		}
	}
	write("preprocessor_config.json", strings.Repeat(" ", maxConfig+1))
	if _, err := ReadProcessor(dir); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Error(err)
	}
}

func TestInputRefuses(t *testing.T) {
	p, err := ParseProcessor([]byte(`{"image_processor_type":"CLIPImageProcessor","do_center_crop":false}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		fit  Fit
		size int
		want string
	}{{"stretch", 0, `fit "stretch": want whole or processor`}, {Whole, -1, "input of -1"}, {Cropped, 32, "the processor says the size"}, {Cropped, 0, "use fit whole"}} {
		if _, err := p.Input(c.fit, c.size); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
	in, err := p.Input(Whole, 0)
	if err != nil || in.Height != 224 || in.Width != 224 {
		t.Fatal(in, err)
	}
	if _, err := in.Fill(&Picture{}, make([]float32, in.Len())); err == nil {
		t.Error("an empty picture is taken")
	}
	p.CropHeight, p.CropWidth = 8, 8
	cropped, err := p.Input(Cropped, 0)
	if err != nil {
		t.Fatal(err)
	}
	long := &Picture{Width: 1, Height: 1_000_000, RGB: make([]uint8, 3_000_000)}
	if _, err := cropped.Fill(long, make([]float32, cropped.Len())); err == nil || !strings.Contains(err.Error(), "224 x 224000000 pixels") {
		t.Errorf("a long strip is resized: %v", err)
	}
	if _, err := in.Fill(decodeFile(t, "rgb.png"), make([]float32, 5)); err == nil {
		t.Error("5 values are taken")
	}
}

func FuzzProcessor(f *testing.F) {
	for _, c := range processors(f) {
		f.Add([]byte(c.Config))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParseProcessor(data)
		if err != nil {
			return
		}
		for _, fit := range []Fit{Whole, Cropped} {
			in, err := p.Input(fit, 0)
			if err == nil && (in.Height < 1 || in.Width < 1 || in.Height > maxEdge || in.Width > maxEdge) {
				t.Errorf("%s", in)
			}
		}
	})
}
