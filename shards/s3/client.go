// Package s3 keeps shards in a bucket of S3 or of a store that speaks its
// protocol.
//
// An object is sent in one request, or in parts that become an object when all
// are there: at its name it is whole, whatever crashes when. Reads name the
// version that was opened, so that an object which is replaced while it is
// read gives an error and never a mixture. Keys outside a Store's prefix are
// neither listed nor written.
package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/logging"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Defaults of Options.
const (
	defaultRegion      = "us-east-1" // which other stores than Amazon's mostly take
	defaultAttempts    = 6           // about 15 s until an error that may pass is believed
	defaultPartSize    = 8 << 20     // bytes
	defaultConcurrency = 3           // 32 MiB of memory per object that is written
	leastPartSize      = 5 << 20     // bytes, by the protocol, but for the last part
	headerLimit        = 2 * time.Minute
)

// Options of a Client. The zero value is the standard: environment, shared
// configuration, default chain of credentials.
type Options struct {
	Endpoint      string // URL; empty: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, profile, Amazon's
	Region        string // empty: AWS_REGION, profile, us-east-1
	PathStyle     string // bucket in the path: "true", "false", or "auto" (the default): where an endpoint is set
	Checksums     string // "when_supported" (the default) or "when_required", of what is sent and received; empty: AWS_REQUEST_CHECKSUM_CALCULATION, AWS_RESPONSE_CHECKSUM_VALIDATION
	RequesterPays bool   // says so on every request
	SSE           string // encryption by the store of what is written: "" (the bucket's own), "AES256", "aws:kms"
	SSEKMSKeyID   string // key for aws:kms, empty for the account's
	MaxAttempts   int    // of one request; 0: AWS_MAX_ATTEMPTS, 6
	PartSize      int64  // bytes of the first parts of large objects, at least 5 MiB; 0: 8 MiB
	Concurrency   int    // parts of one object sent at a time; 0: 3

	// Notice, if set, is told once what a store lacks and what is done instead.
	Notice func(message string)
}

// OptionsFromEnv returns what CURATE_S3_* variables say: PATH_STYLE, CHECKSUMS,
// REQUESTER_PAYS, SSE, SSE_KMS_KEY_ID. The AWS_* variables are read by New.
func OptionsFromEnv() (Options, error) {
	opt := Options{
		PathStyle: os.Getenv("CURATE_S3_PATH_STYLE"), Checksums: os.Getenv("CURATE_S3_CHECKSUMS"),
		SSE: os.Getenv("CURATE_S3_SSE"), SSEKMSKeyID: os.Getenv("CURATE_S3_SSE_KMS_KEY_ID"),
	}
	if pays := os.Getenv("CURATE_S3_REQUESTER_PAYS"); pays != "" {
		var err error
		if opt.RequesterPays, err = strconv.ParseBool(pays); err != nil {
			return opt, fmt.Errorf("CURATE_S3_REQUESTER_PAYS is %q, want true or false", pays)
		}
	}
	return opt, opt.validate()
}

// validate says everything that is wrong with the options.
func (o Options) validate() error {
	var wrong []error
	check := func(name, value string, allowed ...string) {
		for _, a := range allowed {
			if strings.EqualFold(value, a) {
				return
			}
		}
		wrong = append(wrong, fmt.Errorf("option %s of S3 is %q, want %s", name, value, strings.Join(allowed[1:], " or ")))
	}
	check("path style", o.PathStyle, "", "auto", "true", "false")
	check("checksums", o.Checksums, "", "when_supported", "when_required")
	check("sse", o.SSE, "", "AES256", "aws:kms")
	if o.SSEKMSKeyID != "" && o.SSE != string(types.ServerSideEncryptionAwsKms) {
		wrong = append(wrong, errors.New("option sse kms key of S3 needs sse aws:kms"))
	}
	if o.PartSize != 0 && o.PartSize < leastPartSize {
		wrong = append(wrong, fmt.Errorf("option part size of S3 is %d bytes, want at least %d", o.PartSize, leastPartSize))
	}
	return errors.Join(wrong...)
}

// Client speaks to one endpoint with one set of credentials. A process needs
// one; it may be used in parallel.
type Client struct {
	api      *s3.Client
	http     *http.Transport
	opt      Options
	endpoint string // as errors show it
	region   string

	conditions conditions

	mu   sync.Mutex
	live map[string]bool // ids of multipart uploads of this process
}

