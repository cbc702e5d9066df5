// Package safetensorstest makes model folders for tests.
package safetensorstest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Split turns the model.safetensors of a folder into n files and an index, dealing
// out the tensors in turn. It knows the format by itself.
func Split(t *testing.T, folder string, n int) {
	t.Helper()
	path := filepath.Join(folder, "model.safetensors")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	type tensor struct {
		DType   string  `json:"dtype"`
		Shape   []int64 `json:"shape"`
		Offsets []int64 `json:"data_offsets"`
	}
	length := binary.LittleEndian.Uint64(raw)
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw[8:8+length], &all); err != nil {
		t.Fatal(err)
	}
	delete(all, "__metadata__")
	headers, bodies, fileOf := make([]map[string]tensor, n), make([][]byte, n), map[string]string{}
	for i, name := range slices.Sorted(maps.Keys(all)) {
		part := i % n
		if headers[part] == nil {
			headers[part] = map[string]tensor{}
		}
		var one tensor
		if err := json.Unmarshal(all[name], &one); err != nil {
			t.Fatal(err)
		}
		data := raw[8+length:][one.Offsets[0]:one.Offsets[1]]
		one.Offsets = []int64{int64(len(bodies[part])), int64(len(bodies[part]) + len(data))}
		headers[part][name], bodies[part], fileOf[name] = one, append(bodies[part], data...), partName(part, n)
	}
	for part := range n {
		header := marshal(t, headers[part])
		file := slices.Concat(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header, bodies[part])
		write(t, filepath.Join(folder, partName(part, n)), file)
	}
	write(t, path+".index.json", marshal(t, map[string]any{"metadata": map[string]any{"total_size": len(raw)}, "weight_map": fileOf}))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func partName(part, n int) string { return fmt.Sprintf("model-%05d-of-%05d.safetensors", part+1, n) }

func marshal(t *testing.T, value any) []byte {
	t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func write(t *testing.T, path string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
}
