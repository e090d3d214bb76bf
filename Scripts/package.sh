#!/usr/bin/env bash
# Builds the packages of the commit that is checked out, into dist/:
#
#     Scripts/package.sh [--check]
#
# dist/ receives clip-VERSION-linux-ARCHITECTURE.tar.gz, clip_VERSION-1_ARCHITECTURE.deb, an SBOM in
# CycloneDX's JSON for each, and SHA256SUMS. Missing Debian packages are installed. VERSION is the
# number of `clip --version`, with the time and hash of the commit if it has no tag vNUMBER.
#
# The commit is cloned into /tmp/clip-package and built there: the compiler writes lengths of paths
# into the binary, so that only builds in the same folder give the same bytes. Changed files that
# are not committed are not packaged.
#
# --check clones the commit twice, into two folders, packages each, and compares all bytes.
#
# For tests, these replace the build: --binary FILE (linked with shared libraries) and
# --static-binary FILE (with static ones), --checkouts FOLDER (the sources of the Swift packages),
# and --out FOLDER replaces dist/.
set -euo pipefail
cd "$(dirname "$0")/.."
binary="" static_binary="" checkouts=.build/package/checkouts out=dist check=""
glibc=2.36 # of Debian 12
build_folder=/tmp/clip-package
while [ $# -gt 0 ]; do
    case $1 in
    --binary) binary=$(realpath "$2") && shift ;;
    --static-binary) static_binary=$(realpath "$2") && shift ;;
    --checkouts) checkouts=$(realpath "$2") && shift ;;
    --out) out=$(realpath -m "$2") && shift ;;
    --check) check=1 ;;
    *) echo "unknown argument $1" >&2 && exit 2 ;;
    esac
    shift
done
. Scripts/packages.sh
. Scripts/packaging/build.sh
. Scripts/packaging/stage.sh

if [ -n "$check" ]; then
    given=()
    [ -z "$binary" ] || given+=(--binary "$binary" --checkouts "$checkouts")
    [ -z "$static_binary" ] || given+=(--static-binary "$static_binary")
    exec Scripts/packaging/reproduce.sh "${given[@]}"
fi

if { [ -z "$binary" ] || [ -z "$static_binary" ]; } && [ "$PWD" != $build_folder ]; then
    case $CLIP_COMMIT in *+) echo "warning: changes that are not committed are left out" >&2 ;; esac
    mkdir -m 700 $build_folder ||
        { echo "if no other build uses $build_folder, remove it" >&2 && exit 1; }
    trap 'rm -rf $build_folder' EXIT
    git clone --quiet . $build_folder
    arguments=(--out "$(realpath -m "$out")")
    [ -z "$binary" ] || arguments+=(--binary "$binary")
    [ -z "$static_binary" ] || arguments+=(--static-binary "$static_binary")
    (cd $build_folder && Scripts/package.sh "${arguments[@]}")
    exit
fi

install_packages
install_packages binutils dpkg-dev python3 xz-utils
export LC_ALL=C SOURCE_DATE_EPOCH
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
umask 022
version=$(version)
architecture=$(uname -m)
case $CLIP_COMMIT in *+) echo "warning: files differ from the commit; packaging them" >&2 ;; esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[ -n "$binary" ] && [ -n "$static_binary" ] || build_objects .build/package
if [ -z "$binary" ]; then
    link_clip .build/package "$work/shared"
    binary=$work/shared
    check_binary "$binary" $glibc libc.so.6 libm.so.6 libgcc_s.so.1 libstdc++.so.6 libz.so.1 \
        libsqlite3.so.0 libpng16.so.16 libjpeg.so.62 libwebp.so.7 libwebpdemux.so.2
fi
if [ -z "$static_binary" ]; then
    find_static_libraries "$work/libraries"
    link_clip .build/package "$work/static" "$work/libraries"
    static_binary=$work/static
    check_binary "$static_binary" $glibc libc.so.6 libm.so.6
fi
mkdir -p "$out"
# Packages of older commits are removed, so that dist/ has one of each kind.
rm -f "$out"/clip_*.deb "$out"/clip-*.tar.gz "$out"/clip[_-]*.cdx.json "$out"/SHA256SUMS

