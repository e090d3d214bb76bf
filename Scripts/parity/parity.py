"""Prints one table of all comparisons with Python: tokens, pixels and embeddings.

    python -m venv VENV && VENV/bin/pip install -r Scripts/parity/requirements.txt
    swift build -c release
    VENV/bin/python Scripts/parity/parity.py [--models ViT-B-32-quickgelu RN50-quickgelu ...]

It downloads nothing: strings and images are made from a seed, and weights are random, of full size.
Each part is also a separate program: tokens.py, images.py and full_size.py; sentence_pieces.py,
bundled.py, formats.py and batches.py compare more.
"""

import argparse
import pathlib
import sys
import tempfile
import warnings

import full_size
import image_grid
import images
import tokens

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAMES = {"open_clip": "open_clip `SimpleTokenizer`", "openai": "OpenAI `SimpleTokenizer`",
         "hf": "transformers `CLIPTokenizerFast`"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["ViT-B-32-quickgelu", "RN50-quickgelu"])
    parser.add_argument("--resolutions", type=int, nargs="+", default=[224, 336])
    parser.add_argument("--clip", default=str(ROOT / ".build/release/clip"))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    rows, failed = [], False

    counts = {}
    for rules, _, count, differing in tokens.compare(arguments.clip):
        before = counts.get(rules, (0, 0))
        counts[rules] = (before[0] + count, before[1] + differing)
    for rules, (count, differing) in counts.items():
        rows.append(("tokens", NAMES[rules], f"{count:,} strings", f"{differing} differ"))
        failed |= differing > 0

    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        (folder / "images").mkdir()
        image_grid.write(folder / "images")
        files = sorted((folder / "images").iterdir())
        for rules, name in (("openai", "Pillow and torchvision"),
                            ("hf", "transformers `CLIPImageProcessorPil`")):
            count, _, _, refused, worst, floats = images.measure(arguments.clip, files, rules,
                    arguments.resolutions)
            sizes = " and ".join(map(str, arguments.resolutions))
            rows.append((
                "pixels", name, f"{count // len(arguments.resolutions)} images at {sizes}",
                f"{worst} levels, {floats or 'none'} in floats"))
            failed |= worst > 0 or refused > 0
        images = [path for path in files if path.name in ("641x479-rgb-420.jpg", "301x224-rgb.png",
                                                          "225x640-progressive.jpg")]
        for model in arguments.models:
            results = full_size.measure(model, folder / model, images, arguments.clip)
            for kind, (angle, delta, theirs, ours) in zip(("image", "text"), results):
                rows.append((
                    f"{kind} embeddings", f"PyTorch, {model}",
                    f"{len(images if kind == 'image' else full_size.TEXTS)} inputs",
                    f"1 - cosine {angle:.0e}, Δ / max {delta:.0e}; from float64 {ours:.0e}, "
                    f"PyTorch's own {theirs:.0e}"))
                failed |= angle > 5e-7 or delta > 5e-6 or ours > 2 * theirs

    print("| what | against | cases | worst difference |\n|---|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
