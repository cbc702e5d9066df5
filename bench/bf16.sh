#!/bin/sh
# Matrix products in float32 and bfloat16: XLA on CPUs with its flags, one
# process each, the pure-Go backend, with and without Go's SIMD, and PyTorch
# where PYTHON has it. The shapes are those of a decoder of 150 M parameters.
set -u
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
shapes="4096x2048x2048 4096x1024x1024 4096x1024x3072 4096x1024x4096 4096x4096x1024 4096x1024x8192"
small=512x512x512 # for backend go
go build -o "$folder/bench" ./bench/matmulbench || exit 1
GOEXPERIMENT=simd go build -o "$folder/simd" ./bench/matmulbench || exit 1

xla() { # name, flags
	for dtype in f32 bf16; do
		XLA_FLAGS=$2 "$folder/bench" xla:cpu $dtype $shapes 2>"$folder/log" | sed "s/^/xla:cpu, $1: /" | tee "$folder/out"
		[ -s "$folder/out" ] || echo "xla:cpu, $1: $dtype fails: $(head -n 1 "$folder/log" | cut -c1-100)"
	done
}
for dtype in f32 bf16; do
	"${PYTHON:-python3}" bench/bf16.py $dtype $shapes || true
	"$folder/bench" go $dtype $small | sed 's/^/go: /'
	"$folder/simd" go $dtype $small | sed 's/^/go, GOEXPERIMENT=simd: /'
done
xla default ""
xla "oneDNN custom call" "--xla_cpu_use_onednn=true --xla_cpu_experimental_onednn_custom_call=true"
xla "oneDNN dot fusion" "--xla_cpu_use_onednn=true --xla_cpu_experimental_onednn_fusion_type=dot"
xla "YNNPACK dot fusion" "--xla_cpu_experimental_ynn_fusion_type=dot"
xla "XNNPACK dot fusion" "--xla_cpu_experimental_xnn_fusion_type=dot"
xla "XNNPACK graph fusion" "--xla_cpu_experimental_xnn_graph_fusion_mode=XNN_GRAPH_FUSION_MODE_GREEDY"
xla "vectors of 512 bits" "--xla_cpu_prefer_vector_width=512"
xla "fast math" "--xla_cpu_enable_fast_math=true"
xla "no excess precision" "--xla_allow_excess_precision=false"
