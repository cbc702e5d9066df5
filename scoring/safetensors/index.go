package safetensors

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Index is a model.safetensors.index.json: it says which file has which tensor.
type Index struct {
	Files []string // names in the model's folder, sorted

	fileOf map[string]string // by tensor
}

// MaxIndex bounds an index in bytes; that of a model of 100,000 tensors has 10 MB.
const MaxIndex = 64 << 20

// ParseIndex reads an index. All faults are named at once. Files lie beside it:
// names that lead elsewhere are refused.
func ParseIndex(raw []byte) (*Index, error) {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	var weights json.RawMessage
	err := eachMember(raw, func(name string, value json.RawMessage) {
		if name == "weight_map" {
			weights = value
		}
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", IndexFile, err)
	}
	index := &Index{fileOf: map[string]string{}}
	files := map[string]bool{}
	err = eachMember(weights, func(tensor string, value json.RawMessage) {
		var file string
		if json.Unmarshal(value, &file) != nil || !isPartName(file) {
			fault("tensor %s is in %s: want the name of a .safetensors file in the same folder", tensor, value)
			return
		}
		if other, twice := index.fileOf[tensor]; twice {
			fault("tensor %s is there twice, in %s and %s", tensor, other, file)
		}
		index.fileOf[tensor] = file
		files[file] = true
	})
	switch {
	case weights == nil:
		fault("weight_map is missing")
	case err != nil:
		fault("weight_map: %w", err)
	case len(index.fileOf) == 0 && len(faults) == 0:
		fault("weight_map is empty")
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("%s: %w", IndexFile, err)
	}
	index.Files = slices.Sorted(maps.Keys(files))
	return index, nil
}

// isPartName accepts names of files of weights that lie in the model's folder itself.
func isPartName(name string) bool {
	return strings.HasSuffix(name, ".safetensors") && !strings.HasPrefix(name, ".") && !strings.ContainsAny(name, "/\\\x00")
}

// Join makes one File of the opened files of an index, by name. It names at once
// the tensors that are not where the index says, and those that are in two files.
// One that the index does not have counts all the same.
func (x *Index) Join(files map[string]*File) (*File, error) {
	var faults []error
	all := map[string]entry{}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		for _, tensor := range files[file].Names() {
			if first, twice := all[tensor]; twice {
				faults = append(faults, fmt.Errorf("tensor %s is in two files, %s and %s", tensor, first.part.name, file))
				continue
			}
			e := files[file].entries[tensor]
			e.part.name = file
			all[tensor] = e
		}
	}
	for _, tensor := range slices.Sorted(maps.Keys(x.fileOf)) {
		file := x.fileOf[tensor]
		if files[file] == nil {
			continue // the caller says so
		}
		if _, ok := files[file].entries[tensor]; ok {
			continue
		}
		where := "in no file"
		if e, ok := all[tensor]; ok {
			where = "in " + e.part.name
		}
		faults = append(faults, fmt.Errorf("tensor %s is %s, the index has it in %s", tensor, where, file))
	}
	return &File{all}, errors.Join(faults...)
}
