#!/bin/sh
# Builds MinIO into .cache/minio, once (about ten minutes), and runs the tests
# of the S3 store on it. MinIO is a tool of this test, nothing that is shipped.
set -eu
cd "$(dirname "$0")/.."
module=github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c
if [ ! -x .cache/minio/minio ]; then
	GOBIN="$PWD/.cache/minio" CGO_ENABLED=0 GOFLAGS='' go install -trimpath -ldflags '-s -w' "$module"
fi
CURATE_TEST_MINIO="$PWD/.cache/minio/minio" exec go test -count 1 -run '^TestMinIO$' -v ./shards/s3
