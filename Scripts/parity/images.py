"""Compares `clip preprocess` with Pillow and torchvision, and with transformers, image by image.

    swift build -c release
    VENV/bin/python Scripts/parity/images.py [IMAGE-OR-FOLDER...] [--grid] [--resolutions 224 336]

Prints the images that differ, in 8-bit levels, and the number of images of each mode. --grid adds
images of every kind in odd sizes (image_grid.py).
"""

import argparse
import collections
import pathlib
import subprocess
import sys
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy
import PIL
import torch
import torchvision
import transformers
from open_clip import OPENAI_DATASET_MEAN as MEAN, OPENAI_DATASET_STD as STD
from PIL import Image
from torchvision.transforms import CenterCrop, InterpolationMode, Resize
from transformers import CLIPImageProcessorPil

import image_grid

ROOT = pathlib.Path(__file__).resolve().parents[2]
ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}


def openai(image, resolution):
    """Returns the bytes and the floats of OpenAI's _transform."""
    image = CenterCrop(resolution)(Resize(resolution, InterpolationMode.BICUBIC)(image))
    levels = numpy.array(image.convert("RGB"))
    return levels, normalized(levels)


def normalized(levels):
    tensor = torch.from_numpy(levels).permute(2, 0, 1).float().div(255)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return ((tensor - mean) / std).numpy()


def hf(image, resolution):
    """Returns the bytes and the floats of transformers' CLIPImageProcessorPil."""
    side = {"height": resolution, "width": resolution}
    processor = CLIPImageProcessorPil(size={"shortest_edge": resolution}, crop_size=side)
    floats = processor(image, return_tensors="np")["pixel_values"][0]
    return levels_of(floats), floats


def levels_of(floats):
    scaled = floats.transpose(1, 2, 0) * numpy.float32(STD) + numpy.float32(MEAN)
    return numpy.rint(scaled * 255).astype(int)


def compare(clip, file, rules, resolution, expected=None):
    """Returns the mode, and the largest difference in levels and in floats, or a reason."""
    try:
        image = Image.open(file)
        mode = image.mode
        if expected is None:
            levels, floats = {"openai": openai, "hf": hf}[rules](image, resolution)
        else:
            levels, floats = expected, normalized(expected)
    except Exception as error:
        return None, f"Pillow: {error}", 0
    with tempfile.NamedTemporaryFile(suffix=".npy") as output:
        run = subprocess.run(
            [clip, "preprocess", file, "-o", output.name, "--reference", "--preprocess", rules,
             "--resolution",
             str(resolution)], capture_output=True, text=True)
        if run.returncode:
            return mode, run.stderr.strip(), 0
        found = numpy.load(output.name)
    return mode, int(numpy.abs(levels_of(found) - levels).max()), float(
        numpy.abs(found - floats).max())


def measure(clip, files, rules, resolutions, expected=None):
    """Returns a row: reference, images, images not compared, worst level, worst float."""
    modes, worst, worst_float, unread, refused = collections.Counter(), 0, 0.0, 0, []
    tasks = [(file, resolution, None if expected is None else expected[index])
             for index, file in enumerate(files) for resolution in resolutions]
    with ThreadPoolExecutor() as pool:
        results = pool.map(lambda task: compare(clip, task[0], rules, *task[1:]), tasks)
        for (file, resolution, _), (mode, levels, floats) in zip(tasks, results):
            if mode is None:
                unread += 1
            elif isinstance(levels, str):
                refused.append(file)
                print(f"{rules}: {file} ({mode}): {levels}", file=sys.stderr)
            else:
                modes[mode] += 1
                worst, worst_float = max(worst, levels), max(worst_float, floats)
                if levels:
                    print(f"{rules} {resolution}: {file} ({mode}): {levels} levels",
                          file=sys.stderr)
    return sum(modes.values()), dict(modes), unread, len(refused), worst, worst_float


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", type=pathlib.Path)
    parser.add_argument("--grid", action="store_true",
                        help="also images of every kind in odd sizes")
    parser.add_argument("--resolutions", type=int, nargs="+", default=[224])
    parser.add_argument("--clip", default=str(ROOT / ".build/release/clip"))
    parser.add_argument(
        "--expected", help="a .npy of uint8 [images, r, r, 3], in the order given, to compare with "
        "instead of Pillow's result")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    given = numpy.load(arguments.expected) if arguments.expected else None
    files = []
    for path in arguments.paths:
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        files += [file for file in inside if file.suffix.lower() in ENDINGS]
    print(f"Pillow {PIL.__version__}, torchvision {torchvision.__version__}, transformers "
          f"{transformers.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        if arguments.grid:
            image_grid.write(pathlib.Path(folder))
            files += sorted(pathlib.Path(folder).iterdir())
        failed = False
        for rules in ("openai",) if given is not None else ("openai", "hf"):
            count, modes, unread, refused, worst, worst_float = measure(
                arguments.clip, files, rules, arguments.resolutions, given)
            print(f"{rules}: {count} images {modes}, {unread} that Pillow does not read, "
                  f"{refused} that only Pillow "
                  f"reads; largest difference {worst} levels, {worst_float:.1e} in the normalised "
                  f"floats")
            failed |= worst > 0
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
