"""Writes Tests/Fixtures/images/formats/: GIF, BMP and RAW files, and their pixels by Pillow.

formats.json has for each file its size, Pillow's mode, and the 64-bit FNV-1a hash of its pixels as
RGBA bytes. The pixels of a RAW file are those of its largest JPEG preview, and it has an
orientation. Another set of files is written to a folder if one is given:

    VENV/bin/python Scripts/parity/goldens_gif_bmp_raw.py [FOLDER]
"""

import io
import json
import sys
from pathlib import Path

from PIL import Image

import gif_bmp_files
import raw_files


def fnv(data: bytes) -> str:
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def described(data: bytes) -> dict:
    image = Image.open(io.BytesIO(data))
    image.load()
    return {
        "width": image.width, "height": image.height, "mode": image.mode,
        "has_mask": "transparency" in image.info, "pixels": fnv(image.convert("RGBA").tobytes()),
    }  # fmt: skip


def jpeg(width: int, height: int, orientation: int = 0, **options) -> bytes:
    if orientation:
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = orientation
    return gif_bmp_files.saved(gif_bmp_files.photo(width, height), "JPEG", **options)


def make(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    files, described_files = {}, {}
    for name, data in gif_bmp_files.gifs().items():
        files[f"{name}.gif"] = data
    for name, data in gif_bmp_files.bmps().items():
        files[f"{name}.bmp"] = data
    for name, data in files.items():
        described_files[name] = described(data)
    # Pillow shows this grey image by the global palette, which its own palette replaces.
    described_files["local-grey-global-colour.gif"] = described_files["global-grey.gif"]
    small, large = jpeg(16, 12, progressive=True), jpeg(32, 24)
    with_exif = jpeg(32, 24, 6)
    for name, (data, orientation) in raw_files.all_files(small, large, with_exif).items():
        files[name] = data
        described_files[name] = described(large) | {"orientation": orientation}
    files |= raw_files.ordinary_files(large)
    for name, data in files.items():
        (target / name).write_bytes(data)
    text = json.dumps(described_files, indent=1) + "\n"
    (target / "formats.json").write_text(text, encoding="ascii")


if __name__ == "__main__":
    fixtures = Path(__file__).resolve().parents[2] / "Tests" / "Fixtures" / "images" / "formats"
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else fixtures)
