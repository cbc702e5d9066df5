// Package hub reads shards of datasets on the Hugging Face Hub, by URIs like
// hf://datasets/ORG/NAME/data/train.parquet, or NAME@REVISION, and models, by
// hf://ORG/NAME. Models go through the cache that Python's huggingface_hub has.
//
// A revision is looked up once and stands for one commit from then on: what is
// listed and what is read belong together, whatever is pushed meanwhile.
package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	defaultEndpoint = "https://huggingface.co"
	attempts        = 6                // of one request
	firstPause      = time.Second / 2  // before the second attempt, then twice as long each time
	longestPause    = time.Minute      // also of what the hub asks for
	answerBytes     = 64 << 20         // of one answer in JSON at most
	headerLimit     = time.Minute      // until an answer begins
	redirects       = 5                // of one request
	targetLife      = 10 * time.Minute // of a redirect that is used again: they are signed for an hour
)

// Options of a Client. The zero value is the public hub without a token.
type Options struct {
	Endpoint string // URL; empty: https://huggingface.co
	Token    string // for private and gated repositories
	Offline  bool   // every request is an error; models are taken from the cache
	Cache    string // folder of models; there is none when it is empty
}

// OptionsFromEnv returns what HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE, HF_HUB_CACHE
// and HF_HOME say, by the rules of Python's huggingface_hub.
func OptionsFromEnv() Options {
	offline := strings.ToUpper(os.Getenv("HF_HUB_OFFLINE"))
	return Options{
		Endpoint: os.Getenv("HF_ENDPOINT"), Token: os.Getenv("HF_TOKEN"),
		Offline: offline == "1" || offline == "TRUE" || offline == "ON" || offline == "YES",
		Cache:   cacheFromEnv(),
	}
}

// Client speaks to one hub. It may be used in parallel.
type Client struct {
	opt  Options
	host string // of the endpoint: the only one that sees the token
	http *http.Client

	mu      sync.Mutex
	commits map[string]string // of repositories at revisions
	models  map[string]*Model // by repository and revision
}

// New makes a Client. It makes no request.
func New(opt Options) (*Client, error) {
	if opt.Endpoint == "" {
		opt.Endpoint = defaultEndpoint
	}
	opt.Endpoint = strings.TrimSuffix(opt.Endpoint, "/")
	u, err := url.Parse(opt.Endpoint)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, errors.New("endpoint of the hub (HF_ENDPOINT) is no URL like " + defaultEndpoint)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost, transport.ResponseHeaderTimeout, transport.DisableCompression = 64, headerLimit, true
	return &Client{opt: opt, host: u.Host, commits: make(map[string]string), models: make(map[string]*Model), http: &http.Client{
		Transport: transport,
		// Redirects are followed here, where the token is left behind.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Close ends connections that wait for requests.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// statusError is an answer that is no success. It shows no URL: those of
// redirects are signed.
type statusError struct {
	status int
	code   string // X-Error-Code
	said   string // X-Error-Message
	token  bool   // whether one was sent
}

// Error implements error.
func (e *statusError) Error() string {
	text := fmt.Sprintf("HTTP %d %s", e.status, http.StatusText(e.status))
	for _, part := range []string{e.code, e.said} {
		if part != "" {
			text += " " + part
		}
	}
	switch {
	case e.status == http.StatusUnauthorized && e.token:
		text += "; HF_TOKEN is not valid, or the repository does not exist"
	case e.status == http.StatusUnauthorized:
		text += "; the repository does not exist, or is private: set HF_TOKEN"
	case e.status == http.StatusForbidden:
		text += "; the repository is gated: accept its terms on its page, and set HF_TOKEN"
	case e.status == http.StatusTooManyRequests:
		text += "; the hub limits requests: run the same command again later, with HF_TOKEN set"
	}
	return text
}

// HTTPStatus is the status of the answer.
func (e *statusError) HTTPStatus() int { return e.status }

// Unwrap says that what is missing does not exist. (A repository or revision that
// is missing is a mistake in the URI, not a missing object.)
func (e *statusError) Unwrap() error {
	if e.status == http.StatusNotFound && e.code != "RepoNotFound" && e.code != "RevisionNotFound" {
		return fs.ErrNotExist
	}
	return nil
}

var errOffline = errors.New("HF_HUB_OFFLINE is set: the hub is not asked")

// get makes a request, repeats it when that may help, and follows redirects.
// at is where the answer came from.
func (c *Client) get(ctx context.Context, address string, header http.Header) (answer *http.Response, at string, err error) {
	if c.opt.Offline {
		return nil, "", errOffline
	}
	pause := firstPause
	for attempt := 1; ; attempt++ {
		answer, at, err = c.follow(ctx, address, header)
		if err == nil || ctx.Err() != nil || attempt == attempts {
			break
		}
		wait := pause/2 + rand.N(pause)
		var status *statusError
		if errors.As(err, &status) {
			if status.status != http.StatusTooManyRequests && status.status < 500 {
				break
			}
			if answer != nil {
				wait = max(wait, retryAfter(answer.Header.Get("Retry-After")))
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		pause = min(2*pause, longestPause)
	}
	if ctx.Err() != nil && err != nil {
		err = context.Cause(ctx)
	}
	return answer, at, err
}

// retryAfter reads the seconds that the hub asks to wait.
func retryAfter(header string) time.Duration {
	seconds, err := strconv.Atoi(header)
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, longestPause)
}

// follow makes one request and those it is redirected to. The body of an error
// is closed.
func (c *Client) follow(ctx context.Context, address string, header http.Header) (*http.Response, string, error) {
	for range redirects {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return nil, "", errors.New("the address is not a URL")
		}
		request.Header = header.Clone()
		if request.Header == nil {
			request.Header = make(http.Header)
		}
		token := c.opt.Token != "" && request.URL.Host == c.host
		if token {
			request.Header.Set("Authorization", "Bearer "+c.opt.Token)
		}
		answer, err := c.http.Do(request)
		if err != nil {
			var inner *url.Error
			if errors.As(err, &inner) {
				err = inner.Err // without the URL
			}
			return nil, "", fmt.Errorf("no answer from %s: %w", request.URL.Host, err)
		}
		if answer.StatusCode < 300 {
			return answer, address, nil
		}
		io.CopyN(io.Discard, answer.Body, 64<<10) // keeps the connection
		answer.Body.Close()
		location, err := answer.Location()
		if answer.StatusCode >= 400 || err != nil {
			return answer, "", &statusError{answer.StatusCode, answer.Header.Get("X-Error-Code"), answer.Header.Get("X-Error-Message"), token}
		}
		if request.URL.Scheme == "https" && location.Scheme != "https" {
			return nil, "", fmt.Errorf("%s redirects from https to %s", request.URL.Host, location.Scheme)
		}
		address = location.String()
	}
	return nil, "", errors.New("too many redirects")
}

// getJSON reads an answer in JSON and returns its headers.
func (c *Client) getJSON(ctx context.Context, address string, into any) (http.Header, error) {
	answer, _, err := c.get(ctx, address, nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(io.LimitReader(answer.Body, answerBytes+1))
	if err != nil {
		return nil, fmt.Errorf("the answer broke off: %w", err)
	}
	if len(b) > answerBytes {
		return nil, fmt.Errorf("the answer has more than %d bytes", answerBytes)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return nil, fmt.Errorf("the answer is not what the hub answers: %w", err)
	}
	return answer.Header, nil
}
