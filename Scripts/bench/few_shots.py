"""Measures probes with few examples of each class: zero-shot, linear, zslinear and tip.

    swift build -c release
    VENV/bin/python Scripts/bench/few_shots.py
    VENV/bin/python Scripts/bench/few_shots.py --font symbola

Draws single pictograms of random classes with backgrounds and light that the bundled model was not
trained with; with --font symbola also by another font, with which the names alone fail more often.
Trains each probe with `clip probe train --shots K --seed S`, measures it with `clip eval` on other
renders, and prints a table of the mean and the standard deviation of acc1 over the seeds. --folder
keeps images and embeddings for the next run. Needs the Debian packages of
Scripts/training/train.sh.
"""

import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile

from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "Scripts/training"))
import pictograms  # noqa: E402
import renderer  # noqa: E402
import scenes  # noqa: E402

METHODS = {
    "linear": ["--method", "linear"], "linear, C swept": ["--method", "linear", "--sweep"],
    "zslinear": ["--method", "zslinear"], "tip": ["--method", "tip"]}  # fmt: skip


def render(folder, font, classes, counts, seed):
    """Writes the splits of `counts`, each a folder with one subfolder per class."""
    found, bitmaps = pictograms.load()
    usable = [index for index, pictogram in enumerate(found) if pictogram.base]
    row = {index: index for index in usable}
    if font == "symbola":
        usable, bitmaps = pictograms.load_symbola(found)
        row = {index: place for place, index in enumerate(usable)}
    rng = random.Random(f"few shots {seed}")
    chosen = rng.sample(usable, classes)
    draw = renderer.Renderer(bitmaps, 160, unseen=True)
    for part, (split, count) in enumerate(counts.items()):
        for place, index in enumerate(chosen):
            images = folder / split / found[index].name
            images.mkdir(parents=True)
            specs = [scenes.single(rng, row[index], True) for _ in range(count)]
            noise = (seed * len(counts) + part) * classes + place
            for number, image in enumerate(draw(specs, noise)):
                Image.fromarray(renderer.to_bytes(image)).save(images / f"{number:03}.png")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", default=str(ROOT / ".build/release/clip"))
    parser.add_argument("--font", choices=["noto", "symbola"], default="noto")
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--test", type=int, default=10, help="test images of each class")
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1, help="the seed of the images")
    parser.add_argument("--folder", type=pathlib.Path)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.folder or pathlib.Path(temporary)).resolve()
        images = folder / "images"
        if not images.exists():
            # As many examples again as the most shots, so that the seeds choose different ones.
            counts = {"train": 2 * max(arguments.shots), "test": arguments.test}
            render(images, arguments.font, arguments.classes, counts, arguments.seed)
        probe = pathlib.Path(temporary) / "few.probe.safetensors"
        environment = {**os.environ, "CLIP_HOME": str(folder / "home")}

        def run(*words):
            done = subprocess.run(
                [arguments.clip, *words, "--model", "tiny", "--json", "--quiet"], check=True,
                env=environment, capture_output=True, text=True)
            return json.loads(done.stdout)

        def accuracy(prefix, *words):
            return 100 * run("eval", images / "test", *words)["metrics"][f"{prefix}acc1"]

        zero_shot = accuracy("")
        print(f"zero-shot {zero_shot:.1f}", flush=True)
        table = {name: [] for name in METHODS}
        for shots in arguments.shots:
            for name, options in METHODS.items():
                if "--sweep" in options and shots < 2:  # no example is left to choose C with
                    table[name].append("-")
                    continue
                found = []
                for seed in range(arguments.seeds):
                    run("probe", "train", images / "train", "-o", probe, *options,
                        "--shots", str(shots), "--seed", str(seed))  # fmt: skip
                    found.append(accuracy("lp_", "--probe", probe))
                deviation = statistics.stdev(found) if len(found) > 1 else 0
                table[name].append(f"{statistics.mean(found):.1f} ± {deviation:.1f}")
                print(shots, name, table[name][-1], flush=True)
    print("| examples per class |", *(f" {shots} |" for shots in arguments.shots), sep="")
    print("|---|" + "---|" * len(arguments.shots))
    print("| zero-shot |", *(f" {zero_shot:.1f} |" for _ in arguments.shots), sep="")
    for name, cells in table.items():
        print(f"| {name} |", *(f" {cell} |" for cell in cells), sep="")


if __name__ == "__main__":
    main()
