package pixels

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Files of a model folder that say how pictures become pixels; the second
// holds the first as one of its keys.
const (
	processorFile = "preprocessor_config.json"
	combinedFile  = "processor_config.json"
	maxConfig     = 1 << 20
)

// Processor is what a preprocessor_config.json says.
type Processor struct {
	Type                  string // image_processor_type
	Filter                Filter
	Arithmetic            Arithmetic
	Height, Width         int // of the resized picture; 0 where Shortest says it
	Shortest              int // the shorter edge of the resized picture
	CropHeight, CropWidth int // of the centre that is cut out; 0 for none
	Rescale               float64
	Mean, Std             [3]float64
}

// ReadProcessor reads the processor of a Hugging Face model folder.
func ReadProcessor(folder string) (*Processor, error) {
	data, err := readConfig(filepath.Join(folder, processorFile))
	if errors.Is(err, fs.ErrNotExist) {
		data, err = readConfig(filepath.Join(folder, combinedFile))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read image processor of %s: %s is missing", folder, processorFile)
		}
		var combined struct {
			Image json.RawMessage `json:"image_processor"`
		}
		if err == nil {
			err = json.Unmarshal(data, &combined)
		}
		if err == nil && combined.Image == nil {
			err = errors.New("image_processor is missing")
		}
		data = combined.Image
	}
	if err != nil {
		return nil, fmt.Errorf("read image processor of %s: %w", folder, err)
	}
	p, err := parse(data, processorOf(folder))
	if err != nil {
		return nil, fmt.Errorf("read image processor of %s: %w", folder, err)
	}
	return p, nil
}

// processorOf is the type that transformers takes for a model where old files
// name none, "" if it is not known.
func processorOf(folder string) string {
	var config struct {
		ModelType string `json:"model_type"`
	}
	data, err := readConfig(filepath.Join(folder, "config.json"))
	if err != nil || json.Unmarshal(data, &config) != nil {
		return ""
	}
	switch config.ModelType {
	case "vit":
		return "ViTImageProcessor"
	case "clip", "clip_vision_model":
		return "CLIPImageProcessor"
	case "dinov2", "dinov2_with_registers":
		return "BitImageProcessor"
	}
	return ""
}

func readConfig(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxConfig+1))
	if err == nil && len(data) > maxConfig {
		err = fmt.Errorf("%s has more than %d bytes", filepath.Base(path), maxConfig)
	}
	return data, err
}

// keys are a preprocessor_config.json's; null is as good as absent.
type keys struct {
	Type          string          `json:"image_processor_type"`
	OldType       string          `json:"feature_extractor_type"`
	DoResize      *bool           `json:"do_resize"`
	Size          json.RawMessage `json:"size"`
	Resample      *int            `json:"resample"`
	DoCenterCrop  *bool           `json:"do_center_crop"`
	CropSize      json.RawMessage `json:"crop_size"`
	DoRescale     *bool           `json:"do_rescale"`
	RescaleFactor *float64        `json:"rescale_factor"`
	DoNormalize   *bool           `json:"do_normalize"`
	Mean          []float64       `json:"image_mean"`
	Std           []float64       `json:"image_std"`
	ToSquare      *bool           `json:"default_to_square"`
}

// harmless are keys without influence on pixels that are RGB of 8 bits.
var harmless = []string{
	"_name_or_path", "_processor_class", "_valid_processor_keys", "auto_map", "data_format", "device", "disable_grouping", "do_convert_rgb",
	"image_seq_length", "input_data_format", "mask_size", "model_input_names", "processor_class", "return_tensors", "transformers_version",
}

// ParseProcessor parses a preprocessor_config.json. Every fault is named: a
// type that is not implemented, and keys that would change pixels in a way that
// is not.
func ParseProcessor(data []byte) (*Processor, error) { return parse(data, "") }

// parse takes the type that is meant where the file names none.
func parse(data []byte, unnamed string) (*Processor, error) {
	var k keys
	if err := json.Unmarshal(data, &k); err != nil {
		return nil, fmt.Errorf("parse %s: %w", processorFile, err)
	}
	if k.Type == "" && k.OldType == "" {
		k.Type = unnamed
	}
	var all map[string]any
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("parse %s: %w", processorFile, err)
	}
	p, err := defaultsOf(k)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", processorFile, err)
	}
	faults := unknownKeys(all)
	faults = append(faults, p.setSizes(k)...)
	faults = append(faults, p.setValues(k)...)
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("parse %s: %w", processorFile, err)
	}
	return p, nil
}

// defaultsOf knows the classes of transformers. A name in Fast is that of the
// classes that use torchvision.
func defaultsOf(k keys) (*Processor, error) {
	name := k.Type
	if name == "" {
		name = k.OldType
	}
	p := &Processor{Type: name, Rescale: 1 / 255.0}
	plain, fast := strings.CutSuffix(name, "Fast")
	if fast {
		p.Arithmetic = Torchvision
	}
	switch plain {
	case "ViTImageProcessor", "ViTFeatureExtractor":
		half := [3]float64{0.5, 0.5, 0.5}
		p.Filter, p.Height, p.Width, p.Mean, p.Std = Bilinear, 224, 224, half, half
	case "CLIPImageProcessor", "CLIPFeatureExtractor", "BitImageProcessor":
		p.Filter, p.Shortest, p.CropHeight, p.CropWidth = Bicubic, 224, 224, 224
		p.Mean, p.Std = [3]float64{0.48145466, 0.4578275, 0.40821073}, [3]float64{0.26862954, 0.26130258, 0.27577711}
	case "Sam2ImageProcessor": // with and without Fast: there never was one on Pillow
		p.Filter, p.Arithmetic, p.Height, p.Width = Bilinear, Torchvision, 1024, 1024
		p.Mean, p.Std = [3]float64{0.485, 0.456, 0.406}, [3]float64{0.229, 0.224, 0.225}
	case "":
		return nil, errors.New("image_processor_type is missing")
	default:
		return nil, fmt.Errorf("image_processor_type = %q is not implemented, only ViTImageProcessor, CLIPImageProcessor, BitImageProcessor and Sam2ImageProcessor, each also with Fast", name)
	}
	return p, nil
}

