#!/usr/bin/env bash
# Builds `clip` and classifies a picture with two sentences. Usage: Scripts/demo.sh [PICTURE]
set -euo pipefail
picture=${1:+$(realpath "$1")}
[ ! -e "${CLIP_MODEL:-}" ] || CLIP_MODEL=$(realpath "$CLIP_MODEL")
cd "$(dirname "$0")/.."
. Scripts/packages.sh
install_packages

swift build -c release --product clip --static-swift-stdlib
clip=$(swift build -c release --static-swift-stdlib --show-bin-path)/clip

labels=("a man riding bicycle" "a man climbing mountain")
model=${CLIP_MODEL:-Tests/Fixtures/models/seeded}
picture=${picture:-Examples/bike.jpg}
echo
echo "clip zeroshot $picture \"${labels[0]}\" \"${labels[1]}\" --model $model"
"$clip" zeroshot "$picture" "${labels[@]}" --model "$model"
if [ -z "${CLIP_MODEL:-}" ]; then
    echo
    echo "This ran on a tiny model of random weights, so the answer means nothing yet."
    echo "For one that does, set CLIP_MODEL to a file or folder of CLIP weights (safetensors)."
fi
