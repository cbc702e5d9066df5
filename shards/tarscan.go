package shards

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Limits of tar archives, far above real ones.
const (
	maxSampleBytes   = 1 << 30 // of all members of a sample
	maxSampleMembers = 1000
	tarBlock         = 512
	tarBuffer        = 256 << 10 // bytes read at a time
)

// tarScan goes through the members of a WebDataset tar. Members whose paths are
// equal up to the first dot of the file name, the key, are a sample, and follow
// each other. Whatever is not a plain file inside the archive is refused.
type tarScan struct {
	archive *tar.Reader
	bytes   *tarBytes
	close   func()

	row  int64  // of the current sample; -1 before the first
	key  string // of the current sample
	exts map[string]bool
	size int64               // bytes of the current sample
	seen map[uint64]struct{} // hashes of keys: 16 bytes or so for each sample

	globals bool // there were headers for all members that follow
}

// tarMember is a member of a sample. What it holds is read from the scan.
type tarMember struct {
	header   *tar.Header
	key, ext string
	first    bool // of its sample
}

// tarCompression returns the compression of an archive, by its first bytes.
func tarCompression(obj Object) (string, error) {
	var magic [4]byte
	n, err := obj.ReadAt(magic[:], 0)
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("read the beginning of the archive: %w", err)
	}
	switch {
	case bytes.HasPrefix(magic[:n], []byte{0x1F, 0x8B}):
		return gzipd, nil
	case bytes.HasPrefix(magic[:n], []byte{0x28, 0xB5, 0x2F, 0xFD}):
		return zstdd, nil
	}
	return plain, nil
}

// scanTar begins to go through an archive. Where sequential is not set, what is
// not read of an uncompressed one is not fetched either.
func scanTar(obj Object, sequential bool) (*tarScan, error) {
	compression, err := tarCompression(obj)
	if err != nil {
		return nil, err
	}
	s := &tarScan{close: func() {}, row: -1, exts: map[string]bool{}, seen: map[uint64]struct{}{}}
	section := io.NewSectionReader(obj, 0, obj.Size())
	s.bytes = &tarBytes{in: bufio.NewReaderSize(section, tarBuffer)}
	switch compression {
	case gzipd:
		z, err := gzip.NewReader(s.bytes.in)
		if err != nil {
			return nil, fmt.Errorf("%w: gzip: %w", ErrCorrupt, err)
		}
		s.bytes.in, s.close = bufio.NewReaderSize(z, tarBuffer), func() { z.Close() }
	case zstdd:
		z, err := zstd.NewReader(s.bytes.in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, fmt.Errorf("%w: zstd: %w", ErrCorrupt, err)
		}
		s.bytes.in, s.close = bufio.NewReaderSize(z, tarBuffer), z.Close
	default:
		s.bytes.section = section
	}
	s.archive = tar.NewReader(s.bytes)
	if !sequential && s.bytes.section != nil {
		s.archive = tar.NewReader(seekingTar{s.bytes})
	}
	return s, nil
}

// next returns the next member; io.EOF after the last.
func (s *tarScan) next() (*tarMember, error) {
	for {
		header, err := s.header()
		if err != nil {
			return nil, err
		}
		member, err := s.member(header)
		if err != nil {
			return nil, fmt.Errorf("row %d: member %q: %w", max(0, s.row), header.Name, err)
		}
		if member != nil {
			return member, nil
		}
	}
}

// header reads the next header of any kind.
func (s *tarScan) header() (header *tar.Header, err error) {
	err = guard(func() error {
		header, err = s.archive.Next()
		return err
	})
	switch {
	case err == io.EOF:
		return nil, s.end()
	case s.bytes.failed != nil:
		return nil, fmt.Errorf("row %d: %w: %w", max(0, s.row), ErrCorrupt, s.bytes.failed)
	case errors.Is(err, tar.ErrInsecurePath):
		return header, nil // it is refused below, by name
	case err != nil:
		return nil, fmt.Errorf("row %d: %w: %w", max(0, s.row), ErrCorrupt, err)
	}
	return header, nil
}

// end checks that an archive has its end mark and nothing behind it.
func (s *tarScan) end() error {
	if s.bytes.zeros < tarBlock {
		return fmt.Errorf("after row %d: %w: no end of archive: cut short?", s.row, ErrCorrupt)
	}
	var rest [32 << 10]byte
	for {
		n, err := s.bytes.Read(rest[:])
		if len(bytes.TrimLeft(rest[:n], "\x00")) > 0 {
			return fmt.Errorf("after row %d: %w: something follows the end of the archive (archives joined with cat?)", s.row, ErrUnsupported)
		}
		if err == io.EOF {
			return io.EOF
		}
		if err != nil {
			return fmt.Errorf("after row %d: %w: %w", s.row, ErrCorrupt, err)
		}
	}
}

