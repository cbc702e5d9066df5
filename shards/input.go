package shards

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
)

// Columns names the columns that a text batch takes from a shard: a column's
// name, or a dotted path into structs (objects in JSONL). ID and Domain may be
// empty: those columns of the batch are then null.
type Columns struct {
	Text, ID, Domain string
}

// Format is the file format of a shard.
type Format string

// The formats that can be read.
const (
	Parquet Format = "parquet"
	JSONL   Format = "jsonl"
	Arrow   Format = "arrow" // IPC file, IPC stream, Feather V2
	Tar     Format = "tar"   // WebDataset
)

// Input is one shard of a corpus, not yet opened.
type Input struct {
	Store    Store
	Path     string    // name in Store
	Shard    string    // name of the shard: its path relative to the fixed prefix of the argument that listed it
	URI      string    // the argument's prefix joined with the rest, for people and manifests
	Size     int64     // bytes
	Version  string    // see ObjectInfo
	Modified time.Time // see ObjectInfo
	Digest   string    // see ObjectInfo
	Format   Format
	Sandbox  *Sandbox // where Open decodes the shard; nil: in this process
}

// Compression of JSONL and tar files.
const (
	plain = ""
	gzipd = "gzip"
	zstdd = "zstd"
)

// extensions maps a file name's ending to its format. The first match counts.
var extensions = []struct {
	suffix      string
	format      Format
	compression string
}{
	{".parquet", Parquet, plain}, {".pq", Parquet, plain},
	{".jsonl", JSONL, plain}, {".jsonl.gz", JSONL, gzipd}, {".jsonl.zst", JSONL, zstdd}, {".jsonl.zstd", JSONL, zstdd},
	{".ndjson", JSONL, plain}, {".ndjson.gz", JSONL, gzipd}, {".ndjson.zst", JSONL, zstdd},
	{".json", JSONL, plain}, {".json.gz", JSONL, gzipd}, {".json.zst", JSONL, zstdd},
	{".arrow", Arrow, plain}, {".ipc", Arrow, plain}, {".feather", Arrow, plain}, {".arrows", Arrow, plain},
	{".tar", Tar, plain}, {".tar.gz", Tar, gzipd}, {".tgz", Tar, gzipd}, {".tar.zst", Tar, zstdd}, {".tar.zstd", Tar, zstdd}, {".tzst", Tar, zstdd},
}

// formatOf returns the format and compression that a name's extension means.
func formatOf(name string) (f Format, compression string, ok bool) {
	lower := strings.ToLower(name)
	for _, e := range extensions {
		if strings.HasSuffix(lower, e.suffix) {
			return e.format, e.compression, true
		}
	}
	return "", "", false
}

// ErrNoInput says that an argument matched no shard.
var ErrNoInput = errors.New("no input")

// ErrCredentials says that a URI holds a name or secret before its host.
var ErrCredentials = errors.New("a URI with credentials before an @: they would end in logs and manifests; put them where the store looks for them, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile")

// CheckPlace is ErrCredentials for a URI with user information, which no message
// may repeat.
func CheckPlace(place string) error {
	_, rest, ok := strings.Cut(place, "://")
	if !ok {
		return nil
	}
	if host, _, _ := strings.Cut(rest, "/"); strings.Contains(host, "@") {
		return ErrCredentials
	}
	return nil
}

// ErrListing says that a store could not be asked what it has; the arguments
// may be right.
var ErrListing = errors.New("listing failed")

// storeFault marks an error of a store, unless it says that there is nothing.
func storeFault(err error) error {
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrListing, err)
}

