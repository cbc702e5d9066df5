package shards

import (
	"context"
	"fmt"
)

// checkOtherRows is CheckRows for the formats beside Parquet.
func checkOtherRows(ctx context.Context, in Input, obj Object) (int64, error) {
	reader, err := openFormat(in, obj)
	if err != nil {
		return 0, err
	}
	switch r := reader.(type) {
	case *jsonlReader:
		var rows int64
		err := r.eachLine(ctx, func(line []byte, _ int64) error {
			rows++
			_, err := walkObject(line)
			return err
		})
		return rows, err
	}
	return 0, fmt.Errorf("%w: format %q", ErrUnsupported, in.Format)
}
