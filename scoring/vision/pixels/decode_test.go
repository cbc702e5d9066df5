package pixels

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func readFile(t testing.TB, names ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(append([]string{"testdata"}, names...)...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func decodeFile(t testing.TB, name string) *Picture {
	t.Helper()
	p, err := Decode(readFile(t, "decode", name))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// inputs are the files that scripts/golden/make_pixels.py made, without its answers.
func inputs(t testing.TB) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join("testdata", "decode"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".rgb.png") {
			names = append(names, e.Name())
		}
	}
	return names
}

// lossy are the files whose pixels depend on the rounding of a transform.
func lossy(name string) bool {
	return strings.HasSuffix(name, ".jpg")
}

func TestDecodeEqualsPillow(t *testing.T) {
	names := inputs(t)
	if len(names) < 25 {
		t.Fatalf("only %d files", len(names))
	}
	for _, name := range names {
		got := decodeFile(t, name)
		// The answer is read by Go's decoder alone, 8-bit RGB without anything to convert.
		answer, err := png.Decode(bytes.NewReader(readFile(t, "decode", name+".rgb.png")))
		if err != nil {
			t.Fatal(err)
		}
		if size := answer.Bounds().Size(); got.Width != size.X || got.Height != size.Y || len(got.RGB) != 3*size.X*size.Y {
			t.Errorf("%s: %d x %d, Pillow's %v", name, got.Width, got.Height, size)
			continue
		}
		worst, sum := 0, 0
		for y := range got.Height {
			for x := range got.Width {
				r, g, b, _ := answer.At(x, y).RGBA()
				for c, want := range []uint32{r >> 8, g >> 8, b >> 8} {
					d := int(got.RGB[3*(y*got.Width+x)+c]) - int(want)
					worst, sum = max(worst, d, -d), sum+max(d, -d)
				}
			}
		}
		mean := float64(sum) / float64(len(got.RGB))
		t.Logf("%s: at most %d, %.3f in the mean", name, worst, mean)
		most := 0.075 // a rounding of the colours that is off gives .09 and more
		if len(got.RGB) < 100 {
			most = 0.2
		}
		if !lossy(name) && worst > 0 || worst > 2 || mean > most {
			t.Errorf("%s: differs from Pillow by up to %d, %.3f in the mean", name, worst, mean)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	photo := readFile(t, "decode", "photo.jpg")
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":   {nil, "no bytes"},
		"text":      {[]byte("GIF89a..."), "begins with 47 49 46"},
		"only soi":  {photo[:2], "decode JPEG"},
		"a bomb":    {claim(readFile(t, "decode", "rgb.png"), 50_000, 50_000), "50000 x 50000 pixels, the limit is 100000000"},
		"a product": {claim(readFile(t, "decode", "rgb.png"), math.MaxInt32, math.MaxInt32), "decode PNG"},
		"no width":  {claim(readFile(t, "decode", "rgb.png"), 0, 1), "decode PNG"},
	} {
		if p, err := Decode(c.data); err == nil || p != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := Decode([]byte("GIF89a...")); !errors.Is(err, ErrFormat) {
		t.Errorf("%v is not ErrFormat", err)
	}
	if _, err := (Decoder{MaxPixels: 37*23 - 1}).Decode(readFile(t, "decode", "rgb.png")); err == nil || !strings.Contains(err.Error(), "the limit is 850") {
		t.Errorf("a limit is not kept: %v", err)
	}
	if _, err := (Decoder{MaxPixels: 37 * 23}).Decode(readFile(t, "decode", "rgb.png")); err != nil {
		t.Error(err)
	}
}

// claim writes other dimensions into a PNG's header.
func claim(png []byte, width, height uint32) []byte {
	png = bytes.Clone(png)
	binary.BigEndian.PutUint32(png[16:], width)
	binary.BigEndian.PutUint32(png[20:], height)
	binary.BigEndian.PutUint32(png[29:], crc32.ChecksumIEEE(png[12:29]))
	return png
}

// A file that ends early is an error at every length, never a grey half.
func TestTruncatedFilesAreErrors(t *testing.T) {
	for _, name := range inputs(t) {
		data := readFile(t, "decode", name)
		for cut := range min(len(data), 600) {
			end := len(data) * cut / min(len(data), 600)
			if strings.HasSuffix(name, ".png") && end >= len(data)-12 {
				continue // all of a picture but the end marker
			}
			if p, err := Decode(data[:end]); err == nil {
				t.Errorf("%s cut to %d of %d bytes: %d x %d pixels", name, end, len(data), p.Width, p.Height)
				break
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, name := range []string{"420.jpg", "progressive.jpg", "cmyk.jpg", "palettealpha.png", "grey16.png", "lossyalpha.webp", "losslessalpha.webp"} {
		f.Add(readFile(f, "decode", name))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Decoder{MaxPixels: 1 << 16}.Decode(data)
		if err != nil {
			return
		}
		if err := p.check(); err != nil || p.Width*p.Height > 1<<16 {
			t.Errorf("decoded to %d x %d: %v", p.Width, p.Height, err)
		}
	})
}
