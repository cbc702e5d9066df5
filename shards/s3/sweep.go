package s3

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Upload is an object of a Store that was begun in parts and not finished.
type Upload struct {
	Name  string // of the object it was to be
	ID    string
	Begun time.Time
}

// StaleUploads lists the uploads below the prefix that this process has not
// under way. Their parts are stored, and paid for, until they are aborted.
// They are those of crashed runs if the folder's lock is held.
func (s *Store) StaleUploads(ctx context.Context) ([]Upload, error) {
	in := &s3.ListMultipartUploadsInput{Bucket: &s.bucket, Prefix: &s.prefix, EncodingType: types.EncodingTypeUrl}
	var uploads []Upload
	for pages := s3.NewListMultipartUploadsPaginator(s.client.api, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, s.client.wrap(ctx, "list uploads", s.bucket, s.prefix, err)
		}
		for _, u := range page.Uploads {
			key := aws.ToString(u.Key)
			if page.EncodingType == types.EncodingTypeUrl {
				if key, err = url.QueryUnescape(key); err != nil {
					return nil, fmt.Errorf("list uploads in %s: key %q: %w", s.URI(""), aws.ToString(u.Key), err)
				}
			}
			name, ok := strings.CutPrefix(key, s.prefix)
			if ok && !s.client.alive(aws.ToString(u.UploadId)) {
				uploads = append(uploads, Upload{Name: name, ID: aws.ToString(u.UploadId), Begun: aws.ToTime(u.Initiated)})
			}
		}
	}
	return uploads, nil
}

// AbortUpload removes what was stored of an upload. That it is gone is no error.
func (s *Store) AbortUpload(ctx context.Context, u Upload) error {
	return s.client.abortUpload(ctx, s.bucket, s.prefix+u.Name, u.ID)
}

// Sweep implements shards.Locker: it aborts StaleUploads.
func (s *Store) Sweep(ctx context.Context) error {
	uploads, err := s.StaleUploads(ctx)
	if err != nil {
		return fmt.Errorf("sweep folder %s: %w", s.URI(""), err)
	}
	for _, u := range uploads {
		if err := s.AbortUpload(ctx, u); err != nil {
			return fmt.Errorf("sweep folder %s: %w", s.URI(""), err)
		}
	}
	return nil
}

// alive reports whether an upload is under way in this process.
func (c *Client) alive(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.live[id]
}
