#!/usr/bin/env bash
# Builds `clip` from this checkout and installs it with man pages and completions:
#
#     Scripts/install.sh [--prefix FOLDER] [--uninstall]
#
# The default prefix is /usr/local for root and ~/.local for others. --uninstall removes exactly the
# installed files; models and indexes stay, and it says where they are.
#
# For tests, --binary FILE replaces the build.
set -euo pipefail
caller=$PWD
cd "$(dirname "$0")/.."
binary="" given=() uninstall=""
while [ $# -gt 0 ]; do
    case $1 in
    --binary) binary=$(cd "$caller" && realpath "$2") && shift ;;
    --prefix) given+=(--prefix "$(cd "$caller" && realpath -m "$2")") && shift ;;
    --uninstall) uninstall=1 && given+=(--uninstall) ;;
    *) echo "unknown argument $1; usage: $0 [--prefix FOLDER] [--uninstall]" >&2 && exit 2 ;;
    esac
    shift
done
[ -z "$uninstall" ] || exec Scripts/packaging/install.sh "${given[@]}"

. Scripts/packages.sh
. Scripts/packaging/stage.sh
! command -v dpkg-query >/dev/null || install_packages
build=(-c release --static-swift-stdlib)
[ "$(uname)" = Linux ] || build=(-c release) # the system has Swift's libraries
if [ -z "$binary" ]; then
    swift build "${build[@]}" --product clip
    binary=$(swift build "${build[@]}" --show-bin-path)/clip
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
strip -o "$work/clip" "$binary"
stage "$work/clip" "$work/tree" share/zsh/site-functions
mkdir -p "$work/tree/share/doc/clip"
cp LICENSE NOTICE CHANGELOG.md "$work/tree/share/doc/clip"
cp Scripts/packaging/install.sh "$work/tree"
"$work/tree/install.sh" "${given[@]}"
