#!/bin/sh
# What `make test-export` does: in a virtual environment of its own, with torch for
# CPUs and transformers, it loads what `curate export` writes. First models of every family, losses per
# token; then, as a user would do it, two models that it trains on the demo's text, mean losses of
# documents. CURATE_EXPORT_PYTHON names another python that has torch, transformers and pyarrow.
set -eu
cd "$(dirname "$0")/.."
if [ -z "${CURATE_EXPORT_PYTHON:-}" ]; then
	CURATE_EXPORT_PYTHON="$PWD/.cache/export/bin/python"
	if ! cmp -s scripts/check_export.sh .cache/export/installed.txt; then
		rm -rf .cache/export
		python3 -m venv .cache/export
		$CURATE_EXPORT_PYTHON -m pip install --quiet torch==2.15.0 transformers==5.24.0 'numpy<3' pyarrow
		cp scripts/check_export.sh .cache/export/installed.txt
	fi
fi
export CURATE_EXPORT_PYTHON HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
go test -count=1 -v -timeout 30m -run TestTransformersScoresEqually ./scoring/export

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
export HF_MODULES_CACHE="$out/modules"
go build -o "$out/curate" ./cmd/curate
curate() { "$out/curate" --quiet "$@"; }
# Both in float32: xla:cpu, or without its plugin pure Go.
backend=xla:cpu
[ "$(go env CGO_ENABLED)" = 1 ] && scripts/plugin.sh || backend=go
curate train prior --corpus configs/demo/pool-00000.parquet --tokenizer configs/demo/tokenizer.json --output "$out/prior" \
	--preset olmo-nano --sequence-length 64 --batch-size 16 --tokens 20000 --backend "$backend"
curate train conditional --from "$out/prior" --target configs/demo/target.parquet --output "$out/conditional" \
	--sequence-length 64 --batch-size 16 --tokens 10000 --backend "$backend"
$CURATE_EXPORT_PYTHON -c '
import sys, pyarrow.parquet as pq
pq.write_table(pq.read_table(sys.argv[1]).slice(0, 40), sys.argv[2])' configs/demo/pool-00000.parquet "$out/documents.parquet"
for dtype in f32 bf16 f16; do
	for role in prior conditional; do
		curate export "$out/$role" --output "$out/hf/$dtype/$role" --dtype $dtype
	done
	# The exported folders are curate's as well, so rounded weights are compared with rounded weights.
	curate score --prior "$out/hf/$dtype/prior" --conditional "$out/hf/$dtype/conditional" --output "$out/scores/$dtype" \
		--sequence-length 64 --backend "$backend" "$out/documents.parquet"
	for role in prior conditional; do
		$CURATE_EXPORT_PYTHON scripts/check_export.py texts "$out/hf/$dtype/$role" "$out/documents.parquet" "$out/scores/$dtype" "${role}_loss"
	done
done
