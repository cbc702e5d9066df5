package annotations

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// subsetOf writes the subset of an opened dataset.
func subsetOf(t testing.TB, place Place, opt Options, ids ...string) (string, error) {
	t.Helper()
	d, err := Open(context.Background(), place, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var out bytes.Buffer
	err = d.WriteSubset(context.Background(), &out, ids)
	return out.String(), err
}

// TestSubsetKeepsBytes wants every byte of what stays, with all spellings.
func TestSubsetKeepsBytes(t *testing.T) {
	const before = "{ \"a\" : 1.50e+1,\n \"images\": "
	const between = ",\"x\":[ 1 ,2],\"annotations\" :"
	const after = " , \"categories\":[{\"id\":1,\"name\":\"\\u0061\"}] }\n\n"
	place := memory{"x.json": []byte(before + "[ {\"id\": 1.0,\"file_name\":\"a\"} ,\n{\"id\":\"2\" , \"file_name\":\"b\"},{\"id\":3,\"file_name\":\"c\"}\n]" +
		between + "[{\"image_id\":3} ,  {\"image_id\":1,\"k\":[1, 2.0]},\t{\"image_id\":1} ]" + after)}.place()
	for _, c := range []struct {
		ids                 []string
		images, annotations string
	}{
		{nil, "[ \n]", "[ ]"},
		{[]string{"1"}, "[ {\"id\": 1.0,\"file_name\":\"a\"}\n]", "[{\"image_id\":1,\"k\":[1, 2.0]},\t{\"image_id\":1} ]"},
		{[]string{"2"}, "[ {\"id\":\"2\" , \"file_name\":\"b\"}\n]", "[ ]"},
		{[]string{"3", "1"}, "[ {\"id\": 1.0,\"file_name\":\"a\"},{\"id\":3,\"file_name\":\"c\"}\n]", "[{\"image_id\":3} ,  {\"image_id\":1,\"k\":[1, 2.0]},\t{\"image_id\":1} ]"},
	} {
		got, err := subsetOf(t, place.file("x.json"), Options{}, c.ids...)
		if want := before + c.images + between + c.annotations + after; err != nil || got != want {
			t.Errorf("subset %v is %q, %v; want %q", c.ids, got, err, want)
		}
	}
	if _, err := subsetOf(t, place.file("x.json"), Options{}, "1", "7", "5"); !errors.Is(err, errUnknownIDs) || !strings.Contains(err.Error(), `2 are missing, the first is "5"`) {
		t.Errorf("error %v", err)
	}
}

// TestSubsetsOfAnyJSON cuts made-up files and wants what decoding, filtering gives.
func TestSubsetsOfAnyJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 6).Draw(t, "images")
		space := rapid.SampledFrom([]string{"", " ", "\n\t", strings.Repeat(" ", 70000)})
		var images, annotations []string
		for i := range n {
			images = append(images, space.Draw(t, "s")+`{"id":`+string(rune('0'+i))+`,"file_name":"f"}`+space.Draw(t, "s"))
		}
		for range rapid.IntRange(0, 8).Draw(t, "annotations") {
			if n > 0 {
				annotations = append(annotations, `{"image_id":`+string(rune('0'+rapid.IntRange(0, n-1).Draw(t, "of")))+`}`+space.Draw(t, "s"))
			}
		}
		file := `{"annotations":[` + strings.Join(annotations, ",") + `],"images":[` + strings.Join(images, ",") + `]}`
		keep := rapid.SliceOfNDistinct(rapid.IntRange(0, max(0, n-1)), 0, n, rapid.ID).Draw(t, "keep")
		var ids []string
		for _, k := range keep {
			ids = append(ids, string(rune('0'+k)))
		}
		d, err := Open(context.Background(), memory{"x.json": []byte(file)}.place().file("x.json"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := d.WriteSubset(context.Background(), &out, ids); err != nil {
			t.Fatal(err)
		}
		var in, got struct {
			Images      []struct{ ID int }
			Annotations []struct {
				ImageID int `json:"image_id"`
			}
		}
		if err := errors.Join(json.Unmarshal([]byte(file), &in), json.Unmarshal(out.Bytes(), &got)); err != nil {
			t.Fatalf("%v in %q", err, &out)
		}
		in.Images = slices.DeleteFunc(in.Images, func(i struct{ ID int }) bool { return !slices.Contains(keep, i.ID) })
		in.Annotations = slices.DeleteFunc(in.Annotations, func(a struct {
			ImageID int `json:"image_id"`
		}) bool {
			return !slices.Contains(keep, a.ImageID)
		})
		if !slices.Equal(in.Images, got.Images) || !slices.Equal(in.Annotations, got.Annotations) {
			t.Fatalf("subset %v of %q is %q", keep, file, &out)
		}
	})
}

