#!/bin/sh
# What `make test` does: installs what the tests need, then checks and tests
# everything. `scripts/test.sh check` stops before the tests. Environment:
#   CURATE_RACE=1    run the tests under the race detector
#   CURATE_SHARED=D  also run the tests over larger fixtures in folder D
set -eu
cd "$(dirname "$0")/.."
staticcheck=honnef.co/go/tools/cmd/staticcheck@v0.8.2

step() { printf '== %s\n' "$1"; }

step "gofmt, vet, staticcheck"
unformatted=$(gofmt -l $(git ls-files -co --exclude-standard '*.go'))
if [ -n "$unformatted" ]; then
	printf 'gofmt these files:\n%s\n' "$unformatted"
	exit 1
fi
go vet ./...
go run "$staticcheck" ./...
[ "${1:-}" = check ] && exit 0

step "XLA plugin"
if [ "$(go env CGO_ENABLED)" = 1 ] && scripts/plugin.sh; then
	export CURATE_REQUIRE_XLA=1 # a test that skips XLA here would hide a fault
fi

step "python with pyarrow, duckdb and numpy"
python=.cache/py/bin/python
if ! cmp -s scripts/test-requirements.txt .cache/py/installed.txt; then
	rm -rf .cache/py
	if python3 -m venv .cache/py && $python -m pip install --quiet -r scripts/test-requirements.txt; then
		cp scripts/test-requirements.txt .cache/py/installed.txt
	else
		echo "no virtual environment (python3-venv or PyPI is missing): the checks with pyarrow and duckdb are skipped"
		rm -rf .cache/py
	fi
fi
if [ -x $python ]; then
	export CURATE_PYTHON="$PWD/$python"
fi

step "S3 server for the tests"
go test -run '^TestServer$' -count 1 -timeout 20m ./internal/s3server

step "go test"
if [ "${CURATE_RACE:-}" = 1 ]; then
	# gomlx's pure-Go matrix product trips checkptr, which -race switches on.
	exec go test -race '-gcflags=github.com/gomlx/compute/...=-d=checkptr=0' -timeout 80m ./...
fi
exec go test -timeout 80m ./...
