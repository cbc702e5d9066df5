package shards

import (
	"context"
	"fmt"
	"io"
	"math"

	"github.com/parquet-go/parquet-go"

	"github.com/curate-data/curate/pipeline"
)

// Choice is an image that a method chose, and what for. Numbers that do not
// apply are -1, distances NaN, names empty.
type Choice struct {
	pipeline.RowID
	ImageID     string
	Group       string
	Kind        string  // coverage, leftover, background or method
	Class       string  // for which it was chosen
	Round       int32   // of the spending of the budget
	Cluster     int32   // number of the cluster among the K of the class
	K           int32   // clusters of the class at that time
	ClusterSize int32   // objects in the cluster
	Distance    float32 // of the object's vector to the centre of the cluster
	Object      string  // ID of the object that represents the cluster
	Score       float32 // its confidence
	Box         pipeline.Box
}

// choiceRow is the schema of a table of choices.
type choiceRow struct {
	Order    int32    `parquet:"order,delta"`
	Shard    string   `parquet:"shard,dict"`
	Row      int64    `parquet:"row"`
	ImageID  string   `parquet:"image_id"`
	Group    *string  `parquet:"group,dict"`
	Kind     string   `parquet:"kind,dict"`
	Class    *string  `parquet:"class,dict"`
	Round    *int32   `parquet:"round"`
	Cluster  *int32   `parquet:"cluster"`
	K        *int32   `parquet:"k"`
	Size     *int32   `parquet:"cluster_size"`
	Distance *float32 `parquet:"distance"`
	Object   *string  `parquet:"object_id"`
	Score    *float32 `parquet:"score"`
	X1       *float32 `parquet:"x1"`
	Y1       *float32 `parquet:"y1"`
	X2       *float32 `parquet:"x2"`
	Y2       *float32 `parquet:"y2"`
}

// WriteChoices writes choices in their order as one Parquet file. meta becomes
// its key-value metadata; it may be nil.
func WriteChoices(w io.Writer, choices []Choice, meta map[string]string) error {
	rows := make([]choiceRow, len(choices))
	for i, c := range choices {
		rows[i] = c.row(i)
	}
	out := newOwnWriter[choiceRow](w, meta)
	if _, err := out.Write(rows); err != nil {
		return fmt.Errorf("write choices: %w", err)
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("write choices: %w", err)
	}
	return nil
}

func (c Choice) row(order int) choiceRow {
	row := choiceRow{
		Order: int32(order), Shard: c.Shard, Row: c.Row, ImageID: c.ImageID, Kind: c.Kind, Group: unlessEmpty(c.Group), Class: unlessEmpty(c.Class),
		Round: unlessNegative(c.Round), Cluster: unlessNegative(c.Cluster), K: unlessNegative(c.K), Size: unlessNegative(c.ClusterSize), Object: unlessEmpty(c.Object),
	}
	if c.Distance == c.Distance {
		row.Distance = &c.Distance
	}
	if c.Object != "" {
		row.Score, row.X1, row.Y1, row.X2, row.Y2 = &c.Score, &c.Box.X1, &c.Box.Y1, &c.Box.X2, &c.Box.Y2
	}
	return row
}

func unlessEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func unlessNegative(n int32) *int32 {
	if n < 0 {
		return nil
	}
	return &n
}

// ReadChoices reads what WriteChoices wrote.
func ReadChoices(ctx context.Context, obj Object) (choices []Choice, err error) {
	if _, err := openParquet(obj); err != nil { // its guards come before the library
		return nil, fmt.Errorf("read choices: %w", err)
	}
	err = guard(func() error {
		file, err := parquet.OpenFile(obj, obj.Size())
		if err != nil {
			return err
		}
		reader := parquet.NewGenericReader[choiceRow](file)
		defer reader.Close()
		rows := make([]choiceRow, tableReadRows)
		for ctx.Err() == nil {
			n, err := reader.Read(rows)
			for _, row := range rows[:n] {
				choices = append(choices, row.choice())
			}
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
		}
		return context.Cause(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("read choices: %w", err)
	}
	return choices, nil
}

func (r choiceRow) choice() Choice {
	c := Choice{
		RowID: pipeline.RowID{Shard: r.Shard, Row: r.Row}, ImageID: r.ImageID, Group: valueOr(r.Group, ""), Kind: r.Kind, Class: valueOr(r.Class, ""),
		Round: valueOr(r.Round, -1), Cluster: valueOr(r.Cluster, -1), K: valueOr(r.K, -1), ClusterSize: valueOr(r.Size, -1),
		Distance: valueOr(r.Distance, float32(math.NaN())), Object: valueOr(r.Object, ""), Score: valueOr(r.Score, 0),
	}
	c.Box = pipeline.Box{X1: valueOr(r.X1, 0), Y1: valueOr(r.Y1, 0), X2: valueOr(r.X2, 0), Y2: valueOr(r.Y2, 0)}
	return c
}

func valueOr[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}
