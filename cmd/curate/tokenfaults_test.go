package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/curate-data/curate/shards"
)

// TestTokenMistakes: what does not fit a selection of sequences, or one of
// documents, is a usage error that says what would.
func TestTokenMistakes(t *testing.T) {
	p := newTokenPool(t)
	dir := t.TempDir()
	other := filepath.Join(dir, "tokenizer.json")
	if err := os.WriteFile(other, append(readFile(t, p.prior, "tokenizer.json"), '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
	_, conditional := modelsForTests(t)
	documents := filepath.Join(dir, "documents")
	mustCurate(t, "score", "--prior", p.prior, "--conditional", conditional, "--backend", backendForTests(t), "--sequence-length", "32",
		"--output", filepath.Join(dir, "scores"), filepath.Join(p.folder, "b.jsonl"))
	mustCurate(t, "select", "--scores", filepath.Join(dir, "scores"), "--output", documents, "--keep-rows", "1")
	cases := []struct {
		name, selection string
		args            []string
		want            []string
	}{
		{"Parquet", p.selection, []string{"--format", "parquet", "--prior", p.prior}, []string{"parquet", "sequences", "npy", "ds", "document"}},
		{"unknown format", p.selection, []string{"--format", "bin", "--prior", p.prior}, []string{"bin", "npy"}},
		{"no tokenizer", p.selection, nil, []string{"--tokenizer", "--prior"}},
		{"two tokenizers", p.selection, []string{"--prior", p.prior, "--tokenizer", other}, []string{"exclude"}},
		{"another tokenizer", p.selection, []string{"--tokenizer", other}, []string{other, "not the tokenizer"}},
		{"width", p.selection, []string{"--prior", p.prior, "--token-bytes", "3"}, []string{"3", "2 or 4"}},
		{"width that is too small", p.selection, []string{"--prior", p.prior, "--token-bytes", "1"}, []string{"need 2 bytes"}},
		{"name", p.selection, []string{"--prior", p.prior, "--format", "ds", "--tokenizer-name", "a|b"}, []string{"a|b"}},
		{"tokens of documents", documents, []string{"--format", "ds", "--prior", p.prior}, []string{"ds", "unit sequence"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			output := filepath.Join(t.TempDir(), "o")
			code, _, stderr := curate(t, slices.Concat([]string{"write", "--selection", c.selection, "--output", output}, c.args, []string{p.folder})...)
			if code != exitUsage {
				t.Errorf("exit %d, want %d: %s", code, exitUsage, stderr)
			}
			for _, want := range c.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("stderr lacks %q: %s", want, stderr)
				}
			}
			if fileExists(output) {
				t.Errorf("%s was made", output)
			}
		})
	}
}

// TestTokenFilesAreMendedAlone removes and shortens each file of a finished
// folder in turn, as a crash or a user might: the next run gives the same
// bytes.
func TestTokenFilesAreMendedAlone(t *testing.T) {
	p := newTokenPool(t)
	for _, format := range []string{"npy", "ds"} {
		output, _ := p.write(t, "--format", format)
		again := []string{"write", "--selection", p.selection, "--output", output, "--prior", p.prior, "--format", format, p.folder}
		want := treeDigests(t, output)
		if len(want) < 9 {
			t.Fatalf("only %d files: %v", len(want), want)
		}
		for name := range want {
			path := filepath.Join(output, filepath.FromSlash(name))
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(name, unitsFolder) { // of use only while there is no manifest
				if err := os.Remove(filepath.Join(output, manifestName)); err != nil {
					t.Fatal(err)
				}
			}
			mustCurate(t, again...)
			if got := treeDigests(t, output); len(differences(got, want)) > 0 {
				t.Errorf("without %s: %v", name, differences(got, want))
			}
			if strings.HasSuffix(name, ".json") {
				continue
			}
			if err := os.Truncate(path, 5); err != nil {
				t.Fatal(err)
			}
			mustCurate(t, again...)
			if got := treeDigests(t, output); len(differences(got, want)) > 0 {
				t.Errorf("%s cut off: %v", name, differences(got, want))
			}
			leaveHalfDone(t, output, name)
			mustCurate(t, again...)
			if got := treeDigests(t, output); len(differences(got, want)) > 0 {
				t.Errorf("%s half done: %v", name, differences(got, want))
			}
		}
	}
}

