#!/usr/bin/env bash
# Writes Tests/Fixtures/versions/0.1.0: an index, embeddings and an unfinished job of clip of
# 28 Nov 2026 (commit 28b399d). Tests check that later versions continue with them.
#
#     git worktree add ../before 28b399d && (cd ../before && swift build -c release)
#     Scripts/parity/previous_version.sh ../before/.build/release/clip
#
#   tiny/        .clip-index of `clip index photos --model tiny`
#   bare/        .clip-index of `clip index photos --model bare.safetensors
#                --activation quickgelu`, where bare.safetensors is Weights/tiny.safetensors
#                without its configuration
#   whole/       `clip encode photos --model tiny -o x.npy`
#   partial/     the same, killed in the middle
#
# The images are those of Tests/Fixtures/images, with the time 1,700,000,000 seconds after 1970.
set -euo pipefail
clip=$(realpath "$1")
cd "$(dirname "$0")/../../Tests/Fixtures"
fixtures=$PWD
target=$fixtures/versions/0.1.0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -rf "$target"
mkdir -p "$target"/{tiny,bare,whole,partial} "$work/photos/sub"
cp images/*.jpg images/*.webp "$work/photos"
cp images/*.png "$work/photos/sub"
find "$work/photos" -type f -exec touch -d @1700000000 {} +
cp ../../Weights/tiny.safetensors "$work/bare.safetensors"
cd "$work"
export CLIP_THREADS=1 HOME=$work
unset CLIP_MODEL

"$clip" index photos --model tiny -q
mv photos/.clip-index/* "$target/tiny"
rm -r photos/.clip-index
"$clip" index photos --model bare.safetensors --activation quickgelu -q
mv photos/.clip-index/* "$target/bare"
rm -r photos/.clip-index

"$clip" encode photos --model tiny -o x.npy -q
cp x.npy x.names.jsonl "$target/whole"

# Names come through a pipe that stays open, so that the job waits for more when it is killed. Rows
# are flushed at most every 200 ms.
mkfifo names
names=$(find photos -type f | LC_ALL=C sort)
"$clip" encode --files-from - --model tiny -o y.npy -q <names &
job=$!
exec 3>names
for round in $(seq 200); do
    [ -e y.npy.partial ] && [ "$(wc -c <y.npy.partial)" -ge 3200 ] && break
    sed -n "$(((round - 1) % 16 + 1))p" <<<"$names" >&3
    sleep 0.3
done
kill -9 $job
wait $job || true
exec 3>&-
# As if the job had been killed earlier: nine images, and half of the tenth.
head -c $((128 + 9 * 1024 + 512)) y.npy.partial >"$target/partial/y.npy.partial"
head -c "$(($(head -n 9 y.names.jsonl.partial | wc -c) + 11))" y.names.jsonl.partial \
    >"$target/partial/y.names.jsonl.partial"
cp y.npy.job "$target/partial"
ls -lR "$target"
