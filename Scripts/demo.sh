#!/usr/bin/env bash
# Builds `clip` and classifies images with two sentences. Usage: Scripts/demo.sh [IMAGE]
set -euo pipefail
image=${1:+$(realpath "$1")}
[ ! -e "${CLIP_MODEL:-}" ] || CLIP_MODEL=$(realpath "$CLIP_MODEL")
cd "$(dirname "$0")/.."
. Scripts/packages.sh
install_packages

swift build -c release --product clip --static-swift-stdlib
clip=$(swift build -c release --static-swift-stdlib --show-bin-path)/clip

labels=("a man riding bicycle" "a man climbing mountain")
model=${CLIP_MODEL:-tiny}
images=(Examples/bike.jpg Examples/mountain.jpg)
[ -z "$image" ] || images=("$image")
for image in "${images[@]}"; do
    echo
    echo "clip zeroshot --model $model $image \"${labels[0]}\" \"${labels[1]}\""
    "$clip" zeroshot --model "$model" "$image" "${labels[@]}"
done
if [ "$model" = tiny ]; then
    echo
    echo "The model tiny knows pictograms and little else: see Weights/README.md. For photographs,"
    echo "set CLIP_MODEL to a file or folder of CLIP weights, or to a name after clip pull NAME."
fi
