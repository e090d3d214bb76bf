"""Measures `clip` against PyTorch, transformers, ONNX Runtime and OpenVINO.

All have the same weights and the same number of threads, and run in turn.

    swift build -c release
    VENV/bin/pip install torch torchvision open_clip_torch transformers onnx onnxruntime
        openvino nncf
    VENV/bin/python Scripts/bench/peers.py --folder FOLDER

FOLDER keeps seeded weights and the engines' versions of them (3 GB for all models). In each case
every engine runs once in every round; the table has the fastest and the median of each, and the
ratio of the fastest times: 1.10 means that `clip` is 10 % faster than the fastest other engine.
"""

import argparse
import importlib.metadata
import os
import pathlib
import platform
import statistics
import subprocess
import sys

from engines import ROOT, Engine, alternate, prepare

NAMES = {"pytorch": "PyTorch", "transformers": "transformers", "onnxruntime": "ONNX Runtime",
         "openvino": "OpenVINO"}
IMAGE = {"fp32": ["pytorch", "onnxruntime", "openvino"], "bf16": ["pytorch", "openvino"],
         "int8": ["onnxruntime", "openvino"]}
TEXT = {"fp32": ["transformers"] + IMAGE["fp32"], "bf16": ["transformers"] + IMAGE["bf16"],
        "int8": IMAGE["int8"]}


def cases():
    """Model, precision, tower, batch, ids of `clip`, ids of the others."""
    for precision in ["fp32", "bf16", "int8"]:
        for batch in [1, 8, 32]:
            yield "ViT-B-32-quickgelu", precision, "image", batch, 77, 77
        for ours, theirs in [(12, 12), (12, 77), (77, 77)]:
            yield "ViT-B-32-quickgelu", precision, "text", 32, ours, theirs
    for model in ["ViT-L-14-quickgelu", "RN50-quickgelu"]:
        for batch in [1, 8]:
            yield model, "fp32", "image", batch, 77, 77


def measure(arguments, model, precision, tower, batch, ours, theirs):
    folder = arguments.folder / model
    command = [arguments.clip, "bench", "--on-request", "--model", folder, "--precision", precision,
               "--tower", tower, "--batch", str(batch), "--tokens", str(ours)]
    engines = {"clip": Engine(command + ["--engine", "native"])}
    if precision == "fp32":
        engines["blas"] = Engine(command + ["--engine", "blas"])
    for name in (IMAGE if tower == "image" else TEXT)[precision]:
        engines[name] = Engine(
            [sys.executable, ROOT / "Scripts/bench/engines.py", name, precision, folder, tower,
             str(batch),
             str(theirs)])
    alternate(engines, arguments.rounds, pause=0.02)  # until the threads of the engine sleep
    fastest = {name: min(engine.times) for name, engine in engines.items()}
    clip = fastest.pop("clip")
    fastest.pop("blas", None)
    best = min(fastest, key=fastest.get)
    cells = {name: f"{min(e.times):.1f} ({statistics.median(e.times):.1f})"
             for name, e in engines.items()}
    others = ", ".join(f"{NAMES[name]} {cells[name]}" for name in fastest)
    ids = "" if tower == "image" else f" of {ours} ids" + (f" (others {theirs})" if ours != theirs
                                                           else "")
    print(f"| {model.removesuffix('-quickgelu')} {tower}, {precision}, batch {batch}{ids} | "
          f"{cells['clip']} | "
          f"{cells.get('blas', '')} | {others} | {fastest[best] / clip:.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", default="",
                        help="only cases whose line contains this, as in 'image fp32 8'")
    parser.add_argument("--clip", default=str(ROOT / ".build/release/clip"))
    arguments = parser.parse_args()
    chosen = [
        case for case in cases()
        if all(word in [str(part) for part in case] for word in arguments.only.split())]
    for model in dict.fromkeys(case[0] for case in chosen):
        prepare(arguments.folder / model, quantised="B-32" in model)

    processor = [line.split(":")[1].strip() for line in open("/proc/cpuinfo")
                 if line.startswith("model name")]
    versions = ", ".join(
        f"{name} {importlib.metadata.version(package)}" for name, package in
        [("PyTorch", "torch"), ("open_clip", "open_clip_torch"), ("transformers", "transformers"),
         ("ONNX Runtime", "onnxruntime"), ("OpenVINO", "openvino"), ("NNCF", "nncf")])
    clip = subprocess.run([arguments.clip, "--version"], capture_output=True,
                          text=True).stdout.strip()
    print(f"{processor[0]}, {len(os.sched_getaffinity(0))} cores, Python "
          f"{platform.python_version()}, {versions}; "
          f"{clip}; {arguments.rounds} rounds\n")
    print("| milliseconds a batch: fastest (median) | clip, native | clip, blas | others | ratio "
          "|\n|---|---|---|---|---|")
    for case in chosen:
        measure(arguments, *case)


if __name__ == "__main__":
    main()
