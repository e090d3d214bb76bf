"""Writes Tests/Fixtures/images/circles.json: Pillow's drawings of a disc with an outline.

The drawings are inputs of known answers (Scripts/registry/make_answers.py). For each size the file
has the SHA-256 of the RGB bytes and, for small sizes, the runs of equal pixels in each row.
"""

import hashlib
import json
from itertools import groupby
from pathlib import Path

from PIL import Image, ImageDraw

# The sizes of the answers, and odd, small and narrow ones.
SIZES = [(224, 224), (1024, 1024), (1024, 224), (20, 20), (33, 65), (64, 48), (100, 31), (40, 9)]
LETTERS = {(255, 0, 0): "r", (0, 128, 0): "g", (0, 0, 255): "b"}


def drawn(width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height), "red")
    x, y = width // 2, height // 2
    radius = min(x, y) // 8 * 7
    box = (x - radius, y - radius, x + radius, y + radius)
    ImageDraw.Draw(image).ellipse(box, fill="blue", outline="green", width=width // 20)
    return image


def runs(image: Image.Image) -> list[str]:
    """The runs of colours of each row, such as "12r3g5b3g11r"."""
    data, rows = image.tobytes(), []
    for y in range(image.height):
        row = data[3 * y * image.width : 3 * (y + 1) * image.width]
        letters = [LETTERS[tuple(row[3 * x : 3 * x + 3])] for x in range(image.width)]
        rows.append("".join(f"{len(list(run))}{letter}" for letter, run in groupby(letters)))
    return rows


def make(target: Path) -> None:
    circles = []
    for width, height in SIZES:
        image = drawn(width, height)
        circle = {"width": width, "height": height,
                  "sha256": hashlib.sha256(image.tobytes()).hexdigest()}  # fmt: skip
        if width <= 100:
            circle["rows"] = runs(image)
        circles.append(circle)
    target.mkdir(parents=True, exist_ok=True)
    text = json.dumps(circles, separators=(",", ":")) + "\n"
    (target / "circles.json").write_text(text, encoding="ascii")
