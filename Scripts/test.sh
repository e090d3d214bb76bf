#!/usr/bin/env bash
# Checks everything that must hold before a change lands: format, builds with and without the
# default traits, tests in debug and release, on every instruction set of the CPU and with every
# engine, and the kernels for ARM under an emulator.
set -euo pipefail
cd "$(dirname "$0")/.."
. Scripts/packages.sh
install_packages
step() { printf '\n== %s (after %d s)\n' "$*" "$SECONDS"; }
# One line per test is enough for successes; failures are printed in full.
quietly() { grep -vE '^(\[[0-9]+/|◇ |✔ Test case|✔ Test [A-Za-z]+\(|↳ ///)' || true; }

step Format, imports, comments and code blocks
Scripts/format.sh --check
Scripts/imports.py --self-test
Scripts/imports.py
Scripts/prose.py
Scripts/code_blocks.py --check

# Only the modules that the traits change.
step Debug, without the default traits
swift build --build-tests --scratch-path .build/plain --disable-default-traits 2>&1 | quietly
swift test --skip-build --scratch-path .build/plain --disable-default-traits \
    --filter 'TensorsTests|ImagesTests|EngineCommandTests|InputTests|HelpTests' \
    2>&1 | quietly

step Debug
swift test 2>&1 | quietly
# Tests that do not depend on instruction set or engine run once, above.
without_arithmetic='EngineTests|TokenizerTests|CheckpointTests|WeightsTests|SafetensorsTests'
without_arithmetic+='|EncodingStreamTests|AsyncEncodingTests|ErrorTests|PublicAPITests'
without_arithmetic+='|ConfigurationShapesTests|ImageFileTests|RawPixelTests|TokenTests'
sets=$(.build/debug/clip --version --json |
    sed 's/.*"instruction_sets":\[\([^]]*\)\].*/\1/; s/[",]/ /g')
for isa in $sets; do
    step "Debug, on $isa"
    CLIP_ISA=$isa CLIP_ENGINE=native swift test --skip-build \
        --filter 'TensorsTests|ParityTests|CLIPTests' --skip "$without_arithmetic" 2>&1 | quietly
done
step "Debug, products by a BLAS"
CLIP_ENGINE=blas swift test --skip-build --filter 'ParityTests|CLIPTests' \
    --skip "$without_arithmetic" 2>&1 | quietly
for core in Nehalem Sandybridge Haswell; do
    step "Debug, products by OpenBLAS with the kernels for $core"
    OPENBLAS_CORETYPE=$core swift test --skip-build --filter EngineTests 2>&1 | quietly
done

step "ARM, under an emulator"
Scripts/arm.sh

step 'Completions in the shells that are installed'
Scripts/completions.sh .build/debug/clip

# The command too; the tests need internal declarations.
step Release
swift test -c release --scratch-path .build/tests -Xswiftc -enable-testing 2>&1 | quietly
