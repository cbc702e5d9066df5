#!/usr/bin/env python3
"""Makes the goldens of scoring/tokenizer for SentencePiece-style BPE from HF tokenizers, its oracle.

    pip install tokenizers==0.23.3 pyarrow
    python scripts/golden/make_tokenizer_sp.py         # from the repository root

writes, below scoring/tokenizer/testdata,
    sp-tokenizer.json        a small vocabulary in the layout of Llama 2, trained on words of the demo's text
    sp-crossing.json         one whose merges go over spaces
    sp-variants.json         other pipelines over the first: which keys of the file to replace
    sp-encode.jsonl.gz       golden ids of all of them
    sp-decode.jsonl.gz       golden text of random ids

All text is public domain (configs/demo) or made up here.
"""

import json
import random

from make_tokenizer import TESTDATA, demo_documents, fixed_strings, patched, write_gzip
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

BYTES = [f"<0x{b:02X}>" for b in range(256)]
SPACE = "▁"


def train(pre_tokenizer, size, texts, alphabet):
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Replace(" ", SPACE)
    t.pre_tokenizer = pre_tokenizer
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=["<unk>", "<s>", "</s>", *BYTES], limit_alphabet=alphabet, show_progress=False)
    t.train_from_iterator(texts, trainer)
    file = json.loads(t.to_str())
    file["added_tokens"] = [added(i, c, special=True) for i, c in enumerate(["<unk>", "<s>", "</s>"])]
    file["normalizer"] = LLAMA["normalizer"]
    file["pre_tokenizer"] = None
    file["decoder"] = json.loads(Tokenizer(models.BPE()).to_str())["decoder"] or LLAMA["decoder"]
    return file


def added(id, content, *options, special=False):
    token = {"id": id, "content": content, "special": special}
    token.update({key: key in options for key in ("single_word", "lstrip", "rstrip", "normalized")})
    return token


REPLACE = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
LLAMA = {
    "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": SPACE}, REPLACE]},
    "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": SPACE}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
}


def metaspace(**options):
    return {"type": "Metaspace", "replacement": SPACE, **options}


def variants(file):
    vocab, merges = file["model"]["vocab"], file["model"]["merges"]
    some = {k: v for k, v in vocab.items() if not (k in BYTES and int(k[3:5], 16) % 7 == 3)}
    flags = list(file["added_tokens"])
    for content, *options in [("<pad>", "normalized"), (SPACE + "<PRE>",), (" <x>", "normalized", "lstrip", "rstrip"), ("wordy", "normalized", "single_word"),
                              ("the", "single_word", "rstrip"), ("é", "normalized"), (SPACE, "normalized", "single_word"), ("a b", "normalized"), ("a" + SPACE + "c",)]:
        known = vocab.get(content)
        flags.append(added(len(vocab) + sum(t["id"] >= len(vocab) for t in flags) if known is None else known, content, *options))
    none = {"normalizer": None}
    return {
        "first": {**none, "pre_tokenizer": metaspace(prepend_scheme="first", split=False)},
        "always": {**none, "pre_tokenizer": metaspace(prepend_scheme="always", split=True), "decoder": metaspace(prepend_scheme="always", split=True)},
        "legacy": {**none, "pre_tokenizer": metaspace(add_prefix_space=True), "decoder": metaspace(prepend_scheme="never", split=False)},
        "never": {**none, "pre_tokenizer": metaspace(prepend_scheme="never", split=False)},
        "gemma": {"normalizer": REPLACE, "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}},
        "nfc": {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, *LLAMA["normalizer"]["normalizers"]]}},
        "plain": {**none, "decoder": None},
        "unknown": {"model.byte_fallback": False},
        "unknown-apart": {"model.byte_fallback": False, "model.fuse_unk": False},
        "some-bytes": {"model.vocab": {k: i for i, k in enumerate(sorted(some, key=some.get))}},
        "whole": {**none, "pre_tokenizer": metaspace(prepend_scheme="always", split=True), "model.ignore_merges": True, "model.merges": merges[::2]},
        "whole-text": {"model.ignore_merges": True, "model.merges": merges[::2]},
        "flags": {"added_tokens": flags},
        "flags-first": {"added_tokens": flags, **none, "pre_tokenizer": metaspace(prepend_scheme="first", split=False)},
        "flags-always": {"added_tokens": flags, "normalizer": REPLACE, "pre_tokenizer": metaspace(prepend_scheme="always", split=True)},
        "backwards": {"model.merges": merges[::-1]},
    }


