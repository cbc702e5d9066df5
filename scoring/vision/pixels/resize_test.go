package pixels

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
)

func TestResizeEqualsPillowAndTorchvision(t *testing.T) {
	var cases []struct {
		Width, Height       int
		Filter              Filter
		Pillow, Torchvision string
	}
	if err := json.Unmarshal(readFile(t, "resize.json"), &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 20 {
		t.Fatalf("only %d cases", len(cases))
	}
	photo := decodeFile(t, "photo.jpg.rgb.png")
	for _, c := range cases {
		for arithmetic, want := range map[Arithmetic]string{Pillow: c.Pillow, Torchvision: c.Torchvision} {
			got, err := photo.resize(c.Width, c.Height, c.Filter, arithmetic)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(got.RGB)
			if want != "" && hex.EncodeToString(sum[:]) != want {
				t.Errorf("arithmetic %d, filter %d to %d x %d: other bytes", arithmetic, c.Filter, c.Width, c.Height)
			}
		}
	}
}

func TestResizeAndCropRefuse(t *testing.T) {
	p := &Picture{Width: 2, Height: 2, RGB: make([]uint8, 12)}
	for want, call := range map[string]func() (*Picture, error){
		"want at least 1 x 1": func() (*Picture, error) { return p.Resize(0, 4, Bilinear) },
		"filter 1":            func() (*Picture, error) { return p.Resize(4, 4, 1) },
		"no picture":          func() (*Picture, error) { return (*Picture)(nil).Resize(4, 4, Bicubic) },
		"11 bytes for 2 x 2":  func() (*Picture, error) { return (&Picture{2, 2, make([]uint8, 11)}).Resize(4, 4, Bicubic) },
		"rectangle inside":    func() (*Picture, error) { return p.Crop(1, 1, 3, 2) },
		"[1,1) x [0,2)":       func() (*Picture, error) { return p.Crop(1, 0, 1, 2) },
	} {
		if _, err := call(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	p.RGB[9] = 7
	if c, err := p.Crop(1, 1, 2, 2); err != nil || c.Width != 1 || c.Height != 1 || c.RGB[0] != 7 {
		t.Errorf("cropped to %v, %v", c, err)
	}
}
