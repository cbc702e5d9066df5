#!/bin/sh
# The benchmarks, one after the other. They need Python packages, named at the
# top of each script (tokenizer.sh, shards.sh, ofds.sh and scoring.sh install their own); PYTHON names the
# interpreter of those that need numpy and pyarrow (selection).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
echo "== tokenizer"; "$here/tokenizer.sh"
echo "== selection"; "${PYTHON:-python3}" "$here/selection.py"
echo "== shards"; "$here/shards.sh"
echo "== ofds"; "$here/ofds.sh"
echo "== scoring"; PYTHON="" "$here/scoring.sh"
