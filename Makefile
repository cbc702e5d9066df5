# curate: `make` lists the targets. Two of them do everything on a fresh machine
# with Go, python3 and make: `make demo` and `make test`.
SHELL   := /bin/sh
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GO      ?= go

.PHONY: help build plugin demo demo-ofds test test-tokens check race test-export test-minio fuzz golden bench bench-scoring bench-shards bench-ofds bench-tokenizer bench-quality bench-memory bench-precision clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

build: ## build bin/curate
	@$(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/curate ./cmd/curate

plugin: build ## bring the XLA CPU plugin (63 MB, checked by hash) into the cache folder
	@CURATE=bin/curate scripts/plugin.sh

demo: build ## the main job on the repository's own text: train, score, select, write, report
	@if [ "$$($(GO) env CGO_ENABLED)" = 0 ]; then \
		echo "no C compiler: curate was built without XLA; the pure-Go backend trains about 20 times slower" >&2; bin/curate run configs/demo-go.yaml; \
	elif CURATE=bin/curate scripts/plugin.sh; then bin/curate run configs/demo.yaml; else bin/curate run configs/demo-go.yaml; fi

demo-ofds: build ## choose images for labelling from the repository's own: embed, select, write, page
	@if [ "$$($(GO) env CGO_ENABLED)" = 1 ] && CURATE=bin/curate scripts/plugin.sh; then bin/curate run configs/demo-ofds.yaml; \
	else echo "without the XLA plugin: a smaller encoder on the pure-Go backend" >&2; bin/curate run configs/demo-ofds.yaml --set backend=go --set embed.encoder=random:dinov2-nano; fi

test: ## install what the tests need and run everything
	@scripts/test.sh

test-tokens: ## read token shards back with dolma, OLMo and datatrove themselves (6 GB of torch)
	@scripts/check_tokens.sh

check: ## formatting, vet, staticcheck, without the tests
	@scripts/test.sh check

race: ## the tests under the race detector
	@CURATE_RACE=1 scripts/test.sh

test-export: ## load exported models with transformers itself and compare losses (1 GB of torch)
	@scripts/check_export.sh

test-minio: ## build MinIO and run the tests of the S3 store on it too
	@scripts/minio.sh

fuzz: ## every fuzz target for 30 s each (FUZZTIME=30s)
	@scripts/fuzz.sh

golden: ## make the golden files again (needs python3 and PyPI; see scripts/golden)
	@scripts/golden/make_all.sh

bench: ## the benchmarks against PyTorch, HF tokenizers, numpy and pyarrow
	@bench/run.sh

bench-scoring: ## losses of language models against PyTorch and JAX, float32 on this CPU
	@scripts/plugin.sh
	@bench/scoring.sh
bench-bf16: ## matrix products on CPUs in float32 and bfloat16: XLA's flags, the Go backend, PyTorch
	@bench/bf16.sh

bench-shards: ## read, filter, copy and add a column against pyarrow, polars, DuckDB and datatrove
	@bench/shards.sh

bench-ofds: ## select from a million objects against scikit-learn and numpy
	@bench/ofds.sh

bench-tokenizer: ## ids and speed against HF tokenizers (TEXTS='FILE.parquet ...', ROUNDS=3, MEGABYTES=0 for all)
	@bench/tokenizer.sh --rounds $(or $(ROUNDS),3) --megabytes $(or $(MEGABYTES),0) $(if $(TEXTS),--texts $(TEXTS))

BCCD ?= ../shared/data/images/bccd.parquet
bench-quality: build ## how well OFDS and its baselines cover real objects (BCCD=PATH of the blood cell images)
	@bench/quality.sh $(BCCD)

bench-memory: ## peak memory of scoring (POOL=folder of pool-*.parquet ARGS="--sample 5 --seconds 300")
	@bench/memory.sh $(ARGS)

bench-precision: ## what bf16 changes in losses and selection (PRIOR=, CONDITIONAL=: model folders; ARGS=shards)
	@bench/precision.sh $(ARGS)

clean: ## remove bin, out and the virtual environments
	rm -rf bin out .cache
