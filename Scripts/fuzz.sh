#!/usr/bin/env bash
# Runs libFuzzer on the parsers, under AddressSanitizer and UndefinedBehaviorSanitizer.
#   Scripts/fuzz.sh [SECONDS [TARGET...]]     default: 600 seconds each, all targets, two at a time
# Findings go to WORK/TARGET/found, the corpus, which begins with the tests' fixtures, beside them.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(realpath -m "${WORK:-${XDG_CACHE_HOME:-$HOME/.cache}/clip-fuzz}")
seconds=${1:-600}
shift || true
targets=("${@:-}")
[ -n "${targets[0]}" ] || targets=(
    jpeg png webp gif bmp raw heif tiff jxl resize safetensors checkpoint tokenizer sentencepiece
    tokenizer_json multipart base64 request json worker parquet
)
. Scripts/packages.sh
install_packages libpng-dev libjpeg-dev libwebp-dev pkg-config libheif1

swift build --package-path Scripts/fuzz --scratch-path "$work/build" -c release --sanitize=address \
    -Xswiftc -sanitize=fuzzer -Xcc -fsanitize=fuzzer-no-link,undefined \
    -Xcc -fno-sanitize-recover=undefined -Xswiftc -use-ld=lld -Xswiftc -enable-testing
binary=$(swift build --package-path Scripts/fuzz --scratch-path "$work/build" -c release \
    --show-bin-path)/Fuzz

seeds() {
    local fixtures=Tests/Fixtures
    case $1 in
        jpeg) find $fixtures/images $fixtures/colour -name '*.jpg' ;;
        png) find $fixtures/images $fixtures/colour -name '*.png' ;;
        webp) find $fixtures/images $fixtures/colour -name '*.webp' ;;
        gif) find $fixtures/images -name '*.gif' ;;
        bmp) find $fixtures/images -name '*.bmp' ;;
        raw) find $fixtures/images -regextype posix-extended \
            -regex '.*\.(cr2|cr3|nef|arw|dng|raf|orf|rw2)' ;;
        heif) find $fixtures/codecs -name '*.heic' -o -name '*.avif' ;;
        tiff) find $fixtures/codecs -name '*.tif' ;;
        jxl) find $fixtures/codecs -name '*.jxl' ;;
        resize) find $fixtures/images -name 'small.png' -o -name 'rgb.jpg' ;;
        safetensors) find $fixtures/formats -name '*.safetensors' ;;
        checkpoint) find $fixtures/formats -name '*.pt' -o -name '*.pth' -o -name '*.bin' ;;
        parquet) find $fixtures/parquet -name '*.parquet' ;;
        tokenizer) ;;  # its strings, below
        multipart | base64 | request | json | worker) find "Scripts/fuzz/seeds/$1" -type f ;;
        sentencepiece) find $fixtures/tokenizers -name '*.model' ;;
        tokenizer_json) find $fixtures/tokenizers -name 'unigram.json' -o -name 'bpe.json' ;;
    esac
}

run() {
    local folder="$work/$1" path
    mkdir -p "$folder/corpus" "$folder/found"
    seeds "$1" | while read -r path; do cp "$path" "$folder/corpus/$(echo "$path" | tr / _)"; done
    if [ "$1" = tokenizer ]; then
        python3 - "$folder/corpus" <<'PYTHON'
import json, pathlib, sys
cases = json.load(open("Tests/Fixtures/text/tokens.json"))["cases"]
for index in range(0, len(cases), 3):
    text = "\n".join(case["text"] for case in cases[index : index + 3])
    (pathlib.Path(sys.argv[1]) / f"cases-{index}").write_text(text, encoding="utf-8", newline="")
PYTHON
    fi
    local leaks=1
    [ "$1" != heif ] || leaks=0  # dav1d 1.0 leaks 40 bytes for a damaged file
    ASAN_OPTIONS=detect_leaks=$leaks "$binary" "$1" -detect_leaks=$leaks \
        -max_total_time="$seconds" -max_len=40000 -timeout=20 -rss_limit_mb=3000 \
        -malloc_limit_mb=1500 -artifact_prefix="$folder/found/" -print_final_stats=1 \
        "$folder/corpus" >"$folder/log" 2>&1 &&
        outcome="nothing found" || outcome="FOUND something: $folder/log"
    echo "$1: $outcome" \
        $(grep -E '^stat::(number_of_executed_units|peak_rss_mb)|^SUMMARY' "$folder/log")
    [ "$outcome" = "nothing found" ]
}

export -f run seeds
export work seconds binary
printf '%s\n' "${targets[@]}" | xargs -P 2 -I {} bash -c 'run {}'
