#!/usr/bin/env bash
# Does what README tells a newcomer with a checkout: installs clip, indexes a folder, searches it.
#
#     Scripts/stranger.sh [--clip CLIP]
#
# Installs with Scripts/install.sh into a temporary folder; --clip skips the build and installs that
# command. The searched folder is a copy of the images of Examples. Prints the seconds of each step.
# Fails if a step fails, if the search does not find the right image, or if all steps after the
# installation take more than a minute together.
set -euo pipefail
clip=
case ${1-} in
--clip) clip=$(realpath "${2:?usage: Scripts/stranger.sh [--clip CLIP]}") ;;
'') ;;
*)
    echo "usage: Scripts/stranger.sh [--clip CLIP]" >&2
    exit 2
    ;;
esac
cd "$(dirname "$0")/.."
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

milliseconds() { echo $(($(date +%s%N) / 1000000)); }
# step TITLE COMMAND...: prints the command, runs it, and prints its time.
step() {
    local title=$1 start end
    shift
    printf '\n== %s\n%s\n' "$title" "$*"
    start=$(milliseconds)
    "$@"
    end=$(milliseconds)
    printf '(%d.%03d s)\n' $(((end - start) / 1000)) $(((end - start) % 1000))
}

# A home of its own: no model, cache or setting of this machine helps.
mkdir -p "$work/home" "$work/photos"
step Install Scripts/install.sh --prefix "$work/installed" ${clip:+--binary "$clip"}
export HOME=$work/home PATH=$work/installed/bin:$PATH HF_HUB_OFFLINE=1
unset CLIP_MODEL CLIP_HOME HF_HOME HF_HUB_CACHE
cp "$root"/Examples/*.jpg "$work/photos/"
cd "$work"

before=$(milliseconds)
step 'Classify an image' clip zeroshot --model tiny photos/bike.jpg \
    "a man riding bicycle" "a man climbing mountain"
step 'Index a folder' clip index --model tiny photos
step 'Search it' clip search --index photos "a man on a bicycle" --top 2
found=$(clip search --index photos "a man on a bicycle" --top 1 --paths)
after=$(milliseconds)
if [ "$found" != photos/bike.jpg ]; then
    printf 'stranger: expected photos/bike.jpg, found %s\n' "$found" >&2
    exit 1
fi
if [ $((after - before)) -gt 60000 ]; then
    echo "stranger: classifying, indexing and searching took $((after - before)) ms" >&2
    exit 1
fi

# Reading takes longer than computing: 250 words a minute, and 40 typed words a minute.
words=$(sed -n '/^## Install/,/^\*\*Classify/p' "$root/README.md" | grep -v '^```' | wc -w)
typed=$(printf '%s' 'Scripts/install.sh clip index --model tiny photos
clip search --index photos "a man on a bicycle"' | wc -w)
printf '\nREADME from Install to the search: %d words, %d s to read; %d words, %d s to type\n' \
    "$words" $((words * 60 / 250)) "$typed" $((typed * 60 / 40))
