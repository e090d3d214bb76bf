#!/usr/bin/env bash
# Builds `clip` and classifies a picture with two sentences. Usage: Scripts/demo.sh [PICTURE]
set -euo pipefail
picture=$(realpath "${1:-$(dirname "$0")/../Examples/bike.jpg}")
[ ! -e "${CLIP_MODEL:-}" ] || CLIP_MODEL=$(realpath "$CLIP_MODEL")
cd "$(dirname "$0")/.."
. Scripts/packages.sh
install_packages

swift build -c release --product clip --static-swift-stdlib
clip=$(swift build -c release --static-swift-stdlib --show-bin-path)/clip

command=(zeroshot "$picture" "a man riding bicycle" "a man climbing mountain")
echo
echo "clip zeroshot $picture \"${command[2]}\" \"${command[3]}\""
if [ -n "${CLIP_MODEL:-}" ]; then
    "$clip" "${command[@]}"
else
    "$clip" "${command[@]}" --model Tests/Fixtures/models/seeded
    echo
    echo "This ran on a tiny model of random weights, so the answer means nothing yet."
    echo "For one that does, set CLIP_MODEL to a file or folder of CLIP weights (safetensors)."
fi
