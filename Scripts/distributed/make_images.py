#!/usr/bin/env python3
"""Draws distinct small images, some of them broken, the same at every run.

    make_images.py FOLDER [--count 20000] [--broken 200]

Image i is a JPEG or, every fourth, a PNG of 64 to 256 pixels: a gradient, discs and noise, seeded
by i. The broken ones, spread evenly, are truncated, have damaged headers, or are no images.
Folders have 1,000 images each. Needs NumPy and Pillow.
"""

import argparse
import io
import pathlib

import numpy
from PIL import Image, ImageDraw


def draw(number):
    """Returns the bytes of an image, and its suffix."""
    random = numpy.random.default_rng(number)
    width, height = random.integers(64, 257, 2)
    a, b = random.integers(0, 256, (2, 3))
    ramp = numpy.linspace(0, 1, width)[None, :, None] * numpy.ones((height, 1, 1))
    pixels = a + (b - a) * ramp + random.integers(-8, 9, (height, width, 1))
    image = Image.fromarray(pixels.clip(0, 255).astype(numpy.uint8))
    canvas = ImageDraw.Draw(image)
    for _ in range(random.integers(1, 5)):
        x, y, radius = random.integers(0, width), random.integers(0, height), random.integers(4, 64)
        canvas.ellipse((x - radius, y - radius, x + radius, y + radius),
                       fill=tuple(random.integers(0, 256, 3).tolist()))
    file = io.BytesIO()
    if number % 4 == 3:
        image.save(file, "PNG", compress_level=1)
        return file.getvalue(), "png"
    image.save(file, "JPEG", quality=90)
    return file.getvalue(), "jpg"


def damage(data, kind):
    """Returns the bytes of a broken image: one of four kinds, by number."""
    return [data[:len(data) // 2], b"", b"no image at all\n", b"\xff\xd8" + data[200:400]][kind % 4]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--broken", type=int, default=200)
    options = parser.parse_args()
    every = options.count // max(1, options.broken)
    broken = 0
    for number in range(options.count):
        data, suffix = draw(number)
        if broken < options.broken and number % every == every // 2:
            data = damage(data, broken)
            broken += 1
        path = options.folder / f"{number // 1000:03}" / f"{number:06}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    print(f"{options.count} images, {broken} of them broken, in {options.folder}")


if __name__ == "__main__":
    main()