def strings():
    s = SPACE
    out = ["", " ", s, "  ", s + s, " " + s, s + " ", "a", " a", s + "a", "a ", "the", " the", "the  the", "the" + s + "the", "\n", "a\nb", "\n\n a", "1984 a1", "</s>", "<s>a", " <s> a</s>b", "a<s>",
           "<0x0A>", "<unk>", "é", "e\u0301", "字漢", "😀😀 a", "\x00", "a\x00\x01é字b", "\ufffd", "\u2582\u2580 \u2581", "<pad>", " <pad>x", "x<pad>", s + "<PRE>", " <PRE>", "a <x>  b", "<x>", "  <x>", "wordy wordy", "swordy wordy.", "wordy", "the the.", "a b a" + s + "b a c a" + s + "c", "é" * 40, " é é", "of the and " * 30]
    out += ["a" * n for n in (30, 31, 32, 33, 100, 300)] + ["the" * 40, " the" * 40, "a " * 60, " " * 50, "\n" * 50, "字" * 60, "ab" * 60 + " " + "😀" * 20]
    return out


def random_strings(count, seed):
    rng = random.Random(seed)
    atoms = [SPACE, " ", "  ", "a", "b", "c", "e", "the", "and", "ing", "é", "e\u0301", "字", "😀", "\x01", "\n", "1", ".", ",", "<s>", "</s>", "<unk>", "<pad>", " <x> ", "wordy", "<0x0A>", "\t", "ß", "of", "Th", "-", "\u2580"]
    return ["".join(rng.choice(atoms) for _ in range(rng.randrange(1, 16))) for _ in range(count)]


def main():
    documents = demo_documents(30)
    base = train(pre_tokenizers.Metaspace(prepend_scheme="never", split=True), 900, documents, 70)
    crossing = train(None, 600, [line for d in documents for line in d[:3000].splitlines()], 50)
    (TESTDATA / "sp-tokenizer.json").write_text(json.dumps(base, ensure_ascii=False, separators=(",", ":")) + "\n")
    (TESTDATA / "sp-crossing.json").write_text(json.dumps(crossing, ensure_ascii=False, separators=(",", ":")) + "\n")
    patches = variants(base)
    full = {"sp": base, "crossing": crossing, **{"sp-" + name: patched(base, p) for name, p in patches.items()}}
    (TESTDATA / "sp-variants.json").write_text(json.dumps(patches, ensure_ascii=True, separators=(",", ":")) + "\n")
    made = {name: Tokenizer.from_str(json.dumps(file)) for name, file in full.items()}

    def encode(names, texts, kind):
        for text in texts:
            yield {"kind": kind, "text": text, "ids": {n: made[n].encode(text, add_special_tokens=False).ids for n in names}}

    write_gzip(TESTDATA / "sp-encode.jsonl.gz", [
        *encode(list(made), strings(), "fixed"), *encode(list(made), random_strings(350, 1), "random"),
        *encode(["sp", "crossing", "sp-first"], fixed_strings()[::4], "fixed"), *encode(["sp", "crossing"], documents[:6], "document")])
    rng = random.Random(3)
    lines = []
    for name in ("sp", "sp-always", "sp-legacy", "sp-gemma", "sp-plain"):
        size = made[name].get_vocab_size()
        for _ in range(120):
            ids = [rng.randrange(rng.choice([259, size, size + 5])) for _ in range(rng.randrange(12))]
            lines.append({"tokenizer": name, "ids": ids, "text": made[name].decode(ids, skip_special_tokens=False)})
    write_gzip(TESTDATA / "sp-decode.jsonl.gz", lines)


if __name__ == "__main__":
    main()
