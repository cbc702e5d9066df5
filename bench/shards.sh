#!/bin/sh
# Shards against pyarrow, polars, DuckDB and datatrove: `make bench-shards`. The
# argument is the number of rounds (5). Packages go to .cache/bench, input (about
# 350 MB, made once) to .cache/bench-data. BENCH_JOBS picks jobs of bench/shards.py.
set -eu
cd "$(dirname "$0")/.."
packages="pyarrow==26.0.1 polars==2.1.0 duckdb==2.0.0 numpy==2.4.6 datatrove[io,processing,cli]==0.10.1"
if [ "$(cat .cache/bench/installed.txt 2>/dev/null)" != "$packages" ]; then
	rm -rf .cache/bench
	python3 -m venv .cache/bench
	# shellcheck disable=SC2086
	.cache/bench/bin/python -m pip install --quiet $packages
	echo "$packages" >.cache/bench/installed.txt
fi
go build -trimpath -ldflags '-s -w' -o .cache/bench/shardbench ./bench/shardbench
exec .cache/bench/bin/python bench/shards.py .cache/bench/shardbench "$@"
