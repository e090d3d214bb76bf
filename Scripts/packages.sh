# Installs Debian packages that are missing: those given, or those that the build needs. Sourced by the
# other scripts.

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
