# shellcheck shell=bash disable=SC2154
# Sourced by package.sh and install.sh: lays out the files of an installation.

# stage CLIP ROOT ZSH: puts the command, its man pages, completions and documentation under ROOT.
# ZSH is the folder of zsh's functions below ROOT.
stage() {
    local clip=$1 root=$2 zsh=$3
    mkdir -p "$root/bin" "$root/share/man/man1"
    install -m 755 "$clip" "$root/bin/clip"
    python3 Scripts/manuals.py "$clip" "$root/share/man/man1"
    stage_completions "$clip" bash "$root/share/bash-completion/completions/clip"
    stage_completions "$clip" zsh "$root/$zsh/_clip"
    stage_completions "$clip" fish "$root/share/fish/vendor_completions.d/clip.fish"
}

# stage_completions CLIP SHELL FILE: writes the script, which is not to be run: without a #! line.
stage_completions() {
    mkdir -p "$(dirname "$3")"
    "$1" --generate-completion-script "$2" | sed '1{/^#!/d;}' >"$3"
}

# linked_packages CHECKOUTS: prints the Swift packages of the command that have a checkout.
linked_packages() {
    local name
    for name in $(sed -n 's/.*"identity" : "\(.*\)".*/\1/p' Scripts/packaging/dependencies.json); do
        [ -e "$1/$name/LICENSE.txt" ] && echo "$name" ||
            { echo "$1/$name/LICENSE.txt is missing" >&2 && return 1; }
    done
}

# stage_notices CHECKOUTS OUT: writes the notices of this project and of the Swift packages.
stage_notices() {
    local checkouts=$1 name
    mkdir -p "$(dirname "$2")"
    cp NOTICE "$2"
    for name in $(linked_packages "$checkouts"); do
        [ -e "$checkouts/$name/NOTICE.txt" ] || continue
        printf '\n\n%s\n\n' "The notice of $name:" >>"$2"
        cat "$checkouts/$name/NOTICE.txt" >>"$2"
    done
}

# stage_licences CHECKOUTS FOLDER: copies the licences of all that the tarball's binary contains.
stage_licences() {
    local checkouts=$1 folder=$2 name package
    mkdir -p "$folder/licences"
    install -m 644 LICENSE "$folder/LICENSE"
    stage_notices "$checkouts" "$folder/NOTICE"
    install -m 644 "$(swift_licence)" "$folder/licences/swift.txt"
    for name in $(linked_packages "$checkouts"); do
        install -m 644 "$checkouts/$name/LICENSE.txt" "$folder/licences/$name.txt"
    done
    for package in $(static_packages); do
        name=${package%-dev}
        install -m 644 "/usr/share/doc/$package/copyright" "$folder/licences/$name.txt"
    done
}

swift_licence() {
    echo "$(dirname "$(realpath "$(command -v swiftc)")")/../share/swift/LICENSE.txt"
}

# static_packages: prints the Debian packages of the static libraries.
static_packages() {
    local name file
    for name in "${static_libraries[@]}" gcc_eh; do
        file=$(static_library "$name") || continue
        dpkg-query -S "$file" | cut -d : -f 1
    done | sort -u
}
