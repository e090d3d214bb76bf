"""Writes Tests/Fixtures/colour/: images with ICC profiles, and their sRGB by Pillow's ImageCms.

NAME.EXTENSION has a profile, and expected/NAME.png holds its pixels after
ImageCms.profileToProfile with the default options: the perceptual intent, without black point
compensation. Files in kept/ must be read as if they had no profile: their profile is a variant of
sRGB, is invalid, or is for another kind of pixels. grey.icc and wide.icc are the profiles of which
the tests make invalid ones.

The profiles are made here: matrices and curves for RGB and grey, a table for CMYK.
"""

import io
import shutil
import struct
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

# The white of the profile connection space, D50, and the adaptation to it from D65 by Bradford.
D50 = np.array([0.9642, 1.0, 0.8249])
FROM_D65 = np.array([
    [1.0479298, 0.0229468, -0.0501922],
    [0.0296278, 0.9904345, -0.0170738],
    [-0.0092430, 0.0150552, 0.7518743],
])  # fmt: skip
# The chromaticities of red, green and blue, and true if the white is D65 and not D50.
PRIMARIES = {
    "srgb": ([(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)], True),
    "p3": ([(0.68, 0.32), (0.265, 0.69), (0.15, 0.06)], True),
    "adobe": ([(0.64, 0.33), (0.21, 0.71), (0.15, 0.06)], True),
    "prophoto": ([(0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001)], False),
}


def fixed(values) -> bytes:
    return b"".join(struct.pack(">i", round(float(value) * 65536)) for value in values)


def xyz(values) -> bytes:
    return b"XYZ \0\0\0\0" + fixed(values)


def gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


def table(values) -> bytes:
    """A curve of samples in 0...1."""
    samples = np.rint(np.asarray(values) * 65535).astype(">u2")
    return b"curv\0\0\0\0" + struct.pack(">I", len(samples)) + samples.tobytes()


def srgb_curve(x: np.ndarray) -> np.ndarray:
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def parametric() -> bytes:
    """The curve of sRGB as a formula, which profiles of phones have."""
    values = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    return b"para\0\0\0\0" + struct.pack(">HH", 3, 0) + fixed(values)


def description(text: str) -> bytes:
    return (b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text.encode() + b"\0"
            + bytes(8 + 3 + 67))  # fmt: skip


def profile(kind: bytes, space: bytes, tags: dict[bytes, bytes], pcs: bytes = b"XYZ ",
            version: int = 2) -> bytes:  # fmt: skip
    """An ICC profile of tags; equal data is stored once."""
    tags = {b"desc": description("test"), b"cprt": b"text\0\0\0\0none\0"} | tags
    tags |= {b"wtpt": xyz(D50)}
    offset, places, data = 128 + 4 + 12 * len(tags), {}, b""
    directory = struct.pack(">I", len(tags))
    for name, content in tags.items():
        if content not in places:
            places[content] = offset + len(data)
            data += content + bytes(-len(content) % 4)
        directory += name + struct.pack(">II", places[content], len(content))
    size = offset + len(data)
    header = struct.pack(">I4sI4s4s4s", size, b"\0" * 4, version << 24, kind, space, pcs)
    header += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + fixed(D50)
    return header + bytes(128 - len(header)) + directory + data


def columns(name: str) -> np.ndarray:
    """The colorants of primaries, adapted to D50, as the columns of a matrix."""
    points, is_d65 = PRIMARIES[name]
    white = np.array([0.95047, 1, 1.08883]) if is_d65 else D50
    matrix = np.array([[x / y, 1, (1 - x - y) / y] for x, y in points]).T
    matrix = matrix * np.linalg.solve(matrix, white)
    return FROM_D65 @ matrix if is_d65 else matrix


# The colorants of sRGB in the profile of HP and Microsoft, which cameras and editors embed.
HP_SRGB = np.array([
    [0.43607, 0.38515, 0.14307],
    [0.22249, 0.71687, 0.06061],
    [0.01392, 0.09708, 0.71410],
])  # fmt: skip


