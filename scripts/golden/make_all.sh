#!/bin/sh
# Makes all golden files again: `git diff` then shows what changed. Three virtual
# environments, because ai2-olmo needs an older numpy than pyarrow and an older
# transformers than the image models; torch takes some gigabytes.
set -eu
cd "$(dirname "$0")/../.."
data=.cache/golden/data olmo=.cache/golden/olmo vision=.cache/golden/vision
python3 -m venv $data
python3 -m venv $olmo
python3 -m venv $vision
$data/bin/pip install --quiet numpy==2.4.6 pyarrow==26.0.1 duckdb==2.0.0 tokenizers==0.23.3 zstandard==0.25.0 \
	scikit-learn==1.9.1 scipy==1.17.1 pycocotools==2.0.11
$olmo/bin/pip install --quiet 'torch==2.15.*' ai2-olmo==0.6.0 'pyarrow<20' safetensors datasets omegaconf cached_path rich \
	boto3 google-cloud-storage torchmetrics
$vision/bin/pip install --quiet 'torch==2.15.*' torchvision==0.29.2 transformers==5.24.0 pillow==13.0.0 numpy==2.4.6 safetensors==0.8.0
set -x
$data/bin/python scripts/golden/make_select.py
$data/bin/python scripts/golden/make_annotations.py
$data/bin/python scripts/golden/make_ofds_baselines.py
$data/bin/python scripts/golden/make_ofds_metrics.py
$data/bin/python scripts/golden/make_ofds.py
$data/bin/python scripts/golden/make_tokenizer.py
$data/bin/python scripts/golden/make_kmeans.py
$data/bin/python scripts/golden/make_types.py shards/testdata/types
$data/bin/python shards/testdata/make_inputs.py
$data/bin/python scripts/golden/make_images.py shards/images/testdata
$olmo/bin/python scripts/golden/make_lm.py scoring/lm/testdata/olmo
$olmo/bin/python scripts/golden/make_train.py
$vision/bin/python scripts/golden/make_families.py scoring/lm/testdata/families
$vision/bin/python scripts/golden/make_pixels.py scoring/vision/pixels/testdata
$vision/bin/python scripts/golden/make_vision.py scoring/vision/testdata
$vision/bin/python scripts/golden/make_sam2.py scoring/vision/sam2/testdata
$vision/bin/python scripts/golden/make_safetensors.py scoring/safetensors/testdata
