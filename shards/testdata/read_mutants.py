"""Reads the damaged files of the mutant drill with pyarrow and counts outcomes.

    python testdata/read_mutants.py FOLDER

FOLDER holds the mutants and rows.json: {file: rows that a reader must find}.
Each file is read in a process of its own, with 4 GiB of data and 30 s. Prints
one line: error, ok, crash, OOM, hang, wrong count. Needs pyarrow.
"""
import collections
import json
import os
import pathlib
import resource
import signal
import sys

import pyarrow as pa
import pyarrow.ipc
import pyarrow.json
import pyarrow.parquet as pq

LIMIT = 4 << 30


def rows(path):
    if path.suffix == ".parquet":
        f = pq.ParquetFile(path)
        return sum(f.read_row_group(g, use_threads=False).num_rows for g in range(f.num_row_groups))
    if path.suffix == ".arrow":
        f = pa.ipc.open_file(pa.OSFile(str(path)))
        return sum(batch(f.get_batch(i)) for i in range(f.num_record_batches))
    if path.suffix == ".arrows":
        return sum(batch(b) for b in pa.ipc.open_stream(pa.OSFile(str(path))))
    options = pa.json.ReadOptions(use_threads=False)
    return pa.json.read_json(path, read_options=options).num_rows


def batch(b):
    b.validate(full=True)
    return b.num_rows


def child(path, want):
    """reads one file and never returns; the exit code is the outcome"""
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(30)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    code = 0
    try:
        if rows(path) != want:
            code = 4
    except (pa.ArrowMemoryError, MemoryError):
        code = 3
    except Exception:
        code = 1
    os._exit(code)


def main(folder):
    wanted = json.loads((folder / "rows.json").read_text())
    found = collections.Counter()
    for name, want in sorted(wanted.items()):
        pid = os.fork()
        if pid == 0:
            child(folder / name, want)
        status = os.waitpid(pid, 0)[1]
        if os.WIFSIGNALED(status):
            found["hang" if os.WTERMSIG(status) == signal.SIGALRM else "crash"] += 1
        else:
            found[{0: "ok", 1: "error", 3: "OOM", 4: "wrong count"}.get(os.WEXITSTATUS(status), "crash")] += 1
    counts = ", ".join(f"{key} {found[key]}" for key in ("error", "ok", "crash", "OOM", "hang", "wrong count"))
    print(f"{len(wanted)} mutants, pyarrow {pa.__version__}: {counts}")


main(pathlib.Path(sys.argv[1]))
