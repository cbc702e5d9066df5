package main

import (
	"context"
	"fmt"

	"github.com/curate-data/curate/internal/progress"
	"github.com/curate-data/curate/scoring/lm"
	"github.com/curate-data/curate/shards"
)

// inspectedModel is what a reader sees of a model folder.
type inspectedModel struct {
	Folder     string              `json:"folder"`
	Family     string              `json:"family"`
	Config     lm.Config           `json:"config"`
	Parameters int64               `json:"parameters"`
	Tied       bool                `json:"tied"`
	Tokenizer  *inspectedTokenizer `json:"tokenizer,omitempty"` // null: the folder has none
	Manifest   *shards.Manifest    `json:"manifest,omitempty"`  // of a model that curate trained
}

// inspectedTokenizer is a tokenizer.json, or what is wrong with it.
type inspectedTokenizer struct {
	IDs    int    `json:"ids,omitempty"`
	Digest string `json:"digest,omitempty"`
	Fault  string `json:"fault,omitempty"`
}

func (a *app) newInspectedModel(ctx context.Context, folder string, model *lm.Model, manifest *shards.Manifest) (inspectedModel, error) {
	c := model.Config
	found := inspectedModel{Folder: folder, Family: c.Family, Config: c, Parameters: c.NumParams(), Tied: c.Tied, Manifest: manifest}
	store, err := a.stores.Folder(ctx, folder)
	if err != nil {
		return found, err
	}
	if has, err := objectExists(ctx, store, "tokenizer.json"); err != nil || !has {
		return found, err
	}
	found.Tokenizer = &inspectedTokenizer{}
	if tok, err := a.loadTokenizer(ctx, joinPlace(folder, "tokenizer.json")); err != nil {
		found.Tokenizer.Fault = err.Error()
	} else {
		found.Tokenizer.IDs, found.Tokenizer.Digest = tok.VocabSize(), tok.Digest()
	}
	return found, nil
}

func (m inspectedModel) print(a *app) {
	c := m.Config
	fmt.Fprintf(a.stdout, "%s: %s, %s parameters, %s\n", m.Folder, m.Family, progress.Count(m.Parameters), map[bool]string{true: "head tied to the embedding", false: "head of its own"}[m.Tied])
	fmt.Fprintf(a.stdout, "layers      %d of width %d, %d heads of %d, %d of keys and values, MLP %d\n", c.Layers, c.Width, c.Heads, c.HeadDim, c.KVHeads, c.Hidden)
	fmt.Fprintf(a.stdout, "positions   %d, %s\n", c.MaxSequenceLength, m.positions())
	fmt.Fprintf(a.stdout, "vocabulary  %d, of %d embeddings, %s\n", c.VocabSize, c.Embeddings, m.endOfText())
	switch t := m.Tokenizer; {
	case t == nil:
		fmt.Fprintln(a.stdout, "tokenizer   none: tokenizer.json is missing")
	case t.Fault != "":
		fmt.Fprintf(a.stdout, "tokenizer   %s\n", t.Fault)
	default:
		fmt.Fprintf(a.stdout, "tokenizer   %d ids, digest %s\n", t.IDs, t.Digest)
	}
	if m.Manifest != nil {
		fmt.Fprintf(a.stdout, "trained on %d inputs, backend %s, options %s\n", len(m.Manifest.Inputs), m.Manifest.Backend, m.Manifest.Options)
	}
}

func (m inspectedModel) endOfText() string {
	if m.Config.EOSTokenID == lm.NoToken {
		return "without an id that ends a text"
	}
	return fmt.Sprintf("%d ends a text", m.Config.EOSTokenID)
}

// positions says how tokens know where they are, and how far they see.
func (m inspectedModel) positions() string {
	text := "learned"
	if r := m.Config.Rope; r.Dim > 0 {
		text = fmt.Sprintf("RoPE of %d numbers of a head, theta %g", r.Dim, r.Theta)
		if r.Kind != "" {
			text += fmt.Sprintf(", %s by %g", r.Kind, r.Factor)
		}
	}
	if m.Config.Window > 0 {
		text += fmt.Sprintf("; windows of %d tokens from layer %d on", m.Config.Window, m.Config.WindowFrom)
	}
	return text
}
