"""Compares `clip preprocess --reference` with Pillow and torchvision, picture by picture.

    swift build -c release
    VENV/bin/python Scripts/parity/pictures.py PICTURE-OR-FOLDER... [--resolution 224]

Printed are the pictures that differ, in 8-bit levels, and how many there were of each mode.
"""

import argparse
import collections
import pathlib
import subprocess
import sys
import tempfile

import numpy
import PIL
import torch
import torchvision
from open_clip import OPENAI_DATASET_MEAN as MEAN, OPENAI_DATASET_STD as STD
from PIL import Image
from torchvision.transforms import CenterCrop, InterpolationMode, Resize

ROOT = pathlib.Path(__file__).resolve().parents[2]
ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}


def reference(path, resolution, levels=None):
    """OpenAI's _transform up to ToTensor, as bytes, if they are not given; then the rest, as floats."""
    picture = Image.open(path)
    mode = picture.mode
    if levels is None:
        picture = CenterCrop(resolution)(Resize(resolution, InterpolationMode.BICUBIC)(picture))
        levels = numpy.array(picture.convert("RGB"))
    tensor = torch.from_numpy(levels).permute(2, 0, 1).float().div(255)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return mode, levels, ((tensor - mean) / std).numpy()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="+", type=pathlib.Path)
    parser.add_argument("--resolution", type=int, default=224)
    parser.add_argument("--clip", default=str(ROOT / ".build/release/clip"))
    parser.add_argument(
        "--expected", help="a .npy of uint8 [pictures, r, r, 3], in the order given, to compare with "
        "instead of Pillow's result")
    arguments = parser.parse_args()
    given = numpy.load(arguments.expected) if arguments.expected else None
    files = []
    for path in arguments.paths:
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        files += [file for file in inside if file.suffix.lower() in ENDINGS]

    modes, worst, worst_float, unread = collections.Counter(), 0, 0.0, 0
    with tempfile.TemporaryDirectory() as temporary:
        output = pathlib.Path(temporary) / "picture.npy"
        for index, file in enumerate(files):
            try:
                mode, levels, expected = reference(
                    file, arguments.resolution, None if given is None else given[index])
            except Exception as error:
                print(f"Pillow: {file}: {error}")
                unread += 1
                continue
            run = subprocess.run(
                [arguments.clip, "preprocess", file, "-o", output, "--reference",
                 "--resolution", str(arguments.resolution)], capture_output=True, text=True)
            if run.returncode:
                print(f"{file} ({mode}): {run.stderr.strip()}")
                worst = 255
                continue
            found = numpy.load(output)
            scaled = found.transpose(1, 2, 0) * numpy.float32(STD) + numpy.float32(MEAN)
            difference = numpy.abs(numpy.rint(scaled * 255).astype(int) - levels)
            if difference.max() > 0:
                print(f"{file} ({mode}, {Image.open(file).size}): {difference.max()} levels, "
                      f"{(difference > 0).mean():.2%} of the values")
            modes[mode] += 1
            worst = max(worst, int(difference.max()))
            if difference.max() == 0:
                worst_float = max(worst_float, float(numpy.abs(found - expected).max()))
    print(f"Pillow {PIL.__version__}, torchvision {torchvision.__version__}: "
          f"{sum(modes.values())} pictures ({dict(modes)}), {unread} that Pillow does not read; "
          f"largest difference {worst} levels, {worst_float} in the normalised floats")
    sys.exit(worst > 0)


if __name__ == "__main__":
    main()
