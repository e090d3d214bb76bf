"""Compares bf16 and int8 with float32: cosines, decisions, speed and memory.

    swift build -c release
    VENV/bin/python Scripts/bench/precisions.py --folder FOLDER [--gemma VOCABULARY.json.gz]
        [--models NAME...] [--count IMAGES]

FOLDER keeps models with seeded weights (4 GB for the default ones). The first table has the least
cosines of the embeddings of 100 held-out renders and their captions to those in float32, the mean
cosines of neighbours in float32, which show how far random weights tell inputs apart, and the speed
and memory of the image tower. --gemma has the list of Gemma's pieces, for SigLIP 2; without
it a trained vocabulary stands in.

The second table has the decisions of the bundled model on held-out renders: the best of all its
names for each image. Every third image has one object, so that one name is right. --count 0 leaves
it out. Needs the Debian packages of Scripts/training/train.sh.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "Scripts/parity"), str(ROOT / "Scripts/training")]
from bundled import held_out, normalized  # noqa: E402
import pictograms  # noqa: E402


def encode(clip, model, precision, images, texts, folder):
    """The normalised rows of images and of texts."""
    (folder / "texts").write_text("\n".join(texts) + "\n")
    subprocess.run(
        [clip, "encode", *images, "--text-file", folder / "texts", "--model", model, "--precision",
         precision, "-o", folder / "rows.npy"], check=True)
    rows = numpy.load(folder / "rows.npy").astype("float64")
    return normalized(rows[: len(images)]), normalized(rows[len(images):])


PRECISIONS = ["fp32", "bf16", "int8"]
MODELS = ["ViT-B-32-quickgelu", "ViT-B-16-SigLIP2-256", "MobileCLIP2-B", "PE-Core-B-16"]


def make(arguments, name):
    """Writes the weights and the tokenizer of a model; returns its folder."""
    folder = arguments.folder / name
    engines = [sys.executable, ROOT / "Scripts/bench/engines.py"]
    subprocess.run([*engines, "weights", folder], check=True)
    subprocess.run([*engines, "tokenizer", folder,
                    *([arguments.gemma] if arguments.gemma else [])], check=True)
    return folder


def bench(arguments, model, precision):
    """Returns the results of the image tower at a batch of 8."""
    # Through a shell: the system counts a parent's memory for its children, and this process has
    # PyTorch's.
    shell = ["/bin/sh", "-c", '"$@"; exit $?', "sh"]
    return json.loads(subprocess.run(
        [*shell, arguments.clip, "bench", "--tower", "image", "--batch", "8", "--model", model,
         "--json", "--precision", precision], check=True, capture_output=True).stdout)


def print_models(arguments, images, texts, work):
    print("| model | precision | least cosine to float32: images (of neighbours) | texts (of "
          "neighbours) | images a second (batch 8) | peak MB |\n|---|---|---|---|---|---|")
    for name in arguments.models:
        model = make(arguments, name)
        benches = {precision: bench(arguments, model, precision) for precision in PRECISIONS}
        exact = None
        for precision, found in benches.items():
            rows = encode(arguments.clip, model, precision, images, texts, work)
            exact = exact or rows
            cosines = [f"{(a * b).sum(1).min():.6f} ({(b[1:] * b[:-1]).sum(1).mean():.4f})"
                       for a, b in zip(rows, exact)]
            print(f"| {name} | {precision} | {cosines[0]} | {cosines[1]} | "
                  f"{8000 / found['min_ms']:.1f} | {found['peak_rss_mb']:.0f} |", flush=True)


def print_decisions(arguments, images, names, work):
    print(f"\n| precision | tiny: top-1 of {len(names)} names agrees, of one object (of scenes "
          f"too) | least cosine |\n|---|---|---|")
    exact = None
    for precision in PRECISIONS:
        rows = encode(arguments.clip, "tiny", precision, images, names, work)
        exact = exact or rows
        cosine = min((a * b).sum(1).min() for a, b in zip(rows, exact))
        best = [(images @ texts.T).argmax(1) for images, texts in (rows, exact)]
        same = best[0] == best[1]
        print(f"| {precision} | {100 * same[::3].mean():.1f} % ({100 * same.mean():.1f} %) | "
              f"{cosine:.4f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--gemma", type=pathlib.Path, help="list of Gemma's pieces, for SigLIP 2")
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--clip", default=str(ROOT / ".build/release/clip"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(temporary)
        images, captions = held_out(max(arguments.count, 100), work)
        print_models(arguments, images[:100], captions[:100], work)
        if arguments.count:
            names = sorted({pictogram.name for pictogram in pictograms.load()[0]
                            if pictogram.base})
            print_decisions(arguments, images, names, work)


if __name__ == "__main__":
    main()
