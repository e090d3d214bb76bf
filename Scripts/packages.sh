# Sourced by the other scripts: installs missing Debian packages (the given ones, or those of the
# build), and names the commit.

install_packages() {
    local missing=() package
    [ $# -gt 0 ] || set -- libpng-dev libjpeg-dev libwebp-dev libcurl4-openssl-dev libsqlite3-dev \
        libopenblas-dev pkg-config
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
            missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    echo "Installing ${missing[*]}"
    local root=()
    [ "$(id -u)" -eq 0 ] || root=(sudo)
    "${root[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${root[@]}" apt-get install -y -qq --no-install-recommends \
        "${missing[@]}" >/dev/null
}

# The commit for `clip --version`, with a + if files have been changed.
CLIP_COMMIT=$(git rev-parse --short=12 HEAD 2>/dev/null || true)
[ -z "$CLIP_COMMIT" ] ||
    [ -z "$(git status --porcelain --untracked-files=no 2>/dev/null)" ] || CLIP_COMMIT+=+
export CLIP_COMMIT
