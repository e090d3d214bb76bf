#!/usr/bin/env bash
# Builds and runs Benchmarks/Kernels: the loops and products of CKernels on one thread.
#   Scripts/bench/kernels.sh
# CLIP_ISA=avx2 (scalar, avx512, ...) measures another instruction set.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
clang -std=c17 -O2 -ISources/CKernels -ISources/CKernels/include Benchmarks/Kernels/kernels.c \
    Sources/CKernels/*.c -o "$work/kernels" -lpthread -lm
"$work/kernels"
