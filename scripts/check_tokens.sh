#!/bin/sh
# What `make test-tokens` does: reads token shards back with the tools that they
# are for, in a virtual environment of their own. That takes 6 GB, most of it
# torch, which OLMo's and datatrove's readers are made of; so `make test` reads
# them with numpy only.
set -eu
cd "$(dirname "$0")/.."
python=.cache/tokens/bin/python
if ! cmp -s scripts/check_tokens.sh .cache/tokens/installed.txt; then
	rm -rf .cache/tokens
	python3 -m venv .cache/tokens
	$python -m pip install --quiet 'torch==2.15.*' ai2-olmo==0.6.0 'numpy<2' 'pyarrow<20' datasets omegaconf cached_path rich boto3 \
		google-cloud-storage torchmetrics fsspec huggingface-hub humanize==4.17.0 loguru dill multiprocess \
		smart-open msgspec necessary wrapt fasttext platformdirs nltk uniseg zstandard anyascii
	# They ask for another numpy and tokenizers than each other; what is read here needs neither.
	$python -m pip install --quiet --no-deps datatrove==0.10.1 dolma==1.2.1
	cp scripts/check_tokens.sh .cache/tokens/installed.txt
fi
CURATE_TOKENS_PYTHON="$PWD/$python" exec go test -count=1 -v -run TestTokensAreReadByTheirTools ./cmd/curate
