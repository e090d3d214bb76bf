"""Measures both engines of `clip`, PyTorch and OpenVINO with restricted instruction sets.

    swift build -c release
    VENV/bin/pip install torch open_clip_torch transformers onnx openvino
    VENV/bin/python Scripts/bench/instruction_sets.py --folder FOLDER

FOLDER keeps seeded weights, as for peers.py. Each program is restricted by its own environment
variable; in every round each runs once, and the table has the fastest of each in milliseconds a
batch.
"""

import argparse
import pathlib
import subprocess
import sys

from engines import ROOT, Engine, alternate, prepare

MODEL = "ViT-B-32-quickgelu"

# The names of each level: CLIP_ISA, OpenBLAS's core, and those of oneDNN, MKL and PyTorch.
LEVELS = {
    "AVX-512": ({"CLIP_ISA": "avx512"}, {"OPENBLAS_CORETYPE": "SkylakeX"}, {
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "MKL_ENABLE_INSTRUCTIONS": "AVX512",
        "ATEN_CPU_CAPABILITY": "avx512"}),
    "AVX2": ({"CLIP_ISA": "avx2"}, {"OPENBLAS_CORETYPE": "Haswell"}, {
        "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2"}),
    "AVX": ({"CLIP_ISA": "scalar"}, {"OPENBLAS_CORETYPE": "Sandybridge"}, {
        "ONEDNN_MAX_CPU_ISA": "AVX", "MKL_ENABLE_INSTRUCTIONS": "AVX",
        "ATEN_CPU_CAPABILITY": "default"}),
    "SSE": ({"CLIP_ISA": "scalar"}, {"OPENBLAS_CORETYPE": "Nehalem"}, {
        "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "ATEN_CPU_CAPABILITY": "default"}),
}


def measure(arguments, level, tower, batch):
    isa, core, peers = LEVELS[level]
    folder = arguments.folder / MODEL

    def clip(*options, **variables):
        return Engine(
            [arguments.clip, "bench", "--on-request", "--model", folder, "--tower", tower,
             "--batch",
             str(batch), *options], isa | variables)

    def peer(name):
        return Engine([sys.executable, ROOT / "Scripts/bench/engines.py", name, "fp32", folder,
                       tower,
                       str(batch), "77"], peers)

    engines = {"native": clip("--engine", "native")}
    if level == "AVX2":  # the engine's default kernels, then those of blas-fast
        engines["blas"] = clip("--engine", "blas", OPENBLAS_CORETYPE="Sandybridge")
        engines["blas-fast"] = clip("--engine", "blas-fast", **core)
    else:
        engines["blas"] = clip("--engine", "blas", **core)
    if level in ["AVX-512", "AVX2"]:
        engines["int8"] = clip("--precision", "int8",
                               CLIP_ISA="avx2" if level == "AVX2" else "avx512-vnni")
    if level == "AVX2":
        engines["int8, VNNI"] = clip("--precision", "int8", CLIP_ISA="avx512-vnni-256")
    if not arguments.alone:
        engines |= {"PyTorch": peer("pytorch"), "OpenVINO": peer("openvino")}
    alternate(engines, arguments.rounds, pause=0.02)
    cells = ", ".join(f"{name} {min(engine.times):.1f}" for name, engine in engines.items())
    print(f"| {level}, {tower}, batch {batch} | {cells} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--levels", nargs="+", choices=LEVELS, default=list(LEVELS))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--towers", nargs="+", default=["image", "text"])
    parser.add_argument("--alone", action="store_true", help="without PyTorch and OpenVINO")
    parser.add_argument("--clip", default=str(ROOT / ".build/release/clip"))
    arguments = parser.parse_args()
    prepare(arguments.folder / MODEL, quantised=False)
    print(subprocess.run([arguments.clip, "--version"], capture_output=True, text=True).stdout)
    for level in arguments.levels:
        for tower in arguments.towers:
            for batch in arguments.batches:
                measure(arguments, level, tower, batch)


if __name__ == "__main__":
    main()
