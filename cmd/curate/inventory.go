package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/local"
	"github.com/curate-data/curate/shards/s3"
)

// stageFolders are where the stages of `curate run` keep their output, below
// the run's folder; the folder itself may be the output of one stage.
var stageFolders = []string{".", "models/prior", "models/conditional", "scores", "objects", "selection-colorfilter", "selection-ofds", "selection", "data"}

// errNoOutput says that a folder is not the output of a stage.
var errNoOutput = errors.New("neither a usable " + manifestName + " nor records of units are here")

// inventory is what lies in the folder of one stage, by what its manifest says,
// or, while it is unfinished, the records of its units.
type inventory struct {
	manifest  *shards.Manifest // nil: unfinished
	leftovers []leftover       // the stage's own, and named by nothing; sorted by name
	unknown   []shards.ObjectInfo
}

// leftover is one object that gc may remove.
type leftover struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
	Why   string `json:"why"`
}

// Reasons of leftovers.
const (
	whyOther    = "made with other options or from other inputs"
	whyRecord   = "record of work that is not in the manifest"
	whyNoFile   = "record whose file is not there"
	whyUnsaid   = "not recorded as done"
	whyHalfDone = "half-written when a run ended"
)

// recordsAtOnce is how many small objects are read or removed at the same time.
const recordsAtOnce = 16

// isOutput reports whether a folder holds a manifest or records of units.
func isOutput(ctx context.Context, store shards.Store) (bool, error) {
	there, err := objectExists(ctx, store, manifestName)
	if there || err != nil {
		return there, err
	}
	records, err := store.List(ctx, unitsFolder+"/")
	return len(records) > 0, err
}

// takeInventory sorts what is in a stage's folder. Sub-folders that are outputs
// of their own are passed over. A folder of another kind is errNoOutput.
func takeInventory(ctx context.Context, store shards.Store) (*inventory, error) {
	manifest, err := shards.ReadManifest(ctx, store, manifestName)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, shards.ErrManifest) {
		return nil, err
	}
	all, err := store.List(ctx, "")
	if err != nil {
		return nil, err
	}
	objects := withoutOthers(all)
	sorter := &sorter{ctx: ctx, store: store, manifest: manifest, sizes: map[string]int64{}, records: map[string]shards.Unit{}, named: map[string]bool{}}
	if err := sorter.readRecords(objects); err != nil {
		return nil, err
	}
	if manifest == nil && len(sorter.records) == 0 {
		return nil, errNoOutput
	}
	sorter.nameFiles()
	found := &inventory{manifest: manifest}
	for _, info := range objects {
		why, known, err := sorter.judge(info)
		switch {
		case err != nil:
			return nil, err
		case !known:
			found.unknown = append(found.unknown, info)
		case why != "":
			found.leftovers = append(found.leftovers, leftover{info.Name, info.Size, why})
		}
	}
	return found, nil
}

// withoutOthers leaves out the sub-folders with a manifest, records or training
// files of their own.
func withoutOthers(all []shards.ObjectInfo) []shards.ObjectInfo {
	others := map[string]bool{}
	for _, info := range all {
		if strings.HasPrefix(info.Name, unitsFolder+"/") {
			continue
		}
		folder := path.Dir(info.Name)
		if path.Base(info.Name) == manifestName {
			others[folder] = true
		}
		for _, inside := range []string{"/" + unitsFolder + "/", "/.train/"} {
			if before, _, ok := strings.Cut(info.Name, inside); ok {
				others[before] = true
			}
		}
	}
	delete(others, ".")
	return slices.DeleteFunc(slices.Clone(all), func(info shards.ObjectInfo) bool {
		for at := path.Dir(info.Name); at != "."; at = path.Dir(at) {
			if others[at] {
				return true
			}
		}
		return false
	})
}

// sorter knows what a folder's manifest and records name.
type sorter struct {
	ctx      context.Context
	store    shards.Store
	manifest *shards.Manifest
	sizes    map[string]int64
	records  map[string]shards.Unit // by the name of their file; zero: unreadable
	named    map[string]bool
}

// recordOf returns the name of the file that an object is the record of.
func recordOf(object string) (file string, ok bool) {
	file, ok = strings.CutPrefix(object, unitsFolder+"/")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(file, ".json")
}