# record FILE KIND BINARY: writes the SBOM of a package.
record() {
    local sources=()
    case $2 in
    static) mapfile -t sources < <(static_packages) ;;
    shared) mapfile -t sources < <(tr ',' '\n' <"$work/depends" | awk '{ print $1 }') ;;
    esac
    python3 Scripts/packaging/sbom.py --package "$out/$1" --version "$version" --binary "$3" \
        --swift "$(swiftc --version 2>/dev/null | sed -n 's/.*Swift version \([0-9.]*\).*/\1/p')" \
        --kind "$2" "${sources[@]}" >"$out/$1.cdx.json"
}

# The tarball: entries sorted, with the time of the commit and without owners.
name=clip-$version-linux-$architecture
root=$work/$name
stage "$static_binary" "$root" share/zsh/site-functions
stage_licences "$checkouts" "$root/share/doc/clip"
install -m 644 CHANGELOG.md "$root/share/doc/clip/CHANGELOG.md"
install -m 755 Scripts/packaging/install.sh "$root/install.sh"
tar --sort=name --format=gnu --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
    --mode=u+rwX,go+rX,go-w -C "$work" -cf - "$name" | gzip -9n >"$out/$name.tar.gz"
record "$name.tar.gz" static "$static_binary"

# The .deb: what the binary links comes from dpkg-shlibdeps.
root=$work/deb
debian=$(dpkg --print-architecture)
documents=$root/usr/share/doc/clip
stage "$binary" "$root/usr" share/zsh/vendor-completions
find "$root/usr/share/man" -type f -exec gzip -9n {} +
stage_notices "$checkouts" "$documents/NOTICE"
gzip -9nc CHANGELOG.md >"$work/changelog.gz"
install -m 644 "$work/changelog.gz" "$documents/changelog.gz"
awk '/@MIT@/ { while ((getline line < "LICENSE") > 0)
        if (++n > 4) print (line == "" ? " ." : " " line); next } { print }' \
    Scripts/packaging/deb/copyright.in >"$documents/copyright"
cat >"$work/changelog" <<END_OF_CHANGELOG
clip ($version-1) unstable; urgency=medium

  * Package commit ${CLIP_COMMIT:-of an unknown hash}.

 -- The swift-clip authors <noreply@swift-clip.invalid>  $(
    date -u -R -d "@$SOURCE_DATE_EPOCH"
)
END_OF_CHANGELOG
gzip -9nc "$work/changelog" >"$documents/changelog.Debian.gz"
install -D -m 644 Scripts/packaging/deb/lintian-overrides "$root/usr/share/lintian/overrides/clip"

mkdir -p "$root/DEBIAN" "$work/debian"
printf 'Source: clip\n\nPackage: clip\nArchitecture: any\n' >"$work/debian/control"
(cd "$work" && dpkg-shlibdeps -O --warnings=1 -e "$root/usr/bin/clip") \
    2> >(grep -v 'should already be installed in their' >&2) |
    sed -n 's/^shlibs:Depends=//p' >"$work/depends"
size=$(find "$root/usr" -type f -printf '%s\n' |
    awk '{ kilobytes += int(($1 + 1023) / 1024) } END { print kilobytes }')
sed -e "s/@VERSION@/$version-1/; s/@ARCHITECTURE@/$debian/; s/@SIZE@/$size/" \
    -e "s/@DEPENDS@/$(cat "$work/depends")/" Scripts/packaging/deb/control.in \
    >"$root/DEBIAN/control"
install -m 755 Scripts/packaging/deb/postrm "$root/DEBIAN/postrm"
(cd "$root" && find usr -type f | sort | xargs -d '\n' md5sum) >"$root/DEBIAN/md5sums"
package=clip_$version-1_$debian.deb
dpkg-deb --root-owner-group --threads-max=1 -Zxz -z9 --build "$root" "$out/$package" >/dev/null
record "$package" shared "$binary"

(cd "$out" && sha256sum "$name.tar.gz" "$name.tar.gz.cdx.json" "$package" "$package.cdx.json") \
    >"$out/SHA256SUMS"
limit=25000000
bytes=$(stat -c %s "$out/$package")
[ "$bytes" -le $limit ] ||
    { echo "$out/$package has $bytes bytes; expected at most $limit" >&2 && exit 1; }
du -b "$out"/*"$version"* "$binary" "$static_binary" | sed "s|$work/||"
