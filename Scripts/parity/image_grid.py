"""Images of every supported kind, in odd sizes, for images.py."""

import io
import struct
import zlib

import numpy
from PIL import Image

SIZES = [(1, 1), (1, 9), (7, 1), (3, 2), (17, 31), (63, 64), (224, 224), (223, 225), (225, 640),
         (301, 224), (641, 479),
         (5000, 37), (37, 5000)]


def pattern(rng, width, height, channels, depth=8):
    """A smooth image with edges and noise, in which a wrong filter or rounding shows."""
    y, x = numpy.mgrid[0:height, 0:width]
    waves = [numpy.sin(x / (3 + 5 * c) + c) * numpy.cos(y / (4 + 3 * c)) for c in range(channels)]
    values = numpy.stack(waves, -1) * 0.4 + 0.5 + rng.normal(0, 0.1, (height, width, channels))
    values[(x // 8 + y // 8) % 5 == 0] = rng.integers(0, 2, channels)
    return (values.clip(0, 1) * (2**depth - 1)).round().astype(numpy.uint16 if depth > 8
            else numpy.uint8)


def png(values, colour_type, depth, interlaced=False, level=-1):
    """A PNG that Pillow does not write: 16 bits of any kind, or interlaced; filter type 0."""
    height, width, _ = values.shape

    def packed(part):
        samples = part.astype(">u2" if depth == 16 else "u1")
        return b"".join(b"\0" + row.tobytes() for row in samples)

    data = packed(values)
    if interlaced:
        passes = [(0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2),
                  (0, 2, 1, 2), (1, 2, 0, 1)]
        parts = [values[y::dy, x::dx] for y, dy, x, dx in passes]
        data = b"".join(packed(part) for part in parts if part.size)

    return png_of_rows(width, height, data, colour_type, depth, interlaced, level)


def png_of_rows(width, height, rows, colour_type=2, depth=8, interlaced=False, level=-1):
    """A PNG whose number of bytes may differ from its size."""
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I",
                zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, interlaced)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, level)) + chunk(b"IEND",
            b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def without_adobe(data):
    """A JPEG without its marker APP14."""
    at = data.find(b"\xff\xee\x00\x0eAdobe")
    return data[:at] + data[at + 16 :] if at >= 0 else data


def files(width, height, rng):
    """Returns the names and the bytes of all images."""
    def saved(image, kind, **options):
        file = io.BytesIO()
        image.save(file, kind, **options)
        return file.getvalue()

    grey, two, three, four = (pattern(rng, width, height, count) for count in (1, 2, 3, 4))
    deep = [pattern(rng, width, height, count, 16) for count in (1, 2, 3, 4)]
    rgb, rgba = Image.fromarray(three, "RGB"), Image.fromarray(four, "RGBA")
    palette = rgb.quantize(60)
    yield "one-bit.png", saved(Image.fromarray(grey[..., 0]).convert("1"), "PNG")
    yield "grey.png", saved(Image.fromarray(grey[..., 0]), "PNG")
    yield "grey-alpha.png", saved(Image.fromarray(two, "LA"), "PNG")
    yield "grey-named.png", saved(Image.fromarray(grey[..., 0]), "PNG", transparency=7)
    yield "palette.png", saved(palette, "PNG")
    yield "palette-2.png", saved(rgb.quantize(4), "PNG", bits=2)
    yield "palette-named.png", saved(palette, "PNG", transparency=3)
    yield "palette-alpha.png", saved(palette, "PNG", transparency=bytes(range(0, 240, 4)))
    yield "rgb.png", saved(rgb, "PNG")
    yield "rgb-named.png", saved(rgb, "PNG", transparency=(0, 0, 0))
    yield "rgba.png", saved(rgba, "PNG")
    for name, values, colour_type in zip(("grey", "grey-alpha", "rgb", "rgba"), deep, (0, 4, 2, 6)):
        yield f"{name}-16.png", png(values, colour_type, 16)
    yield "grey-16-dark.png", png(deep[0] // 200, 0, 16)
    yield "rgba-interlaced.png", png(four, 6, 8, True)
    yield "grey-16-interlaced.png", png(deep[0], 0, 16, True)
    for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
        yield f"rgb-{subsampling.replace(':', '')}.jpg", saved(rgb, "JPEG", subsampling=subsampling,
                quality=80)
    yield "progressive.jpg", saved(rgb, "JPEG", progressive=True, quality=60)
    yield "restarts.jpg", saved(rgb, "JPEG", restart_marker_rows=1, quality=90)
    yield "grey.jpg", saved(Image.fromarray(grey[..., 0]), "JPEG")
    inks = saved(Image.fromarray(four, "CMYK"), "JPEG", quality=90)
    yield "cmyk.jpg", inks
    yield "cmyk-without-adobe.jpg", without_adobe(inks)
    yield "ycck.jpg", inks[: inks.find(b"Adobe") + 11] + b"\x02" + inks[inks.find(b"Adobe") + 12 :]
    yield "lossy.webp", saved(rgb, "WEBP", quality=70)
    yield "lossless.webp", saved(rgb, "WEBP", lossless=True)
    yield "alpha.webp", saved(rgba, "WEBP", quality=70)
    yield "lossless-alpha.webp", saved(rgba, "WEBP", lossless=True, exact=True)
    yield "animated.webp", saved(
        rgba, "WEBP", save_all=True, append_images=[rgba.transpose(Image.Transpose.ROTATE_180)],
        lossless=True)


def write(folder):
    rng = numpy.random.default_rng(9)
    for width, height in SIZES:
        for name, data in files(width, height, rng):
            (folder / f"{width}x{height}-{name}").write_bytes(data)
