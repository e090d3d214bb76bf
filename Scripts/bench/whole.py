"""Measures whole jobs of `clip` against Python with open_clip on the same weights, in turn.

    swift build -c release
    VENV/bin/python Scripts/bench/whole.py --folder FOLDER --image JPEG [--large JPEG]
        [--classes JSON --templates JSON] [--jpegs FOLDER]

FOLDER keeps ViT-B/32 with seeded weights. The jobs are a zero-shot classification and a text as
processes (page cache warm), the preprocessing of an image and of a large one on one thread, a
classifier of all classes and templates (open_clip's of 50 classes, scaled), and a folder of JPEGs
compared with its stages alone.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy

from engines import ROOT, Engine, alternate
from python_user import LABELS

USER = [sys.executable, str(ROOT / "Scripts/bench/python_user.py")]


def child(command):
    """Returns the seconds, peak megabytes and output of a process."""
    start = time.perf_counter()
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    assert status == 0, command
    return time.perf_counter() - start, usage.ru_maxrss * 1024 / 1e6, output


def processes(name, ours, theirs, repetitions):
    """Prints a line of the table; returns the outputs of both programs."""
    runs = {"clip": [], "python": []}
    child(ours), child(theirs)
    for _ in range(repetitions):
        runs["clip"] += [child(ours) for _ in range(4)]
        runs["python"].append(child(theirs))
    best = {key: [min(run[i] for run in found) for i in (0, 1)] for key, found in runs.items()}
    print(f"| {name} | {best['clip'][0]:.3f} s, {best['clip'][1]:.0f} MB | "
          f"{best['python'][0]:.2f} s, "
          f"{best['python'][1]:.0f} MB | {best['python'][0] / best['clip'][0]:.1f} times faster, "
          f"{100 * best['clip'][1] / best['python'][1]:.0f} % of the memory |", flush=True)
    return [json.loads(runs[key][0][2]) for key in ("clip", "python")]


def preprocessing(arguments, name, image, rounds=20):
    engines = {
        "python": Engine([*USER, "preprocessing", "", image]),
        "exact": Engine([arguments.clip, "bench", "--on-request", "--tower", "preprocess",
                         "--image", image]),
        "fast": Engine([arguments.clip, "bench", "--on-request", "--tower", "preprocess", "--image",
                        image,
                        "--decode", "fast"])}
    alternate(engines, rounds)
    best = {key: min(engine.times) for key, engine in engines.items()}
    for key in ("exact", "fast"):
        print(f"| {name}, --decode {key} | {best[key]:.2f} ms | {best['python']:.2f} ms | "
              f"{best['python'] / best[key]:.2f} times faster |", flush=True)


def classifier(arguments, model):
    """Measures all classes by `clip` and some by open_clip, and compares the vectors."""
    few, names = 50, json.load(open(arguments.classes))
    templates = [t.replace("{c}", "{}") for t in json.load(open(arguments.templates))]
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        (folder / "labels").write_text("\n".join(names) + "\n")
        options = [part for template in templates for part in ("--template", template)]
        seconds, memory, output = child(
            [arguments.clip, "zeroshot", arguments.image, "--labels", folder / "labels", *options,
             "--model",
             model, "--json"])
        theirs = float(child([*USER, "classifier", model, few, arguments.classes,
                              arguments.templates,
                              folder / "weights.npy"])[2])
        weights = numpy.load(folder / "weights.npy")
        rows = child([arguments.clip, "encode", arguments.image, "--model", model, "--format",
                      "json",
                      "--reference"])[2]
        image = numpy.array(json.loads(rows)["embeddings"][0]["embedding"])
        cosines = {p["label"]: p["cosine"] for p in json.loads(output)["predictions"]}
        difference = max(abs(cosines[name] - weights[i] @ image)
                         for i, name in enumerate(names[:few]))
    theirs *= len(names) / few
    print(f"| classifier, {len(templates)} templates x {len(names)} classes | {seconds:.1f} s, "
          f"{memory:.0f} MB | "
          f"{theirs:.0f} s (of {few}, scaled) | {theirs / seconds:.1f} times faster; cosines "
          f"differ by at most "
          f"{difference:.1e} |", flush=True)


def folder_of_jpegs(arguments, model):
    """Compares a folder from end to end with its two stages alone, on all cores."""
    files = sorted(pathlib.Path(arguments.jpegs).glob("*.jpg"))
    command = [arguments.clip, "encode", "--model", model, "-o", "/dev/null", "--format", "jsonl"]
    # The same batch size, so that both are disturbed equally.
    bench = [arguments.clip, "bench", "--tower", "image", "--batch", str(len(files)), "--model",
             model,
             "--repetitions", "1", "--json"]
    runs, towers = [], []
    for _ in range(8):
        runs.append(child([*command, *files]))
        towers.append(json.loads(child(bench)[2])["min_ms"] / 1000)
    seconds, memory = (min(run[i] for run in runs) for i in (0, 1))
    few = child([*command, *files[:50]])
    pixels = json.loads(child([arguments.clip, "bench", "--tower", "preprocess", "--image",
                               files[0], "--json"])[2])
    cores = len(os.sched_getaffinity(0))
    encoding = min(towers)
    decoding = len(files) * pixels["min_ms"] / cores / 1000
    print(f"| folder of {len(files)} JPEGs | {seconds:.1f} s, {memory:.0f} MB (of 50: "
          f"{few[1]:.0f}) | encoding alone "
          f"{encoding:.1f} s, preprocessing alone {decoding:.1f} s | "
          f"{max(encoding, decoding) / seconds:.2f} of what "
          f"the slower stage allows |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--image", required=True)
    parser.add_argument("--large")
    parser.add_argument("--classes")
    parser.add_argument("--templates")
    parser.add_argument("--jpegs")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--clip", default=str(ROOT / ".build/release/clip"))
    arguments = parser.parse_args()
    model = arguments.folder / "ViT-B-32-quickgelu"
    # In another process: the system counts a parent's memory for its children.
    subprocess.run([sys.executable, ROOT / "Scripts/bench/engines.py", "weights", model],
                   check=True)

    print("| | clip | Python | |\n|---|---|---|---|")
    if arguments.jpegs:
        folder_of_jpegs(arguments, model)
    found, expected = processes(
        "`clip zeroshot`, two labels",
        [arguments.clip, "zeroshot", arguments.image, *LABELS, "--model", model, "--json",
         "--reference"],
        [*USER, "zeroshot", model, arguments.image], arguments.repetitions)
    found = {p["label"]: p["probability"] for p in found["predictions"]}
    assert max(abs(found[label] - p) for label, p in zip(LABELS, expected)) < 1e-5, (found,
            expected)
    found, expected = processes(
        "`clip encode --text`", [arguments.clip, "encode", "--text", LABELS[0], "--model", model],
        [*USER, "texts", model, LABELS[0]], arguments.repetitions)
    assert max(abs(a - b) for a, b in zip(found["embedding"], expected)) < 1e-5
    preprocessing(arguments, "preprocessing, one thread", arguments.image)
    if arguments.large:
        preprocessing(arguments, "the same, large", arguments.large)
    if arguments.classes:
        classifier(arguments, model)


if __name__ == "__main__":
    main()
