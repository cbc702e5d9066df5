#!/bin/sh
# What bf16 changes in losses and selection: `make bench-precision`. PRIOR and
# CONDITIONAL are model folders; without them those of the demo, which `make demo`
# trains. The arguments are shards and options of bench/precision.py; without them the
# demo's pool. PYTHON needs pyarrow and numpy; without it a virtual environment
# in .cache/bench-precision gets them.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-}
if [ -z "$python" ]; then
	python=.cache/bench-precision/bin/python
	if [ ! -x $python ]; then
		python3 -m venv .cache/bench-precision
		$python -m pip install --quiet pyarrow==26.0.1 numpy==2.4.6
	fi
fi
data=.cache/bench-data/precision
mkdir -p $data
go build -o $data/curate ./cmd/curate
prior=${PRIOR:-out/demo/models/prior}
conditional=${CONDITIONAL:-out/demo/models/conditional}
if [ ! -f "$prior/config.json" ] || [ ! -f "$conditional/config.json" ]; then
	echo "no models in $prior and $conditional: run \`make demo\` first, or set PRIOR and CONDITIONAL" >&2
	exit 1
fi
[ $# -gt 0 ] || set -- configs/demo/pool-00000.parquet configs/demo/pool-00001.parquet
exec "$python" bench/precision.py $data/curate "$prior" "$conditional" $data "$@"