// New makes a Client. It makes no request; what is wrong with credentials,
// endpoint or bucket shows in the first one.
func New(ctx context.Context, opt Options) (*Client, error) {
	if err := opt.validate(); err != nil {
		return nil, err
	}
	if opt.PartSize == 0 {
		opt.PartSize = defaultPartSize
	}
	if opt.Concurrency <= 0 {
		opt.Concurrency = defaultConcurrency
	}
	cfg, err := loadConfig(ctx, opt)
	if err != nil {
		return nil, fmt.Errorf("configure S3: %w", err)
	}
	c := &Client{opt: opt, live: make(map[string]bool)}
	// The SDK's client cannot close its idle connections; ours has the same transport.
	if buildable, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok {
		c.http = buildable.GetTransport()
		cfg.HTTPClient = &http.Client{Transport: c.http, CheckRedirect: onlySameMethod}
	}
	c.api = s3.NewFromConfig(cfg, func(o *s3.Options) {
		if opt.Endpoint != "" {
			o.BaseEndpoint = aws.String(opt.Endpoint)
		}
		switch strings.ToLower(opt.PathStyle) {
		case "true":
			o.UsePathStyle = true
		case "", "auto":
			o.UsePathStyle = o.BaseEndpoint != nil
		}
		o.DisableLogOutputChecksumValidationSkipped = true
		if opt.RequesterPays {
			o.APIOptions = append(o.APIOptions, smithyhttp.SetHeaderValue("X-Amz-Request-Payer", "requester"))
		}
		c.endpoint, c.region = showEndpoint(o.BaseEndpoint), o.Region
	})
	return c, nil
}

// loadConfig reads environment and shared configuration.
func loadConfig(ctx context.Context, opt Options) (aws.Config, error) {
	attempts := defaultAttempts
	client := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConnsPerHost = 64
		t.ResponseHeaderTimeout = headerLimit
		t.DisableCompression = true
	})
	load := []func(*config.LoadOptions) error{
		config.WithHTTPClient(client), config.WithDefaultRegion(defaultRegion),
		config.WithLogger(logging.Nop{}), // the SDK would write to stderr, below the progress; what matters is in the errors
	}
	if opt.Region != "" {
		load = append(load, config.WithRegion(opt.Region))
	}
	switch strings.ToLower(opt.Checksums) {
	case "when_supported":
		load = append(load, config.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenSupported),
			config.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenSupported))
	case "when_required":
		load = append(load, config.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenRequired),
			config.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenRequired))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return cfg, err
	}
	if cfg.RetryMaxAttempts > 0 {
		attempts = cfg.RetryMaxAttempts
	}
	if opt.MaxAttempts > 0 {
		attempts = opt.MaxAttempts
	}
	// Adaptive: a store that says "slow down" slows all requests down. The
	// budget of repetitions that the SDK shares among all requests is left out:
	// a long run may see more faults than it allows, each of which passes.
	cfg.Retryer = func() aws.Retryer {
		return retry.NewAdaptiveMode(func(o *retry.AdaptiveModeOptions) {
			o.StandardOptions = append(o.StandardOptions, func(o *retry.StandardOptions) {
				o.MaxAttempts = attempts
				o.RateLimiter = ratelimit.None
				o.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(unlessUnsigned)}, o.Retryables...)
			})
		})
	}
	cfg.RetryMaxAttempts = 0 // is in the Retryer
	return cfg, nil
}

// unlessUnsigned keeps requests from being repeated for want of keys: who
// gives them has been asked several times already.
func unlessUnsigned(err error) aws.Ternary {
	if isCredentials(err) {
		return aws.FalseTernary
	}
	return aws.UnknownTernary
}

// onlySameMethod follows redirects that keep the request as it is, as the SDK's
// own client does.
func onlySameMethod(r *http.Request, via []*http.Request) error {
	if len(via) >= 10 || r.Response == nil {
		return http.ErrUseLastResponse
	}
	switch r.Response.StatusCode {
	case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return nil
	}
	return http.ErrUseLastResponse
}

// sealed returns the encryption that is asked for on writes, and its key or nil.
func (c *Client) sealed() (types.ServerSideEncryption, *string) {
	if c.opt.SSEKMSKeyID == "" {
		return types.ServerSideEncryption(c.opt.SSE), nil
	}
	return types.ServerSideEncryption(c.opt.SSE), &c.opt.SSEKMSKeyID
}

// Close ends connections that wait for requests.
func (c *Client) Close() {
	if c.http != nil {
		c.http.CloseIdleConnections()
	}
}

// notice tells the user something once.
func (c *Client) notice(message string) {
	if c.opt.Notice != nil {
		c.opt.Notice(message)
	}
}
