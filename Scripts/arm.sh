#!/usr/bin/env bash
# Compiles CKernels for aarch64 and checks all its functions under qemu-user: NEON loops against the
# scalar ones, products against sums in double, threads and SHA-256. Needs Debian or Ubuntu.
#   Scripts/arm.sh
# The compilers are Debian's cross compiler and, if it is there, clang, which is what Swift uses.
set -euo pipefail
cd "$(dirname "$0")/.."
. Scripts/packages.sh
install_packages gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
kernels=Sources/CKernels
flags=(-std=c17 -O2 -Wall -Wextra -Werror -I$kernels -I$kernels/include)
# A CPU with the first version of the instruction set: one that all others can run.
emulator=(qemu-aarch64-static -cpu cortex-a72 -L /usr/aarch64-linux-gnu)

# check NAME COMPILER...: what it prints lies in $work/NAME.log.
check() {
    local name=$1
    shift
    "$@" "${flags[@]}" Tests/KernelCheck/*.c "$kernels"/*.c -o "$work/$name" -lpthread -lm &&
        "${emulator[@]}" "$work/$name"
} >"$work/$1.log" 2>&1

names=(gcc)
check gcc aarch64-linux-gnu-gcc &
jobs=($!)
if command -v clang >/dev/null && clang --print-targets | grep -q aarch64; then
    names+=(clang)
    check clang clang --target=aarch64-linux-gnu &
    jobs+=($!)
fi

status=0
for i in "${!names[@]}"; do
    outcome=0
    wait "${jobs[i]}" || outcome=$?
    printf '\n== aarch64, %s\n' "${names[i]}"
    cat "$work/${names[i]}.log"
    if [ "$outcome" -ne 0 ]; then
        echo "FAILED: exit status $outcome"
        status=1
    fi
done
exit $status
