#!/usr/bin/env bash
# Builds the documentation of all libraries as a static site, with warnings as errors.
#
#     Scripts/site.sh OUT [--base-path PATH] [--build FOLDER]
#
# OUT is made anew. --base-path is the path below which a web server has the site (default: /).
# --build takes the modules of an existing build, such as .build/debug, instead of building.
# Look at the site with `python3 -m http.server --directory OUT`.
set -euo pipefail
libraries=(CLIP CLIPHub CLIPSearch CLIPAnalysis CLIPServer)
usage() {
    echo "usage: Scripts/site.sh OUT [--base-path PATH] [--build FOLDER]" >&2
    exit 2
}
out= base= build=
while [ $# -gt 0 ]; do
    case $1 in
    --base-path) base=${2-} && shift 2 || usage ;;
    --build) build=$(realpath "${2-}") && shift 2 || usage ;;
    -*) usage ;;
    *) [ -z "$out" ] && out=$(realpath -m "$1") && shift || usage ;;
    esac
done
[ -n "$out" ] || usage
if [ -e "$out" ] && [ ! -e "$out/documentation" ] && [ -n "$(ls -A "$out")" ]; then
    echo "site: $out exists, and is not a site of this script" >&2
    exit 1
fi
cd "$(dirname "$0")/.."
root=$PWD

toolchain=$(dirname "$(readlink -f "$(command -v swift)")")
docc=$(command -v docc || true)
[ -n "$docc" ] || docc=$toolchain/docc
if [ ! -x "$docc" ]; then
    echo "site: docc not found beside swift in $toolchain; install a complete toolchain" >&2
    exit 1
fi
# The pages that show the documentation in a browser are a part of the toolchain.
render=$(dirname "$(readlink -f "$docc")")/../share/docc/render
[ -n "${DOCC_HTML_DIR:-}" ] || export DOCC_HTML_DIR=$render
if [ ! -e "$DOCC_HTML_DIR/index-template.html" ]; then
    echo "site: docc's renderer not found in $DOCC_HTML_DIR; set DOCC_HTML_DIR" >&2
    exit 1
fi

if [ -z "$build" ]; then
    . Scripts/packages.sh
    install_packages
    for library in "${libraries[@]}"; do swift build --product "$library"; done
    build=$(swift build --show-bin-path)
fi
# The checkouts of the build have the module maps of C targets, too.
checkouts=$(cd "$build/../.." && pwd)/checkouts

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/graphs" "$work/archives"

maps=()
for map in "$build"/*.build/module.modulemap Sources/*/module.modulemap \
    "$checkouts"/*/Sources/*/include/module.modulemap; do
    [ ! -e "$map" ] || maps+=(-Xcc "-fmodule-map-file=$map")
done
target=$(swift -print-target-info | sed -n 's/.*"unversionedTriple": "\(.*\)".*/\1/p' | head -1)
for library in "${libraries[@]}"; do
    mkdir "$work/graphs/$library"
    # CLIP exports the tokenizers, whose symbols belong to its documentation.
    swift symbolgraph-extract -module-name "$library" -I "$build/Modules" "${maps[@]}" \
        -target "$target" -minimum-access-level public \
        -experimental-allowed-reexported-modules=Tokenizers \
        -output-dir "$work/graphs/$library"
done

# convert LIBRARY FLAG...: writes the archive of a library. Its links to other libraries are
# resolved with their archives.
convert() {
    local library=$1 other dependencies=()
    shift
    for other in "${libraries[@]}"; do
        [ "$other" = "$library" ] || [ ! -e "$work/links/$other.doccarchive" ] ||
            dependencies+=(--dependency "$work/links/$other.doccarchive")
    done
    "$docc" convert "Sources/$library/$library.docc" \
        --additional-symbol-graph-dir "$work/graphs/$library" \
        --fallback-display-name "$library" --fallback-bundle-identifier "$library" \
        --fallback-default-module-kind Library \
        --output-dir "$work/archives/$library.doccarchive" \
        --enable-experimental-external-link-support "${dependencies[@]}" "$@" | sed "/^$/d"
}
# The libraries link to each other, so the first round only collects the targets of links.
for library in "${libraries[@]}"; do
    convert "$library" --diagnostic-filter error
done
mv "$work/archives" "$work/links"
mkdir "$work/archives"
for library in "${libraries[@]}"; do
    convert "$library" --warnings-as-errors --transform-for-static-hosting \
        ${base:+--hosting-base-path "$base"}
done

rm -rf "$out"
mkdir -p "$(dirname "$out")"
"$docc" merge "$work"/archives/*.doccarchive --output-path "$out" \
    --synthesized-landing-page-name swift-clip --synthesized-landing-page-topics-style list
cp "Sources/CLIP/CLIP.docc/theme-settings.json" "$out/"
"$root/Scripts/site.py" "$out" --base-path "${base:-/}" --index --check
