package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/curate-data/curate/internal/progress"
	"github.com/curate-data/curate/shards"
)

// Names inside an output folder. Readers of data folders skip names that
// begin with "_" or ".".
const (
	manifestName = "_manifest.json"
	unitsFolder  = "_units"
	digestsName  = ".digests.json"
)

// stage is one of train, score, select and write at work on an output folder:
// it knows what is done, does the rest, and publishes the manifest last.
type stage struct {
	app    *app
	name   string
	folder string
	store  shards.Folder
	lock   *heldLock
	cache  *shards.DigestCache
	inputs []stageInput

	// What decides the output's bytes, beside the inputs.
	options   map[string]any
	models    []shards.ManifestModel
	tokenizer string
	backend   string

	detail any // what the stage tells the next ones, in the manifest

	mu    sync.Mutex // over units: shards may be worked on side by side
	units []shards.Unit
}

// stageInput is an input with what the stage learned about it.
type stageInput struct {
	shards.Input
	digest string
	rows   int64  // -1 unknown
	fault  string // why the shard is quarantined
}

// from makes the stage go on from an earlier one: its inputs and provenance.
func (s *stage) from(m *shards.Manifest) {
	for _, in := range m.Inputs {
		s.inputs = append(s.inputs, stageInput{
			Input: shards.Input{Shard: in.Shard, URI: in.URI, Size: in.Size}, digest: in.Digest, rows: in.Rows, fault: in.Fault,
		})
	}
	s.models, s.tokenizer, s.backend = m.Models, m.Tokenizer, m.Backend
}

// failedInputs returns the inputs that a stage could not read.
func failedInputs(m *shards.Manifest) []shards.ManifestInput {
	var failed []shards.ManifestInput
	for _, in := range m.Inputs {
		if in.Fault != "" {
			failed = append(failed, in)
		}
	}
	return failed
}

// optionOf returns a string option of a stage, "" when it has none.
func optionOf(m *shards.Manifest, name string) string {
	var options map[string]any
	if json.Unmarshal(m.Options, &options) != nil {
		return ""
	}
	value, _ := options[name].(string)
	return value
}

// numberOf returns an option of a stage that is a number, 0 when it has none.
func numberOf(m *shards.Manifest, name string) float64 {
	var options map[string]any
	if json.Unmarshal(m.Options, &options) != nil {
		return 0
	}
	value, _ := options[name].(float64)
	return value
}

// decodeDetail reads what a stage told the next ones.
func decodeDetail(m *shards.Manifest, to any) error {
	if m == nil || len(m.Detail) == 0 {
		return nil
	}
	return json.Unmarshal(m.Detail, to)
}

// stageResult is what a stage leaves behind.
type stageResult struct {
	manifest *shards.Manifest
	folder   string
	nothing  bool // everything was done before
}

// begin makes the folder unfinished: from here on its files may change, and a
// manifest of other work must not vouch for them.
func (s *stage) begin(ctx context.Context) error { return s.remove(ctx, manifestName) }

