"""Draws the pictures in Examples/ with Pillow.

    VENV/bin/python Scripts/examples/make_examples.py
"""

import math
import pathlib

from PIL import Image, ImageDraw

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "Examples"
SCALE = 3  # drawn larger and reduced, so that edges are smooth


def landscape(width, height, horizon):
    """Sky, hills and a meadow."""
    picture = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(picture)
    for y in range(height):
        t = y / height
        draw.line([(0, y), (width, y)], (int(110 + 110 * t), int(165 + 65 * t), int(225 + 20 * t)))
    for shade, base, size in (((120, 150, 170), 0.95, 0.5), ((90, 135, 95), 1.0, 0.35)):
        hills = [(x, horizon * base - horizon * size * (0.5 + 0.5 * math.sin(x / width * 7 + size * 9)))
                 for x in range(0, width + 1, 8)]
        draw.polygon([*hills, (width, height), (0, height)], shade)
    draw.rectangle([0, horizon, width, height], (96, 158, 74))
    draw.ellipse([width * 0.8, height * 0.07, width * 0.9, height * 0.07 + width * 0.1], (255, 236, 150))
    return picture, draw


def bike():
    width, height = 640 * SCALE, 480 * SCALE
    picture, draw = landscape(width, height, 300 * SCALE)

    def at(*points):
        return [(x * SCALE, y * SCALE) for x, y in points]

    def line(points, colour, thickness):
        draw.line(at(*points), colour, thickness * SCALE, joint="curve")

    draw.polygon(at((0, 415), (640, 385), (640, 450), (0, 480)), (92, 92, 98))
    for x in range(20, 640, 80):
        line([(x, 448 - x * 0.05), (x + 40, 446 - x * 0.05)], (235, 230, 200), 4)

    black, red, skin = (25, 25, 30), (200, 40, 45), (224, 172, 130)
    rear, front, pedal, saddle, head = (235, 365), (405, 365), (310, 368), (288, 272), (388, 270)
    for x, y in (rear, front):
        draw.ellipse([v * SCALE for v in (x - 58, y - 58, x + 58, y + 58)], outline=black, width=6 * SCALE)
        for k in range(12):
            angle = k * math.pi / 6
            line([(x, y), (x + 55 * math.cos(angle), y + 55 * math.sin(angle))], (130, 130, 135), 1)
    for a, b in ((rear, pedal), (rear, saddle), (saddle, pedal), (saddle, head), (pedal, head), (head, front)):
        line([a, b], red, 6)
    line([(270, 266), (308, 268)], black, 9)
    line([head, (392, 245), (420, 250)], black, 5)
    line([(318, 246), (352, 318), (318, 392), (336, 394)], (40, 60, 120), 17)
    line([(318, 246), (300, 320), (296, 352), (314, 354)], (52, 76, 150), 15)
    line([(318, 248), (356, 158)], (240, 190, 50), 34)
    line([(352, 170), (384, 220), (414, 248)], skin, 12)
    draw.ellipse([v * SCALE for v in (346, 92, 396, 146)], fill=skin)
    draw.pieslice([v * SCALE for v in (342, 82, 400, 150)], 175, 350, fill=(60, 110, 190))
    return picture.resize((640, 480), Image.LANCZOS)


def mountain():
    width, height = 640 * SCALE, 480 * SCALE
    picture, draw = landscape(width, height, 420 * SCALE)

    def at(*points):
        return [(x * SCALE, y * SCALE) for x, y in points]

    draw.polygon(at((60, 480), (330, 60), (420, 150), (640, 480)), (112, 104, 104))
    draw.polygon(at((330, 60), (420, 150), (640, 480), (430, 480)), (88, 82, 86))
    draw.polygon(at((330, 60), (262, 166), (300, 150), (326, 182), (356, 142), (392, 158), (402, 132)),
                 (245, 247, 250))
    rope, skin = (235, 200, 60), (224, 172, 130)
    draw.line(at((300, 108), (238, 250), (196, 330)), rope, 3 * SCALE)
    draw.line(at((196, 318), (222, 268)), (205, 60, 50), 26 * SCALE)
    for limb in (((216, 276), (232, 258), (246, 232)), ((214, 280), (238, 280), (250, 262))):
        draw.line(at(*limb), skin, 9 * SCALE, joint="curve")
    for limb in (((196, 316), (222, 322), (216, 352)), ((192, 318), (190, 350), (172, 374))):
        draw.line(at(*limb), (45, 55, 90), 13 * SCALE, joint="curve")
    draw.ellipse([v * SCALE for v in (212, 232, 240, 262)], fill=skin)
    draw.pieslice([v * SCALE for v in (209, 226, 243, 264)], 180, 360, fill=(240, 240, 245))
    return picture.resize((640, 480), Image.LANCZOS)


EXAMPLES.mkdir(exist_ok=True)
for name, picture in (("bike.jpg", bike()), ("mountain.jpg", mountain())):
    picture.save(EXAMPLES / name, quality=88, optimize=True)
