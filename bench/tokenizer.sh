#!/bin/sh
# Tokenizer against HF tokenizers, same texts, same run. PYTHON needs tokenizers
# and pyarrow; the arguments are those of bench/tokenizer.py.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
(cd "$root" && go test -c -o "$folder/tokenizer.test" ./scoring/tokenizer)
"${PYTHON:-python3}" "$root/bench/tokenizer.py" --binary "$folder/tokenizer.test" "$@"