func TestSubsetsOfOtherFormats(t *testing.T) {
	for _, c := range []struct {
		name  string
		files []string
		ids   []string
		want  string
	}{
		{"voc", []string{"Annotations/a.xml", vocText, "Annotations/b.xml", vocText, "JPEGImages/a.jpg", "", "JPEGImages/b.jpg", ""}, []string{"b.jpg"}, "b\n"},
		{"voc alone", []string{"a.xml", vocText}, []string{"other.jpg"}, "a\n"},
		{"yolo", []string{"classes.txt", "x", "images/a.png", "", "images/b.png", ""}, []string{"images/b.png", "images/a.png"}, "images/a.png\nimages/b.png\n"},
		{"cityscapes", []string{"x_1_2_gtFine_polygons.json", cityText}, []string{"x_1_2_leftImg8bit.png"}, "x_1_2_gtFine_polygons.json\n"},
		{"lightly", []string{"schema.json", lightlySchema, "a.json", `{"file_name":"p.jpg"}`, "b.json", `{"file_name":"q.jpg"}`}, []string{"q.jpg"}, "b.json\n"},
		{"fiftyone", []string{"samples.json", fiftyText}, []string{"data/2.jpg"},
			"{\"samples\": [\n {\"filepath\": \"data/2.jpg\", \"metadata\": null, \"ground_truth\": null}],\n \"frames\": null}"},
	} {
		place := folderOf(t, c.files...)
		got, err := subsetOf(t, place, Options{}, c.ids...)
		if err != nil || got != c.want {
			t.Errorf("%s: subset %q, %v, want %q", c.name, got, err, c.want)
		}
		if _, err := subsetOf(t, place, Options{}, "none"); !errors.Is(err, errUnknownIDs) {
			t.Errorf("%s: error %v", c.name, err)
		}
	}
}

func TestLists(t *testing.T) {
	names := []string{`a/"1".jpg`, "s3://b/é.png"}
	var out bytes.Buffer
	if err := WriteFiles(&out, slices.Values(names)); err != nil || out.String() != "a/\"1\".jpg\ns3://b/é.png\n" {
		t.Errorf("files %q, %v", &out, err)
	}
	if err := WriteFiles(&out, slices.Values([]string{"a\nb"})); err == nil {
		t.Error("a line break was written")
	}
	for _, list := range [][]string{names, {}} {
		var tag struct {
			Tag       string
			Filenames []string
		}
		out.Reset()
		if err := errors.Join(WriteTag(&out, `x"y`, slices.Values(list)), json.Unmarshal(out.Bytes(), &tag)); err != nil || tag.Tag != `x"y` || !slices.Equal(tag.Filenames, list) {
			t.Errorf("tag %q, %v", &out, err)
		}
		var cvat struct {
			Mode, FrameSelectionMethod string
			Frames                     []string
		}
		out.Reset()
		if err := errors.Join(WriteCVAT(&out, slices.Values(list)), json.Unmarshal(out.Bytes(), &cvat)); err != nil || cvat.Mode != "gt" || !slices.Equal(cvat.Frames, list) {
			t.Errorf("frames %q, %v", &out, err)
		}
	}
	for name, write := range map[string]func() error{
		"files": func() error { return WriteFiles(full{}, slices.Values(names)) },
		"tag":   func() error { return WriteTag(full{}, "x", slices.Values(names)) },
		"cvat":  func() error { return WriteCVAT(full{}, slices.Values(names)) },
		"subset": func() error {
			d, err := Open(context.Background(), goldens().file("coco.json"), Options{})
			if err != nil {
				return nil
			}
			defer d.Close()
			return d.WriteSubset(context.Background(), full{}, nil)
		},
	} {
		if err := write(); !errors.Is(err, errFull) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// full is a disk without space.
type full struct{}

var errFull = errors.New("no space left")

func (full) Write([]byte) (int, error) { return 0, errFull }
