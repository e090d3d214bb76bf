#!/usr/bin/env bash
# Installs the packages in roots of Debian that have nothing but the base, uses and removes them:
#
#     sudo Scripts/packaging/check.sh [--release NAME] [--base FOLDER] [--dist FOLDER]
#
# NAME is bookworm (the default) or a later release. The root is made by debootstrap in FOLDER, and
# used again if it exists; without --base it is temporary. Only copies of it are changed.
#
# The .deb and the tarball of dist/ are installed in a root each. There, `clip zeroshot` must print
# what it prints on this machine; `man clip` must find the page; bash, zsh and fish must complete
# command lines; and after the removal no file of the package may be left. lintian must find no
# error in the .deb. The exit status is 1 if a check fails.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
release=bookworm base="" dist=$here/../../dist
[ "$(id -u)" -eq 0 ] || { echo "debootstrap and chroot need root" >&2 && exit 2; }
# In a mount namespace of its own, so that no mount outlives the script.
if [ -z "${CLIP_CHECK_MOUNTS:-}" ]; then
    CLIP_CHECK_MOUNTS=1 exec unshare --mount --propagation private "$0" "$@"
fi
while [ $# -gt 1 ]; do
    case $1 in
    --release) release=$2 ;;
    --base) base=$(realpath -m "$2") ;;
    --dist) dist=$2 ;;
    *) echo "unknown argument $1" >&2 && exit 2 ;;
    esac
    shift 2
