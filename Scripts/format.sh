#!/usr/bin/env bash
# Formats every Swift file; --check reports files that are not formatted.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" = --check ]; then
    swift format lint --strict --recursive --parallel Package.swift Sources Tests Scripts Examples
else
    swift format --in-place --recursive --parallel Package.swift Sources Tests Scripts Examples
fi
