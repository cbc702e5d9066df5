package install

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// PyPI is the index that is asked by default.
const PyPI = "https://pypi.org/simple"

const (
	jsonIndex  = "application/vnd.pypi.simple.v1+json"
	tries      = 5 // of a download that breaks off
	retryPause = time.Second
	maxIndex   = 64 << 20 // bytes of an answer of the index
)

// fetcher downloads wheels into a folder.
type fetcher struct {
	ctx    context.Context
	opt    Options
	folder string
}

// wheel returns the path of a package's wheel for the platform, downloaded and
// of the pinned hash.
func (f fetcher) wheel(p Package) (string, error) {
	want := p.Wheels[f.opt.platform]
	path := filepath.Join(f.folder, filepath.Base(want.File))
	if check(path, want) == nil {
		return path, nil // an earlier call came so far
	}
	from, err := f.locate(p, want)
	if err != nil {
		return "", fmt.Errorf("find %s %s: %w", p.Name, p.Version, err)
	}
	add, done := func(int64) {}, func() {}
	if f.opt.Start != nil {
		add, done = f.opt.Start(p.Name, want.Bytes)
	}
	defer done()
	part := path + ".part"
	if info, err := os.Stat(part); err == nil {
		add(info.Size())
	}
	for try := 1; ; try++ {
		again, err := f.download(from, part, want, add)
		if err == nil {
			break
		}
		if !again || try == tries || f.ctx.Err() != nil {
			return "", fmt.Errorf("download %s %s: %w", p.Name, p.Version, err)
		}
		select {
		case <-f.ctx.Done():
		case <-time.After(time.Duration(try) * retryPause):
		}
	}
	if err := check(part, want); err != nil {
		return "", errors.Join(fmt.Errorf("download %s %s: %w: these are not the bytes that curate trusts, they were thrown away", p.Name, p.Version, err), os.Remove(part))
	}
	return path, os.Rename(part, path)
}

// download goes on with a file from where it ends, and reports whether trying
// again makes sense.
func (f fetcher) download(from *url.URL, part string, want Wheel, add func(int64)) (again bool, err error) {
	file, err := os.OpenFile(part, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	have, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return false, err
	}
	if have > want.Bytes {
		add(-have)
		have = 0
	}
	if have == want.Bytes {
		return false, nil
	}
	request, err := http.NewRequestWithContext(f.ctx, http.MethodGet, from.String(), nil)
	if err != nil {
		return false, err
	}
	if have > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
	}
	answer, err := f.client().Do(request)
	if err != nil {
		return true, err
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusPartialContent && have > 0:
	case answer.StatusCode == http.StatusOK:
		add(-have) // a server without ranges begins again
		have = 0
	default:
		return answer.StatusCode >= 500 || answer.StatusCode == http.StatusTooManyRequests,
			fmt.Errorf("%s answers %s", from.Redacted(), answer.Status)
	}
	if err := file.Truncate(have); err != nil {
		return false, err
	}
	if _, err := file.Seek(have, io.SeekStart); err != nil {
		return false, err
	}
	n, err := io.Copy(counter{file, add}, io.LimitReader(answer.Body, want.Bytes-have+1))
	switch {
	case err != nil:
		return true, err
	case have+n < want.Bytes:
		return true, fmt.Errorf("%s ends after %d of %d bytes", from.Redacted(), have+n, want.Bytes)
	}
	return false, nil
}

// counter counts what it passes on.
type counter struct {
	io.Writer
	add func(int64)
}

func (c counter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.add(int64(n))
	return n, err
}

// check compares a file with its pin.
func check(path string, want Wheel) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, file)
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want.SHA256 {
		return fmt.Errorf("%s has %d bytes and SHA-256 %s, want %d and %s", filepath.Base(want.File), n, got, want.Bytes, want.SHA256)
	}
	return nil
}

// locate asks the index for the URL of a file. Indexes answer in JSON (PEP 691)
// or in HTML (PEP 503).
func (f fetcher) locate(p Package, want Wheel) (*url.URL, error) {
	index := f.opt.Index
	if index == "" {
		index = PyPI
	}
	page, err := url.Parse(strings.TrimSuffix(index, "/") + "/" + p.Name + "/")
	if err != nil || page.Host == "" {
		return nil, errors.New("the index (PIP_INDEX_URL) is no URL such as " + PyPI)
	}
	request, err := http.NewRequestWithContext(f.ctx, http.MethodGet, page.String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", jsonIndex+", text/html;q=0.5")
	answer, err := f.client().Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the index %s answers %s", page.Redacted(), answer.Status)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxIndex))
	if err != nil {
		return nil, err
	}
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	href := fromHTML(body, want.File)
	if kind == jsonIndex {
		if href, err = fromJSON(body, want.File); err != nil {
			return nil, fmt.Errorf("read the index %s: %w", page.Redacted(), err)
		}
	}
	if href == "" {
		return nil, fmt.Errorf("the index %s has no %s", page.Redacted(), want.File)
	}
	at, err := answer.Request.URL.Parse(href) // relative to where redirections led
	if err != nil || at.Host == "" {
		return nil, fmt.Errorf("the index %s names no URL for %s", page.Redacted(), want.File)
	}
	if at.Host == page.Host && at.User == nil {
		at.User = page.User // the index wants a password for its files, too
	}
	return at, nil
}

func fromJSON(body []byte, file string) (string, error) {
	var list struct {
		Files []struct{ Filename, URL string }
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return "", err
	}
	for _, f := range list.Files {
		if f.Filename == file {
			return f.URL, nil
		}
	}
	return "", nil
}

// anchor is a link with its text, which is the file's name.
var anchor = regexp.MustCompile(`(?is)<a\s[^>]*href\s*=\s*["']([^"']*)["'][^>]*>\s*([^<]*?)\s*</a>`)

func fromHTML(body []byte, file string) string {
	for _, match := range anchor.FindAllSubmatch(body, -1) {
		if html.UnescapeString(string(match[2])) == file {
			return html.UnescapeString(string(match[1]))
		}
	}
	return ""
}

func (f fetcher) client() *http.Client {
	if f.opt.Client != nil {
		return f.opt.Client
	}
	return http.DefaultClient
}
