#!/bin/sh
# Selection at scale against scikit-learn and numpy: `make bench-ofds`. The argument
# is the number of rounds (3). Packages go to .cache/bench-ofds, input (1 GB, made once)
# to .cache/bench-data. BENCH_RUNS picks runs of bench/ofds.py; SIMD=1 builds with
# Go's vector registers.
set -eu
cd "$(dirname "$0")/.."
packages="scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1"
if [ "$(cat .cache/bench-ofds/installed.txt 2>/dev/null)" != "$packages" ]; then
	rm -rf .cache/bench-ofds
	python3 -m venv .cache/bench-ofds
	# shellcheck disable=SC2086
	.cache/bench-ofds/bin/python -m pip install --quiet $packages
	echo "$packages" >.cache/bench-ofds/installed.txt
fi
if [ "${SIMD:-}" = 1 ]; then export GOEXPERIMENT=simd; fi
go build -trimpath -ldflags '-s -w' -o .cache/bench-ofds/ofdsbench ./bench/ofdsbench
exec .cache/bench-ofds/bin/python bench/ofds.py .cache/bench-ofds/ofdsbench "$@"