// remove deletes an object that may be missing.
func (s *stage) remove(ctx context.Context, name string) error {
	if err := s.store.Remove(ctx, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// key is the digest of what decides the stage's bytes, inputs excluded.
func (s *stage) key(backend string) (string, error) {
	options, err := json.Marshal(s.options) // keys are sorted
	if err != nil {
		return "", err
	}
	parts := []string{s.name, string(options), s.tokenizer, backend}
	for _, m := range s.models {
		parts = append(parts, m.Role, m.Digest)
	}
	return shards.UnitKey(parts...), nil
}

// done reports whether the folder holds the finished output of exactly this
// stage. With backend auto, whatever backend it was made on will do. If it does
// not, the manifest of what was there before is gone afterwards.
func (s *stage) done(ctx context.Context, backend string) (stageResult, bool, error) {
	m, err := shards.ReadManifest(ctx, s.store, manifestName)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return stageResult{}, false, nil
	case errors.Is(err, shards.ErrManifest):
		s.app.log.Warn("output counts as unfinished", "folder", s.folder, "cause", err)
		return stageResult{}, false, s.begin(ctx)
	case err != nil:
		return stageResult{}, false, err
	}
	if backend == "auto" || backend == "" {
		backend = m.Backend
	}
	key, err := s.key(backend)
	if err != nil {
		return stageResult{}, false, err
	}
	same := m.Key == key && len(failedInputs(m)) == 0 && s.sameInputs(m)
	for _, unit := range m.Units {
		same = same && s.hasFile(ctx, unit)
	}
	if !same {
		return stageResult{}, false, s.begin(ctx)
	}
	return stageResult{manifest: m, folder: s.folder, nothing: true}, true, nil
}

func (s *stage) sameInputs(m *shards.Manifest) bool {
	return slices.EqualFunc(m.Inputs, s.inputs, func(a shards.ManifestInput, b stageInput) bool {
		return a.Shard == b.Shard && a.Digest == b.digest
	})
}

// hasFile reports whether a unit's file is there with the recorded size. A
// unit without rows to keep has no file.
func (s *stage) hasFile(ctx context.Context, f shards.Unit) bool {
	if f.File == "" {
		return true
	}
	object, err := s.store.Open(ctx, f.File)
	if err != nil {
		return false
	}
	defer object.Close()
	return object.Size() == f.Size
}

// unit does one work unit unless its record says that it is done. more is what
// else the unit depends on. work writes the unit's file, fills in the record's
// counts and says whether the file is to be kept: without rows there is none.
func (s *stage) unit(ctx context.Context, in *stageInput, name, more string, groups rowGroups,
	work func(ctx context.Context, out shards.Pending, record *shards.Unit) (keepFile bool, err error)) (shards.Unit, error) {
	stageKey, err := s.key(s.backend)
	if err != nil {
		return shards.Unit{}, err
	}
	key := shards.UnitKey(stageKey, in.Shard, in.digest, more, groups.name())
	recordName := path.Join(unitsFolder, name+".json")
	record, err := s.readRecord(ctx, recordName)
	if err == nil && record.Key == key && s.hasFile(ctx, record) {
		s.addUnits(record)
		return record, nil
	}
	// A record without a key comes first: it vouches for no file, and says that
	// the one which may follow is ours, should nobody ever finish it.
	if err := s.writeRecord(ctx, recordName, shards.Unit{File: name, Shard: in.Shard}); err != nil {
		return shards.Unit{}, err
	}
	record = shards.Unit{Key: key, Shard: in.Shard, FirstRowGroup: groups.from, RowGroups: groups.to - groups.from}
	if err := s.writeUnit(ctx, name, &record, work); err != nil {
		return shards.Unit{}, err
	}
	if err := s.writeRecord(ctx, recordName, record); err != nil {
		return shards.Unit{}, err
	}
	s.addUnits(record)
	return record, nil
}

func (s *stage) addUnits(records ...shards.Unit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.units = append(s.units, records...)
}

// writeUnit writes and publishes the file of a unit.
func (s *stage) writeUnit(ctx context.Context, name string, record *shards.Unit,
	work func(context.Context, shards.Pending, *shards.Unit) (bool, error)) error {
	pending, err := s.store.Create(ctx, name)
	if err != nil {
		return err
	}
	out := newDigesting(pending)
	keep, err := work(ctx, out, record)
	if err != nil {
		pending.Abort()
		return err
	}
	if !keep {
		pending.Abort()
		// An earlier run with other options may have left a file here.
		return s.remove(ctx, name)
	}
	if err := pending.Finish(ctx); err != nil {
		return err
	}
	record.File, record.Size, record.SHA256 = name, out.size, hex.EncodeToString(out.sum.Sum(nil))
	return nil
}

// shardFailed decides about the error of one shard: nil goes on, failures of
// reading quarantine the shard, everything else ends the stage. When the store
// fails, so would the other shards.
func (s *stage) shardFailed(ctx context.Context, in *stageInput, err error) error {
	var broken shardError
	if err == nil || ctx.Err() != nil || !errors.As(err, &broken) || storeFailed(err) {
		return err
	}
	s.app.log.Error("shard failed, going on with the others", "shard", in.Shard, "cause", broken.error)
	in.fault = broken.Error()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.units = slices.DeleteFunc(s.units, func(f shards.Unit) bool { return f.Shard == in.Shard })
	return nil
}

// finish publishes the manifest.
func (s *stage) finish(ctx context.Context) (stageResult, error) {
	key, err := s.key(s.backend)
	if err != nil {
		return stageResult{}, err
	}
	m := &shards.Manifest{Stage: s.name, Key: key, Curate: version, Models: s.models, Tokenizer: s.tokenizer, Backend: s.backend, Units: s.units}
	if m.Options, err = json.Marshal(s.options); err != nil {
		return stageResult{}, err
	}
	if s.detail != nil {
		if m.Detail, err = json.Marshal(s.detail); err != nil {
			return stageResult{}, err
		}
	}
	for _, unit := range s.units {
		m.Counts.Add(unit.Counts)
	}
	for _, in := range s.inputs {
		m.Inputs = append(m.Inputs, shards.ManifestInput{Shard: in.Shard, URI: in.URI, Size: in.Size, Digest: in.digest, Rows: in.rows, Fault: in.fault})
		if in.fault != "" {
			m.Counts.Add(shards.Counts{RowsIn: max(in.rows, 0), Quarantined: max(in.rows, 0)})
		}
	}
	if failed := failedInputs(m); len(failed) > 0 && len(failed) == len(m.Inputs) {
		return stageResult{}, fmt.Errorf("%s: no shard could be read; the first: %s", s.name, failed[0].Fault)
	}
	if err := shards.WriteManifest(ctx, s.store, manifestName, m); err != nil {
		return stageResult{}, err
	}
	return stageResult{manifest: m, folder: s.folder}, nil
}

// err is errPartial when shards failed.
func (r stageResult) err() error {
	if r.manifest == nil {
		return nil
	}
	failed := failedInputs(r.manifest)
	if len(failed) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %d of %d; the others are done; mend these or leave them out, and run again", errPartial, len(failed), len(r.manifest.Inputs))
}

// finishStage prints the outcome of a command that is one stage.
func (a *app) finishStage(r stageResult, err error) error {
	if err != nil {
		return err
	}
	if a.json {
		if err := a.printJSON(r.manifest); err != nil {
			return err
		}
	} else if r.nothing {
		a.say("nothing to do: %s is complete", r.folder)
	}
	if err := r.err(); err != nil {
		return err
	}
	if !r.nothing {
		a.sayDone(r, r.folder)
	}
	return nil
}

// sayDone ends a run that nobody watches with one line on standard error, for
// logs and the mails of cron.
func (a *app) sayDone(last stageResult, output string) {
	if a.quiet || a.json || a.onTerminal() {
		return
	}
	m := last.manifest
	var bytes, device, padding int64
	for _, unit := range m.Units {
		bytes += unit.Size
		device, padding = device+unit.DeviceTokens, padding+unit.Padding
	}
	rows := ""
	if m.Counts.RowsIn > 0 {
		rows = fmt.Sprintf("%s rows in, %s kept, ", progress.Count(m.Counts.RowsIn), progress.Count(m.Counts.Kept))
	}
	if device > 0 {
		rows += fmt.Sprintf("padding %.1f %%, ", 100*float64(padding)/float64(device))
	}
	a.say("done: %d shards, %s%s written to %s in %s", len(m.Inputs), rows, progress.Bytes(float64(bytes)), output,
		progress.Duration(time.Since(a.begun)))
}
