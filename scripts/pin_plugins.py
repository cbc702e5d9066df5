"""Pins the plugins that `curate doctor --install` fetches: names, versions, sizes and SHA-256 of their wheels.

Usage: pin_plugins.py > scoring/backend/install/pins.json
Asks the index that curate asks (or $PIP_INDEX_URL) for the versions below. A version that ends in `*` is the newest that starts so. Run it when a
version is changed here, and read the difference: these hashes are what curate trusts.
"""

import json
import os
import re
import sys
import urllib.request

FETCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../scoring/backend/install/fetch.go")
INDEX = (os.environ.get("PIP_INDEX_URL") or re.search(r'PyPI = "(.*)"', open(FETCH).read())[1]).rstrip("/")
ARCHITECTURES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}

# jax's plugin of the time of go-xla v0.4.0: the newest that its authors can have tried. The libraries beside it are those
# that jax-cuda13-plugin and jax-cuda12-plugin ask for, all of one CUDA release. Library is the file of the wheel that is
# the plugin, and sha256 what it has unpacked, where we know it.
PLUGINS = {
    "cpu": {
        "library": "xla_plugins/xla_cpu_pjrt/xla_cpu_pjrt.so",
        "packages": {"xla-cpu-pjrt": "0.0.1"},
        "sha256": {
            "linux/amd64": "88c3f28c5900f48ad4a82cab9e79bba9537809743395e341485f8794268820dc",
            "linux/arm64": "fcf411f3e8ff635c2b2cf87215aa7016f460e66d236c3db08309e7486583532d",
        },
    },
    "cuda13": {
        "library": "jax_plugins/xla_cuda13/xla_cuda_plugin.so",
        "packages": {
            "jax-cuda13-pjrt": "0.11.0", "nvidia-cublas": "13.4.1.3", "nvidia-cuda-cupti": "13.2.*", "nvidia-cuda-nvcc": "13.2.*",
            "nvidia-cuda-nvrtc": "13.2.*", "nvidia-cuda-runtime": "13.2.*", "nvidia-cudnn-cu13": "9.26.*", "nvidia-cufft": "12.2.*",
            "nvidia-cusolver": "12.2.*", "nvidia-cusparse": "12.7.*", "nvidia-nccl-cu13": "2.30.7", "nvidia-nvjitlink": "13.2.*",
            "nvidia-nvshmem-cu13": "3.7.2", "nvidia-nvvm": "13.2.*",
        },
    },
    "cuda12": {
        "library": "jax_plugins/xla_cuda12/xla_cuda_plugin.so",
        "packages": {
            "jax-cuda12-pjrt": "0.11.0", "nvidia-cublas-cu12": "12.9.*", "nvidia-cuda-cupti-cu12": "12.9.*",
            "nvidia-cuda-nvcc-cu12": "12.9.*", "nvidia-cuda-nvrtc-cu12": "12.9.*", "nvidia-cuda-runtime-cu12": "12.9.*",
            "nvidia-cudnn-cu12": "9.26.*", "nvidia-cufft-cu12": "11.4.*", "nvidia-cusolver-cu12": "11.7.5.*",
            "nvidia-cusparse-cu12": "12.5.10.*", "nvidia-nccl-cu12": "2.30.7", "nvidia-nvjitlink-cu12": "12.9.*",
            "nvidia-nvshmem-cu12": "3.7.2",
        },
    },
}


def files(package):
    request = urllib.request.Request(f"{INDEX}/{package}/", headers={"Accept": "application/vnd.pypi.simple.v1+json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["files"]


def wheels(package, wanted):
    """The wheel of the wanted version for every architecture that has one."""
    found = {}
    for file in files(package):
        match = re.fullmatch(r"[^-]+-([\d.]+)(?:-\d+)?-py3-none-(manylinux\S+)\.whl", file["filename"])
        if not match or file.get("yanked"):
            continue
        version = match[1]
        if version != wanted and not (wanted.endswith("*") and version.startswith(wanted[:-1])):
            continue
        for name, machine in ARCHITECTURES.items():
            if match[2].endswith(machine):
                found.setdefault(tuple(map(int, version.split("."))), {})[name] = {
                    "file": file["filename"], "bytes": file["size"], "sha256": file["hashes"]["sha256"]}
    if not found:
        sys.exit(f"{package}: no wheel of version {wanted}")
    newest = max(found)
    return {"name": package, "version": ".".join(map(str, newest)), "wheels": found[newest]}


pins = {name: plugin | {"packages": [wheels(*item) for item in plugin["packages"].items()]} for name, plugin in PLUGINS.items()}
json.dump(pins, sys.stdout, indent=1)
print()
