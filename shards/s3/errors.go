package s3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Error is a request that failed. Its text is made of what is known to hold no
// secret: never of headers, signatures or the query of a URL.
type Error struct {
	Op        string // such as "open object"
	Bucket    string
	Key       string // empty for the bucket itself
	Status    int    // of HTTP, 0 when there was no answer
	Code      string // of S3, such as NoSuchKey
	Message   string
	RequestID string
	Hint      string // what to do, may be empty
	cause     error  // fs.ErrNotExist, fs.ErrExist, or of a context
}

// Error implements error.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s s3://%s/%s: ", e.Op, e.Bucket, e.Key)
	switch {
	case e.Status != 0:
		fmt.Fprintf(&b, "HTTP %d", e.Status)
		for _, part := range []string{e.Code, e.Message} {
			if part != "" {
				b.WriteString(" " + part)
			}
		}
		if e.RequestID != "" {
			b.WriteString(" (request " + e.RequestID + ")")
		}
	case e.Message != "":
		b.WriteString(e.Message)
	}
	if e.cause != nil {
		b.WriteString(": " + e.cause.Error())
	}
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

// Unwrap returns fs.ErrNotExist, fs.ErrExist, the error of a context, or nil.
func (e *Error) Unwrap() error { return e.cause }

// wrap makes an Error of what the SDK returned.
func (c *Client) wrap(ctx context.Context, op, bucket, key string, err error) error {
	if err == nil {
		return nil
	}
	if errors.As(err, new(*Error)) {
		return err
	}
	e := &Error{Op: op, Bucket: bucket, Key: key}
	var response *smithyhttp.ResponseError
	var withID *awshttp.ResponseError
	var api smithy.APIError
	if errors.As(err, &api) {
		e.Code, e.Message = api.ErrorCode(), api.ErrorMessage()
	}
	if errors.As(err, &response) && response.Response != nil {
		e.Status = response.HTTPStatusCode()
	}
	if errors.As(err, &withID) {
		e.RequestID = withID.ServiceRequestID()
	}
	switch {
	case ctx.Err() != nil:
		e.cause = context.Cause(ctx)
	case errors.Is(err, context.Canceled):
		e.cause = context.Canceled
	case e.Status == http.StatusNotFound && (e.Code == "NoSuchKey" || e.Code == "NotFound" || e.Code == ""):
		e.cause = fs.ErrNotExist
	}
	if e.Code == "UnknownError" || e.Code == "" && e.Status != 0 { // a HEAD has no body to say more
		e.Code, e.Message = "", http.StatusText(e.Status)
	}
	if e.Status == 0 && e.cause == nil {
		e.Message, e.Hint = c.unanswered(err)
		return e
	}
	e.Hint = c.hint(e, response)
	return e
}

// unanswered says why there was no answer, without URLs and headers.
func (c *Client) unanswered(err error) (message, hint string) {
	var dial *net.OpError
	var dns *net.DNSError
	var unsigned *aws.MissingRegionError
	var byURL *url.Error
	switch {
	case isCredentials(err): // before the others: the chain asks hosts too
		return "no credentials found",
			"set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run with a role"
	case errors.As(err, &dns):
		return "could not find host " + dns.Name, "check the endpoint and the bucket's name; " + c.where()
	case errors.As(err, &dial):
		return "could not connect to endpoint " + c.endpoint + ": " + dial.Error(), c.where()
	case errors.As(err, &unsigned):
		return "no region", "set AWS_REGION"
	case errors.As(err, &byURL):
		return "no answer from endpoint " + c.endpoint + ": " + byURL.Err.Error(), ""
	}
	return "request failed: " + plainCause(err), ""
}

// where says which settings led to the endpoint.
func (c *Client) where() string {
	return "AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL and AWS_REGION decide it"
}

// isCredentials reports whether signing failed for want of keys.
func isCredentials(err error) bool {
	text := err.Error()
	for _, sign := range []string{"get identity: get credentials", "failed to refresh cached credentials", "static credentials are empty", "resolve auth scheme"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

// plainCause is the innermost error's text. The outer ones may show the request.
func plainCause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// hint says what to do about common answers.
func (c *Client) hint(e *Error, response *smithyhttp.ResponseError) string {
	switch {
	case e.Code == "NoSuchBucket":
		return "make the bucket, or check its name and the endpoint (" + c.endpoint + ")"
	case e.Code == "RequestTimeTooSkewed":
		return "the clock of this machine is wrong"
	case e.Code == "InvalidAccessKeyId" || e.Code == "SignatureDoesNotMatch" || e.Code == "InvalidToken" || e.Code == "ExpiredToken":
		return "check the credentials: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_PROFILE"
	case e.Status == http.StatusForbidden:
		return "the credentials do not allow this, or, without the right to list, the object is missing"
	case e.Status == http.StatusMovedPermanently || e.Code == "PermanentRedirect" || e.Code == "AuthorizationHeaderMalformed":
		region := ""
		if response != nil && response.Response != nil {
			region = response.Response.Header.Get("X-Amz-Bucket-Region")
		}
		if region != "" {
			return fmt.Sprintf("the bucket is in region %s, not %s: set AWS_REGION", region, c.region)
		}
		return fmt.Sprintf("the bucket is in another region than %s, or wants another endpoint or path style", c.region)
	case e.Status == http.StatusServiceUnavailable || e.Code == "SlowDown" || e.Status == http.StatusTooManyRequests:
		return "the store is busy: run the same command again later"
	}
	return ""
}

// status returns the HTTP status and the code of S3 of an error, or nothing.
func status(err error) (int, string) {
	var ours *Error
	if errors.As(err, &ours) {
		return ours.Status, ours.Code
	}
	var api smithy.APIError
	code := ""
	if errors.As(err, &api) {
		code = api.ErrorCode()
	}
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) && response.Response != nil {
		return response.HTTPStatusCode(), code
	}
	return 0, code
}

// showEndpoint is an endpoint without user and password.
func showEndpoint(endpoint *string) string {
	if endpoint == nil {
		return "of Amazon S3"
	}
	u, err := url.Parse(*endpoint)
	if err != nil {
		return "that cannot be parsed"
	}
	return u.Scheme + "://" + u.Host
}
