"""Reads token shards as their users do and prints the sequences.

    read_tokens.py READER FOLDER SEQUENCE_LENGTH TOKEN_BYTES

READER is numpy (np.memmap on .npy and .ds), olmo (ai2-olmo's MemMapDataset on
.npy), dolma (its resharding, which reads .npy and .csv.gz and checks that they
belong together) or datatrove (DatatroveFolderDataset on .ds with .ds.index, and
what its own writer would put beside the tokens). One line per sequence, files
in the order of their names. Used by the tests of cmd/curate.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

reader, folder, length, width = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
dtype = np.dtype("<u2") if width == 2 else np.dtype("<u4")
scalar = np.uint16 if width == 2 else np.uint32


def files(suffix):
    return sorted(folder.glob("**/*" + suffix), key=lambda p: p.relative_to(folder).as_posix())


def show(tokens):
    print(*[int(t) for t in tokens])


def read_numpy():
    for path in files(".npy") + files(".ds"):
        tokens = np.memmap(path, dtype=dtype, mode="r")
        assert len(tokens) % length == 0, path
        for row in tokens.reshape(-1, length):
            show(row)


def read_olmo():
    from olmo.data import MemMapDataset

    dataset = MemMapDataset(*files(".npy"), chunk_size=length, memmap_dtype=scalar, generate_attention_mask=False)
    for i in range(len(dataset)):
        show(dataset[i]["input_ids"])


def read_dolma():
    import csv
    import gzip

    from dolma.tokenizer.reshard import ReshardingPrefixConfig, merge_group

    pairs = ReshardingPrefixConfig(prefix=folder, sample_rate=1).take()
    pairs.sort(key=lambda p: Path(p.npy_path).relative_to(folder).as_posix())
    with tempfile.TemporaryDirectory() as scratch:
        merged = Path(scratch) / "merged.npy"
        merge_group(pairs, merged, dtype)
        tokens = np.memmap(merged, dtype=dtype, mode="r")
        with gzip.open(merged.with_suffix(".csv.gz"), "rt", newline="") as f:
            at = 0
            for start, end, _, _, _ in csv.reader(f):
                assert int(start) == at < int(end), (start, end, at)
                at = int(end)
        assert at == len(tokens), (at, len(tokens))
        for row in tokens.reshape(-1, length):
            show(row)


def read_datatrove():
    from datatrove.pipeline.tokens.merger import load_doc_ends
    from datatrove.pipeline.tokens.tokenizer import TokenizedFile
    from datatrove.utils.dataset import DatatroveFolderDataset

    # A window of this class is seq_len + 1 tokens: inputs and labels.
    dataset = DatatroveFolderDataset(
        str(folder), seq_len=length - 1, filename_pattern="**/*.ds", token_size=width, return_positions=True
    )
    for i in range(len(dataset)):
        item = dataset[i]
        assert item["positions"].tolist() == list(range(length)), item["positions"]
        show(item["input_ids"])
    for path in files(".ds"):
        ends = load_doc_ends(open(f"{path}.index", "rb"))
        assert list(ends) == list(range(length, len(ends) * length + 1, length)), path
        # The same tokens through datatrove's writer give the same three files.
        name = Path(f"{path}.metadata").read_text().split("|")[0]
        with tempfile.TemporaryDirectory() as scratch:
            copy = TokenizedFile(scratch, "copy.ds", tokenizer_name_or_path=name, save_final_metadata=True, token_size=width)
            for row in np.memmap(path, dtype=dtype, mode="r").reshape(-1, length):
                copy.write([int(t) for t in row], None)
            copy.close()
            for suffix in "", ".index", ".metadata":
                ours, theirs = Path(f"{path}{suffix}").read_bytes(), Path(f"{scratch}/copy.ds{suffix}").read_bytes()
                assert ours == theirs, (path, suffix, ours[:100], theirs[:100])


{"numpy": read_numpy, "olmo": read_olmo, "dolma": read_dolma, "datatrove": read_datatrove}[reader]()
