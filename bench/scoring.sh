#!/bin/sh
# Scoring against PyTorch eager, same model and shapes, same run. PYTHON needs
# torch and ai2-olmo; the argument is the number of rounds.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
(cd "$root" && go test -c -o "$folder/lm.test" ./scoring/lm)
"${PYTHON:-python3}" "$root/bench/scoring.py" "$folder/lm.test" "$@"