// leaveHalfDone makes a folder look as after a crash in the middle of a shard:
// one file of its set is of other work, of the same size by chance.
func leaveHalfDone(t *testing.T, output, name string) {
	t.Helper()
	zeros := make([]byte, len(readFile(t, output, name)))
	record := []byte(`{"file":"` + name + `"}`)
	for file, content := range map[string][]byte{name: zeros, recordFor(name): record} {
		if err := os.WriteFile(filepath.Join(output, filepath.FromSlash(file)), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(output, manifestName)); err != nil {
		t.Fatal(err)
	}
}

// TestOtherTokenFormatLeavesNoOldFiles writes one layout after the other into
// the same folder, and a selection that keeps one sequence of all.
func TestOtherTokenFormatLeavesNoOldFiles(t *testing.T) {
	p := newTokenPool(t)
	output, _ := p.write(t, "--format", "npy")
	mustCurate(t, "write", "--selection", p.selection, "--output", output, "--prior", p.prior, "--format", "ds", p.folder)
	mustCurate(t, "verify", output)
	fresh, _ := p.write(t, "--format", "ds")
	if got, want := treeDigests(t, output), treeDigests(t, fresh); len(differences(got, want)) > 0 {
		t.Errorf("after .npy: %v", differences(got, want))
	}
	one := filepath.Join(t.TempDir(), "one")
	mustCurate(t, "select", "--scores", p.scores, "--output", one, "--keep-rows", "1")
	mustCurate(t, "write", "--selection", one, "--output", output, "--prior", p.prior, "--format", "ds", p.folder)
	mustCurate(t, "verify", output)
	files, err := filepath.Glob(filepath.Join(output, "*.ds"))
	more, _ := filepath.Glob(filepath.Join(output, "*", "*.ds"))
	manifest := readManifest(t, output)
	if err != nil || len(files)+len(more) != 1 || manifest.Counts.Kept != 1 || manifest.Counts.RowsIn < 100 {
		t.Errorf("one sequence kept: files %v %v, counts %+v, %v", files, more, manifest.Counts, err)
	}
}

// TestTokensOfCorruptShard: a shard that could not be scored is left out, the
// exit code says so.
func TestTokensOfCorruptShard(t *testing.T) {
	prior, conditional := modelsForTests(t)
	dir := t.TempDir()
	whole := readFile(t, "../../configs/demo/heldout.parquet")
	pool := filepath.Join(dir, "pool")
	if err := os.Mkdir(pool, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"a.parquet": whole[:len(whole)/2],
		"b.jsonl":   []byte(`{"text":"One text that is long enough to be cut into a few sequences of tokens."}` + "\n"),
	} {
		if err := os.WriteFile(filepath.Join(pool, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	scores, selection, output := filepath.Join(dir, "scores"), filepath.Join(dir, "selection"), filepath.Join(dir, "tokens")
	for _, args := range [][]string{
		{"score", "--prior", prior, "--conditional", conditional, "--backend", backendForTests(t), "--unit", "sequence", "--sequence-length", "8", "--output", scores, pool},
		{"select", "--scores", scores, "--output", selection, "--keep-rows", "2"},
		{"write", "--selection", selection, "--output", output, "--prior", prior, pool},
	} {
		if code, _, stderr := curate(t, args...); code != exitPartial {
			t.Fatalf("%s: exit %d, want %d: %s", args[0], code, exitPartial, stderr)
		}
	}
	manifest := readManifest(t, output)
	if failed := failedInputs(manifest); manifest.Counts.Kept != 2 || len(failed) != 1 || failed[0].Shard != "a.parquet" {
		t.Errorf("kept %d, failed %+v", manifest.Counts.Kept, failed)
	}
}

// TestRunWritesSequences is the whole job with unit sequence, to tokens.
func TestRunWritesSequences(t *testing.T) {
	prior, conditional := modelsForTests(t)
	config, output := tinyConfig(t)
	set := func(values ...string) []string {
		args := []string{"run", config}
		for _, v := range append(values, "prior={model: "+prior+"}", "conditional={model: "+conditional+"}", "score.unit=sequence") {
			args = append(args, "--set", v)
		}
		return args
	}
	stdout, _ := mustCurate(t, set("write.format=ds", "write.tokenizer_name=demo")...)
	if !strings.Contains(stdout, "sequences") || !strings.Contains(stdout, filepath.Join(output, "data")) {
		t.Errorf("the summary lacks its unit or the data's path:\n%s", stdout)
	}
	manifest, selected := readManifest(t, filepath.Join(output, "data")), readManifest(t, filepath.Join(output, "selection"))
	if manifest.Counts.Kept != selected.Counts.Kept || manifest.Counts.RowsIn != selected.Counts.RowsIn || manifest.Counts.Kept < 10 {
		t.Errorf("written %+v, selected %+v", manifest.Counts, selected.Counts)
	}
	scored := readManifest(t, filepath.Join(output, "scores"))
	for _, unit := range manifest.Units {
		i := slices.IndexFunc(scored.Units, func(u shards.Unit) bool { return u.Shard == unit.Shard })
		if unit.Counts.RowsIn > 0 && scored.Units[i].TailTokens != unit.TailTokens {
			t.Errorf("%s: a tail of %d tokens, scored with one of %d", unit.File, unit.TailTokens, scored.Units[i].TailTokens)
		}
	}
	if metadata := string(readFile(t, output, "data", "heldout.ds.metadata")); !strings.HasPrefix(metadata, "demo|2\n") {
		t.Errorf("metadata %q", metadata)
	}
	mustCurate(t, "verify", output)
	if stdout, _ = mustCurate(t, set("write.format=ds", "write.tokenizer_name=demo")...); !strings.Contains(stdout, "nothing to do") {
		t.Errorf("a second run says:\n%s", stdout)
	}
	if code, _, stderr := curate(t, set("write.format=parquet")...); code != exitUsage || !strings.Contains(stderr, "write.format") {
		t.Errorf("Parquet: exit %d: %s", code, stderr)
	}
}

// TestVerifyReadsTokenFiles breaks each file, once with its digest in the
// manifest as it was and once with that of the broken file.
func TestVerifyReadsTokenFiles(t *testing.T) {
	p := newTokenPool(t)
	for _, format := range []string{"npy", "ds"} {
		output, manifest := p.write(t, "--format", format)
		whole := readFile(t, output, manifestName)
		for i, unit := range manifest.Units {
			if unit.File == "" {
				continue
			}
			path := filepath.Join(output, unit.File)
			raw := readFile(t, path)
			broken := append([]byte{}, raw...)
			broken[len(raw)/2] ^= 4
			if err := os.WriteFile(path, broken, 0o644); err != nil {
				t.Fatal(err)
			}
			if code, _, stderr := curate(t, "verify", output); code != exitFailed || !strings.Contains(stderr, unit.File) {
				t.Errorf("%s flipped: exit %d: %s", unit.File, code, stderr)
			}
			// A file and a manifest that agree, and are not of the other files.
			short := raw[:len(raw)/2]
			changed := *manifest
			changed.Units = slices.Clone(manifest.Units)
			changed.Units[i].Size, changed.Units[i].SHA256 = int64(len(short)), digestOfBytes(short)
			text, err := json.Marshal(changed)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, short, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(output, manifestName), text, 0o644); err != nil {
				t.Fatal(err)
			}
			base := strings.SplitN(filepath.Base(unit.File), ".", 2)[0]
			if code, _, stderr := curate(t, "verify", output); code != exitFailed || !strings.Contains(stderr, base) || strings.Contains(stderr, "SHA-256") {
				t.Errorf("%s halved: exit %d: %s", unit.File, code, stderr)
			}
			if err := os.WriteFile(path, raw, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(output, manifestName), whole, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		mustCurate(t, "verify", output)
	}
}

func digestOfBytes(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