done
[ $# -eq 0 ] || { echo "$1 needs a value" >&2 && exit 2; }
dist=$(realpath "$dist")
cd "$here/../.."
. Scripts/packages.sh
install_packages debootstrap lintian

only() {
    [ $# -eq 1 ] && [ -f "$1" ] || { echo "expected one package, found: $*" >&2 && exit 2; }
    echo "$1"
}
deb=$(only "$dist"/clip_*.deb)
tarball=$(only "$dist"/clip-*.tar.gz)
(cd "$dist" && sha256sum --check --quiet SHA256SUMS)
fail() { echo "$release: $*" >&2 && exit 1; }

work=$(mktemp -d)
finish() {
    for root in "$work"/root-*; do
        umount "$root/proc" "$root/dev/pts" 2>/dev/null || true
    done
    rm -rf --one-file-system "$work"
}
trap finish EXIT

errors=$(lintian --fail-on error --no-tag-display-limit "$deb" 2>"$work/lintian") || {
    echo "$errors"
    cat "$work/lintian" >&2
    fail "lintian found errors in $deb"
}
echo "lintian: no errors; other findings: $(printf '%s' "${errors:-none}")"

base=${base:-$work/base}
if [ ! -e "$base/etc/debian_version" ]; then
    echo "making $base"
    debootstrap --variant=minbase "$release" "$base" >"$work/debootstrap.log" ||
        { tail "$work/debootstrap.log" >&2 && exit 1; }
fi

# make_root NAME: copies the base and mounts what a container has.
make_root() {
    root=$work/root-$1
    cp -a "$base" "$root"
    mount -t proc proc "$root/proc" # Swift reads the arguments of the process there
    mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    mkdir "$root/try"
    cp Examples/bike.jpg "$root/try"
    cp Scripts/completions.sh "$root/try"
}
inside() {
    chroot "$root" env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin HOME=/try TERM=xterm \
        LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive ${http_proxy:+http_proxy="$http_proxy"} "$@"
}
install_inside() {
    inside apt-get update -qq
    inside apt-get install -y -qq --no-install-recommends "$@" >"$work/apt" 2>&1 ||
        { cat "$work/apt" >&2 && fail "apt-get install $* failed"; }
}
# Paths in a root, without those that apt and man write for themselves.
paths() {
    find "$root" -xdev ! -path "$root/var/cache/*" ! -path "$root/var/lib/apt/*" \
        ! -path "$root/var/log/*" ! -path "$root/tmp/*" ! -path "$root/try/*" -printf '%P\n' |
        LC_ALL=C sort
}
labels=("a man riding bicycle" "a man climbing mountain" "a dog")
check_zeroshot() {
    inside clip zeroshot --model tiny /try/bike.jpg "${labels[@]}" >"$work/found"
    diff "$work/expected" "$work/found" || fail "$1: clip zeroshot differs from this machine's"
    echo "$release, $1: clip zeroshot prints what it prints on this machine"
}
# Man page and completions, where the package put them.
check_shells() {
    local name=$1 zsh=$2
    inside man -w clip >"$work/man"
    inside man clip | grep -q '^NAME' || fail "$name: man clip shows no page"
    inside bash -c '. /usr/share/bash-completion/bash_completion
        loader=_completion_loader; ! declare -F _comp_load >/dev/null || loader=_comp_load
        $loader clip; complete -p clip' | grep -q _clip || fail "$name: bash finds no completions"
    [ "$(inside zsh -fc "autoload -U compinit; compinit -u -D; print \$_comps[clip];
        print \${functions_source[_clip]:-\${^fpath}/_clip(N)}" | tr '\n' ' ')" = "_clip $zsh " ] ||
        fail "$name: zsh finds no completions in $zsh"
    # As in a desktop session; fish looks into /usr/local only then, and install.sh says so.
    inside env XDG_DATA_DIRS=/usr/local/share:/usr/share fish -c 'complete -C "clip zero"' |
        grep -q '^zeroshot' ||
        fail "$name: fish finds no completions"
    inside bash -c 'cd /try && mkdir -p Scripts && cp completions.sh Scripts &&
        Scripts/completions.sh "$(command -v clip)" bash zsh fish' >"$work/completions" ||
        { cat "$work/completions" >&2 && fail "$name: wrong completions"; }
    ! grep 'not installed' "$work/completions" || fail "$name: a shell is missing"
    echo "$release, $name: man finds $(cat "$work/man"); $(paste -sd ';' "$work/completions")"
}
shells=(man-db bash-completion zsh fish)

mkdir "$work/unpacked"
tar -xzf "$tarball" -C "$work/unpacked" --strip-components 1
"$work/unpacked/bin/clip" zeroshot --model tiny Examples/bike.jpg "${labels[@]}" >"$work/expected"

make_root deb
cp "$deb" "$root/try/clip.deb"
install_inside /try/clip.deb
echo "$release: added with the .deb:" \
    $(sed -n 's/^Setting up \([^ :]*\).*/\1/p' "$work/apt" | grep -vx clip)
check_zeroshot .deb
# The shells are installed without the package, so that the list before has them.
inside apt-get purge -y -qq clip >/dev/null 2>&1
install_inside "${shells[@]}"
paths >"$work/before"
install_inside /try/clip.deb
check_shells .deb /usr/share/zsh/vendor-completions/_clip
inside apt-get purge -y -qq clip >/dev/null 2>&1
paths >"$work/after"
diff "$work/before" "$work/after" || fail ".deb: files are left after the removal"
echo "$release, .deb: removed without a trace"

make_root tarball
cp "$tarball" "$root/try/clip.tar.gz"
inside tar -xzf /try/clip.tar.gz -C /try --strip-components 1
inside /try/install.sh >"$work/install" || fail "tarball: $(cat "$work/install")"
check_zeroshot tarball
inside /usr/local/share/doc/clip/install.sh --uninstall >"$work/uninstall"
install_inside "${shells[@]}"
paths >"$work/before"
inside /try/install.sh >/dev/null
inside /try/install.sh >"$work/install" # again, as an upgrade
grep -q 'set -p fish_complete_path' "$work/install" || fail "tarball: no advice for fish"
check_shells tarball /usr/local/share/zsh/site-functions/_clip
inside /usr/local/share/doc/clip/install.sh --uninstall >"$work/uninstall"
paths >"$work/after"
diff "$work/before" "$work/after" || fail "tarball: files are left after --uninstall"
grep -q 'indexes' "$work/uninstall" || fail "tarball: --uninstall does not name the indexes"
echo "$release, tarball: removed without a trace"

for file in "$deb" "$tarball"; do
    echo "$(basename "$file"): $(stat -c %s "$file") bytes"
done
