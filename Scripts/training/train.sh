#!/usr/bin/env bash
# Makes Weights/ anew: packages, training, evaluation, card. About an hour on two CPU cores, eight minutes on a GPU.
#   Scripts/training/train.sh [--steps N] [--batch N] [--seed N] [--device cuda]
# Interrupted, it goes on where the last checkpoint ends. WORK is where packages and checkpoint lie.
set -euo pipefail
work=$(realpath -m "${WORK:-${XDG_CACHE_HOME:-$HOME/.cache}/clip-training}")
cd "$(dirname "$0")/../.."
. Scripts/packages.sh
install_packages fonts-noto-color-emoji fonts-symbola unicode-cldr-core python3-venv
[ -x "$work/venv/bin/pip" ] || python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q -r Scripts/training/requirements.txt
exec "$work/venv/bin/python" -u Scripts/training/train.py \
    --work "$work" --out Weights "$@"
