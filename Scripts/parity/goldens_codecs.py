"""Writes Tests/Fixtures/codecs/: small HEIC, AVIF, TIFF and JPEG XL files, and their pixels.

    venv/bin/python Scripts/parity/goldens_codecs.py

images.txt has a line for each file: its name, width and height, the offset of its pixels in
pixels.bin, and the largest difference that other versions of the libraries may give. The pixels are
red, green, blue and alpha, by Pillow (TIFF, AVIF), pillow-heif (HEIC) or djxl (JPEG XL), turned
upright. unsupported/ has files that are refused. See codec_files.py for the programs that it needs.
"""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

import codec_files
import large_stream

TARGET = Path(__file__).resolve().parents[2] / "Tests" / "Fixtures" / "codecs"
# Pillow reads the planes of uncompressed 16-bit colours as if they had 8 bits, and ignores a clean
# aperture; and pillow-heif keeps 16 bits of grey.
DIFFERENT = ("16-little-planes", "16-big-planes", "16-little-tiled-planes", "16-big-tiled-planes",
             "aperture", "deep-l")  # fmt: skip

# Files that are left out to keep the set small, and two that are read as 16 bits or inverted.
SIMILAR = ("8-big", "a-16-big", "k-16-big", "d-16-big", "16-big-tiles", "fill-order-4",
           "rgb-zstd", "rgba-lzma", "rgba-zstd", "rgba-pack", "rgba-tiff", "-12.avif", "422-10",
           "-4.heic", "-5.heic", "-7.heic", "rotation-2", "grey-12", "white-16")  # fmt: skip


def files() -> Iterator[tuple[str, bytes, Image.Image, int]]:
    """Names, contents, references and tolerances."""
    for name, data in codec_files.tiffs():
        yield f"{name}.tif", data, codec_files.by_pillow(data), 0
    for name, data in codec_files.ycbcr_tiffs():
        yield f"{name}.tif", data, codec_files.by_pillow(data), 1
    for name, data in codec_files.heics():
        tolerance = 5 if name == "premultiplied" else 2 if "deep" in name else 1
        yield f"{name}.heic", data, codec_files.by_pillow_heif(data), tolerance
    for name, data in codec_files.avifs():
        # libavif and libheif round differently; reduced chroma is converted as by libavif.
        reduced = "420" in name or "422" in name
        tolerance = 0 if reduced else 6 if name == "premultiplied" else 3
        yield f"{name}.avif", data, codec_files.by_pillow(data), tolerance
    for name, data in codec_files.jxls():
        yield f"{name}.jxl", data, codec_files.by_djxl(data), 2


def to_rgba(image: Image.Image) -> np.ndarray:
    straight = {"La": "LA", "RGBa": "RGBA"}
    if image.mode in straight:
        image = image.convert(straight[image.mode])
    if image.mode.startswith("I;16"):
        # The high byte, as for 16-bit PNG without --reference.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8), "L")
    return np.asarray(image.convert("RGBA"))


def main() -> None:
    shutil.rmtree(TARGET, ignore_errors=True)
    (TARGET / "unsupported").mkdir(parents=True)
    lines, pixels, offsets = [], bytearray(), {}
    for name, data, reference, tolerance in files():
        if any(part in name for part in (*DIFFERENT, *SIMILAR)):
            continue
        rgba = to_rgba(reference)
        if rgba.tobytes() not in offsets:
            offsets[rgba.tobytes()] = len(pixels)
            pixels += rgba.tobytes()
        offset = offsets[rgba.tobytes()]
        lines.append(f"{name} {rgba.shape[1]} {rgba.shape[0]} {offset} {tolerance}\n")
        (TARGET / name).write_bytes(data)
    for name, data in codec_files.unsupported_tiffs():
        (TARGET / "unsupported" / f"{name}.tif").write_bytes(data)
    (TARGET / "images.txt").write_text("".join(lines), encoding="ascii")
    (TARGET / "pixels.bin").write_bytes(pixels)
    large_stream.write()
    size = sum(path.stat().st_size for path in TARGET.rglob("*") if path.is_file())
    print(f"{len(lines)} images, {size} bytes")
    sys.exit(size > 250_000)


if __name__ == "__main__":
    main()
