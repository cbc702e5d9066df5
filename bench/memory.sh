#!/bin/sh
# Peak memory of scoring: `make bench-memory`. The arguments are those of
# bench/memory.py after the folder. POOL is a folder of pool-*.parquet, TOKENIZER a
# tokenizer.json; without them the demo's. PYTHON needs pyarrow; without it a
# virtual environment in .cache/bench-memory gets it.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-}
if [ -z "$python" ]; then
	python=.cache/bench-memory/bin/python
	if [ ! -x $python ]; then
		python3 -m venv .cache/bench-memory
		$python -m pip install --quiet pyarrow==26.0.1
	fi
fi
pool=${POOL:-../shared/data/text}
[ -d "$pool" ] || pool=configs/demo
tokenizer=${TOKENIZER:-configs/demo/tokenizer.json}
data=.cache/bench-data/memory
mkdir -p $data
go build -o $data/modelbench ./bench/modelbench
go build -o $data/curate ./cmd/curate
scripts/plugin.sh
exec "$python" bench/memory.py $data/curate $data/modelbench "$pool" "$tokenizer" $data "$@"
