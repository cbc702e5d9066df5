"""The cache that Python's huggingface_hub makes of a model, from a hub on this machine.

Usage: python scripts/golden/make_hubcache.py shards/hub/testdata/cache.json
Needs: huggingface_hub==2.4.0. No network but the loopback interface.

A small server answers as the hub does: a revision's commit, the listing, headers of files (large ones are redirected to
another path with a signature). snapshot_download fills a cache from it. cache.json lists what is there then: every
file with its text, every link with its target. What holds times or is of this machine (CACHEDIR.TAG, locks) is left out.
"""

import hashlib
import http.server
import json
import os
import sys
import tempfile
import threading

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "config.json": b'{"model_type": "llama"}\n',
    "tokenizer.json": b'{"version": "1.0"}\n',
    "model.safetensors": b"\x02\x00\x00\x00\x00\x00\x00\x00{}" + b" " * 1200,
    "onnx/deep/config.json": b"{}\n",
}


def blob_id(data):
    if len(data) >= 1000:
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Hub(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body, **headers):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        path = self.path.split("?")[0]
        if path.startswith("/api/models/org/tiny/revision/") or path == "/api/models/org/tiny":
            siblings = [{"rfilename": name} for name in FILES]
            return self.reply(200, json.dumps({"_id": "1", "id": "org/tiny", "sha": COMMIT, "siblings": siblings}).encode())
        if path.startswith("/api/models/org/tiny/tree/"):
            tree = [
                {"type": "file", "oid": blob_id(data), "size": len(data), "path": name, **({"lfs": {"oid": blob_id(data), "size": len(data), "pointerSize": 134}} if len(data) >= 1000 else {})}
                for name, data in FILES.items()
            ]
            return self.reply(200, json.dumps(tree).encode())
        name = path.split("/", 5)[-1] if path.startswith("/org/tiny/resolve/") else path.removeprefix("/store/")
        if name not in FILES:
            return self.reply(404, b"{}", X_Error_Code="EntryNotFound")
        data = FILES[name]
        headers = {"ETag": '"%s"' % blob_id(data), "X-Repo-Commit": COMMIT, "X-Linked-ETag": '"%s"' % blob_id(data), "X-Linked-Size": str(len(data))}
        if path.startswith("/org/") and len(data) >= 1000:
            return self.reply(302, b"", Location="http://%s/store/%s" % (self.headers["Host"], name), **headers)
        self.reply(200, data, **headers)

    do_HEAD = do_GET


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    cache = tempfile.mkdtemp()
    os.environ.update(HF_ENDPOINT="http://127.0.0.1:%d" % server.server_port, HF_HOME=cache, HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_TELEMETRY="1")
    os.environ.pop("HF_TOKEN", None)
    from huggingface_hub import snapshot_download

    snapshot_download("org/tiny")
    snapshot_download("org/tiny", revision="refs/pr/1", allow_patterns="*.json")
    found = {}
    root = os.path.join(cache, "hub")
    for folder, folders, files in os.walk(root):
        for name in files + [f for f in folders if os.path.islink(os.path.join(folder, f))]:
            path = os.path.join(folder, name)
            key = os.path.relpath(path, root)
            if key.startswith(".locks") or key == "CACHEDIR.TAG" or "/.no_exist/" in key:
                continue
            found[key] = {"link": os.readlink(path)} if os.path.islink(path) else {"text": open(path, encoding="utf-8").read()}
    with open(sys.argv[1], "w") as f:
        json.dump(found, f, indent=1, sort_keys=True)
        f.write("\n")


if __name__ == "__main__":
    main()
