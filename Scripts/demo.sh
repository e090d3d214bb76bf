#!/usr/bin/env bash
# Builds `clip` and classifies pictures with two sentences. Usage: Scripts/demo.sh [PICTURE]
set -euo pipefail
picture=${1:+$(realpath "$1")}
[ ! -e "${CLIP_MODEL:-}" ] || CLIP_MODEL=$(realpath "$CLIP_MODEL")
cd "$(dirname "$0")/.."
. Scripts/packages.sh
install_packages

swift build -c release --product clip --static-swift-stdlib
clip=$(swift build -c release --static-swift-stdlib --show-bin-path)/clip

labels=("a man riding bicycle" "a man climbing mountain")
model=${CLIP_MODEL:-tiny}
pictures=(Examples/bike.jpg Examples/mountain.jpg)
[ -z "$picture" ] || pictures=("$picture")
for picture in "${pictures[@]}"; do
    echo
    echo "clip zeroshot --model $model $picture \"${labels[0]}\" \"${labels[1]}\""
    "$clip" zeroshot --model "$model" "$picture" "${labels[@]}"
done
if [ "$model" = tiny ]; then
    echo
    echo "The model tiny knows pictograms and little else: see Weights/README.md. For photographs, set"
    echo "CLIP_MODEL to a file or folder of CLIP weights, or to a name after clip pull NAME."
fi
