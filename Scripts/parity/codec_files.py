"""Makes images in HEIC, AVIF, TIFF and JPEG XL, and reads them by Pillow, pillow-heif and djxl.

It needs Pillow, pillow-heif and the commands avifenc, cjxl and djxl (Debian: libavif-bin,
libjxl-tools).
"""

import io
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image, ImageCms, ImageOps

WIDTH, HEIGHT = 18, 17


def draw(channels: int, seed: int = 5, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Smooth gradients, one hard edge, and noise of a few steps, as uint16."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    planes = [x, y, 1 - (x + y) / 2, 0.25 + 0.75 * x * y, (1 - x) * y, 0.5 + 0 * x][:channels]
    pixels = np.stack(planes, axis=-1)
    pixels[(x - 0.6) ** 2 + (y - 0.3) ** 2 < 0.03] = np.linspace(1, 0.2, channels)
    pixels = pixels * 65000 + rng.integers(0, 500, pixels.shape)
    return np.clip(pixels, 0, 65535).astype(np.uint16)


def image(mode: str, width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    pixels = (draw(len(mode), width=width, height=height) >> 8).astype(np.uint8)
    return Image.fromarray(pixels[..., 0] if mode == "L" else pixels, mode)


def srgb_profile() -> bytes:
    """A profile of sRGB, without the time at which it was made."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return data[:24] + bytes(12) + data[36:]


# MARK: TIFF


def pack(samples: np.ndarray, bits: int, order: str, reverse: bool) -> bytes:
    """Packs rows of samples, each row from a whole byte."""
    if bits == 16:
        return samples.astype(order + "u2").tobytes()
    if bits == 8:
        data = samples.astype(np.uint8)
    else:
        shifts = np.arange(bits - 1, -1, -1)
        data = np.packbits((samples[..., None] >> shifts & 1).reshape(len(samples), -1)
                           .astype(np.uint8), axis=1)
    if reverse:
        data = np.packbits(np.unpackbits(data[..., None], axis=-1)[..., ::-1], axis=-1)
    return data.tobytes()


def tiff(samples: np.ndarray, photometric: int, bits: int, order: str = "<", tile=None,
         separate: bool = False, rows: int = 7, extra: tuple = (), fill: int = 1,
         orientation: int = 1, palette: np.ndarray | None = None, sample_format: int = 1,
         big: bool = False, profile: bytes = b"", subsampling: tuple = ()) -> bytes:  # fmt: skip
    """Writes an uncompressed TIFF of samples [height, width, channels]."""
    height, width, channels = samples.shape
    blocks = []
    for plane in np.moveaxis(samples, -1, 0)[..., None] if separate else [samples]:
        step_y, step_x = tile or (rows, width)
        for y in range(0, height, step_y):
            for x in range(0, width, step_x):
                block = plane[y : y + step_y, x : x + step_x]
                if tile:
                    block = np.pad(block, ((0, step_y - len(block)), (0, step_x - block.shape[1]),
                                           (0, 0)), mode="edge")
                blocks.append(pack(block.reshape(len(block), -1), bits, order, fill == 2))
    start = 16 if big else 8
    offsets = np.cumsum([start] + [len(block) for block in blocks])
    tags = [(256, 3, [width]), (257, 3, [height]), (258, 3, [bits] * channels), (259, 3, [1]),
            (262, 3, [photometric]), (266, 3, [fill]), (274, 3, [orientation]),
            (277, 3, [channels]), (284, 3, [2 if separate else 1]),
            (339, 3, [sample_format] * channels)]  # fmt: skip
    counts = [len(block) for block in blocks]
    if tile:
        tags += [(322, 3, [tile[1]]), (323, 3, [tile[0]]), (324, 4, offsets[:-1]),
                 (325, 4, counts)]  # fmt: skip
    else:
        tags += [(273, 4, offsets[:-1]), (278, 3, [rows]), (279, 4, counts)]
    if extra:
        tags.append((338, 3, extra))
    if palette is not None:
        tags.append((320, 3, palette.T.reshape(-1)))
    if subsampling:
        tags.append((530, 3, subsampling))
    if profile:
        tags.append((34675, 7, profile))
    tags.sort(key=lambda tag: tag[0])
    word, entry_size, limit = ("Q", 20, 8) if big else ("I", 12, 4)
    place = int(offsets[-1])
    place += place % 2
    after = place + (8 if big else 2) + entry_size * len(tags) + (8 if big else 4)
    entries, more = b"", b""
    for tag, kind, values in tags:
        code = {3: "H", 4: "I", 7: "B"}[kind]
        data = struct.pack(f"{order}{len(values)}{code}", *[int(value) for value in values])
        entries += struct.pack(f"{order}HH{word}", tag, kind, len(values))
        if len(data) <= limit:
            entries += data.ljust(limit, b"\0")
        else:
            entries += struct.pack(f"{order}{word}", after + len(more))
            more += data + b"\0" * (len(data) % 2)
    mark = b"II" if order == "<" else b"MM"
    header = (mark + struct.pack(f"{order}HHHQ", 43, 8, 0, place) if big
              else mark + struct.pack(f"{order}HI", 42, place))  # fmt: skip
    body = header + b"".join(blocks)
    return (body.ljust(place, b"\0") + struct.pack(order + ("Q" if big else "H"), len(tags))
            + entries + struct.pack(order + word, 0) + more)  # fmt: skip


def tiffs() -> Iterator[tuple[str, bytes]]:
    for bits in (1, 2, 4, 8, 12, 16):
        grey = draw(1) >> (16 - bits)
        yield f"grey-{bits}", tiff(grey, 1, bits)
        if bits < 12:
            yield f"white-{bits}", tiff(grey, 0, bits, order=">")
            yield f"fill-order-{bits}", tiff(grey, 1, bits, fill=2)
        if bits <= 8:
            palette = draw(3, 8, 1 << bits, 1)[0]
            yield f"palette-{bits}", tiff(grey, 3, bits, palette=palette)
    yield "grey-16-big-endian", tiff(draw(1), 1, 16, order=">")
    yield "white-16", tiff(draw(1), 0, 16)
    palette = draw(3, 8, 256, 1)[0]
    yield "palette-alpha", tiff(draw(2) >> 8, 3, 8, palette=palette, extra=(2,))
    for bits in (8, 16):
        for order in "<>":
            name = f"{bits}-{'little' if order == '<' else 'big'}"
            three, four = draw(3) >> (16 - bits), draw(4) >> (16 - bits)
            yield f"rgb-{name}", tiff(three, 2, bits, order)
            yield f"rgb-{name}-planes", tiff(three, 2, bits, order, separate=True)
            yield f"rgb-{name}-tiles", tiff(three, 2, bits, order, tile=(16, 16))
            yield f"rgba-{name}", tiff(four, 2, bits, order, extra=(2,))
            yield f"rgba-{name}-tiled-planes", tiff(four, 2, bits, order, (16, 16), True,
                                                    extra=(2,))  # fmt: skip
            yield f"associated-{name}", tiff(four, 2, bits, order, extra=(1,))
            yield f"unspecified-{name}", tiff(four, 2, bits, order, extra=(0,))
            yield f"untagged-{name}", tiff(four, 2, bits, order)
            yield f"cmyk-{name}", tiff(four, 5, bits, order)
    yield "grey-alpha", tiff(draw(2) >> 8, 1, 8, extra=(2,))
    yield "grey-associated", tiff(draw(2) >> 8, 1, 8, extra=(1,))
    yield "grey-unspecified", tiff(draw(2) >> 8, 1, 8, extra=(0,))
    yield "five-samples", tiff(draw(5) >> 8, 2, 8, extra=(2, 0))
    yield "six-samples", tiff(draw(6) >> 8, 5, 8, extra=(0, 0))
    yield "big-tiff", tiff(draw(3) >> 8, 2, 8, big=True)
    yield "signed-8", tiff(draw(1) >> 8, 1, 8, sample_format=2)
    for orientation in range(1, 9):
        yield f"orientation-{orientation}", tiff(draw(3) >> 8, 2, 8, orientation=orientation)
    yield "profile", tiff(draw(3) >> 8, 2, 8, profile=srgb_profile())

    def save(mode: str, **options) -> bytes:
        file = io.BytesIO()
        picture = image(mode) if mode != "1" else image("L").point(lambda v: 255 * (v > 99), "1")
        picture.save(file, "TIFF", **options)
        return file.getvalue()

    for compression in ("lzma", "zstd", "packbits", "tiff_lzw", "tiff_adobe_deflate"):
        yield f"rgb-{compression}", save("RGB", compression=compression)
        yield f"rgba-{compression}", save("RGBA", compression=compression)
    yield "predictor", save("RGB", compression="tiff_lzw", tiffinfo={317: 2})
    for compression in ("tiff_ccitt", "group3", "group4"):
        yield f"fax-{compression}", save("1", compression=compression)
    for mode in ("L", "RGB", "CMYK"):
        yield f"jpeg-{mode}", save(mode, compression="jpeg", quality=90)
    yield "jpeg-ycbcr", tiffcp(save("RGB"), "-c", "jpeg:r:90")
    yield "jpeg-ycbcr-tiles", tiffcp(save("RGB"), "-c", "jpeg:90", "-t", "-w", "16", "-l", "16")
    yield "jpeg-rgb", tiffcp(save("RGB"), "-c", "jpeg:r:90")


def ycbcr_tiffs() -> Iterator[tuple[str, bytes]]:
    """YCbCr without JPEG, which libtiff converts."""
    yield "ycbcr", tiff(np.asarray(image("RGB").convert("YCbCr")), 6, 8, subsampling=(1, 1))


def tiffcp(data: bytes, *options: str) -> bytes:
    return tool(["tiffcp", *options, "IN", "OUT"], data, ".tif", ".tif")


def unsupported_tiffs() -> Iterator[tuple[str, bytes]]:
    yield "signed-16", tiff(draw(1), 1, 16, sample_format=2)
    yield "float-16", tiff(draw(1), 1, 16, sample_format=3)
    yield "lab", tiff(draw(3) >> 8, 8, 8)
    yield "seven-samples", tiff(np.repeat(draw(1) >> 8, 7, axis=2), 2, 8, extra=(0,) * 4)


# MARK: HEIF and JPEG XL


def tool(command: list[str], data: bytes, source: str, target: str) -> bytes:
    """Runs a command that converts the file IN to the file OUT."""
    with tempfile.TemporaryDirectory() as folder:
        names = {"IN": f"{folder}/in{source}", "OUT": f"{folder}/out{target}"}
        Path(names["IN"]).write_bytes(data)
        command = [names.get(word, word) for word in command]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return Path(names["OUT"]).read_bytes()


def png(picture: Image.Image, **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", **options)
    return file.getvalue()


def png16(channels: int) -> bytes:
    import image_grid

    colours = {1: 0, 3: 2, 4: 6}[channels]
    return image_grid.png(draw(channels), colours, 16, level=9)


def exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


def heics() -> Iterator[tuple[str, bytes]]:
    def save(picture: Image.Image, **options) -> bytes:
        file = io.BytesIO()
        pillow_heif.from_pillow(picture).save(file, **{"quality": 90, **options})
        return file.getvalue()

    for mode in ("L", "LA", "RGB", "RGBA"):
        yield f"{mode.lower()}", save(image(mode))
    for chroma in ("422", "444"):
        yield f"rgb-{chroma}", save(image("RGB"), chroma=chroma)
    yield "lossless", save(image("RGB"), quality=-1, chroma="444", matrix_coefficients=0)
    yield "rgb-even", save(image("RGB", 64, 48))
    for mode, channels in (("RGB;16", 3), ("RGBA;16", 4), ("L;16", 1)):
        file = io.BytesIO()
        height, width = HEIGHT, WIDTH
        name = {3: "rgb", 4: "rgba", 1: "l"}[channels]
        pixels = draw(channels)
        pillow_heif.encode(mode if mode != "L;16" else "I;16", (width, height), pixels.tobytes(),
                           file, quality=90)  # fmt: skip
        yield f"deep-{name}", file.getvalue()
    for orientation in range(2, 9):
        yield f"orientation-{orientation}", save(image("RGB", 24, 16), exif=exif(orientation))
    yield "profile", save(image("RGB"), icc_profile=srgb_profile())
    file = pillow_heif.from_pillow(image("RGBA"))
    file.premultiplied_alpha = True
    data = io.BytesIO()
    file.save(data, quality=90)
    yield "premultiplied", data.getvalue()


def avifs() -> Iterator[tuple[str, bytes]]:
    def encode(data: bytes, *options: str) -> bytes:
        return tool(["avifenc", "-s", "6", "-j", "1", *options, "IN", "OUT"], data, ".png", ".avif")

    rgb, rgba, grey = png(image("RGB")), png(image("RGBA")), png(image("L"))
    for layout in ("444", "422", "420", "400"):
        for depth in ("8", "10", "12"):
            source = grey if layout == "400" else rgb
            yield f"{layout}-{depth}", encode(source, "-y", layout, "-d", depth)
    yield "lossless", encode(rgb, "-l")
    yield "limited-420", encode(rgb, "-y", "420", "-r", "limited", "--cicp", "1/13/1")
    yield "rgba-420", encode(png16(4), "-y", "420", "-d", "10")
    yield "limited-range", encode(rgb, "-y", "444", "-r", "limited")
    yield "rgba", encode(rgba, "-y", "444")
    yield "rgba-10", encode(png16(4), "-y", "444", "-d", "10")
    yield "premultiplied", encode(rgba, "-y", "444", "--premultiply")
    upright = png(image("RGB", 24, 16))
    for angle in "0123":
        yield f"rotation-{angle}", encode(upright, "-y", "444", "--irot", angle)
    turned = png(image("RGB", 19, 16))
    yield "turned-420", encode(turned, "-y", "420", "--irot", "1", "--imir", "0")
    for axis in "01":
        yield f"mirror-{axis}", encode(upright, "-y", "444", "--imir", axis)
    clap = ["--clap", "12,1,10,1,0,1,0,1"]
    yield "aperture", encode(upright, "-y", "444", *clap)
    yield "aperture-rotation", encode(upright, "-y", "444", *clap, "--irot", "1")


def grids() -> Iterator[tuple[str, bytes]]:
    source = png(image("RGB", 128, 128))
    yield "grid", tool(["avifenc", "-s", "6", "-y", "444", "--grid", "2x2", "IN", "OUT"], source,
                       ".png", ".avif")  # fmt: skip


def jxls() -> Iterator[tuple[str, bytes]]:
    def encode(data: bytes, *options: str, source: str = ".png") -> bytes:
        return tool(["cjxl", "IN", "OUT", "-e", "4", *options], data, source, ".jxl")

    for mode in ("L", "LA", "RGB", "RGBA"):
        yield f"{mode.lower()}-lossless", encode(png(image(mode)), "-d", "0")
        yield f"{mode.lower()}", encode(png(image(mode)), "-d", "1")
    yield "container", encode(png(image("RGB")), "-d", "1", "--container=1")
    yield "progressive", encode(png(image("RGB")), "-d", "1", "-p")
    for channels, name in ((1, "l"), (3, "rgb"), (4, "rgba")):
        yield f"deep-{name}", encode(png16(channels), "-d", "0")
        yield f"deep-{name}-lossy", encode(png16(channels), "-d", "1")
    jpeg = io.BytesIO()
    image("RGB").save(jpeg, "JPEG", quality=90)
    yield "from-jpeg", encode(jpeg.getvalue(), source=".jpg")
    for orientation in (2, 3, 6, 8):
        jpeg = io.BytesIO()
        image("RGB").save(jpeg, "JPEG", quality=90, exif=exif(orientation))
        yield f"orientation-{orientation}", encode(jpeg.getvalue(), source=".jpg")
    frames = [image("RGB"), image("RGB").transpose(Image.Transpose.ROTATE_180)]
    gif = io.BytesIO()
    frames[0].save(gif, "GIF", save_all=True, append_images=frames[1:])
    yield "animation", encode(gif.getvalue(), source=".gif")


# MARK: references


def by_pillow(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return ImageOps.exif_transpose(picture)


def by_pillow_heif(data: bytes) -> Image.Image:
    return pillow_heif.open_heif(io.BytesIO(data)).to_pillow()


def by_djxl(data: bytes) -> Image.Image:
    # The PNG of djxl 0.7 keeps the depth of the file, and its option for 8 bits does not scale.
    out = tool(["djxl", "IN", "OUT"], data, ".jxl", ".npy")
    frames = np.load(io.BytesIO(out))
    samples = np.clip(np.rint(frames[0] * 255), 0, 255).astype(np.uint8)
    mode = ("", "L", "LA", "RGB", "RGBA")[samples.shape[2]]
    return Image.fromarray(np.squeeze(samples, 2) if mode == "L" else samples, mode)
