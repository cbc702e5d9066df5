#!/bin/sh
# Brings the XLA CPU plugin into the cache folder where curate looks for it.
# Order: already there; the pinned wheel, by pip, checked by hash; go-xla's own
# installer. Exit 0: the plugin is there. Exit 3: it can't be had, and one line
# says so (curate then runs on the pure-Go backend).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${CURATE_PLUGIN_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/curate/pjrt}
plugin=$cache/pjrt_c_api_cpu_plugin.so
x86=88c3f28c5900f48ad4a82cab9e79bba9537809743395e341485f8794268820dc
arm=fcf411f3e8ff635c2b2cf87215aa7016f460e66d236c3db08309e7486583532d

checked() { # the file in $1 is the plugin that we pinned
	sum=$(python3 -c 'import hashlib,sys; print(hashlib.sha256(open(sys.argv[1],"rb").read()).hexdigest())' "$1" 2>/dev/null) || return 1
	[ "$sum" = "$x86" ] || [ "$sum" = "$arm" ]
}

pip_download() { # into folder $1, with the first pip that works
	for pip in "python3 -m pip" pip3 pip; do
		$pip --version >/dev/null 2>&1 || continue
		$pip download --quiet --no-deps --only-binary=:all: --require-hashes -r "$here/plugin-requirements.txt" -d "$1" && return 0
	done
	python3 -m venv "$1/venv" >/dev/null 2>&1 || return 1
	"$1/venv/bin/pip" download --quiet --no-deps --only-binary=:all: --require-hashes -r "$here/plugin-requirements.txt" -d "$1"
}

mkdir -p "$cache"
if [ -f "$plugin" ] && [ -f "$plugin.checked" ]; then
	exit 0
fi
if [ -f "$plugin" ] && checked "$plugin"; then
	touch "$plugin.checked"
	exit 0
fi
work=$(mktemp -d "$cache/.download-XXXXXX")
trap 'rm -rf "$work"' EXIT
echo "plugin: downloading xla-cpu-pjrt 0.0.1 (63 MB) into $cache" >&2
if pip_download "$work" >"$work/log" 2>&1 && python3 - "$work" <<'PY'
import glob, sys, zipfile
wheel = zipfile.ZipFile(glob.glob(sys.argv[1] + "/*.whl")[0])
with wheel.open("xla_plugins/xla_cpu_pjrt/xla_cpu_pjrt.so") as source, open(sys.argv[1] + "/plugin.so", "wb") as to:
    while block := source.read(1 << 20):
        to.write(block)
PY
then
	if checked "$work/plugin.so"; then
		mv "$work/plugin.so" "$plugin"
		touch "$plugin.checked"
		echo "plugin: ready" >&2
		exit 0
	fi
	echo "plugin: the wheel's library does not have the pinned hash; not used" >&2
fi
# go-xla's installer downloads from its project's releases; out of reach it fails quickly.
if timeout 180 go run "$here/../scoring/backend/installplugin" >"$work/log2" 2>&1; then
	echo "plugin: ready (by go-xla's installer)" >&2
	exit 0
fi
echo "plugin: no XLA plugin could be fetched (pip: $(tail -n 1 "$work/log" 2>/dev/null | cut -c1-120)); the pure-Go backend will be used: it trains about 20 times slower" >&2
exit 3
