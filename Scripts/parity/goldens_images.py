"""Writes Tests/Fixtures/images/: small images, decoded by Pillow and preprocessed as for CLIP.

images.safetensors holds, as uint8 [height, width, 3]:
    FILE@decoded   the image converted to RGB, EXIF ignored
    FILE@R         OpenAI's preprocessing at resolution R up to the conversion to RGB, EXIF ignored
    FILE@R@exif    the same with the EXIF orientation applied first
    FILE@R@hf      transformers' CLIPImageProcessorPil at resolution R, as bytes
    FILE@R@cut     as FILE@R, of the available part of a truncated file
and "normalised", float32 [3, 32, 32]: rgb.jpg after all of OpenAI's preprocessing at resolution 32.
images.json lists the valid files; kinds/ holds one of each kind (image_grid.py), bad/ files that
must be rejected, or cannot be read completely.
"""

import json
import struct
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps
from safetensors.numpy import save_file
from torchvision.transforms import (
    CenterCrop,
    Compose,
    InterpolationMode,
    Normalize,
    Resize,
    ToTensor,
)

import image_grid
from goldens_models import MEAN, STD
from images import hf

RESOLUTIONS = (32, 56)
# The larger resolution only where it adds a case, to keep the fixture small.
AT_ALL_RESOLUTIONS = ("rgb.jpg", "grey.png", "tall.png", "wide.png", "small.png")


def crop(resolution: int) -> Compose:
    """OpenAI's `_transform` up to the conversion to RGB."""
    return Compose([Resize(resolution, InterpolationMode.BICUBIC), CenterCrop(resolution)])


def to_rgb(image: Image.Image) -> Image.Image:
    return image.convert("RGB")


def transform(resolution: int) -> Compose:
    """OpenAI's whole `_transform`."""
    return Compose([crop(resolution), to_rgb, ToTensor(), Normalize(MEAN, STD)])


