#!/bin/sh
# Brings the XLA CPU plugin into the cache folder where curate looks for it, by
# `curate doctor --install cpu`: the pinned wheel, checked by hash, without pip.
# $CURATE names a curate that is built already. Exit 0: the plugin is there.
# Exit 3: it can't be had, and one line says so (curate then runs on the pure-Go
# backend).
set -eu
cd "$(dirname "$0")/.."
if [ -n "${CURATE:-}" ]; then
	"$CURATE" doctor --install cpu && exit 0
else
	go run ./cmd/curate doctor --install cpu && exit 0
fi
echo "plugin: the pure-Go backend will be used: it trains about 20 times slower" >&2
exit 3
