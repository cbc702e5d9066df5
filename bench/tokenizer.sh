#!/bin/sh
# Tokenizer against HF tokenizers, same texts, same run, in a virtual environment of
# its own. The arguments are those of bench/tokenizer.py.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
venv=$root/.cache/bench-tokenizer
if ! [ -x "$venv/bin/python" ] || ! "$venv/bin/python" -c 'import tokenizers, pyarrow' 2>/dev/null; then
	python3 -m venv "$venv"
	"$venv/bin/pip" install --quiet tokenizers==0.23.3 pyarrow==26.0.1
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
(cd "$root" && go test -c -o "$folder/tokenizer.test" ./scoring/tokenizer)
"$venv/bin/python" "$root/bench/tokenizer.py" --binary "$folder/tokenizer.test" "$@"
