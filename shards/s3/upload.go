package s3

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Limits of the protocol and how parts grow towards them.
const (
	mostParts  = 10_000
	evenParts  = 2_000            // of the first size: some stores want all parts equal, which objects up to 16 GB are
	growEvery  = 1_000            // parts, from then on
	abortLimit = 30 * time.Second // for ending an upload after a failure
)

// partSize is the size of part n, from 0. Ten thousand parts of 8 MiB would be
// 80 GB; with parts that double they are 4 TB.
func partSize(first int64, n int) int64 {
	if n < evenParts {
		return first
	}
	return first << (1 + (n-evenParts)/growEvery)
}

// upload is an object that is sent in parts. Its methods are called by one
// goroutine; parts are sent by others.
type upload struct {
	client      *Client
	bucket, key string
	id          string
	ctx         context.Context // of the parts
	cancel      context.CancelFunc

	begun int         // parts
	free  chan []byte // buffers of parts that are sent, as many as may be sent at a time
	parts sync.WaitGroup

	mu    sync.Mutex
	done  []types.CompletedPart // by number
	sums  []byte                // CRC-32 of the parts, big-endian
	err   error                 // of the first part that failed
	ended bool
}

// begin asks for a new upload.
func (c *Client) begin(ctx context.Context, bucket, key, token string) (*upload, error) {
	in := &s3.CreateMultipartUploadInput{
		Bucket: &bucket, Key: &key, ContentType: aws.String(contentType(key)), Metadata: map[string]string{tokenKey: token},
	}
	in.ServerSideEncryption, in.SSEKMSKeyId = c.sealed()
	if c.api.Options().RequestChecksumCalculation != aws.RequestChecksumCalculationWhenRequired {
		in.ChecksumAlgorithm = types.ChecksumAlgorithmCrc32 // which the SDK then sends with each part
	}
	out, err := c.api.CreateMultipartUpload(ctx, in)
	if err != nil {
		return nil, c.wrap(ctx, "begin upload of object", bucket, key, err)
	}
	u := &upload{client: c, bucket: bucket, key: key, id: aws.ToString(out.UploadId), free: make(chan []byte, c.opt.Concurrency)}
	for range c.opt.Concurrency {
		u.free <- nil
	}
	u.ctx, u.cancel = context.WithCancel(ctx)
	c.mu.Lock()
	c.live[u.id] = true
	c.mu.Unlock()
	return u, nil
}

// send begins to send a part, waiting while as many as may be are under way,
// and returns an empty buffer for the next one.
func (u *upload) send(part []byte) ([]byte, error) {
	if u.begun == mostParts {
		return nil, fmt.Errorf("the object has more than %d parts: set a larger part size", mostParts)
	}
	var next []byte
	select {
	case next = <-u.free:
	case <-u.ctx.Done():
	}
	u.mu.Lock()
	err := u.err
	if err == nil && u.ctx.Err() != nil {
		err = context.Cause(u.ctx)
	}
	number := u.begun
	u.begun++
	u.done, u.sums = append(u.done, types.CompletedPart{}), append(u.sums, 0, 0, 0, 0)
	u.mu.Unlock()
	if err != nil {
		return nil, err
	}
	u.parts.Go(func() {
		if err := u.sendPart(number, part); err != nil {
			u.mu.Lock()
			if u.err == nil {
				u.err = err
			}
			u.mu.Unlock()
			u.cancel()
		}
		u.free <- part[:0]
	})
	return next, nil
}

