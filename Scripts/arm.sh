#!/usr/bin/env bash
# Compiles CKernels, CThreads and CSHA256 for aarch64 and checks all functions under qemu-user:
# NEON loops against the scalar ones, products against sums in double, threads and SHA-256; then the
# products of CBLAS with Debian's arm64 OpenBLAS, if it can be downloaded. Needs Debian or Ubuntu.
#   Scripts/arm.sh
# The compilers are Debian's cross compiler and, if installed, clang, which Swift uses.
# The exit status is 1 if something differs or does not compile.
set -euo pipefail
cd "$(dirname "$0")/.."
. Scripts/packages.sh
install_packages gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export work

# An arm64 Debian with OpenBLAS only, in $work/root. The system's package lists are not changed.
download_openblas() {
    local apt=$work/apt package
    mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial" "$work/root"
    : >"$apt/status"
    local options=(-qq -o Dir::State="$apt/state" -o Dir::State::status="$apt/status"
        -o Dir::Cache="$apt/cache" -o APT::Architecture=arm64 -o APT::Architectures=arm64)
    # apt's own user may be unable to write here.
    [ "$(id -u)" -ne 0 ] || options+=(-o APT::Sandbox::User=root)
    apt-get "${options[@]}" update &&
        apt-get "${options[@]}" install -y --no-install-recommends --download-only \
            libopenblas0-pthread libopenblas-pthread-dev || return 1
    for package in "$apt"/cache/archives/*.deb; do
        dpkg-deb -x "$package" "$work/root" || return 1
    done
}

# compile NAME COMPILER...
compile() {
    local name=$1
    shift
    "$@" -std=c17 -O2 -Wall -Wextra -Wno-unused-parameter -Werror -ISources/CKernels \
        -ISources/CKernels/include -ISources/CThreads/include -ISources/CSHA256/include \
        -ISources/CBLAS/include Tests/KernelCheck/*.c Sources/CBLAS/blas.c Sources/CKernels/*.c \
        Sources/CThreads/*.c Sources/CSHA256/*.c -o "$work/$name" -lpthread -lm -ldl
}

# Each job is one word; its output goes to $work/JOB.log.
run() {
    case $1 in
        # This CPU has the first version of the instruction set, which all CPUs can run.
        gcc)
            compile gcc aarch64-linux-gnu-gcc &&
                qemu-aarch64-static -cpu cortex-a72 -L /usr/aarch64-linux-gnu "$work/gcc"
            ;;
        clang)
            compile clang clang --target=aarch64-linux-gnu &&
                qemu-aarch64-static -cpu cortex-a72 -L /usr/aarch64-linux-gnu "$work/clang"
            ;;
        # OpenBLAS has kernels for each of these CPUs.
        *)
            qemu-aarch64-static -cpu "$1" -L "$work/root" \
                -E "LD_LIBRARY_PATH=$work/root/usr/lib/aarch64-linux-gnu/openblas-pthread" \
                "$work/blas" blas
            ;;
    esac
}

run_into_log() {
    echo "failed" >"$work/$1.status"
    run "$1" >"$work/$1.log" 2>&1 && echo "passed" >"$work/$1.status" || true
}

jobs=(gcc)
if command -v clang >/dev/null && clang --print-targets | grep -q aarch64; then
    jobs+=(clang)
fi
openblas="with OpenBLAS for arm64"
if download_openblas >"$work/download.log" 2>&1; then
    compile blas aarch64-linux-gnu-gcc -DCLIP_BLAS \
        -I"$work/root/usr/include/aarch64-linux-gnu/openblas-pthread"
    jobs+=(cortex-a53 cortex-a72 neoverse-n1)
else
    openblas="OpenBLAS for arm64 was NOT downloaded: $(tail -n 1 "$work/download.log")"
fi
export -f compile run run_into_log
printf '%s\n' "${jobs[@]}" | xargs -P "$(nproc)" -I {} bash -c 'run_into_log {}'

failed=()
for job in "${jobs[@]}"; do
    printf '\n== aarch64, %s: %s\n' "$job" "$(cat "$work/$job.status")"
    cat "$work/$job.log"
    grep -q passed "$work/$job.status" || failed+=("$job")
done
printf '\n%d runs, %d failed: %s\n%s\n' ${#jobs[@]} ${#failed[@]} "${failed[*]:-none}" "$openblas"
[ ${#failed[@]} -eq 0 ]
