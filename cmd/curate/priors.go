package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math"
	"slices"
	"strings"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/scoring"
	"github.com/curate-data/curate/shards"
)

// priors finds losses of the prior that were computed before: for another target,
// in the same output folder or in others.
type priors struct {
	own     shards.Store // of the output
	earlier map[string]earlierUnit
	some    bool // whether there may be any
	reused  int  // units
}

// earlierUnit is a scored unit of another folder.
type earlierUnit struct {
	store  shards.Store
	folder string
	unit   shards.Unit
}

// openPriors learns what the folders have. That of the stage itself is asked as
// well, before its manifest goes; its units are found by their records.
func (s *stage) openPriors(ctx context.Context, folders []string) (*priors, error) {
	p := &priors{own: s.store, earlier: map[string]earlierUnit{}}
	for _, folder := range folders {
		store, err := s.app.stores.Folder(ctx, folder)
		if err != nil {
			return nil, err
		}
		units, err := s.scoredUnits(ctx, store, math.MaxInt)
		if err != nil {
			return nil, fmt.Errorf("reuse %s: %w", folder, err)
		}
		for _, unit := range units {
			p.earlier[unit.PriorKey] = earlierUnit{store, folder, unit}
		}
		p.some = p.some || len(units) > 0
	}
	units, err := s.scoredUnits(ctx, s.store, 1)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	p.some = p.some || len(units) > 0
	return p, nil
}

// scoredUnits returns units of a folder of scores that have a prior key: those of
// its manifest, unless it is of another prior, or while it is unfinished those of
// its records, of which limit are enough. A folder without either is fs.ErrNotExist.
func (s *stage) scoredUnits(ctx context.Context, store shards.Store, limit int) (units []shards.Unit, err error) {
	m, err := shards.ReadManifest(ctx, store, manifestName)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, shards.ErrManifest) {
		return recordedUnits(ctx, store, limit)
	}
	if err != nil {
		return nil, err
	}
	if m.Stage != s.name {
		return nil, fmt.Errorf("it holds the output of %s, not scores", m.Stage)
	}
	if !slices.Contains(m.Models, s.models[0]) {
		return nil, nil
	}
	return slices.DeleteFunc(m.Units, func(unit shards.Unit) bool { return unit.PriorKey == "" || unit.File == "" }), nil
}

func recordedUnits(ctx context.Context, store shards.Store, limit int) (units []shards.Unit, err error) {
	infos, err := store.List(ctx, unitsFolder+"/")
	if err != nil {
		return nil, err
	}
	if len(infos) == 0 {
		return nil, fmt.Errorf("there are no scores: %w", fs.ErrNotExist)
	}
	for _, info := range infos {
		var unit shards.Unit
		raw, err := shards.ReadObject(ctx, store, info.Name, maxRecord)
		if err != nil {
			return nil, err
		}
		if json.Unmarshal(raw, &unit) != nil || unit.PriorKey == "" {
			continue // a damaged one is done again, too
		}
		// A record names its own file, which is in the folder.
		if unit.File == strings.TrimSuffix(strings.TrimPrefix(info.Name, unitsFolder+"/"), ".json") {
			units = append(units, unit)
		}
		if len(units) >= limit {
			break
		}
	}
	return units, nil
}

// priorKey is of everything that decides the prior's losses of a unit: its rows,
// how they are tokenised, cut and batched, the prior, and what computes.
func (s *stage) priorKey(in *stageInput, groups rowGroups) (string, error) {
	options, err := json.Marshal(s.options)
	if err != nil {
		return "", err
	}
	return shards.UnitKey("prior losses", string(options), s.tokenizer, s.backend, s.models[0].Digest, in.digest, groups.name()), nil
}

// open opens the earlier scores of a unit whose prior losses can be taken over, nil
// if there are none. before is the record that the unit had in the output.
func (p *priors) open(ctx context.Context, s *stage, key string, before shards.Unit) (shards.Object, error) {
	var candidates []earlierUnit
	if before.PriorKey == key && before.File != "" {
		candidates = append(candidates, earlierUnit{p.own, s.folder, before})
	}
	if other, ok := p.earlier[key]; ok {
		candidates = append(candidates, other)
	}
	for _, c := range candidates {
		object, err := c.store.Open(ctx, c.unit.File)
		if err == nil {
			err = checkEarlier(ctx, object, c.unit.SHA256)
			if err == nil {
				return object, nil
			}
			object.Close()
		}
		if ctx.Err() != nil || storeFailed(err) {
			return nil, err
		}
		s.app.log.Warn("prior losses are computed again", "earlier scores", joinPlace(c.folder, c.unit.File), "cause", err)
	}
	return nil, nil
}

// checkEarlier compares a sidecar with its digest and looks for rows that hold no
// prior loss.
func checkEarlier(ctx context.Context, object shards.Object, digest string) error {
	sum := sha256.New()
	if err := copyObject(ctx, sum, object, nil); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != digest {
		return fmt.Errorf("its SHA-256 is %s, its record says %s", got, digest)
	}
	for run, err := range shards.ReadScores(ctx, object, shards.ColumnReason) {
		if err != nil {
			return err
		}
		for _, reason := range run.Reason {
			if !scoring.Reusable(reason) {
				return fmt.Errorf("it has rows with reason %s, which hold no loss", reason)
			}
		}
	}
	return nil
}

// earlierRows are the rows of a sidecar that the scorer asks for.
func earlierRows(ctx context.Context, object shards.Object) iter.Seq2[*pipeline.Scores, error] {
	return shards.ReadScores(ctx, object, shards.ColumnRow, shards.ColumnSeq, shards.ColumnTokenCount, shards.ColumnPrior, shards.ColumnReason)
}
