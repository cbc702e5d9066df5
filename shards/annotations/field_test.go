package annotations

import (
	"encoding/json"
	"testing"
)

// FuzzField compares values with those that encoding/json finds.
func FuzzField(f *testing.F) {
	for _, seed := range []string{`{}`, `{ "id" : [1, {"id": "}\""}], "x" : "id" }`, `{"i\u0064":-1.5e3,"a":null}`, `{"id":true,"id":{"a":[[]]} ,"b":""}`, "{\n\"id\"\t:\r\"\\\\\"\n}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var raw json.RawMessage
		if json.Unmarshal(data, &raw) != nil {
			return
		}
		var fields map[string]json.RawMessage
		wrong := json.Unmarshal(raw, &fields)
		got, err := field(raw, "id")
		if string(raw) == "null" {
			wrong = err // encoding/json takes null for no object
		}
		if (err == nil) != (wrong == nil) {
			t.Fatalf("error %v of %q, want %v", err, raw, wrong)
		}
		if want := fields["id"]; string(got) != string(want) {
			t.Fatalf("id %q of %q, want %q", got, raw, want)
		}
	})
}