func unknownKeys(all map[string]any) []error {
	known := append([]string{
		"image_processor_type", "feature_extractor_type", "do_resize", "size", "resample", "do_center_crop", "crop_size", "do_rescale",
		"rescale_factor", "do_normalize", "image_mean", "image_std", "default_to_square",
	}, harmless...)
	var faults []error
	for key, value := range all {
		if value != nil && value != false && !slices.Contains(known, key) {
			faults = append(faults, fmt.Errorf("%s is not implemented", key))
		}
	}
	slices.SortFunc(faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return faults
}

// maxEdge bounds sizes; the largest inputs of published models are about 1000.
const maxEdge = 1 << 14

func (p *Processor) setSizes(k keys) []error {
	var faults []error
	if k.DoResize != nil && !*k.DoResize {
		faults = append(faults, errors.New("do_resize = false is not implemented, only true: models take pictures of one size"))
	}
	if s, given, err := parseSize(k.Size); err != nil {
		faults = append(faults, fmt.Errorf("size: %w", err))
	} else if given {
		toSquare := p.Shortest == 0
		if k.ToSquare != nil {
			toSquare = *k.ToSquare
		}
		p.Height, p.Width, p.Shortest = s.Height, s.Width, s.Shortest
		if s.number > 0 && toSquare {
			p.Height, p.Width = s.number, s.number
		} else if s.number > 0 {
			p.Shortest = s.number
		}
	}
	crops := p.CropHeight > 0
	if k.DoCenterCrop != nil {
		crops = *k.DoCenterCrop
	}
	if !crops {
		p.CropHeight, p.CropWidth = 0, 0
		return faults
	}
	if s, given, err := parseSize(k.CropSize); err != nil {
		faults = append(faults, fmt.Errorf("crop_size: %w", err))
	} else if given {
		p.CropHeight, p.CropWidth = max(s.Height, s.number), max(s.Width, s.number)
	}
	if p.CropHeight == 0 {
		faults = append(faults, errors.New("do_center_crop needs crop_size with height and width"))
	}
	return faults
}

// edges is a size in one of its forms.
type edges struct {
	Height   int `json:"height"`
	Width    int `json:"width"`
	Shortest int `json:"shortest_edge"`
	Longest  int `json:"longest_edge"`
	number   int // not a dictionary
}

func parseSize(raw json.RawMessage) (s edges, given bool, err error) {
	if len(raw) == 0 || string(raw) == "null" {
		return s, false, nil
	}
	if json.Unmarshal(raw, &s.number) != nil {
		var names map[string]any
		if err := errors.Join(json.Unmarshal(raw, &names), json.Unmarshal(raw, &s)); err != nil {
			return s, false, fmt.Errorf("%s is neither a number nor a dictionary of numbers", raw)
		}
		for name, value := range names {
			if value != nil && !slices.Contains([]string{"height", "width", "shortest_edge"}, name) {
				return s, false, fmt.Errorf("%s is not implemented, only height with width, and shortest_edge", name)
			}
		}
	}
	pair, single := s.Height > 0 && s.Width > 0, s.Shortest > 0 || s.number > 0
	if pair == single || min(s.Height, s.Width, s.Shortest, s.number) < 0 || max(s.Height, s.Width, s.Shortest, s.number) > maxEdge {
		return s, false, fmt.Errorf("%s: want height and width, or shortest_edge, from 1 to %d", raw, maxEdge)
	}
	return s, true, nil
}

func (p *Processor) setValues(k keys) []error {
	var faults []error
	if k.Resample != nil {
		p.Filter = Filter(*k.Resample)
		if p.Filter != Bilinear && p.Filter != Bicubic {
			faults = append(faults, fmt.Errorf("resample = %d is not implemented, only 2 (bilinear) and 3 (bicubic)", *k.Resample))
		}
	}
	if k.RescaleFactor != nil {
		p.Rescale = *k.RescaleFactor
	}
	if k.DoRescale != nil && !*k.DoRescale {
		p.Rescale = 1
	}
	three := func(key string, values []float64, into *[3]float64) {
		if values != nil && len(values) != 3 {
			faults = append(faults, fmt.Errorf("%s has %d values, want 3", key, len(values)))
			return
		}
		copy(into[:], values)
	}
	three("image_mean", k.Mean, &p.Mean)
	three("image_std", k.Std, &p.Std)
	if k.DoNormalize != nil && !*k.DoNormalize {
		p.Mean, p.Std = [3]float64{}, [3]float64{1, 1, 1}
	}
	for c := range 3 {
		if !(p.Std[c] > 0) || math.IsInf(p.Std[c], 0) {
			faults = append(faults, fmt.Errorf("image_std = %v: want positive numbers", p.Std))
			break
		}
	}
	if !(p.Rescale > 0) {
		faults = append(faults, fmt.Errorf("rescale_factor = %v: want a positive number", p.Rescale))
	}
	return faults
}

// table returns the pixel value of each channel and byte.
func (p *Processor) table() (t [3][256]float32) {
	for c := range t {
		for v := range t[c] {
			rescaled := float32(float64(v) * p.Rescale)
			t[c][v] = (rescaled - float32(p.Mean[c])) / float32(p.Std[c])
		}
	}
	return t
}
