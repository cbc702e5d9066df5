package s3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/bmatcuk/doublestar/v4"

	"github.com/curate-data/curate/shards"
)

// lockName is the name of the object that is a folder's lock. List hides it.
const lockName = ".curate.lock"

// Store is the objects of a bucket whose keys begin with a prefix.
type Store struct {
	// LockLifetime is how long a lock outlives a holder that was killed: it is
	// renewed every third of it.
	LockLifetime time.Duration

	client *Client
	bucket string
	prefix string // ends in a slash, or is empty
}

// The seams of a folder that the command writes to.
var _ shards.Folder = (*Store)(nil)

// parse splits s3://bucket/key. The key may be empty or end in a slash.
func parse(uri string) (bucket, key string, err error) {
	rest, ok := strings.CutPrefix(uri, "s3://")
	if !ok {
		return "", "", fmt.Errorf("%s is no URI of S3: want s3://bucket/prefix", uri)
	}
	bucket, key, _ = strings.Cut(rest, "/")
	if bucket == "" {
		return "", "", fmt.Errorf("URI %s names no bucket: want s3://bucket/prefix", uri)
	}
	if folder := strings.TrimSuffix(key, "/"); key != "" && (!fs.ValidPath(folder) || folder == ".") {
		return "", "", fmt.Errorf("URI %s: the key has empty, . or .. elements", uri)
	}
	return bucket, key, nil
}

// Store returns the Store of the folder s3://bucket/prefix, with or without a
// slash at the end, or of the bucket s3://bucket. It makes no request.
func (c *Client) Store(uri string) (*Store, error) {
	bucket, key, err := parse(uri)
	if err != nil {
		return nil, err
	}
	if key != "" && !strings.HasSuffix(key, "/") {
		key += "/"
	}
	return &Store{LockLifetime: time.Minute, client: c, bucket: bucket, prefix: key}, nil
}

// Locate is the shards.Locate of s3:// URIs. A folder is a bucket, a URI that
// ends in a slash, or one below which there are objects, unless it is itself
// an object.
func (c *Client) Locate(ctx context.Context, uri string) (shards.Store, string, error) {
	bucket, key, err := parse(uri)
	if err != nil {
		return nil, "", err
	}
	if key == "" || strings.HasSuffix(key, "/") {
		s, err := c.Store(uri)
		return s, "", err
	}
	out, err := c.api.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: aws.String(key + "/"), MaxKeys: aws.Int32(1)})
	if err != nil {
		return nil, "", c.wrap(ctx, "list", bucket, key+"/", err)
	}
	if len(out.Contents) > 0 {
		if _, err := c.head(ctx, bucket, key); errors.Is(err, fs.ErrNotExist) {
			s, err := c.Store(uri)
			return s, "", err
		} else if err != nil {
			return nil, "", err
		}
	}
	folder, name := path.Split(key)
	s, err := c.Store("s3://" + bucket + "/" + folder)
	return s, name, err
}

// head asks for what is known of an object.
func (c *Client) head(ctx context.Context, bucket, key string) (*s3.HeadObjectOutput, error) {
	out, err := c.api.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	return out, c.wrap(ctx, "look up object", bucket, key, err)
}

// URI returns the s3:// URI of an object, or of the folder for no name.
func (s *Store) URI(name string) string { return "s3://" + s.bucket + "/" + s.prefix + name }

// checkName refuses names that leave the prefix or that List would hide.
func checkName(name string) error {
	if !fs.ValidPath(name) || name == "." {
		return fmt.Errorf("object name %q: want a relative path without . and .. elements", name)
	}
	if path.Base(name) == lockName {
		return fmt.Errorf("object name %q is reserved", name)
	}
	return nil
}

// List implements shards.Store.
func (s *Store) List(ctx context.Context, prefix string) ([]shards.ObjectInfo, error) {
	return s.list(ctx, prefix, "", func(string) bool { return true })
}

// Glob returns the objects whose names match a doublestar pattern. It lists
// what begins as the pattern does up to its first wildcard, and nothing below
// the last folder when the rest has no slash.
func (s *Store) Glob(ctx context.Context, pattern string) ([]shards.ObjectInfo, error) {
	fixed, recursive, err := shards.GlobPrefix(pattern)
	if err != nil {
		return nil, fmt.Errorf("match %s in %s: %w", pattern, s.URI(""), err)
	}
	delimiter := ""
	if !recursive {
		delimiter = "/"
	}
	return s.list(ctx, fixed, delimiter, func(name string) bool { return doublestar.MatchUnvalidated(pattern, name) })
}

// list returns the objects with a prefix whose names are wanted, sorted by name.
func (s *Store) list(ctx context.Context, prefix, delimiter string, wanted func(string) bool) ([]shards.ObjectInfo, error) {
	in := &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: aws.String(s.prefix + prefix), EncodingType: types.EncodingTypeUrl}
	if delimiter != "" {
		in.Delimiter = &delimiter
	}
	var infos []shards.ObjectInfo
	for pages := s3.NewListObjectsV2Paginator(s.client.api, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, s.client.wrap(ctx, "list", s.bucket, s.prefix+prefix, err)
		}
		for i := range page.Contents {
			info, ok, err := s.info(&page.Contents[i], page.EncodingType)
			if err != nil {
				return nil, err
			}
			if ok && wanted(info.Name) {
				infos = append(infos, info)
			}
		}
	}
	slices.SortFunc(infos, func(a, b shards.ObjectInfo) int { return strings.Compare(a.Name, b.Name) })
	return infos, nil
}

// info describes a listed object; ok is false for those that List hides.
func (s *Store) info(obj *types.Object, encoding types.EncodingType) (info shards.ObjectInfo, ok bool, err error) {
	key := aws.ToString(obj.Key)
	if encoding == types.EncodingTypeUrl {
		if key, err = url.QueryUnescape(key); err != nil {
			return info, false, fmt.Errorf("list %s: key %q: %w", s.URI(""), aws.ToString(obj.Key), err)
		}
	}
	name, ok := strings.CutPrefix(key, s.prefix)
	if !ok {
		return info, false, fmt.Errorf("list %s: the store answered with key %q", s.URI(""), key)
	}
	if name == "" || strings.HasSuffix(name, "/") || path.Base(name) == lockName {
		return info, false, nil // a console's mark of an empty folder
	}
	if !fs.ValidPath(name) {
		return info, false, fmt.Errorf("list %s: object %q has empty, . or .. elements in its key and cannot be addressed: rename it", s.URI(""), key)
	}
	info = shards.ObjectInfo{Name: name, Size: aws.ToInt64(obj.Size), Version: aws.ToString(obj.ETag), Modified: aws.ToTime(obj.LastModified)}
	info.Digest = digest(info.Version, info.Size)
	return info, true, nil
}

// digest is the identity of content with a strong ETag, else empty.
func digest(etag string, size int64) string {
	if etag == "" || strings.HasPrefix(etag, "W/") {
		return ""
	}
	return fmt.Sprintf("etag:%s-%d", strings.Trim(etag, `"`), size)
}

// Remove implements shards.Store. In a versioned bucket older versions stay.
func (s *Store) Remove(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	key := s.prefix + name
	// Deleting what is missing is no error for S3.
	if _, err := s.client.head(ctx, s.bucket, key); err != nil {
		return fmt.Errorf("remove object: %w", err)
	}
	_, err := s.client.api.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: &key})
	if code, _ := status(err); code == http.StatusNotFound {
		return nil // a repeated request whose first answer was lost, or another's
	}
	return s.client.wrap(ctx, "remove object", s.bucket, key, err)
}
