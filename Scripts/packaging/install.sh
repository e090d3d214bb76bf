#!/bin/sh
# Installs or removes clip:
#
#     ./install.sh [--prefix FOLDER] [--uninstall]
#
# The default prefix is /usr/local for root and ~/.local for others. The installed files are listed
# in PREFIX/share/doc/clip/installed.txt; --uninstall removes exactly these, and the folders that
# the installation made. Models and indexes are never touched.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
prefix="" uninstall=""
while [ $# -gt 0 ]; do
    case $1 in
    --prefix)
        [ $# -gt 1 ] || { echo "--prefix needs a folder" >&2 && exit 2; }
        prefix=$2 && shift
        ;;
    --prefix=*) prefix=${1#--prefix=} ;;
    --uninstall) uninstall=1 ;;
    -h | --help) sed -n 's/^# \{0,1\}//p' "$0" | sed '1d' && exit ;;
    *) echo "unknown argument $1; usage: $0 [--prefix FOLDER] [--uninstall]" >&2 && exit 2 ;;
    esac
    shift
done
if [ -z "$prefix" ]; then
    prefix=${HOME:-}/.local
    [ "$(id -u)" != 0 ] || prefix=/usr/local
fi
case $prefix in
/*) ;;
*) prefix=$PWD/$prefix ;;
esac
list=share/doc/clip/installed.txt
installer=share/doc/clip/install.sh

# remove_files FILE: removes the files that FILE lists and the folders of it that are empty.
remove_files() {
    # Folders end with a slash. A path that leaves the prefix is not ours.
    grep -v -e '^/' -e '\.\.' "$1" | grep -v '/$' | while IFS= read -r path; do
        rm -f -- "$prefix/$path"
    done
    sort -r "$1" | grep -v -e '^/' -e '\.\.' | grep '/$' | while IFS= read -r path; do
        rmdir -- "$prefix/$path" 2>/dev/null || true
    done
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ -n "$uninstall" ]; then
    if [ ! -f "$prefix/$list" ]; then
        echo "clip is not installed in $prefix: $prefix/$list not found" >&2
        exit 1
    fi
    cp "$prefix/$list" "$work/installed"
    remove_files "$work/installed"
    echo "clip was removed from $prefix."
    echo "These stay, and can be deleted by hand:"
    echo "  models       \$CLIP_HOME or ~/.cache/clip, and \$HF_HOME or ~/.cache/huggingface"
    echo "  indexes      a folder .clip-index in each folder that was indexed"
    exit
fi

[ -x "$here/bin/clip" ] || { echo "$here/bin/clip not found" >&2 && exit 1; }
if [ "$here" = "$prefix" ]; then
    echo "the prefix is the folder to install from" >&2
    exit 2
fi
(cd "$here" && find bin share -type f | LC_ALL=C sort) >"$work/files"
printf '%s\n' "$list" "$installer" >>"$work/files"
cp "$0" "$work/install.sh"

# The folders that do not exist yet; they are removed again by --uninstall.
while IFS= read -r path; do
    folder=$(dirname "$path")
    while [ "$folder" != . ]; do
        [ -d "$prefix/$folder" ] || echo "$folder/"
        folder=$(dirname "$folder")
    done
done <"$work/files" >"$work/folders"

# An older version's files that are not part of this one are removed.
if [ -f "$prefix/$list" ]; then
    grep '/$' "$prefix/$list" >>"$work/folders" || true
    grep -v -x -F -f "$work/files" "$prefix/$list" >"$work/old" || true
    remove_files "$work/old"
fi
LC_ALL=C sort -u "$work/folders" "$work/files" >"$work/installed"

while IFS= read -r path; do
    source=$here/$path
    mode=644
    case $path in
    "$list") source=$work/installed ;;
    "$installer") source=$work/install.sh mode=755 ;;
    bin/*) mode=755 ;;
    esac
    mkdir -p "$prefix/$(dirname "$path")"
    # A new file that is renamed: a running clip keeps the old one.
    cp "$source" "$prefix/$path.new"
    chmod $mode "$prefix/$path.new"
    mv -f "$prefix/$path.new" "$prefix/$path"
done <"$work/files"
"$prefix/bin/clip" --version

case :$PATH: in
*:"$prefix/bin":*) ;;
*) echo "Add $prefix/bin to PATH to run clip by name." ;;
esac
# The shells do not look into every prefix; fish finds /usr/local only if XDG_DATA_DIRS names it.
functions=$prefix/share/zsh/site-functions
if command -v zsh >/dev/null && ! zsh -fc 'print -l $fpath' | grep -qxF "$functions"; then
    echo "For completions in zsh, add to ~/.zshrc, before compinit: fpath=($functions \$fpath)"
fi
completions=$prefix/share/fish/vendor_completions.d
if command -v fish >/dev/null &&
    ! fish -c 'printf "%s\n" $fish_complete_path' </dev/null | grep -qxF "$completions"; then
    echo "For completions in fish, add to ~/.config/fish/config.fish:" \
        "set -p fish_complete_path $completions"
fi
echo "To remove clip: $prefix/$installer --prefix $prefix --uninstall"
