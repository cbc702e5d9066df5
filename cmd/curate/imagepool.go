package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/curate-data/curate/pipeline"
	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/images"
)

// shardPool is a pool of images in shards and label files, with vectors of the
// user's, or none.
type shardPool struct{ *setSource }

func (p shardPool) begin(ctx context.Context, s *stage) error {
	for _, in := range p.inputs {
		digest, err := s.cache.Digest(ctx, in)
		if err != nil {
			return err
		}
		s.inputs = append(s.inputs, stageInput{Input: in, digest: digest, rows: -1})
	}
	s.options["images"], s.options["labels"] = p.places, p.places.Labels
	return p.addLabels(ctx, s)
}

func (p shardPool) manifestInputs(s *stage) (list []shards.ManifestInput) {
	for _, in := range s.inputs {
		list = append(list, shards.ManifestInput{Shard: in.Shard, Digest: in.digest})
	}
	return list
}

// failed quarantines the shard that was read last, if the error is one of reading.
func (p shardPool) failed(ctx context.Context, s *stage, err error) (bool, error) {
	if len(p.inputs) == 0 {
		return false, err
	}
	in := &s.inputs[p.at]
	in.rows = rowsOf(ctx, in.Input)
	if err := s.shardFailed(ctx, in, err); err != nil {
		return false, err
	}
	if p.skip == nil {
		p.skip = map[string]bool{}
	}
	p.skip[in.Shard] = true
	if len(p.skip) == len(p.inputs) {
		return false, fmt.Errorf("no shard could be read; the last: %s", in.fault)
	}
	return true, nil
}

// embedPool is a pool of images with the vectors that `curate embed` made.
type embedPool struct {
	store    shards.Store
	manifest *shards.Manifest
	folder   string
}

// openEmbedded opens the output of `curate embed`.
func openEmbedded(ctx context.Context, a *app, folder string) (*embedPool, error) {
	store, err := a.stores.Folder(ctx, folder)
	if err != nil {
		return nil, err
	}
	m, err := shards.ReadManifest(ctx, store, manifestName)
	if err != nil {
		return nil, fmt.Errorf("open vectors %s: %w (a folder without a manifest is unfinished: run `curate embed` again)", folder, err)
	}
	if m.Stage != "embed" {
		return nil, usagef("%s holds the output of `curate %s`, not of `curate embed`", folder, m.Stage)
	}
	return &embedPool{store, m, folder}, nil
}

// selectedFrom tells the next stages where the labels of a selection are.
type selectedFrom struct {
	Sidecars []labelFile `json:"sidecars"`
}

func (p *embedPool) begin(_ context.Context, s *stage) error {
	s.from(p.manifest)
	var sidecars []labelFile
	for _, unit := range p.manifest.Units {
		if unit.File != "" {
			sidecars = append(sidecars, labelFile{unit.Shard, joinPlace(p.folder, unit.File), unit.SHA256})
		}
	}
	s.options["objects"], s.options["labels"] = p.manifest.Key, p.places().Labels
	s.detail = selectedFrom{sidecars}
	s.options["images"] = p.places()
	return nil
}

func (p *embedPool) manifestInputs(*stage) []shards.ManifestInput { return p.manifest.Inputs }

// failed never goes on: a sidecar that can't be read is our own.
func (p *embedPool) failed(_ context.Context, _ *stage, err error) (bool, error) {
	return false, fmt.Errorf("%w; run `curate embed` again", err)
}

// places say where the images are that the vectors were made of.
func (p *embedPool) places() imagePlaces {
	var options struct{ Images imagePlaces }
	if json.Unmarshal(p.manifest.Options, &options) != nil {
		return imagePlaces{}
	}
	places := options.Images
	for _, in := range p.manifest.Inputs {
		if in.URI != places.Labels {
			places.Inputs = append(places.Inputs, in.URI)
		}
	}
	return places
}

// Images implements pipeline.ImageSource. Units are in (shard, row) order.
func (p *embedPool) Images(ctx context.Context) iter.Seq2[*pipeline.Image, error] {
	var all images.Source
	for _, unit := range p.manifest.Units {
		if unit.File != "" {
			all.Inputs = append(all.Inputs, shards.Input{Store: p.store, Path: unit.File, Shard: unit.File, URI: unit.File, Size: unit.Size, Format: shards.Parquet})
		}
	}
	return all.Images(ctx)
}

// maxIDs bounds a list of image IDs.
const maxIDs = 1 << 30

// readImageIDs reads a list of image IDs, one to a line, or the images that an
// earlier selection chose.
func readImageIDs(ctx context.Context, a *app, place string) (map[string]bool, error) {
	store, name, err := a.stores.Locate(ctx, place)
	if err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	if name == "" {
		object, err := store.Open(ctx, choicesName)
		if err != nil {
			return nil, fmt.Errorf("%w: want a text file with one image ID to a line, or a folder that `curate select --method ofds` wrote", err)
		}
		defer object.Close()
		choices, err := shards.ReadChoices(ctx, object)
		for _, c := range choices {
			ids[c.ImageID] = true
		}
		return ids, err
	}
	raw, err := shards.ReadObject(ctx, store, name, maxIDs)
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(strings.NewReader(string(raw)))
	for lines.Scan() {
		if id := strings.TrimSpace(lines.Text()); id != "" {
			ids[id] = true
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		return nil, errors.New("the list is empty")
	}
	return ids, nil
}