def rgb_profile(matrix: np.ndarray, curve: bytes, version: int = 2) -> bytes:
    tags = {b"rXYZ": xyz(matrix[:, 0]), b"gXYZ": xyz(matrix[:, 1]), b"bXYZ": xyz(matrix[:, 2])}
    tags |= {b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    return profile(b"mntr", b"RGB ", tags, version=version)


def grey_profile(curve: bytes) -> bytes:
    return profile(b"mntr", b"GRAY", {b"kTRC": curve})


def cmyk_profile() -> bytes:
    """A table from CMYK to Lab, of three points a side: inks that are not those of a formula."""
    inks = np.stack(np.meshgrid(*[np.linspace(0, 1, 3)] * 4, indexing="ij"), -1).reshape(-1, 4)
    cyan, magenta, yellow, black = inks.T
    light = 96 * (1 - 0.4 * cyan) * (1 - 0.5 * magenta) * (1 - 0.08 * yellow) * (1 - 0.85 * black)
    a = (-36 * cyan + 72 * magenta - 5 * yellow) * (1 - 0.9 * black)
    b = (-48 * cyan - 4 * magenta + 88 * yellow) * (1 - 0.9 * black)
    # 16 bits of version 2: L of 100 is 0xFF00, a and b of 0 are 0x8000.
    lab = np.stack([light * 652.8, 32768 + a * 256, 32768 + b * 256], -1)
    numbers = np.rint(np.clip(lab, 0, 65535)).astype(">u2").tobytes()
    ends = struct.pack(">2H", 0, 65535)
    content = (b"mft2\0\0\0\0" + bytes([4, 3, 3, 0]) + fixed(np.eye(3).ravel())
               + struct.pack(">HH", 2, 2) + ends * 4 + numbers + ends * 3)  # fmt: skip
    return profile(b"prtr", b"CMYK", {b"A2B0": content}, pcs=b"Lab ")


def drawing(width: int, height: int, seed: int) -> np.ndarray:
    """Smooth gradients of saturated colours, and a patch of noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    u, v = x / (width - 1), y / (height - 1)
    pixels = 255 * np.stack([u, v, (1 - u + np.sin(9 * v) ** 2) / 2], -1)
    patch = (height - height // 2, width // 3, 3)
    pixels[height // 2 :, : width // 3] = rng.integers(0, 256, patch)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def convert(image: Image.Image, icc: bytes) -> Image.Image:
    source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode=mode)


def with_alpha(colours: Image.Image, alpha: Image.Image) -> Image.Image:
    """Grey and alpha, or RGBA."""
    return Image.merge(colours.mode + "A", [*colours.split(), alpha])


def make(target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    for folder in (target, target / "expected", target / "kept"):
        folder.mkdir()
    x = np.linspace(0, 1, 1024)
    p3 = rgb_profile(columns("p3"), parametric(), version=4)
    adobe = rgb_profile(columns("adobe"), gamma(2.19921875))
    prophoto = rgb_profile(columns("prophoto"), gamma(1.8))
    grey = grey_profile(gamma(1.8))
    cmyk = cmyk_profile()
    (target / "wide.icc").write_bytes(adobe)
    (target / "grey.icc").write_bytes(grey)
    (target / "cmyk.icc").write_bytes(cmyk)
    rgb = Image.fromarray(drawing(48, 40, 1))
    alpha = Image.fromarray(drawing(48, 40, 2)[..., 1])

    def save(name: str, image: Image.Image, icc: bytes, **options) -> None:
        """Saves an image, and the sRGB of what Pillow reads of the file."""
        image.save(target / name, icc_profile=icc, **options)
        found = Image.open(target / name)
        assert found.info["icc_profile"] == icc
        found.load()
        if found.mode == "P":
            result = convert(found.convert("RGB"), icc)
        elif found.mode in ("L", "LA"):
            # Grey stays grey, so that its colours must be equal.
            result = convert(found.getchannel("L"), icc)
            planes = result.split()
            assert planes[0].tobytes() == planes[1].tobytes() == planes[2].tobytes()
            result = planes[0]
            if found.mode == "LA":
                result = with_alpha(result, found.getchannel("A"))
        else:
            result = convert(found, icc)
        expected = target / "expected" / (name.split(".")[0] + ".png")
        result.info.pop("icc_profile", None)  # that of sRGB, with the time at which it was made
        result.save(expected, optimize=True)

    save("p3-rgb.jpg", rgb, p3, quality=90)
    save("p3-rgba.png", with_alpha(rgb, alpha), p3, optimize=True)
    save("p3-webp.webp", rgb, p3, lossless=True, method=6)
    save("adobe-rgb.png", rgb, adobe, optimize=True)
    save("adobe-progressive.jpg", rgb, adobe, quality=90, progressive=True)
    save("adobe-palette.png", rgb.quantize(40), adobe, optimize=True)
    save("adobe-webp-alpha.webp", with_alpha(rgb, alpha), adobe, lossless=True, exact=True)
    save("prophoto-rgb.png", rgb, prophoto, optimize=True)
    save("grey.png", rgb.convert("L"), grey, optimize=True)
    save("grey-jpeg.jpg", rgb.convert("L"), grey, quality=90)
    save("grey-alpha.png", with_alpha(rgb.convert("L"), alpha), grey, optimize=True)
    save("cmyk.jpg", rgb.convert("CMYK"), cmyk, quality=90)

    def keep(name: str, image: Image.Image, icc: bytes, **options) -> None:
        image.save(target / "kept" / name, icc_profile=icc, **options)

    little = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    little = little[:24] + bytes(12) + little[36:]  # without the time at which it was made
    keep("srgb-lcms.jpg", rgb, little, quality=90)
    formula = rgb_profile(columns("srgb"), parametric(), version=4)
    keep("srgb-formula.png", rgb, formula, optimize=True)
    curve = table(srgb_curve(x))
    keep("srgb-table.jpg", rgb, rgb_profile(HP_SRGB, curve), quality=90)
    keep("srgb-palette.png", rgb.quantize(40), little, optimize=True)
    keep("grey-srgb.png", rgb.convert("L"), grey_profile(curve), optimize=True)
    keep("grey-of-rgb.jpg", rgb.convert("L"), p3, quality=90)
    keep("rgb-of-grey.png", rgb, grey, optimize=True)
    keep("cmyk-of-rgb.jpg", rgb.convert("CMYK"), p3, quality=90)
    keep("text.png", rgb, b"not a profile", optimize=True)
    keep("cut.jpg", rgb, p3[:-100], quality=90)


if __name__ == "__main__":
    make(Path(__file__).resolve().parents[2] / "Tests" / "Fixtures" / "colour")
