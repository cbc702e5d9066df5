package s3

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/curate-data/curate/shards"
)

// tailBytes is how much of an object's end comes with opening it: the footer
// of most Parquet files, the whole of most manifests and sidecars.
const tailBytes = 512 << 10

// Open implements shards.Store. One request tells the size and brings the end
// of the object. Later reads want the same version: an object that is replaced
// in the meantime gives an error.
func (s *Store) Open(ctx context.Context, name string) (shards.Object, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	return s.open(ctx, s.prefix+name)
}

func (s *Store) open(ctx context.Context, key string) (*shards.Ranged, error) {
	c := s.client
	out, err := c.api.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key, Range: aws.String(fmt.Sprintf("bytes=-%d", tailBytes))})
	if code, _ := status(err); code == http.StatusRequestedRangeNotSatisfiable {
		return s.openEmpty(ctx, key)
	}
	if err != nil {
		return nil, c.wrap(ctx, "open object", s.bucket, key, err)
	}
	defer out.Body.Close()
	size, tail, err := shards.ReadTail(out.Body, aws.ToInt64(out.ContentLength), aws.ToString(out.ContentRange), tailBytes)
	if err != nil {
		return nil, fmt.Errorf("open object s3://%s/%s: %w", s.bucket, key, err)
	}
	return shards.NewRanged(ctx, "s3://"+s.bucket+"/"+key, size, tail, s.fetch(key, out.ETag)), nil
}

// openEmpty opens an object that has no bytes to ask for.
func (s *Store) openEmpty(ctx context.Context, key string) (*shards.Ranged, error) {
	out, err := s.client.head(ctx, s.bucket, key)
	if err != nil {
		return nil, fmt.Errorf("open object: %w", err)
	}
	return shards.NewRanged(ctx, "s3://"+s.bucket+"/"+key, aws.ToInt64(out.ContentLength), nil, s.fetch(key, out.ETag)), nil
}

// fetch reads ranges of the version with an ETag.
func (s *Store) fetch(key string, etag *string) shards.Fetch {
	if strings.HasPrefix(aws.ToString(etag), "W/") || aws.ToString(etag) == "" {
		etag = nil // no version to ask for
	}
	return func(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
		c := s.client
		out, err := c.api.GetObject(ctx, &s3.GetObjectInput{
			Bucket: &s.bucket, Key: &key, IfMatch: etag,
			Range: aws.String(fmt.Sprintf("bytes=%d-%d", offset, offset+length-1)),
		})
		if code, _ := status(err); code == http.StatusPreconditionFailed || code == http.StatusRequestedRangeNotSatisfiable || code == http.StatusNotFound {
			e := c.wrap(ctx, "read object", s.bucket, key, err)
			return nil, fmt.Errorf("the object was replaced or removed while it was read: %v", e) // not fs.ErrNotExist: it was there
		}
		if err != nil {
			return nil, c.wrap(ctx, "read object", s.bucket, key, err)
		}
		if err := shards.CheckRange(aws.ToInt64(out.ContentLength), aws.ToString(out.ContentRange), offset, length); err != nil {
			out.Body.Close()
			return nil, fmt.Errorf("read object s3://%s/%s: %w", s.bucket, key, err)
		}
		return out.Body, nil
	}
}
