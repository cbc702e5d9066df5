#!/bin/sh
# Every fuzz target in turn, FUZZTIME (30s) each. Inputs of many kilobytes are
# hardly minimized: that would take the whole time.
set -eu
cd "$(dirname "$0")/.."
go list ./... | while read -r package; do
	for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		echo "== $package $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-30s}" -fuzzminimizetime 10x "$package"
	done
done
