#!/bin/sh
# The benchmarks, one after the other. They need Python packages, named at the
# top of each script (tokenizer.sh, shards.sh and ofds.sh install their own); two variables name the interpreters:
#   PYTHON        numpy, pyarrow                 (selection)
#   PYTHON_TORCH  torch, ai2-olmo                (scoring)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
echo "== tokenizer"; "$here/tokenizer.sh"
echo "== selection"; "${PYTHON:-python3}" "$here/selection.py"
echo "== shards"; "$here/shards.sh"
echo "== ofds"; "$here/ofds.sh"
echo "== scoring"; PYTHON=${PYTHON_TORCH:-${PYTHON:-python3}} "$here/scoring.sh"