// readRecords reads the records of units. Those of files in a manifest need no
// reading.
func (s *sorter) readRecords(objects []shards.ObjectInfo) error {
	inManifest := map[string]bool{}
	if s.manifest != nil {
		for _, unit := range s.manifest.Units {
			inManifest[unit.File] = true
		}
	}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(s.ctx)
	group.SetLimit(recordsAtOnce)
	for _, info := range objects {
		s.sizes[info.Name] = info.Size
		file, ok := recordOf(info.Name)
		if !ok {
			continue
		}
		group.Go(func() error {
			var record shards.Unit
			if !inManifest[file] {
				raw, err := shards.ReadObject(ctx, s.store, info.Name, maxRecord)
				if err != nil && !errors.Is(err, fs.ErrNotExist) {
					return err
				}
				if json.Unmarshal(raw, &record) != nil {
					record = shards.Unit{}
				}
			}
			mu.Lock()
			defer mu.Unlock()
			s.records[file] = record
			return nil
		})
	}
	return group.Wait()
}

// nameFiles finds what the manifest vouches for, or else the records.
func (s *sorter) nameFiles() {
	s.named[manifestName] = s.manifest != nil
	s.named[digestsName] = true
	if s.manifest == nil {
		for file, record := range s.records {
			size, there := s.sizes[file]
			done := record.Key != "" && (record.File == "" || record.File == file && there && size == record.Size)
			s.named[file] = done && record.File != ""
			s.named[path.Join(unitsFolder, file+".json")] = done
		}
		return
	}
	keys := map[string]bool{}
	for _, unit := range s.manifest.Units {
		keys[unit.Key] = unit.Key != ""
		if unit.File != "" {
			s.named[unit.File] = true
			s.named[path.Join(unitsFolder, unit.File+".json")] = true
		}
	}
	for file, record := range s.records {
		if keys[record.Key] && record.File == "" { // a shard of which nothing was kept
			s.named[path.Join(unitsFolder, file+".json")] = true
		}
	}
}

// judge says why an object is left over; empty if it is not. What curate did
// not make is not known.
func (s *sorter) judge(info shards.ObjectInfo) (why string, known bool, err error) {
	if s.named[info.Name] {
		return "", true, nil
	}
	if info.Name == manifestName {
		return "", true, nil // damaged: the next run replaces it
	}
	if file, ok := recordOf(info.Name); ok {
		if _, there := s.sizes[file]; !there {
			return whyNoFile, true, nil
		}
		return whyRecord, true, nil
	}
	if _, recorded := s.records[info.Name]; recorded {
		if s.manifest == nil {
			return whyUnsaid, true, nil
		}
		return whyOther, true, nil
	}
	if s.manifest == nil {
		return "", false, nil
	}
	ours, err := s.recognise(info.Name)
	return whyOther, ours, err
}

// sidecarName matches the names that `curate score` gives.
var sidecarName = regexp.MustCompile(`\.rg-\d{5,}-\d{5,}\.scores\.parquet$`)

// recognise reports whether a file without a record is of the stage's making.
func (s *sorter) recognise(name string) (bool, error) {
	switch s.manifest.Stage {
	case "train":
		return slices.Contains(modelFiles, name) || slices.Contains(trainedFiles, name) || strings.HasPrefix(name, ".train/"), nil
	case "score":
		return sidecarName.MatchString(name), nil
	case "select":
		if !strings.HasSuffix(name, ".parquet") {
			return false, nil
		}
		object, err := s.store.Open(s.ctx, name)
		if err != nil {
			return false, err
		}
		defer object.Close()
		_, err = countRows(shards.ReadSelection(s.ctx, object), func(d *pipeline.Decisions) int { return len(d.Row) })
		if s.ctx.Err() != nil {
			return false, context.Cause(s.ctx)
		}
		return err == nil, nil
	}
	return false, nil
}

// listHalfDone lists the temporary files and uploads that crashed runs left,
// which Sweep removes, and those of a run that is at work.
func listHalfDone(ctx context.Context, store shards.Store) ([]leftover, error) {
	var found []leftover
	switch store := store.(type) {
	case *local.Store:
		infos, err := store.Temporaries(ctx)
		if err != nil {
			return nil, err
		}
		for _, info := range infos {
			found = append(found, leftover{info.Name, info.Size, whyHalfDone})
		}
	case *s3.Store:
		uploads, err := store.StaleUploads(ctx)
		if err != nil {
			return nil, err
		}
		for _, upload := range uploads {
			why := fmt.Sprintf("upload begun at %s and never completed", upload.Begun.UTC().Format(time.RFC3339))
			found = append(found, leftover{upload.Name, 0, why})
		}
	}
	return found, nil
}