// member checks a header and says where its file belongs; nil for what is none.
func (s *tarScan) member(header *tar.Header) (*tarMember, error) {
	name := strings.TrimPrefix(header.Name, "./")
	switch header.Typeflag {
	case tar.TypeXGlobalHeader:
		s.globals = true
		return nil, nil
	case tar.TypeDir:
		name = strings.TrimSuffix(name, "/")
	case tar.TypeReg:
	default:
		return nil, fmt.Errorf("%w: it is %s, want a plain file", ErrUnsupported, tarKind(header.Typeflag))
	}
	if !fs.ValidPath(name) && !(name == "" && header.Typeflag == tar.TypeDir) || strings.ContainsAny(name, "\\\x00") {
		return nil, fmt.Errorf("%w: its path leads out of the archive", ErrUnsupported)
	}
	for key := range header.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return nil, fmt.Errorf("%w: it is a sparse file", ErrUnsupported)
		}
	}
	if header.Typeflag == tar.TypeDir {
		return nil, nil
	}
	m := &tarMember{header: header}
	if m.key, m.ext = splitKey(name); m.key == "" {
		return nil, fmt.Errorf("%w: its name is not KEY.EXTENSION, so it belongs to no sample", ErrUnsupported)
	}
	return m, s.place(m)
}

// place puts a member into the current sample or begins the next one.
func (s *tarScan) place(m *tarMember) error {
	if m.key != s.key || s.row < 0 {
		sum := sha256.Sum256([]byte(m.key))
		hash := binary.LittleEndian.Uint64(sum[:])
		if _, ok := s.seen[hash]; ok {
			return fmt.Errorf("%w: its key was there before: the members of a sample must follow each other", ErrUnsupported)
		}
		s.seen[hash] = struct{}{}
		m.first = true
		s.row, s.key, s.size = s.row+1, m.key, 0
		clear(s.exts)
	}
	if s.exts[m.ext] {
		return fmt.Errorf("%w: the sample has another member with extension %q", ErrUnsupported, m.ext)
	}
	s.exts[m.ext] = true
	if s.size += m.header.Size; s.size > maxSampleBytes || m.header.Size < 0 || len(s.exts) > maxSampleMembers {
		return fmt.Errorf("%w: the sample has more than %d bytes or %d members", ErrUnsupported, maxSampleBytes, maxSampleMembers)
	}
	return nil
}

// splitKey splits a path at the first dot of its file name, as WebDataset does;
// the extension is in lower case.
func splitKey(name string) (key, ext string) {
	dir, file := path.Split(name)
	base, ext, ok := strings.Cut(file, ".")
	if !ok || base == "" || ext == "" {
		return "", ""
	}
	return dir + base, strings.ToLower(ext)
}

// read returns what the current member holds. Memory follows what is there, not
// what the header says.
func (s *tarScan) read(m *tarMember) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(min(m.header.Size, 1<<20)))
	_, err := b.ReadFrom(s.archive)
	if err == nil && int64(b.Len()) != m.header.Size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("row %d: member %q: %w: %w", s.row, m.header.Name, ErrCorrupt, err)
	}
	return b.Bytes(), nil
}

func tarKind(flag byte) string {
	switch flag {
	case tar.TypeLink, tar.TypeSymlink:
		return "a link"
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return "a device"
	case tar.TypeGNUSparse:
		return "a sparse file"
	}
	return fmt.Sprintf("of type %q", flag)
}

// tarBytes is the uncompressed archive. It counts the zeros that were read last,
// which the end of an archive is told by, and can keep what is read.
type tarBytes struct {
	in      *bufio.Reader
	section *io.SectionReader // what in reads, where it is not compressed
	zeros   int64
	keep    *bytes.Buffer // nil when nothing is to be kept
	failed  error         // of reading, but for the end
}

// Read implements io.Reader.
func (t *tarBytes) Read(p []byte) (int, error) {
	n, err := t.in.Read(p)
	if err != nil && err != io.EOF {
		t.failed = err
	}
	if kept := len(bytes.TrimRight(p[:n], "\x00")); kept > 0 {
		t.zeros = int64(n - kept)
	} else {
		t.zeros += int64(n)
	}
	if t.keep != nil {
		t.keep.Write(p[:n])
	}
	return n, err
}

// seekingTar is a tarBytes that can pass over what is not wanted.
type seekingTar struct{ *tarBytes }

// Seek implements io.Seeker.
func (t seekingTar) Seek(offset int64, whence int) (int64, error) {
	at, err := t.section.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	at -= int64(t.in.Buffered())
	target := offset
	switch whence {
	case io.SeekCurrent:
		target += at
	case io.SeekEnd:
		target += t.section.Size()
	}
	if target == at {
		return at, nil
	}
	t.zeros = 0
	if ahead := target - at; ahead > 0 && ahead <= int64(t.in.Buffered()) {
		_, err := t.in.Discard(int(ahead))
		return target, err
	}
	if _, err := t.section.Seek(target, io.SeekStart); err != nil {
		return 0, err
	}
	t.in.Reset(t.section)
	return target, nil
}
