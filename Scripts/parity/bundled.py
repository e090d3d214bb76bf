"""Compares `clip --model tiny` with PyTorch and open_clip on held-out renders and their captions.

    python -m venv VENV && VENV/bin/pip install -r Scripts/parity/requirements.txt
    swift build -c release
    VENV/bin/python Scripts/parity/bundled.py

Needs the Debian packages of Scripts/training/train.sh, which draws the images.
"""

import argparse
import pathlib
import random
import subprocess
import sys
import tempfile

import numpy
from PIL import Image

import goldens_tiny

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "Scripts/training"))
import pictograms  # noqa: E402
import renderer  # noqa: E402
import scenes  # noqa: E402
from evaluate import held_out_objects  # noqa: E402


def held_out(count, folder):
    """Writes images of single pictograms, pairs and triples; returns their paths and captions."""
    found, bitmaps = pictograms.load()
    rng, writer = random.Random(2026), scenes.Writer(found, plainly=True)
    make = [
        lambda: scenes.single(rng, rng.randrange(len(found)), True),
        lambda: scenes.pair(rng, held_out_objects(rng, found, 2), True),
        lambda: scenes.triple(rng, held_out_objects(rng, found, 3), True),
    ]
    specs = [make[number % 3]() for number in range(count)]
    paths = []
    for number, image in enumerate(renderer.Renderer(bitmaps, 160, unseen=True)(specs, 2026)):
        kind, options = (("png", {}), ("jpg", {"quality": 90}))[number % 2]
        paths.append(folder / f"{number:03}.{kind}")
        Image.fromarray(renderer.to_bytes(image)).save(paths[-1], **options)
    return paths, [writer.caption(spec, number) for number, spec in enumerate(specs)]


def normalized(rows):
    return rows / numpy.linalg.norm(rows, axis=1, keepdims=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--clip", default=str(ROOT / ".build/release/clip"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        paths, captions = held_out(arguments.count, folder)
        (folder / "captions.txt").write_text("\n".join(captions) + "\n")
        output = folder / "rows.npy"
        subprocess.run(
            [arguments.clip, "encode", *paths, "--text-file", folder / "captions.txt", "--model",
             "tiny",
             "--no-normalize", "-o", output], check=True)  # fmt: skip
        rows = numpy.load(output).astype("float64")
        model, transform = goldens_tiny.load(ROOT / "Weights/tiny.safetensors")
        expected = [part.numpy().astype("float64")
                    for part in goldens_tiny.encode(model, transform, paths, captions)]  # fmt: skip
    found = [rows[: len(paths)], rows[len(paths) :]]
    failed = False
    for name, ours, theirs in zip(("image", "text"), found, expected):
        cosine = (normalized(ours) * normalized(theirs)).sum(1).min()
        delta = numpy.abs(ours - theirs).max() / numpy.abs(theirs).max()
        print(f"{name}: {len(ours)} embeddings, least cosine 1 - {1 - cosine:.1e}, max Δ / max "
              f"{delta:.1e}")
        failed |= cosine < 0.999999
    ours, theirs = (normalized(images) @ normalized(texts).T for images, texts in (found, expected))
    same = (ours.argmax(1) == theirs.argmax(1)).sum(), (ours.argmax(0) == theirs.argmax(0)).sum()
    right = (ours.argmax(1) == numpy.arange(len(ours))).mean()
    print(f"zero-shot: of {len(ours)} images {same[0]} get the same caption, and of as many "
          f"captions "
          f"{same[1]} the same image; {100 * right:.1f} % get their own")  # fmt: skip
    sys.exit(bool(failed or min(same) < len(ours)))


if __name__ == "__main__":
    main()
