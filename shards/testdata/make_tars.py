"""Writes testdata/tars: small WebDataset archives, and tars.json with what
Python's tarfile finds in them: for each sample its key, the bytes of the archive
that its members take with their headers, its extensions
and what is in them.

Run:  python make_tars.py            (from any folder)
Made with Python 3.11.7, zstandard 0.25.0.
"""

import base64
import gzip
import hashlib
import io
import json
import os
import random
import tarfile

import zstandard

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tars")
os.makedirs(FOLDER, exist_ok=True)
for name in os.listdir(FOLDER):
    os.remove(os.path.join(FOLDER, name))
rng = random.Random(7)
N = 23
FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def samples(kind):
    for i in range(N):
        key = f"img/{i // 10}/{i:05d}"
        if kind != "ustar" and i % 7 == 3:
            key = "img/" + "very-long-name-" * 12 + f"/ünder/{i:05d}"  # takes a header of its own
        caption = rng.choice(["a fox 🦊", "", "two\nlines", "x" * 600]) if i % 5 else None
        members = {
            "jpg": rng.randbytes(rng.choice([0, 1, 511, 512, 513, 3000])),
            "cls": f"{i % 4}\n".encode(),
            "json": json.dumps({"caption": caption, "w": i, "nested": {"id": f"n{i}"}}).encode(),
            "seg.png": rng.randbytes(40),
        }
        if i % 6 != 5:
            members["TXT" if i % 2 else "txt"] = (f"text of {i} " * (i % 3)).encode()
        yield key, members, caption


def archive(kind):
    out, rows = io.BytesIO(), []
    with tarfile.open(fileobj=out, mode="w", format=FORMATS[kind]) as tar:
        folder = tarfile.TarInfo("img" if kind == "ustar" else "./img")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for key, members, caption in samples(kind):
            start = out.tell()
            for ext, data in members.items():
                info = tarfile.TarInfo(("./" if kind == "gnu" else "") + key + "." + ext)
                info.size, info.mode, info.uid, info.uname, info.mtime = len(data), 0o640, 1234, "somebody", 1.5 if kind == "pax" else 7
                tar.addfile(info, io.BytesIO(data))
            text = members.get("txt", members.get("TXT"))
            rows.append({"key": key, "start": start, "end": out.tell(), "exts": sorted(e.lower() for e in members), "caption": caption,
                         "text": None if text is None else base64.b64encode(text).decode(), "cls": members["cls"].decode().strip(),
                         "jpg": hashlib.sha256(members["jpg"]).hexdigest()})
    return out.getvalue(), rows


expected = {}
for kind in FORMATS:
    data, rows = archive(kind)
    for extension, packed in (("tar", data), ("tar.gz", gzip.compress(data, mtime=0)), ("tar.zst", zstandard.compress(data))):
        if kind != "pax" and extension == "tar.gz":
            continue
        with open(os.path.join(FOLDER, f"{kind}.{extension}"), "wb") as f:
            f.write(packed)
    expected[kind] = rows
with open(os.path.join(FOLDER, "..", "tars.json"), "w") as f:
    json.dump(expected, f, indent=0, sort_keys=True)
print(len(os.listdir(FOLDER)), "archives")
