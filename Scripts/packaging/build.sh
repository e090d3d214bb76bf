# shellcheck shell=bash
# Sourced by package.sh: builds `clip` and links it with static or shared libraries.

# The C libraries and their support libraries that the tarball's binary contains.
static_libraries=(jpeg png16 webp webpdemux sharpyuv sqlite3 z stdc++)

# version: prints the version of the commit. The number comes from the source code, as that of
# `clip --version` does; a commit without the tag vNUMBER gets a suffix with its time and hash,
# which Debian sorts before the release.
version() {
    local number time
    number=$(sed -n 's/.*static let number = "\(.*\)"/\1/p' Sources/ClipCommand/VersionReport.swift)
    [ -n "$number" ] || { echo "VersionReport.swift has no version number" >&2 && return 1; }
    if [ -z "$CLIP_COMMIT" ] || [ "$(git describe --exact-match --tags 2>/dev/null)" = "v$number" ]
    then
        echo "$number"
    else
        time=$(TZ=UTC0 git log -1 --format=%cd --date=format-local:%Y%m%d%H%M%S)
        echo "$number~$time.${CLIP_COMMIT/+/.changed}"
    fi
}

# build_objects SCRATCH: compiles the command with the static Swift runtime. Paths inside the
# binary are relative to the checkout, so that they do not depend on the folder.
build_objects() {
    local pinned=Scripts/packaging/dependencies.json
    if ! same_pins Package.resolved $pinned; then
        echo "using the versions of dependencies in $pinned"
        cp $pinned Package.resolved
    fi
    swift build -c release --product clip --static-swift-stdlib --scratch-path "$1" \
        -Xswiftc -file-prefix-map -Xswiftc "$PWD=." -Xcc "-ffile-prefix-map=$PWD=."
    same_pins Package.resolved $pinned || {
        echo "Package.swift needs other dependencies than $pinned has; update that file" >&2
        return 1
    }
}

# same_pins A B: compares the pins, but not the hash of Package.swift.
same_pins() {
    [ -f "$1" ] && cmp -s <(grep -v originHash "$1") <(grep -v originHash "$2")
}

# link_clip SCRATCH OUT [LIBRARIES]: links the objects of a build and strips the result. LIBRARIES
# is a folder of static libraries that take precedence; without it, all libraries but Swift's are
# shared. The link that `swift build` makes is not used: it has a search path ($ORIGIN), and the
# system's folders come first in it. No symbol is exported, so that none takes the place of an
# equally named one in a library that is loaded at run time.
link_clip() {
    local scratch=$1 out=$2 libraries=${3:-} flags=() last=() list
    list=$(swift build -c release --static-swift-stdlib --scratch-path "$scratch" --show-bin-path)
    list+=/clip.product/Objects.LinkFileList
    [ -z "$libraries" ] || flags=(-L "$libraries")
    [ ! -e "${libraries:-/nowhere}/libsharpyuv.a" ] || last=(-lsharpyuv)
    echo '{ local: *; };' >"$out.map"
    swiftc "${flags[@]}" -static-stdlib -emit-executable -module-name clip -o "$out" "@$list" \
        -Xlinker --gc-sections -Xlinker --defsym -Xlinker main=ClipCommand_main \
        -Xlinker --build-id=none -Xlinker "--version-script=$out.map" \
        -lwebpdemux -lwebp "${last[@]}" -ljpeg -lpng16 -lsqlite3 -lz -lm
    rm "$out.map"
    # The section .swift_modhash is only read by later builds, and differs from build to build.
    strip -R .comment -R .swift_modhash "$out"
}

# find_static_libraries FOLDER: makes symbolic links to the static libraries alone. A shared library
# is found in none of them, and the linker looks into FOLDER first.
find_static_libraries() {
    local name file
    mkdir -p "$1"
    for name in "${static_libraries[@]}"; do
        file=$(static_library "$name") || continue
        ln -sf "$file" "$1/lib$name.a"
    done
    # The module map of libpng names "png". The compiler asks for libgcc_s, which has no static
    # form; the part of it that is needed, unwinding, is in libgcc_eh.
    ln -sf "$(static_library png16)" "$1/libpng.a"
    ln -sf "$(static_library gcc_eh)" "$1/libgcc_s.a"
}

# static_library NAME: prints the path of libNAME.a.
static_library() {
    local file
    file=$("$(dirname "$(command -v swiftc)")/clang" "-print-file-name=lib$1.a")
    if [ ! -e "$file" ]; then
        [ "$1" = sharpyuv ] || echo "lib$1.a is not installed" >&2
        return 1
    fi
    realpath "$file"
}

# check_binary FILE GLIBC LIBRARY...: fails if FILE needs other shared libraries than the given
# ones or a newer glibc, or has a search path or the path of the checkout in it.
check_binary() {
    local file=$1 glibc=$2 needed newest
    shift 2
    needed=$(objdump -p "$file" | awk '$1 == "NEEDED" { print $2 }' |
        grep -vxF "$(printf '%s\n' ld-linux-x86-64.so.2 ld-linux-aarch64.so.1 "$@")" || true)
    if [ -n "$needed" ]; then
        echo "$file needs unexpected shared libraries:" $needed >&2
        return 1
    fi
    newest=$(objdump -T "$file" | grep -o 'GLIBC_[0-9][0-9.]*' | cut -c 7- | sort -Vu | tail -1)
    if [ "$(printf '%s\n' "$glibc" "$newest" | sort -V | tail -1)" != "$glibc" ]; then
        echo "$file needs glibc $newest; expected at most $glibc (build on Debian 12)" >&2
        return 1
    fi
    if objdump -p "$file" | grep -E 'RPATH|RUNPATH' >&2; then
        echo "$file has a search path for libraries" >&2
        return 1
    fi
    if grep -qF -e "$PWD/Sources" -e "$PWD/.build" "$file"; then
        echo "$file has the path of the checkout in it, so that builds differ:" >&2
        strings "$file" | grep -F "$PWD/" >&2
        return 1
    fi
}