// sendPart sends one part. The SDK repeats what fails in passing.
func (u *upload) sendPart(number int, part []byte) error {
	out, err := u.client.api.UploadPart(u.ctx, &s3.UploadPartInput{
		Bucket: &u.bucket, Key: &u.key, UploadId: &u.id, PartNumber: aws.Int32(int32(number + 1)),
		Body: bytes.NewReader(part), ContentLength: aws.Int64(int64(len(part))),
	})
	if err != nil {
		return u.client.wrap(u.ctx, fmt.Sprintf("write part %d of object", number+1), u.bucket, u.key, err)
	}
	sum := crc32.ChecksumIEEE(part)
	if err := checkSum(out.ChecksumCRC32, sum); err != nil {
		return fmt.Errorf("part %d: %w", number+1, err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.done[number] = types.CompletedPart{
		PartNumber: aws.Int32(int32(number + 1)), ETag: out.ETag,
		ChecksumCRC32: out.ChecksumCRC32, ChecksumCRC32C: out.ChecksumCRC32C, ChecksumCRC64NVME: out.ChecksumCRC64NVME,
		ChecksumSHA1: out.ChecksumSHA1, ChecksumSHA256: out.ChecksumSHA256,
	}
	binary.BigEndian.PutUint32(u.sums[4*number:], sum)
	return nil
}

// complete waits for all parts and makes them the object.
func (u *upload) complete(ctx context.Context, p *pending) error {
	// The parts end when ctx does.
	stop := context.AfterFunc(ctx, u.cancel)
	u.parts.Wait()
	stop()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case u.err != nil:
		return u.err
	case u.ctx.Err() != nil:
		return context.Cause(u.ctx)
	}
	try := func(conditional bool) error { return u.completeOnce(ctx, p, conditional) }
	var err error
	if p.fresh {
		if err = p.publishNew(ctx, try); err == nil {
			// The same content may have been there already: then the parts are not wanted.
			err = u.client.abortUpload(ctx, u.bucket, u.key, u.id)
		}
	} else {
		err = try(false)
	}
	if err == nil {
		u.forget()
	}
	return err
}

func (u *upload) completeOnce(ctx context.Context, p *pending, conditional bool) error {
	in := &s3.CompleteMultipartUploadInput{
		Bucket: &u.bucket, Key: &u.key, UploadId: &u.id, MultipartUpload: &types.CompletedMultipartUpload{Parts: u.done},
	}
	if conditional {
		in.IfNoneMatch = aws.String("*")
	}
	out, err := u.client.api.CompleteMultipartUpload(ctx, in)
	if err != nil {
		err = u.client.wrap(ctx, "complete upload of object", u.bucket, u.key, err)
		if code, name := status(err); code != http.StatusNotFound || name != "NoSuchUpload" {
			return err
		}
		// A repeated request whose first answer was lost finds the upload gone.
		head, lookErr := u.client.head(ctx, u.bucket, u.key)
		if lookErr != nil || head.Metadata[tokenKey] != p.token {
			return err
		}
		return u.checkSize(head, p)
	}
	if out.ChecksumType == types.ChecksumTypeFullObject {
		err = checkSum(out.ChecksumCRC32, p.sum)
	} else if out.ChecksumCRC32 != nil {
		if want := fmt.Sprintf("%s-%d", encodeSum(crc32.ChecksumIEEE(u.sums)), len(u.done)); *out.ChecksumCRC32 != want {
			err = fmt.Errorf("the store holds checksum %s, %s was sent", *out.ChecksumCRC32, want)
		}
	}
	if err != nil {
		return p.discard(ctx, err)
	}
	head, err := u.client.head(ctx, u.bucket, u.key)
	if err != nil {
		return err
	}
	if err := u.checkSize(head, p); err != nil {
		return p.discard(ctx, err)
	}
	return nil
}

// checkSize compares what the store says with what was written.
func (u *upload) checkSize(head *s3.HeadObjectOutput, p *pending) error {
	if head.Metadata[tokenKey] != p.token {
		return nil // another has replaced it since
	}
	if size := aws.ToInt64(head.ContentLength); size != p.size {
		return fmt.Errorf("the store holds %d bytes, %d were written", size, p.size)
	}
	return nil
}

// abort ends the upload and waits for its parts. It is not asked whether its
// caller's context is over: that is when it is needed.
func (u *upload) abort() {
	u.cancel()
	u.parts.Wait()
	if u.ended {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(u.ctx), abortLimit)
	defer cancel()
	u.client.abortUpload(ctx, u.bucket, u.key, u.id) // a failure leaves it to Sweep
	u.forget()
}

// forget ends what this process knows of the upload.
func (u *upload) forget() {
	u.cancel()
	u.ended = true
	u.client.mu.Lock()
	delete(u.client.live, u.id)
	u.client.mu.Unlock()
}

// abortUpload ends an upload; that it is gone is no error.
func (c *Client) abortUpload(ctx context.Context, bucket, key, id string) error {
	_, err := c.api.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &bucket, Key: &key, UploadId: &id})
	if code, _ := status(err); code == http.StatusNotFound {
		return nil
	}
	return c.wrap(ctx, "abort upload of object", bucket, key, err)
}

// encodeSum is a CRC-32 as S3 writes it.
func encodeSum(sum uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
}
