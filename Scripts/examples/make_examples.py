"""Draws the images in Examples/: pictograms of Noto Color Emoji in landscapes drawn with Pillow.

    VENV/bin/pip install -r Scripts/training/requirements.txt
    VENV/bin/python Scripts/examples/make_examples.py

Needs Debian's fonts-noto-color-emoji and unicode-cldr-core.
"""

import math
import pathlib
import sys

from PIL import Image, ImageDraw

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "Scripts/training"))
import pictograms  # noqa: E402

WIDTH, HEIGHT, SCALE = 640, 480, 3  # drawn larger and reduced, so that edges are smooth


def canvas(top, bottom):
    """Returns an image that fades from one colour to another, and its drawing context."""
    image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE))
    draw = ImageDraw.Draw(image)
    for y in range(HEIGHT * SCALE):
        t = y / (HEIGHT * SCALE)
        draw.line([(0, y), (WIDTH * SCALE, y)],
                  tuple(round(a + (b - a) * t) for a, b in zip(top, bottom)))
    return image, draw


def at(*points):
    return [(x * SCALE, y * SCALE) for x, y in points]


def landscape(horizon, ground):
    """Returns a sky with a sun, hills and ground."""
    image, draw = canvas((110, 165, 225), (220, 230, 245))
    for shade, base, size in (((120, 150, 170), 0.95, 0.5), ((90, 135, 95), 1.0, 0.35)):
        crest = [(x, horizon * (base - size * (0.5 + 0.5 * math.sin(x / WIDTH * 7 + size * 9))))
                 for x in range(0, WIDTH + 1, 4)]
        draw.polygon(at(*crest, (WIDTH, HEIGHT), (0, HEIGHT)), shade)
    draw.rectangle(at((0, horizon), (WIDTH, HEIGHT)), ground)
    draw.ellipse(at((510, 34), (574, 98)), (255, 236, 150))
    return image, draw


def road():
    image, draw = landscape(290, (96, 158, 74))
    draw.polygon(at((0, 370), (WIDTH, 345), (WIDTH, 452), (0, 480)), (92, 92, 98))
    for x in range(20, WIDTH, 80):
        draw.line(at((x, 430 - x * 0.04), (x + 40, 428 - x * 0.04)), (235, 230, 200), 4 * SCALE)
    return image


def mountains():
    image, draw = landscape(430, (110, 150, 95))
    for summit, foot, colour, shade in (((170, 150), 300, (132, 136, 150), (108, 110, 126)),
                                        ((400, 50), 380, (118, 112, 114), (92, 88, 92))):
        x, y = summit
        draw.polygon(at((x - foot, HEIGHT), summit, (x + foot, HEIGHT)), colour)
        draw.polygon(at(summit, (x + foot, HEIGHT), (x + foot / 5, HEIGHT)), shade)
        draw.polygon(at(summit, (x - 60, y + 86), (x - 20, y + 66), (x, y + 96), (x + 26, y + 64),
                        (x + 60, y + 86)), (245, 247, 250))
    return image


def meadow():
    return landscape(300, (104, 170, 80))[0]


def beach():
    image, draw = landscape(250, (60, 140, 205))
    draw.polygon(at((0, 350), (WIDTH, 320), (WIDTH, HEIGHT), (0, HEIGHT)), (238, 218, 160))
    return image


def room(wall=(232, 220, 198), floor=(168, 120, 78)):
    image, draw = canvas(wall, tuple(round(0.93 * c) for c in wall))
    draw.rectangle(at((0, 330), (WIDTH, HEIGHT)), floor)
    for y in range(330, HEIGHT, 30):
        draw.line(at((0, y), (WIDTH, y)), tuple(round(0.85 * c) for c in floor), SCALE)
    return image


# The scenes: the background, and the name, centre and size of each pictogram.
SCENES = {
    "bike": (road, [("man biking", 320, 270, 290)]),
    "mountain": (mountains, [("man climbing", 310, 250, 290)]),
    "cat": (room, [("cat", 320, 270, 300)]),
    "fruit": (lambda: room((150, 190, 205), (205, 170, 125)),
              [("red apple", 190, 270, 170), ("banana", 330, 240, 170), ("grapes", 460, 275, 170)]),
    "traffic": (road, [("bus", 210, 280, 200), ("vertical traffic light", 340, 200, 150),
                       ("automobile", 450, 310, 180)]),
    "kitchen": (lambda: room((225, 228, 220), (190, 150, 110)),
                [("cooking", 200, 260, 200), ("pot of food", 430, 260, 200)]),
    "dog": (meadow, [("dog", 320, 270, 290)]),
    "beach": (beach, [("palm tree", 200, 210, 260), ("sailboat", 440, 220, 170)]),
}


def main():
    found, bitmaps = pictograms.load()
    bitmap_of = {pictogram.name: bitmap for pictogram, bitmap in zip(found, bitmaps)}
    for name, (background, objects) in SCENES.items():
        image = background().resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
        for pictogram, x, y, side in objects:
            ink = Image.fromarray(bitmap_of[pictogram]).convert("RGBa")
            ink = ink.resize((side, side), Image.Resampling.BICUBIC).convert("RGBA")
            image.paste(ink, (x - side // 2, y - side // 2), ink)
        image.save(ROOT / "Examples" / f"{name}.jpg", quality=88, optimize=True)


if __name__ == "__main__":
    main()