def draw(width: int, height: int, seed: int) -> np.ndarray:
    """Gradients, hard edges, thin lines and a patch of noise: a small file with distinct pixels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    u, v = x / max(width - 1, 1), y / max(height - 1, 1)
    planes = [255 * u, 255 * v, 255 * (1 - (u + v) / 2)]
    pixels = np.stack(planes, axis=-1)
    pixels[(u - 0.6) ** 2 + (v - 0.4) ** 2 < 0.06] = (250, 30, 60)
    pixels[(x.astype(int) // 3 + y.astype(int) // 3) % 2 + (u < 0.7) + (v < 0.6) == 0] = (0, 0, 0)
    pixels[(x + 2 * y).astype(int) % 13 == 0] = (255, 255, 255)
    patch = (u < 0.35) & (v > 0.6)
    pixels[patch] = rng.integers(0, 256, (int(patch.sum()), 3))
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def make_good(target: Path, seed: int) -> list[str]:
    image = Image.fromarray(draw(61, 47, seed))
    turned = Image.fromarray(draw(45, 34, seed + 1))

    def save(name: str, image: Image.Image, **options) -> None:
        image.save(target / name, **options)

    save("rgb.jpg", image, quality=85, subsampling="4:2:0")
    save("rgb-444.jpg", image, quality=90, subsampling="4:4:4")
    save("rgb-progressive.jpg", image, quality=85, subsampling="4:2:0", progressive=True)
    save("grey.jpg", image.convert("L"), quality=85)
    save("orientation-6.jpg", turned, quality=85, exif=orientation(6))
    save("rgb.png", image, optimize=True)
    interlaced = image_grid.png(np.asarray(image), 2, 8, interlaced=True, level=9)
    (target / "rgb-interlaced.png").write_bytes(interlaced)
    save("grey.png", image.convert("L"), optimize=True)
    save("orientation-3.png", turned, optimize=True, exif=orientation(3))
    sizes = {"tall": (37, 151), "wide": (200, 33), "square": (40, 40), "line": (1, 50)}
    for name, (width, height) in (sizes | {"small": (9, 7)}).items():
        image = Image.fromarray(draw(width, height, seed + 2))
        save(f"{name}.png", image, optimize=True)
    save("rgb.webp", image, quality=80, method=6)
    save("rgb-lossless.webp", image, lossless=True, method=6)
    return sorted(path.name for path in target.iterdir() if path.is_file())


def make_bad(target: Path, good: Path, seed: int) -> None:
    target.mkdir(parents=True, exist_ok=True)
    jpeg = (good / "rgb.jpg").read_bytes()
    for name in ("rgb.jpg", "rgb.png", "rgb.webp"):
        whole = (good / name).read_bytes()
        (target / name.replace("rgb", "truncated")).write_bytes(whole[: len(whole) * 6 // 10])
    (target / "text.jpg").write_text("This is not a picture.\n", encoding="ascii")
    (target / "empty.png").write_bytes(b"")
    (target / "huge.png").write_bytes(image_grid.png_of_rows(60000, 60000, bytes(1000), level=9))
    small = (good / "small.png").read_bytes()
    # Found by fuzzing: libpng allocated two gigabytes for a chunk that claims this length.
    (target / "huge-chunk.png").write_bytes(small[:33] + struct.pack(">I", 0x7B000000) + b"eXIf"
                                            + small[33:])
    broken = bytearray((good / "small.png").read_bytes())
    broken[8 + 8 + 13] ^= 0xFF  # the first byte of IHDR's CRC
    (target / "ihdr-crc.png").write_bytes(broken)
    frame = jpeg.index(b"\xff\xc0")  # SOF0: marker, length, precision, then the height
    (target / "zero-height.jpg").write_bytes(jpeg[: frame + 5] + b"\0\0" + jpeg[frame + 7 :])
    noise = np.random.default_rng(seed).integers(0, 256, 500, dtype=np.uint8).tobytes()
    (target / "garbage.jpg").write_bytes(jpeg[:2] + noise)


def make_kinds(target: Path, seed: int) -> list[str]:
    """One image of each kind, of a size whose crop OpenAI and Hugging Face place differently."""
    target.mkdir(parents=True, exist_ok=True)
    names = []
    for name, data in image_grid.files(21, 17, np.random.default_rng(seed)):
        (target / name).write_bytes(data)
        names.append(f"kinds/{name}")
    return names


def reference_tensors(target: Path, names: list[str], kinds: list[str]) -> dict[str, np.ndarray]:
    tensors = {}
    for name in names:
        image = Image.open(target / name)
        image.load()
        if name not in ("tall.png", "wide.png", "rgb-lossless.webp"):
            tensors[f"{name}@decoded"] = np.asarray(to_rgb(image))
        for resolution in RESOLUTIONS if name in AT_ALL_RESOLUTIONS else RESOLUTIONS[:1]:
            key = f"{name}@{resolution}"
            tensors[key] = np.asarray(to_rgb(crop(resolution)(image)))
            if "orientation" in name:
                upright = ImageOps.exif_transpose(image)
                tensors[f"{key}@exif"] = np.asarray(to_rgb(crop(resolution)(upright)))
    for name in kinds:
        tensors[f"{name}@16"] = np.asarray(to_rgb(crop(16)(Image.open(target / name))))
        tensors[f"{name}@16@hf"] = hf(Image.open(target / name), 16)[0].astype(np.uint8)
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    for name in ("bad/truncated.jpg", "bad/truncated.png"):
        tensors[f"{name}@32@cut"] = np.asarray(to_rgb(crop(32)(Image.open(target / name))))
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    tensors["normalised"] = transform(32)(Image.open(target / "rgb.jpg")).numpy()
    return {name: np.ascontiguousarray(value) for name, value in sorted(tensors.items())}


def describe(target: Path, name: str) -> dict:
    image = Image.open(target / name)
    return {
        "file": name,
        "format": image.format,
        "mode": image.mode,
        "width": image.width,
        "height": image.height,
        "orientation": image.getexif().get(0x0112, 1),
        "resolutions": list(RESOLUTIONS if name in AT_ALL_RESOLUTIONS else RESOLUTIONS[:1]),
    }


def make(target: Path, seed: int) -> None:
    target.mkdir(parents=True, exist_ok=True)
    names = make_good(target, seed)
    make_bad(target / "bad", target, seed + 3)
    kinds = make_kinds(target / "kinds", seed)
    save_file(reference_tensors(target, names, kinds), target / "images.safetensors")
    listing = json.dumps([describe(target, name) for name in names], indent=1)
    (target / "images.json").write_text(listing + "\n", encoding="ascii")
