#!/usr/bin/env bash
# Checks everything that must hold before a change lands: format, builds with and without the
# default traits, tests in debug and release, on every instruction set of the CPU and with every
# engine, and the kernels for ARM under an emulator.
set -euo pipefail
cd "$(dirname "$0")/.."
. Scripts/packages.sh
install_packages
# Loaded at run time; the tests of what a system does not have are skipped.
for package in libheif1 libtiff6 libjxl0.7 liblcms2-2; do
    install_packages $package || echo "not available: $package"
done
step() { printf '\n== %s (after %d s)\n' "$*" "$SECONDS"; }
# One line per test is enough for successes; failures are printed in full.
quietly() { grep -vE '^(\[[0-9]+/|◇ |✔ Test case|✔ Test [A-Za-z]+\(|↳ ///)' || true; }

step Format, imports, comments and code blocks
Scripts/format.sh --check
Scripts/imports.py --self-test
Scripts/imports.py
Scripts/prose.py
Scripts/code_blocks.py --check

step 'The Spark package, without Spark'
(cd Distributed && python3 -m unittest discover tests 2>&1)

# Each of the two builds has its own traits, so that both sets of traits are built and tested.
# The C kernels are optimised in debug, too, which the tests would spend much of their time in.
step Debug, without the default traits
swift test --scratch-path .build/plain --disable-default-traits -Xcc -O2 2>&1 | quietly

step 'Manual pages and help texts'
Scripts/manuals.py --check .build/plain/debug/clip

step 'Completions in the shells that are installed'
Scripts/completions.sh .build/plain/debug/clip

step 'Commands of README and articles'
Scripts/tutorials.py .build/plain/debug/clip

step "ARM, under an emulator"
Scripts/arm.sh

# The command too; the tests need internal declarations.
step 'Release, the build'
release=(-c release --scratch-path .build/tests -Xswiftc -enable-testing)
swift build --build-tests "${release[@]}" 2>&1 | quietly

step 'Documentation, with warnings as errors and without broken links'
Scripts/site.sh .build/site --build .build/tests/release

# Tests that do not depend on instruction set or engine run only once, in the last step.
without_arithmetic='EngineTests|TokenizerTests|CheckpointTests|WeightsTests|SafetensorsTests'
without_arithmetic+='|EncodingStreamTests|AsyncEncodingTests|ErrorTests|PublicAPITests'
without_arithmetic+='|ConfigurationShapesTests|ImageFileTests|RawPixelTests|TokenTests'
sets=$(.build/tests/release/clip --version --json |
    sed 's/.*"instruction_sets":\[\([^]]*\)\].*/\1/; s/[",]/ /g')
for isa in $sets; do
    step "Release, on $isa"
    CLIP_ISA=$isa CLIP_ENGINE=native swift test --skip-build "${release[@]}" \
        --filter 'TensorsTests|ParityTests|CLIPTests' --skip "$without_arithmetic" 2>&1 | quietly
done
step "Release, products by a BLAS"
CLIP_ENGINE=blas swift test --skip-build "${release[@]}" --filter 'ParityTests|CLIPTests' \
    --skip "$without_arithmetic" 2>&1 | quietly
for core in Nehalem Sandybridge Haswell; do
    step "Release, products by OpenBLAS with the kernels for $core"
    OPENBLAS_CORETYPE=$core swift test --skip-build "${release[@]}" --filter EngineTests 2>&1 |
        quietly
done

step Release
swift test --skip-build "${release[@]}" 2>&1 | quietly
