"""Loads folders that `curate export` wrote with transformers, as a user would.

    check_export.py losses REQUESTS.json
        REQUESTS.json is [{"folder": ..., "tokens": [[id, ...], ...]}, ...]; prints losses per token of each.
    check_export.py texts FOLDER INPUT.parquet SCORES_FOLDER COLUMN
        tokenises the documents with AutoTokenizer, scores them in windows as curate does, and compares
        the mean losses with those of the column in curate's sidecars; fails above 2e-5 nats.
"""

import glob
import json
import sys

import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer

TOLERANCE = 2e-5  # nats per token


def load(folder):
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, trust_remote_code=True, dtype=torch.float32, output_loading_info=True
    )
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info[what]:
            raise SystemExit(f"{folder}: {what} {sorted(info[what])[:5]}")
    return model.eval()


@torch.no_grad()
def losses(model, ids):
    logits = model(input_ids=ids).logits[:, :-1].float()
    return F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none").view(len(ids), -1)


def answer(path):
    out = []
    for request in json.load(open(path)):
        out.append(losses(load(request["folder"]), torch.tensor(request["tokens"])).double().tolist())
    print(json.dumps(out))


def texts(folder, parquet, scores, column):
    import pyarrow.parquet as pq

    tokenizer, model = AutoTokenizer.from_pretrained(folder), load(folder)
    auto = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True, dtype="auto")
    length = tokenizer.model_max_length
    documents = pq.read_table(parquet, columns=["text"])["text"].to_pylist()
    rows = {}
    for path in glob.glob(scores + "/**/*.parquet", recursive=True):
        table = pq.read_table(path).to_pydict()
        rows.update(zip(table["row"], zip(table[column], table["n_tokens"])))
    worst, tokens = 0.0, 0
    for row, (want, n) in sorted(rows.items()):
        ids = tokenizer(documents[row])["input_ids"]
        if len(ids) != n:
            raise SystemExit(f"row {row}: {len(ids)} tokens, curate has {n}")
        windows = [ids[at : at + length] for at in range(0, len(ids), length)]
        each = [losses(model, torch.tensor([w]))[0].double() for w in windows if len(w) > 1]
        mean = torch.cat(each).mean().item()
        worst, tokens = max(worst, abs(mean - want)), tokens + n
    text = tokenizer.decode(auto.generate(torch.tensor([tokenizer("The ")["input_ids"]]), max_new_tokens=5, do_sample=False)[0])
    print(
        f"{folder}: {len(rows)} documents, {tokens} tokens, weights {auto.dtype}: mean losses differ by at most {worst:.2g} nats;"
        f" it goes on {text!r}"
    )
    if not rows or not worst <= TOLERANCE:
        raise SystemExit(f"{folder}: more than {TOLERANCE} nats")


if __name__ == "__main__":
    {"losses": answer, "texts": texts}[sys.argv[1]](*sys.argv[2:])
