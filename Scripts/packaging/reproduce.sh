#!/usr/bin/env bash
# Packages the commit twice, in clones whose paths differ, and compares all bytes. Arguments are
# passed to package.sh. Called by `Scripts/package.sh --check`; the exit status is 1 if bytes
# differ.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for folder in one another-folder/with-a-longer-path; do
    git clone --quiet . "$work/$folder"
    echo "packaging in $work/$folder"
    (cd "$work/$folder" && Scripts/package.sh --out "$work/out-${folder%%/*}" "$@")
    # Only the packages are compared; a build takes a gigabyte.
    rm -rf "${work:?}/${folder%%/*}"
done
if diff -r "$work/out-one" "$work/out-another-folder"; then
    echo "both folders gave the same bytes:"
    cat "$work/out-one/SHA256SUMS"
    exit
fi
echo "the packages differ; entries that differ:" >&2
for out in one another-folder; do
    mkdir -p "$work/files-$out"
    tar -xzf "$work/out-$out"/*.tar.gz -C "$work/files-$out"
    dpkg-deb -R "$work/out-$out"/*.deb "$work/files-$out/deb"
done
diff -rq "$work/files-one" "$work/files-another-folder" >&2 || true
exit 1
