"""Builds GIF and BMP files of every kind byte by byte, beside those that Pillow writes."""

import io
import struct

import numpy
from PIL import Image


def pattern(width, height, levels=256):
    """Returns indices that vary in both directions."""
    x, y = numpy.arange(width)[None, :], numpy.arange(height)[:, None]
    return ((x * 5 + y * 3 + x * y // 7) % levels).astype(numpy.uint8)


def colours(count, step=37):
    return bytes(v for i in range(count) for v in (i * step % 256, 255 - i % 256, i * 11 % 256))


def saved(image, kind, **options):
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def photo(width, height):
    x, y = numpy.arange(width)[None, :], numpy.arange(height)[:, None]
    planes = [(x * 7 + y * 3) % 256, (x * 4 + y) % 256, (x + y) * 3 % 256]
    return Image.fromarray(numpy.stack(planes, -1).astype(numpy.uint8))


# MARK: GIF


def lzw(indices, bits, clears=True, every=0):
    """Compresses indices. The table is kept when it is full unless `clears`; `every` so many codes,
    it is cleared early.
    """
    clear, codes, size = 1 << bits, [], bits + 1
    table, text, number, total, count = {}, (), clear + 2, 0, 0

    def put(code):
        nonlocal total, count
        codes.append((code, size))
        total += size
        count += 1

    put(clear)
    for index in indices:
        longer = (*text, int(index))
        if len(longer) == 1 or longer in table:
            text = longer
            continue
        put(table[text] if len(text) > 1 else text[0])
        if number < 4096:
            table[longer] = number
            if number == 1 << size and size < 12:
                size += 1
            number += 1
        if (clears and number == 4096) or (every and count % every == 0):
            put(clear)
            table, number, size = {}, clear + 2, bits + 1
        text = (int(index),)
    put(table[text] if len(text) > 1 else text[0])
    # The decoder adds an entry after that code.
    if number == 1 << size and size < 12:
        size += 1
    put(clear + 1)
    value = shift = 0
    for code, width in codes:
        value |= code << shift
        shift += width
    data = value.to_bytes((shift + 7) // 8, "little")
    blocks = b"".join(
        bytes([len(data[i : i + 255])]) + data[i : i + 255] for i in range(0, len(data), 255))
    return bytes([bits]) + blocks + b"\0"


def rows_in_order(pixels, interlaced):
    if not interlaced:
        return pixels
    height = len(pixels)
    order = [y for start, step in ((0, 8), (4, 8), (2, 4), (1, 2))
             for y in range(start, height, step)]  # fmt: skip
    return pixels[order]


def frame(pixels, at=(0, 0), palette=b"", interlaced=False, bits=8, **options):
    flags = 64 * interlaced | (128 | ((len(palette) // 3).bit_length() - 2) if palette else 0)
    height, width = pixels.shape
    head = struct.pack("<BHHHHB", 0x2C, *at, width, height, flags)
    return head + palette + lzw(rows_in_order(pixels, interlaced).ravel(), bits, **options)


def gif(size, *parts, palette=b"", version=b"GIF89a", background=0, end=b";"):
    flags = 128 | ((len(palette) // 3).bit_length() - 2) if palette else 0
    head = version + struct.pack("<HHBBB", *size, flags, background, 0)
    return head + palette + b"".join(parts) + end


def control(transparent=None, disposal=0):
    flags = disposal << 2 | (transparent is not None)
    return b"!\xF9\x04" + struct.pack("<BHB", flags, 10, transparent or 0) + b"\0"


def gifs():
    grey, many, few = bytes(v for i in range(256) for v in (i, i, i)), colours(256), colours(4)
    p, odd, big = pattern(23, 17), pattern(5, 9, 4), photo(90, 70)
    image = photo(23, 17)
    extensions = (b"!\xFE\x05hello\x03abc\0" + b"!\xFF\x0BNETSCAPE2.0\x03\x01\0\0\0"
                  + b"!\x01\x0C" + bytes(12) + b"\x02ab\0")  # fmt: skip
    noise = numpy.random.default_rng(3).integers(0, 256, (90, 110)).astype(numpy.uint8)
    frames = [photo(20, 16), photo(20, 16).rotate(90).resize((20, 16)), photo(20, 16)]
    files = {
        "pillow-p": saved(image.quantize(64), "GIF"),
        "pillow-p-plain": saved(image.quantize(64), "GIF", interlace=0),
        "pillow-l": saved(image.convert("L"), "GIF"),
        "pillow-1": saved(image.convert("1"), "GIF"),
        "pillow-p-transparent": saved(image.quantize(16), "GIF", transparency=3),
        "pillow-animation": saved(
            frames[0], "GIF", save_all=True, append_images=frames[1:], disposal=2, loop=0),
        "pillow-large": saved(big.quantize(128), "GIF"),
        "global": gif((23, 17), frame(p), palette=many),
        "local": gif((23, 17), frame(p, palette=many)),
        "local-and-global": gif((23, 17), frame(p, palette=colours(256, 91)), palette=many),
        "local-grey-global-colour": gif((23, 17), frame(p, palette=grey), palette=many),
        "local-colour-global-grey": gif((23, 17), frame(p, palette=many), palette=grey),
        "global-grey": gif((23, 17), frame(p), palette=grey),
        "global-grey-transparent": gif((23, 17), control(7), frame(p), palette=grey),
        "no-palette": gif((23, 17), frame(p)),
        "few-colours": gif((5, 9), frame(odd, bits=2), palette=few),
        "index-after-palette": gif((23, 17), frame(p), palette=few),
        "transparent": gif((23, 17), control(9), frame(p), palette=many),
        "transparent-after-palette": gif((5, 9), control(200), frame(odd, bits=2), palette=few),
        "offset": gif((30, 25), frame(p, (4, 6)), palette=many, background=5),
        "offset-transparent": gif((30, 25), control(9), frame(p, (7, 8)), palette=many),
        "offset-grey-transparent": gif((30, 25), control(9), frame(p, (7, 8)), palette=grey),
        "larger-than-screen": gif((8, 40), frame(p, (3, 2)), palette=many),
        "interlaced": gif((23, 17), frame(p, interlaced=True), palette=many),
        "interlaced-offset": gif((25, 19), frame(p, (1, 2), interlaced=True), palette=many),
        "version-87": gif((23, 17), frame(p), palette=many, version=b"GIF87a"),
        "extensions": gif((23, 17), extensions, control(), frame(p), palette=many),
        "stray-bytes": gif((23, 17), b"\0\0ab", frame(p), palette=many),
        "no-trailer": gif((23, 17), frame(p), palette=many, end=b""),
        "full-table": gif((110, 90), frame(noise, clears=False), palette=many),
        "cleared-table": gif((110, 90), frame(noise[:40]), palette=many),
        "cleared-often": gif((23, 17), frame(p, every=9), palette=many),
        "disposal-previous": gif((23, 17), control(2, 3), frame(p), frame(p), palette=many),
        "repetition": gif((200, 60), frame(pattern(200, 60, 1), bits=2), palette=few),
        "more-code-bits": gif((5, 9), frame(odd, bits=5), palette=few),
    }
    for height in (1, 2, 3, 4, 5, 8, 9):
        pixels = pattern(3, height)
        files[f"interlaced-{height}"] = gif(
            (3, height), frame(pixels, interlaced=True), palette=many)
    return files


# MARK: BMP


def bmp(pixels, bits, header=40, palette=b"", used=None, compression=0, masks=(), top_down=False,
        gap=0, offset=None, file_header=True, data=None):  # fmt: skip
    """Builds a BMP of integer pixels, or with `data` instead of them."""
    height, width = pixels.shape
    if data is None:
        data = b""
        for row in pixels if top_down else pixels[::-1]:
            value = 0
            if bits <= 8:
                for pixel in row:
                    value = value << bits | int(pixel)
                line = (value << -len(row) * bits % 8).to_bytes((width * bits + 7) // 8, "big")
            else:
                line = b"".join(int(pixel).to_bytes(bits // 8, "little") for pixel in row)
            data += line + bytes(-len(line) % 4)
    entry = 3 if header == 12 else 4
    if used is None:
        used = len(palette) // entry
    if header == 12:
        head = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        head = struct.pack("<IiiHHIIiiII", header, width, -height if top_down else height, 1, bits,
                           compression, len(data), 2835, 2835, used, 0)  # fmt: skip
        packed = struct.pack(f"<{len(masks)}I", *masks)
        head = (head + packed).ljust(header, b"\0") if header > 40 else head + packed
    start = 14 + len(head) + len(palette) + gap
    if not file_header:
        return head + palette + data
    offset = start if offset is None else offset
    begin = struct.pack("<2sIHHI", b"BM", start + len(data), 0, 0, offset)
    return begin + head + palette + bytes(gap) + data


def quads(data):
    return b"".join(data[i : i + 3] + b"\0" for i in range(0, len(data), 3))


def run_lengths(pixels, bits, absolute=False):
    """Compresses rows from the bottom, with or without uncompressed runs, and skips in the last."""
    data = b""
    for row in pixels[::-1]:
        row = [int(v) for v in row]
        for i in range(0, len(row), 9):
            part = row[i : i + 9]
            if absolute and len(part) >= 3:
                packed = bytes(part)
                if bits == 4:
                    both = part + [0] * (len(part) % 2)
                    packed = bytes(a << 4 | b for a, b in zip(both[::2], both[1::2]))
                data += bytes([0, len(part)]) + packed + bytes(len(packed) % 2)
            elif bits == 4 and len(part) % 2 == 0:
                for a, b in zip(part[::2], part[1::2]):
                    data += bytes([2, a << 4 | b])
            else:
                data += b"".join(bytes([1, v << 4 if bits == 4 else v]) for v in part)
        data += b"\0\0"
    return data + b"\0\1"


def bmps():
    grey, many = quads(bytes(v for i in range(256) for v in (i, i, i))), quads(colours(256))
    black_white, white_black = bytes(4) + b"\xFF\xFF\xFF\0", b"\xFF\xFF\xFF" + bytes(5)
    p, four, two = pattern(23, 17), pattern(23, 17, 16), pattern(23, 17, 2)
    wide = pattern(23, 17).astype(numpy.int64) * 251 % 65536
    deep = pattern(23, 17).astype(numpy.int64) * 0x01030507 % (1 << 32)
    image = photo(23, 17)
    skips = b"\4\7\0\2\3\1" + b"\5\10\0\0" + b"".join(bytes([23, v, 0, 0]) for v in range(15))
    rgb, bgr = (0xFF0000, 0xFF00, 0xFF), (0xFF, 0xFF00, 0xFF0000)
    files = {
        "pillow-rgb": saved(image, "BMP"),
        "pillow-rgba": saved(image.convert("RGBA"), "BMP"),
        "pillow-l": saved(image.convert("L"), "BMP"),
        "pillow-1": saved(image.convert("1"), "BMP"),
        "pillow-p": saved(image.quantize(50), "BMP"),
        "pillow-dib": saved(image, "DIB"),
        "os2-1": bmp(two, 1, 12, colours(2)),
        "os2-4": bmp(four, 4, 12, colours(16)),
        "os2-8": bmp(p, 8, 12, colours(256)),
        "os2-24": bmp(deep & 0xFFFFFF, 24, 12),
        "os2-grey": bmp(p, 8, 12, bytes(v for i in range(256) for v in (i, i, i))),
        "os2-64": bmp(p, 8, 64, many),
        "1-black-white": bmp(two, 1, palette=black_white),
        "1-white-black": bmp(two, 1, palette=white_black),
        "1-colours": bmp(two, 1, palette=many[:8]),
        "4": bmp(four, 4, palette=many[:64]),
        "4-few": bmp(four, 4, palette=many[:20]),
        "8": bmp(p, 8, palette=many),
        "8-few": bmp(p, 8, palette=many[:400]),
        "8-grey": bmp(p, 8, palette=grey),
        "8-grey-few": bmp(p, 8, palette=grey[:400]),
        "8-top-down": bmp(p, 8, palette=many, top_down=True),
        "8-gap": bmp(p, 8, palette=many, gap=10),
        "8-offset-without-palette": bmp(p, 8, palette=many, offset=54),
        "8-no-offset": bmp(p, 8, palette=many, offset=0),
        "8-v5": bmp(p, 8, 124, many),
        "8-dib": bmp(p, 8, palette=many, file_header=False),
        "os2-8-dib": bmp(p, 8, 12, colours(256), file_header=False),
        "16": bmp(wide, 16),
        "16-565": bmp(wide, 16, compression=3, masks=(0xF800, 0x7E0, 0x1F)),
        "16-555": bmp(wide, 16, compression=3, masks=(0x7C00, 0x3E0, 0x1F)),
        "16-565-v2": bmp(wide, 16, 52, compression=3, masks=(0xF800, 0x7E0, 0x1F)),
        "24": bmp(deep & 0xFFFFFF, 24),
        "24-top-down": bmp(deep & 0xFFFFFF, 24, top_down=True),
        "24-fields": bmp(deep & 0xFFFFFF, 24, compression=3, masks=rgb),
        "32": bmp(deep, 32),
        "32-v3": bmp(deep, 32, 56),
        "32-fields": bmp(deep, 32, compression=3, masks=rgb),
        "32-xbgr": bmp(deep, 32, compression=3, masks=(0xFF000000, 0xFF0000, 0xFF00)),
        "32-bgxr": bmp(deep, 32, compression=3, masks=(0xFF000000, 0xFF00, 0xFF)),
        "32-alpha": bmp(deep, 32, 108, compression=3, masks=(*rgb, 0xFF000000)),
        "32-alpha-v5": bmp(deep, 32, 124, compression=3, masks=(*bgr, 0xFF000000)),
        "32-abgr": bmp(deep, 32, 108, compression=3, masks=(0xFF000000, 0xFF0000, 0xFF00, 0xFF)),
        "32-bgar": bmp(deep, 32, 56, compression=3, masks=(0xFF000000, 0xFF00, 0xFF, 0xFF0000)),
        "32-no-masks": bmp(deep, 32, 108, compression=3, masks=(0, 0, 0, 0)),
        "rle8": bmp(p, 8, palette=many, compression=1, data=run_lengths(p, 8)),
        "rle8-absolute": bmp(p, 8, palette=many, compression=1, data=run_lengths(p, 8, True)),
        "rle8-grey": bmp(p, 8, palette=grey, compression=1, data=run_lengths(p, 8)),
        "rle8-skips": bmp(p, 8, palette=many, compression=1, data=skips),
        "rle4": bmp(four, 4, palette=many[:64], compression=2, data=run_lengths(four, 4)),
        "rle4-absolute": bmp(
            four, 4, palette=many[:64], compression=2, data=run_lengths(four, 4, True)),
    }
    return files
