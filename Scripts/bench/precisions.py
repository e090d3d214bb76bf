"""Compares bf16 and int8 with float32: cosines, decisions, speed and memory.

    swift build -c release
    VENV/bin/python Scripts/bench/precisions.py --folder FOLDER

FOLDER keeps ViT-B/32 with seeded weights. Decisions are those of the bundled model on held-out
renders: the best of all its names for each image; every third image has one object, so that one
name is right. Needs the Debian packages of Scripts/training/train.sh.
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--clip", default=str(ROOT / ".build/release/clip"))
    arguments = parser.parse_args()
    large = arguments.folder / "ViT-B-32-quickgelu"
    subprocess.run([sys.executable, ROOT / "Scripts/bench/engines.py", "weights", large],
                   check=True)
    # Through a shell: the system counts a parent's memory for its children, and this process has
    # PyTorch's.
    shell = ["/bin/sh", "-c", '"$@"; exit $?', "sh"]
    benches = {
        precision: json.loads(subprocess.run(
            [*shell, arguments.clip, "bench", "--tower", "image", "--batch", "8", "--model", large,
             "--json",
             "--precision", precision], check=True, capture_output=True).stdout)
        for precision in ["fp32", "bf16", "int8"]}
    names = sorted({pictogram.name for pictogram in pictograms.load()[0] if pictogram.base})
    print("| precision | ViT-B/32 against float32: least cosine of images | of texts | tiny: "
          "top-1 of "
          f"{len(names)} names agrees, of one object (of scenes too) | least cosine | images a "
          f"second (batch 8) | peak MB |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        images, captions = held_out(arguments.count, folder)
        exact = {}
        for precision, bench in benches.items():
            rows = {
                "large": encode(arguments.clip, large, precision, images[:100], captions[:100],
                                folder),
                "tiny": encode(arguments.clip, "tiny", precision, images, names, folder)}
            exact = exact or rows
            cosines = {model: [(a * b).sum(1).min() for a, b in zip(rows[model], exact[model])]
                       for model in rows}
            best = [(images @ texts.T).argmax(1) for images, texts in (rows["tiny"], exact["tiny"])]
            same = best[0] == best[1]
            print(f"| {precision} | {cosines['large'][0]:.6f} | {cosines['large'][1]:.6f} | "
                  f"{100 * same[::3].mean():.1f} % ({100 * same.mean():.1f} %) | "
                  f"{min(cosines['tiny']):.4f} | "
                  f"{8000 / bench['min_ms']:.1f} | {bench['peak_rss_mb']:.0f} |", flush=True)


if __name__ == "__main__":
    main()
