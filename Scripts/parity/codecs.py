"""Compares HEIC, AVIF, TIFF and JPEG XL with Pillow, pillow-heif and djxl, and prints differences.

    venv/bin/python Scripts/parity/codecs.py [FOLDER...]

Without folders it reads the files that codec_files.py makes; with folders, all their files of these
formats, such as test sets. It compiles the decoders of Sources/CImageCodecs and needs cc and the
development packages of the build.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

import codec_files
from goldens_codecs import to_rgba

ROOT = Path(__file__).resolve().parents[2]
REFERENCES = {
    ".tif": codec_files.by_pillow, ".tiff": codec_files.by_pillow, ".avif": codec_files.by_pillow,
    ".heic": codec_files.by_pillow_heif, ".heif": codec_files.by_pillow_heif,
    ".hif": codec_files.by_pillow_heif, ".jxl": codec_files.by_djxl,
}  # fmt: skip
RGB, RGBA, INDEXED, CMYK, GREY16 = range(5)
TURNS = (None, None, 0, 3, 1, 5, 4, 6, 2)  # Pillow's transposition of each orientation


def build(folder: str) -> str:
    sources = ROOT / "Sources" / "CImageCodecs"
    libraries = subprocess.run(
        ["pkg-config", "--libs", "libpng", "libjpeg", "libwebpdemux", "libwebp"],
        capture_output=True, text=True, check=True).stdout.split()  # fmt: skip
    program = f"{folder}/decode"
    subprocess.run(
        ["cc", "-std=c17", "-O2", "-DCLIP_WEBP", f"-I{sources}/include", "-o", program,
         Path(__file__).with_name("codec_decoder.c"), *sorted(sources.glob("*.c")), *libraries,
         "-lz", "-lpthread", "-ldl"], check=True)  # fmt: skip
    return program


def decode(program: str, path: Path) -> np.ndarray | str:
    """Returns red, green, blue and alpha, or the error."""
    done = subprocess.run([program, path], capture_output=True)
    if done.returncode:
        return done.stderr.decode(errors="replace").strip() or f"exit status {done.returncode}"
    line, data = done.stdout.split(b"\n", 1)
    width, height, kind, channels, orientation, _ = (int(word) for word in line.split())
    if kind == INDEXED:
        palette = np.frombuffer(data[:1024], np.uint8).reshape(256, 4)
        pixels = palette[np.frombuffer(data[1024:], np.uint8)].reshape(height, width, 4)
    else:
        pixels = np.frombuffer(data, np.uint8).reshape(height, width, channels)
        if kind == GREY16:
            pixels = pixels[..., :1]
    mode = "CMYK" if kind == CMYK else ("", "L", "LA", "RGB", "RGBA")[pixels.shape[2]]
    image = Image.fromarray(pixels[..., 0] if mode == "L" else np.ascontiguousarray(pixels), mode)
    if TURNS[orientation] is not None:
        image = image.transpose(TURNS[orientation])
    return np.asarray(image.convert("RGBA"))


def made(folder: Path) -> Iterator[Path]:
    for make, suffix in ((codec_files.tiffs, "tif"), (codec_files.ycbcr_tiffs, "tif"),
                         (codec_files.unsupported_tiffs, "tif"), (codec_files.heics, "heic"),
                         (codec_files.avifs, "avif"), (codec_files.grids, "avif"),
                         (codec_files.jxls, "jxl")):  # fmt: skip
        for name, data in make():
            path = folder / f"{name}.{suffix}"
            path.write_bytes(data)
            yield path


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        program = build(folder)
        paths = made(Path(folder))
        if sys.argv[1:]:
            paths = (path for name in sys.argv[1:] for path in sorted(Path(name).rglob("*"))
                     if path.suffix.lower() in REFERENCES)  # fmt: skip
        equal = 0
        for path in paths:
            ours = decode(program, path)
            try:
                reference = to_rgba(REFERENCES[path.suffix.lower()](path.read_bytes()))
            except Exception as error:
                reference = f"{type(error).__name__}: {error}"
            if isinstance(ours, str) or isinstance(reference, str):
                texts = [value if isinstance(value, str) else "read" for value in (ours, reference)]
                print(f"{path.name:36} clip: {texts[0]}; reference: {texts[1][:70]}")
            elif ours.shape != reference.shape:
                print(f"{path.name:36} size {ours.shape[:2]}, reference {reference.shape[:2]}")
            elif (ours != reference).any():
                difference = np.abs(ours.astype(int) - reference)
                print(f"{path.name:36} largest {difference.max()}, mean {difference.mean():.3f}")
            else:
                equal += 1
        print(f"{equal} equal")


if __name__ == "__main__":
    main()
