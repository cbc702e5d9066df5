package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/curate-data/curate/shards"
)

// manifestsFormat is the --format that copies no rows: two lists that refer to
// the shards where they are, one to pre-train on and one to fine-tune on.
const manifestsFormat = "manifests"

// The files of the format. Their form is in docs/FORMAT.md.
const (
	pretrainName = "pretrain.json" // every row of the pool, with automatic labels
	finetuneName = "finetune.json" // the rows that are selected, for people to label
)

// trainingList says which rows of which shards to train on.
type trainingList struct {
	Format int             `json:"format"` // 1
	Role   string          `json:"role"`   // pretrain or finetune
	Labels labels          `json:"labels"`
	Rows   int64           `json:"rows"` // of all shards
	Shards []trainingShard `json:"shards"`
}

// labels says where the labels of the rows are.
type labels struct {
	Kind      string      `json:"kind"`                // automatic or human
	Source    string      `json:"source,omitempty"`    // where automatic ones were read: shards, or a place of label files
	Sidecars  []labelFile `json:"sidecars,omitempty"`  // files of `curate embed`, which have the automatic labels
	Selection string      `json:"selection,omitempty"` // key of the selection
}

type labelFile struct {
	Shard  string `json:"shard"`
	File   string `json:"file"`
	SHA256 string `json:"sha256"`
}

// trainingShard is one shard with the rows to take, as half-open ranges.
type trainingShard struct {
	Shard  string     `json:"shard"`
	URI    string     `json:"uri"`
	Size   int64      `json:"size"`
	Digest string     `json:"digest"`
	Of     int64      `json:"of"` // rows that the shard has
	Ranges [][2]int64 `json:"ranges"`
}

// writeManifests writes both lists. They refer to the same shards, which are not
// copied.
func writeManifests(ctx context.Context, s *stage, selection *selection) error {
	digests := []string{}
	for i := range s.inputs {
		in := &s.inputs[i]
		in.rows = selection.rowsIn(in.Shard)
		if in.fault = selection.faults[in.Shard]; in.fault == "" {
			in.rows = selection.files[in.Shard].Rows
			digests = append(digests, in.Shard, in.digest, selection.files[in.Shard].SHA256)
		}
	}
	key, err := s.key(s.backend)
	if err != nil {
		return err
	}
	set := fileSet{names: []string{finetuneName, pretrainName}, key: shards.UnitKey(append(digests, key)...)}
	_, err = s.fileSet(ctx, set, func(ctx context.Context, out []pendingFile, record *shards.Unit) (bool, error) {
		human := labels{Kind: "human", Selection: selection.manifest.Key}
		counts, err := writeTrainingList(ctx, out[0], s, selection, trainingList{Role: "finetune", Labels: human}, false)
		if err != nil {
			return false, err
		}
		automatic := labels{Kind: "automatic", Source: optionOf(selection.manifest, "labels")}
		if automatic.Sidecars, err = labelFiles(selection.manifest); err != nil {
			return false, err
		}
		if _, err := writeTrainingList(ctx, out[1], s, selection, trainingList{Role: "pretrain", Labels: automatic}, true); err != nil {
			return false, err
		}
		record.Rows, record.Counts = counts.Kept, counts
		return true, nil
	})
	return err
}

// labelFiles returns the sidecars with the automatic labels that a selection
// says it was made from.
func labelFiles(selection *shards.Manifest) ([]labelFile, error) {
	var from selectedFrom
	return from.Sidecars, decodeDetail(selection, &from)
}

// writeTrainingList writes one list, of the kept rows or of all.
func writeTrainingList(ctx context.Context, w io.Writer, s *stage, selection *selection, list trainingList, all bool) (counts shards.Counts, err error) {
	heads := []trainingShard{}
	for i := range s.inputs {
		in := &s.inputs[i]
		if in.fault != "" {
			continue
		}
		head := trainingShard{Shard: in.Shard, URI: in.URI, Size: in.Size, Digest: in.digest, Of: in.rows, Ranges: [][2]int64{}}
		unit := selection.files[in.Shard]
		counts.Add(unit.Counts)
		switch {
		case all && in.rows > 0:
			head.Ranges = append(head.Ranges, [2]int64{0, in.rows})
		case !all:
			if head.Ranges, err = keptRanges(ctx, selection, unit); err != nil {
				return counts, fmt.Errorf("selection of %s: %w", in.Shard, err)
			}
		}
		for _, r := range head.Ranges {
			list.Rows += r[1] - r[0]
		}
		heads = append(heads, head)
	}
	list.Format, list.Shards = 1, heads
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return counts, encoder.Encode(list)
}

// keptRanges returns the kept rows of a shard as half-open ranges.
func keptRanges(ctx context.Context, selection *selection, unit shards.Unit) ([][2]int64, error) {
	object, err := selection.store.Open(ctx, unit.File)
	if err != nil {
		return nil, err
	}
	defer object.Close()
	ranges := [][2]int64{}
	for d, err := range shards.ReadSelection(ctx, object, shards.ColumnShard, shards.ColumnRow, shards.ColumnKeep) {
		if err != nil {
			return nil, err
		}
		for i, row := range d.Row {
			switch last := len(ranges) - 1; {
			case !d.Keep[i]:
			case last >= 0 && ranges[last][1] == row:
				ranges[last][1]++
			default:
				ranges = append(ranges, [2]int64{row, row + 1})
			}
		}
	}
	return ranges, nil
}