// ListInputs returns the shards that the arguments name, sorted by Shard. An
// argument is a file, a glob (with **), a folder (recursive; passed over are
// files of other kinds, plain .json, which is rarely JSONL, and names that
// begin with "." or "_", as those of manifests do), or @list.txt with one such argument per line, where blank lines and
// lines that begin with # do not count. Any of them, the list too, may be a URI
// of a kind that locate knows; file:///PATH is PATH. Of a remote store nothing is
// listed but what begins with the argument up to its first wildcard.
//
// A file named by itself is the shard of its base name, or, on a line of a
// list, of its path as written if that is relative. Two inputs with one shard
// name, one file listed twice, an argument that matches nothing and a file of
// unknown extension are errors.
func ListInputs(ctx context.Context, locate Locate, args []string) ([]Input, error) {
	var inputs []Input
	for _, arg := range args {
		listed, err := listArgument(ctx, locate, arg)
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, listed...)
	}
	if len(inputs) == 0 {
		return nil, fmt.Errorf("%w: no argument names a shard", ErrNoInput)
	}
	slices.SortFunc(inputs, func(a, b Input) int {
		return cmp.Or(strings.Compare(a.Shard, b.Shard), strings.Compare(a.URI, b.URI))
	})
	return inputs, checkDistinct(inputs)
}

// checkDistinct refuses two inputs with one name or one URI. Rows are addressed
// by shard name, so two shards of one name could not be told apart.
func checkDistinct(inputs []Input) error {
	shardOf := make(map[string]string, len(inputs))
	for i, in := range inputs {
		if other, ok := shardOf[in.URI]; ok {
			return fmt.Errorf("%s is listed twice, as shard %q and as %q", in.URI, other, in.Shard)
		}
		shardOf[in.URI] = in.Shard
		if i > 0 && inputs[i-1].Shard == in.Shard {
			return fmt.Errorf("two inputs have the shard name %q: %s and %s; name their common folder, or a glob below it, instead",
				in.Shard, inputs[i-1].URI, in.URI)
		}
	}
	return nil
}

// listArgument lists one argument of any kind.
func listArgument(ctx context.Context, locate Locate, arg string) ([]Input, error) {
	if file, ok := strings.CutPrefix(arg, "@"); ok {
		return listFile(ctx, locate, file)
	}
	return listPath(ctx, locate, arg)
}

// listFile lists the arguments in a list file.
func listFile(ctx context.Context, locate Locate, file string) ([]Input, error) {
	if err := CheckPlace(file); err != nil {
		return nil, err
	}
	store, name, err := locate(ctx, file)
	if err != nil {
		return nil, fmt.Errorf("read list %s: %w", file, err)
	}
	if name == "" {
		return nil, fmt.Errorf("read list %s: it is a folder", file)
	}
	obj, err := store.Open(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("read list %s: %w", file, storeFault(err))
	}
	defer obj.Close()
	var inputs []Input
	scan := bufio.NewScanner(io.NewSectionReader(obj, 0, obj.Size()))
	for n := 1; scan.Scan(); n++ {
		line := strings.TrimSpace(strings.TrimPrefix(scan.Text(), "\ufeff"))
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] == '@' {
			return nil, fmt.Errorf("read list %s: line %d: a list cannot name another list", file, n)
		}
		listed, err := listPath(ctx, locate, line)
		if err != nil {
			return nil, fmt.Errorf("read list %s: line %d: %w", file, n, err)
		}
		clean := path.Clean(line)
		if len(listed) == 1 && listed[0].URI == clean && fs.ValidPath(clean) {
			listed[0].Shard = clean
		}
		inputs = append(inputs, listed...)
	}
	if err := scan.Err(); err != nil {
		return nil, fmt.Errorf("read list %s: %w", file, storeFault(err))
	}
	return inputs, nil
}

// listPath lists a file, a folder or a glob. A name that exists is never a glob.
func listPath(ctx context.Context, locate Locate, arg string) ([]Input, error) {
	if err := CheckPlace(arg); err != nil {
		return nil, err
	}
	if local, ok := strings.CutPrefix(arg, "file:///"); ok {
		arg = "/" + local
	}
	store, name, err := locate(ctx, arg)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", arg, err)
	}
	if name == "" {
		return listFolder(ctx, store, arg)
	}
	infos, err := store.List(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", arg, storeFault(err))
	}
	for _, info := range infos {
		if info.Name == name {
			return listMatched(store, strings.TrimSuffix(arg, name), []ObjectInfo{info}, arg)
		}
	}
	if !strings.ContainsAny(arg, globMeta) {
		return nil, fmt.Errorf("list %s: %w", arg, fs.ErrNotExist)
	}
	return listGlob(ctx, locate, arg)
}

