"""Measures what the conversion of ICC profiles changes in embeddings.

    VENV/bin/python -m pip install numpy Pillow
    swift build -c release
    VENV/bin/python Scripts/parity/colour.py [--clip .build/release/clip] [--model MODEL]

Converts Examples/*.jpg from sRGB to Display P3, Adobe RGB (1998) and ProPhoto RGB by Pillow's
ImageCms, which keeps their appearance, and saves them as PNG with these profiles. Prints the cosine
of their embeddings to those of the original images: with --reference, which ignores profiles, and
without, which converts them. Also prints the cosine of the original images as Adobe RGB JPEGs of
quality 95, where the loss of the JPEG adds to that of the profile.

Fails if the colours of a profile are ignored without --reference, as they are where Little CMS 2
is missing: the mean cosine must then be larger than with it.
"""

import argparse
import io
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image, ImageCms

import goldens_colour as profiles

ROOT = pathlib.Path(__file__).resolve().parents[2]


def embeddings(arguments: argparse.Namespace, files: list[str], *options: str) -> np.ndarray:
    command = [arguments.clip, "encode", "--quiet", "--format", "jsonl", "--model",
               arguments.model, *options, *files]  # fmt: skip
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    rows = [json.loads(line)["embedding"] for line in output.splitlines()]
    assert len(rows) == len(files), f"expected {len(files)} embeddings, found {len(rows)}"
    return np.array(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures the effect of ICC profiles.")
    parser.add_argument("--clip", default=str(ROOT / ".build/release/clip"))
    parser.add_argument("--model", default="tiny")
    arguments = parser.parse_args()
    kinds = {
        "Display P3": (profiles.rgb_profile(profiles.columns("p3"), profiles.parametric(),
                                            version=4), "png"),
        "Adobe RGB": (profiles.rgb_profile(profiles.columns("adobe"),
                                           profiles.gamma(2.19921875)), "png"),
        "ProPhoto RGB": (profiles.rgb_profile(profiles.columns("prophoto"),
                                              profiles.gamma(1.8)), "png"),
    }  # fmt: skip
    kinds["Adobe RGB, JPEG"] = (kinds["Adobe RGB"][0], "jpg")
    originals = sorted(str(path) for path in (ROOT / "Examples").glob("*.jpg"))
    expected = embeddings(arguments, originals, "--reference")
    srgb, failed = ImageCms.createProfile("sRGB"), False
    print(f"model {arguments.model}, {len(originals)} images; cosine to the original, mean (least)")
    print("profile            ignored            converted")
    for name, (icc, suffix) in kinds.items():
        with tempfile.TemporaryDirectory() as folder:
            files = []
            target = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            for path in originals:
                image = Image.open(path).convert("RGB")
                image = ImageCms.profileToProfile(image, srgb, target)
                file = pathlib.Path(folder) / f"{pathlib.Path(path).stem}.{suffix}"
                image.save(file, icc_profile=icc, quality=95, subsampling="4:4:4")
                files.append(str(file))
            cosines = [(embeddings(arguments, files, *options) * expected).sum(1)
                       for options in (["--reference"], [])]  # fmt: skip
        columns = [f"{found.mean():.5f} ({found.min():.5f})" for found in cosines]
        print(f"{name:<18} " + "  ".join(columns))
        failed |= bool(cosines[1].mean() <= cosines[0].mean())
    if failed:
        sys.exit("profiles are not converted: is Little CMS 2 installed?")


if __name__ == "__main__":
    main()
