#!/bin/sh
# Scoring against PyTorch and JAX, same models, tokens and losses, same run:
# `make bench-scoring`. The argument is the number of rounds (3). Packages go to
# .cache/bench-scoring (torch takes some gigabytes; PYTHON names an interpreter that has
# them already), models with random weights (1.2 GB) to .cache/bench-data. BENCH_MODELS
# and BENCH_ENGINES pick some of bench/scoring.py.
set -eu
cd "$(dirname "$0")/.."
packages="torch==2.15.0 jax==0.10.2 safetensors==0.8.0 numpy==2.4.6"
python=${PYTHON:-.cache/bench-scoring/bin/python}
if [ -z "${PYTHON:-}" ] && [ "$(cat .cache/bench-scoring/installed.txt 2>/dev/null)" != "$packages" ]; then
	rm -rf .cache/bench-scoring
	python3 -m venv .cache/bench-scoring
	# shellcheck disable=SC2086
	.cache/bench-scoring/bin/python -m pip install --quiet $packages
	echo "$packages" >.cache/bench-scoring/installed.txt
fi
mkdir -p .cache/bench-data
go build -trimpath -o .cache/bench-data/scoringbench ./bench/scoringbench
exec "$python" bench/scoring.py .cache/bench-data/scoringbench "$@"
