package main

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/curate-data/curate/shards"
	"github.com/curate-data/curate/shards/s3"
)

// s3Settings are what a config file may say about S3. The environment has the
// last word, and keys are never in a file.
type s3Settings struct {
	Endpoint      string `yaml:"endpoint"`       // URL of another store than Amazon's
	Region        string `yaml:"region"`         //
	PathStyle     string `yaml:"path_style"`     // true, false or auto
	Checksums     string `yaml:"checksums"`      // when_supported or when_required
	RequesterPays bool   `yaml:"requester_pays"` //
	SSE           string `yaml:"sse"`            // AES256 or aws:kms
	SSEKMSKeyID   string `yaml:"sse_kms_key_id"` //
}

// validate refuses what must not be in a file.
func (s s3Settings) validate() error {
	if s.Endpoint == "" {
		return nil
	}
	endpoint, err := url.Parse(s.Endpoint)
	switch {
	case err != nil, endpoint.Host == "":
		return errors.New("endpoint: want a URL such as https://minio.example.com:9000")
	case endpoint.User != nil:
		return errors.New("endpoint: a file must not hold a password; credentials come from the environment (docs/S3.md)")
	}
	return nil
}

// options are the environment's, completed by the file's.
func (s s3Settings) options() (s3.Options, error) {
	opt, err := s3.OptionsFromEnv()
	if err != nil {
		return opt, err
	}
	unset := func(names ...string) bool {
		for _, name := range names {
			if os.Getenv(name) != "" {
				return false
			}
		}
		return true
	}
	if unset("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL") {
		opt.Endpoint = s.Endpoint
	}
	if unset("AWS_REGION", "AWS_DEFAULT_REGION") {
		opt.Region = s.Region
	}
	if unset("AWS_REQUEST_CHECKSUM_CALCULATION", "AWS_RESPONSE_CHECKSUM_VALIDATION") {
		opt.Checksums = cmp.Or(opt.Checksums, s.Checksums)
	}
	opt.PathStyle = cmp.Or(opt.PathStyle, s.PathStyle)
	opt.SSE, opt.SSEKMSKeyID = cmp.Or(opt.SSE, s.SSE), cmp.Or(opt.SSEKMSKeyID, s.SSEKMSKeyID)
	if unset("CURATE_S3_REQUESTER_PAYS") {
		opt.RequesterPays = s.RequesterPays
	}
	return opt, nil
}

// s3Places opens s3:// places. The client is made for the first of them: before
// that a config file may add its settings, and who uses local files needs none.
type s3Places struct {
	lockLifetime time.Duration // zero: the store's own

	mu       sync.Mutex
	settings s3Settings
	notice   func(string)
	client   *s3.Client
}

func (p *s3Places) open(ctx context.Context) (*s3.Client, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.client != nil {
		return p.client, nil
	}
	opt, err := p.settings.options()
	if err != nil {
		return nil, usageError{err}
	}
	opt.Notice = p.notice
	if p.client, err = s3.New(ctx, opt); err != nil {
		return nil, usageError{err}
	}
	return p.client, nil
}

func (p *s3Places) locate(ctx context.Context, uri string) (shards.Store, string, error) {
	client, err := p.open(ctx)
	if err != nil {
		return nil, "", err
	}
	return client.Locate(ctx, uri)
}

func (p *s3Places) folder(ctx context.Context, uri string) (shards.Folder, error) {
	client, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	store, err := client.Store(uri)
	if err != nil {
		return nil, usageError{err}
	}
	if p.lockLifetime > 0 {
		store.LockLifetime = p.lockLifetime
	}
	return store, nil
}

func (p *s3Places) close() {
	if p.client != nil {
		p.client.Close()
	}
}

// storeFailed reports whether an error is a remote store's and not an object's:
// no right, no answer, too busy. Another object would fare no better.
func storeFailed(err error) bool {
	var failed *s3.Error
	var answered interface{ HTTPStatus() int } // by the hub
	var unanswered net.Error
	status := 0
	switch {
	case errors.As(err, &failed):
		status = failed.Status
	case errors.As(err, &answered):
		status = answered.HTTPStatus()
	default:
		// What the system says of a file on disk is a net.Error, too.
		return errors.As(err, &unanswered) && !errors.Is(err, fs.ErrNotExist)
	}
	switch status {
	case http.StatusNotFound: // of an object, or of the bucket, the account, ...
		return failed != nil && !errors.Is(failed, fs.ErrNotExist)
	case http.StatusPreconditionFailed, http.StatusRequestedRangeNotSatisfiable:
		return false
	}
	return true
}
