#!/usr/bin/env bash
# Runs `clip serve` in a root of Debian bookworm that has the libraries of packages.txt alone:
#
#     sudo Scripts/container/check.sh --clip FILE [--root FOLDER]
#
# FILE is built with `swift build -c release --product clip --static-swift-stdlib`. The root is made
# by debootstrap in FOLDER and used again if it exists; without --root it is temporary. Asks /ping
# and /v1/embeddings, compares the vectors with those of `clip encode`, and stops the server by
# SIGTERM.
# The exit status is 1 if something differs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
clip="" root=""
while [ $# -gt 0 ]; do
    case $1 in
    --clip) clip=$(realpath "$2") ;;
    --root) root=$(realpath -m "$2") ;;
    *) echo "unknown argument $1" >&2 && exit 2 ;;
    esac
    shift 2
done
[ -f "$clip" ] || { echo "give --clip FILE, the built command" >&2 && exit 2; }
[ "$(id -u)" -eq 0 ] || { echo "debootstrap and chroot need root" >&2 && exit 2; }
cd "$here/../.."
. Scripts/packages.sh
install_packages debootstrap curl python3

work=$(mktemp -d)
root=${root:-$work/root}
server=""
mounted=""
finish() {
    [ -z "$server" ] || kill -KILL "$server" 2>/dev/null || true
    [ -z "$mounted" ] || umount "$mounted" || true
    rm -rf "$work"
}
trap finish EXIT

if [ ! -e "$root/etc/debian_version" ]; then
    echo "making $root"
    debootstrap --variant=minbase --include="$(paste -sd, "$here/packages.txt")" \
        bookworm "$root" >"$work/debootstrap.log" ||
        { tail "$work/debootstrap.log" >&2 && exit 1; }
fi
# As in a container; Swift reads the arguments of the process there.
if [ ! -e "$root/proc/self" ]; then
    mount -t proc proc "$root/proc"
    mounted=$root/proc
fi
install -m 755 "$clip" "$root/usr/local/bin/clip"
install -d -o 65532 -g 65532 "$root/data"
if chroot "$root" ldd /usr/local/bin/clip | grep "not found"; then
    echo "libraries are missing in $here/packages.txt, or the Swift libraries are not static" >&2
    exit 1
fi

inside() {
    exec chroot --userspec=65532:65532 "$root" env -i PATH=/usr/local/bin:/usr/bin:/bin \
        HOME=/data CLIP_HOME=/data HF_HOME=/data/huggingface clip "$@"
}

(inside serve --model tiny --port 0) >"$work/log" 2>"$work/errors" &
server=$!
url=""
for _ in $(seq 100); do
    url=$(grep -o 'http://127.0.0.1:[0-9]*' "$work/errors" || true)
    [ -z "$url" ] || break
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
done
[ -n "$url" ] || { cat "$work/errors" >&2 && exit 1; }

[ "$(curl -sSf "$url/ping")" = pong ] || { echo "/ping does not answer pong" >&2 && exit 1; }
curl -sSf "$url/v1/embeddings" -H "Content-Type: application/json" \
    -d '{"model": "tiny", "input": ["a dog", "a cat"], "encoding_format": "float"}' \
    >"$work/served.json"
(inside encode --model tiny --text "a dog" --text "a cat" --format json) >"$work/encoded.json"
python3 - "$work" <<'END'
import json, sys

served, encoded = (json.load(open(f"{sys.argv[1]}/{n}.json")) for n in ("served", "encoded"))
served = [row["embedding"] for row in served["data"]]
encoded = [row["embedding"] for row in encoded["embeddings"]]
if served != encoded:
    sys.exit(f"/v1/embeddings and clip encode differ:\n{served}\n{encoded}")
print(f"{len(served)} vectors of {len(served[0])} numbers, equal to those of clip encode")
END

kill -TERM "$server"
status=0
wait "$server" || status=$?
server=""
[ "$status" = 0 ] || { echo "the exit status after SIGTERM is $status" >&2 && exit 1; }
echo "clip serve works in Debian bookworm with $(wc -l <"$here/packages.txt") added packages;" \
    "the root has $(du -smx "$root" | cut -f 1) MB, the binary $(($(stat -c %s "$clip") / 1000000))"
