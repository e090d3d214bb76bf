"""Measures `clip` against PyTorch, transformers, ONNX Runtime and OpenVINO.

All have the same weights and the same number of threads, and run in turn.

    swift build -c release
    VENV/bin/pip install torch torchvision open_clip_torch transformers onnx onnxruntime
        openvino nncf
    VENV/bin/python Scripts/bench/peers.py --folder FOLDER [--gemma VOCABULARY.json.gz]

FOLDER keeps seeded weights and the engines' versions of them (8 GB for all models). In each case
every engine runs once in every round; the table has the fastest and the median of each, and the
ratio of the fastest times: 1.10 means that `clip` is 10 % faster than the fastest other engine.

--check compares instead the embeddings of all engines, `clip`'s from image files and texts, with
PyTorch's in float32. --gemma has the list of Gemma's pieces for the tokenizer of SigLIP 2; without
it a trained vocabulary stands in.
"""

import argparse
import importlib.metadata
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

import numpy

from engines import ROOT, Engine, alternate, make_tokenizer, prepare, read_configuration

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
    for precision in ["fp32", "bf16", "int8"]:
        for batch in [1, 8]:
            yield "ViT-B-16-SigLIP2-256", precision, "image", batch, 64, 64
        for batch in [1, 32]:
            yield "ViT-B-16-SigLIP2-256", precision, "text", batch, 64, 64


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


TEXTS = ["a man riding bicycle", "a photo of a cat", "", "An astronaut, on a horse; 4k, 1665!",
         "a red bus on a bridge over the river at night", "naïve café 東京タワー " + "very " * 12]


def difference(found, expected):
    """Returns the largest 1 - cosine, and the largest difference relative to the largest number."""
    found, expected = found.astype("float64"), expected.astype("float64")
    cosines = (found * expected).sum(1) / (
        numpy.linalg.norm(found, axis=1) * numpy.linalg.norm(expected, axis=1))
    return 1 - cosines.min(), numpy.abs(found - expected).max() / numpy.abs(expected).max()


def token_ids(folder):
    """Returns the ids of the texts by the tokenizer of a model."""
    sys.path.append(str(ROOT / "Scripts/parity"))
    import sentence_pieces
    from full_size_families import framed
    from open_clip import SimpleTokenizer
    from open_clip.tokenizer import get_clean_fn

    if "SigLIP2" not in folder.name:
        return SimpleTokenizer()(TEXTS)
    tokenize = sentence_pieces.sentencepiece_ids((folder / "tokenizer.model").read_bytes())
    return framed(tokenize([get_clean_fn("canonicalize")(text) for text in TEXTS]), 64, None, 1, 0)


def inputs(folder, tower, work):
    """Writes the input of a tower as an array; returns the options of `clip` for the same input.

    Images have the size of the model's, so that preprocessing only normalises them.
    """
    from PIL import Image

    if tower == "image":
        size = read_configuration(folder).size
        normalisation = json.loads(
            (folder / "open_clip_config.json").read_text())["preprocess_cfg"]
        random, paths, pixels = numpy.random.default_rng(7), [], []
        for number in range(4):
            coarse = Image.fromarray(random.integers(0, 256, (9, 9, 3), dtype="uint8"))
            image = coarse.resize((size, size), Image.Resampling.BICUBIC)
            paths.append(work / f"{number}.png")
            image.save(paths[-1])
            values = numpy.asarray(image, dtype="float32") / 255
            values = (values - numpy.float32(normalisation["mean"])) / numpy.float32(
                normalisation["std"])
            pixels.append(values.transpose(2, 0, 1))
        numpy.save(work / "image.npy", numpy.stack(pixels))
        return paths
    numpy.save(work / "text.npy", token_ids(folder).numpy())
    return [part for text in TEXTS for part in ("--text", text)]


def check(arguments, model, precision, tower):
    """Prints the distance of each engine's embeddings from those of PyTorch in float32."""
    folder = arguments.folder / model
    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(temporary)
        given = inputs(folder, tower, work)

        def rows(engine, precision):
            subprocess.run(
                [sys.executable, ROOT / "Scripts/bench/engines.py", engine, precision, folder,
                 tower, work / f"{tower}.npy", work / "rows.npy"], check=True,
                stderr=subprocess.DEVNULL)
            return numpy.load(work / "rows.npy")

        exact = rows("pytorch", "fp32")
        engines = (IMAGE if tower == "image" else TEXT)[precision]
        found = {NAMES[name]: rows(name, precision) for name in engines
                 if name != "transformers" or "SigLIP2" in model}  # else the weights differ
        subprocess.run(
            [arguments.clip, "encode", *given, "--model", folder, "--precision", precision,
             "--engine", "native", "--no-normalize", "--reference", "-o", work / "clip.npy"],
            check=True)
        found = {"clip": numpy.load(work / "clip.npy")} | found
    for name, values in found.items():
        angle, delta = difference(values, exact)
        print(f"| {model} {tower}, {precision} | {name} | {angle:.1e} | {delta:.1e} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", default="",
                        help="only cases whose line contains this, as in 'image fp32 8'")
    parser.add_argument("--check", action="store_true",
                        help="compare embeddings with PyTorch's in float32, without measuring")
    parser.add_argument("--gemma", type=pathlib.Path, help="list of Gemma's pieces, for SigLIP 2")
    parser.add_argument("--clip", default=str(ROOT / ".build/release/clip"))
    arguments = parser.parse_args()
    chosen = [
        case for case in cases()
        if all(word in [str(part) for part in case] for word in arguments.only.split())]
    quantised = {case[0] for case in chosen if case[1] == "int8"}
    for model in dict.fromkeys(case[0] for case in chosen):
        prepare(arguments.folder / model, model in quantised)
    if arguments.check:
        print("| | engine | 1 - cosine | max Δ / max |\n|---|---|---|---|")
        for case in dict.fromkeys(case[:3] for case in chosen):
            make_tokenizer(arguments.folder / case[0], arguments.gemma)
            check(arguments, *case)
        return

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