// listFolder lists the shards anywhere below a folder.
func listFolder(ctx context.Context, store Store, folder string) ([]Input, error) {
	infos, err := store.List(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", folder, storeFault(err))
	}
	if err := checkNames(folder, infos); err != nil {
		return nil, err // names with .. begin with a dot as well, and would be passed over
	}
	infos = slices.DeleteFunc(infos, func(info ObjectInfo) bool {
		_, _, known := formatOf(info.Name)
		return !known || strings.HasSuffix(strings.ToLower(info.Name), ".json") ||
			strings.ContainsAny(info.Name[:1], "._") || strings.Contains(info.Name, "/.") || strings.Contains(info.Name, "/_")
	})
	return listMatched(store, folder, infos, folder)
}

// listGlob lists the objects whose names match a pattern.
func listGlob(ctx context.Context, locate Locate, arg string) ([]Input, error) {
	if !doublestar.ValidatePattern(arg) {
		return nil, fmt.Errorf("list %s: not a valid glob", arg)
	}
	base, pattern := doublestar.SplitPattern(arg)
	if scheme, _, ok := strings.Cut(arg, "://"); ok && !strings.HasPrefix(base, scheme+"://") {
		return nil, fmt.Errorf("list %s: a wildcard cannot stand for a bucket", arg)
	}
	store, name, err := locate(ctx, base)
	if err == nil && name != "" {
		err = fmt.Errorf("folder %s: %w", base, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", arg, err)
	}
	infos, err := globIn(ctx, store, pattern)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", arg, storeFault(err))
	}
	return listMatched(store, base, infos, arg)
}

// globIn returns the objects of a store whose names match a valid pattern.
func globIn(ctx context.Context, store Store, pattern string) ([]ObjectInfo, error) {
	if g, ok := store.(globber); ok {
		return g.Glob(ctx, pattern)
	}
	fixed, _, err := GlobPrefix(pattern)
	if err != nil {
		return nil, err
	}
	infos, err := store.List(ctx, fixed)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(infos, func(info ObjectInfo) bool {
		return !doublestar.MatchUnvalidated(pattern, info.Name)
	}), nil
}

// checkNames refuses objects whose names would lead out of an output folder.
func checkNames(arg string, infos []ObjectInfo) error {
	for _, info := range infos {
		if !isName(info.Name) {
			return fmt.Errorf("list %s: %q cannot be the name of a shard: it has empty, . or .. elements; rename the object", arg, info.Name)
		}
	}
	return nil
}

// listMatched makes Inputs of the objects that an argument matched.
func listMatched(store Store, base string, infos []ObjectInfo, arg string) ([]Input, error) {
	if len(infos) == 0 {
		return nil, fmt.Errorf("list %s: %w: nothing matched", arg, ErrNoInput)
	}
	if err := checkNames(arg, infos); err != nil {
		return nil, err
	}
	inputs := make([]Input, len(infos))
	for i, info := range infos {
		format, _, known := formatOf(info.Name)
		if !known {
			return nil, fmt.Errorf("list %s: %s: unknown extension; known are .parquet, .jsonl (.gz, .zst), .arrow, .arrows, .ipc, .feather, .tar (.gz, .zst)", arg, info.Name)
		}
		inputs[i] = Input{
			Store: store, Path: info.Name, Shard: info.Name, URI: joinURI(base, info.Name),
			Size: info.Size, Version: info.Version, Modified: info.Modified, Digest: info.Digest, Format: format,
		}
	}
	return inputs, nil
}

// joinURI joins a folder as the user wrote it and a name, keeping "s3://".
func joinURI(base, name string) string {
	if scheme, rest, ok := strings.Cut(base, "://"); ok {
		return scheme + "://" + path.Join(rest, name)
	}
	return path.Join(base, name)
}
