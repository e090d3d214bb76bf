"""Measures the memory and time that `clip` takes for small files of very large images.

    python3 Scripts/bench/bombs.py .build/release/clip

Creates about thirty files in a temporary folder, and runs `clip preprocess` and `clip encode
--model tiny` on each one alone, with one thread. Prints the peak resident memory and the CPU
seconds of the worse of the two. An image may be rejected. The exit status is 1 if any run took more
than 400 MB or 5 seconds, or ended by a signal. Pillow is needed for two of the files; without it
they are left out.
"""

import argparse
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import zlib

SIDE = 13377  # nearly the limit of 178,956,970 pixels
PASSES = [(0, 8, 0, 8), (4, 8, 0, 8), (0, 4, 4, 8), (2, 4, 0, 4), (0, 2, 2, 4), (1, 2, 0, 2),
          (0, 1, 1, 2)]


def png(width, height, depth, colours, interlaced=False, extra=()):
    """An image whose samples are all 0."""
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colours]

    def size(columns, rows):
        return rows * (1 + (columns * bits + 7) // 8) if columns else 0

    total = size(width, height)
    if interlaced:
        total = sum(
            size(len(range(x, width, across)), len(range(y, height, down)))
            for x, across, y, down in PASSES)
    packer, data = zlib.compressobj(9), []
    zeros = bytes(1 << 20)
    while total > 0:
        data.append(packer.compress(zeros[:total]))
        total -= len(zeros)
    data.append(packer.flush())

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I",
                zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, int(interlaced))
    palette = [chunk(b"PLTE", bytes(range(3 * 2**depth % 256))
                     or bytes(768))] if colours == 3 else []
    chunks = [chunk(b"IHDR", header), *palette,
              *(chunk(*e) for e in extra), chunk(b"IDAT", b"".join(data))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + chunk(b"IEND", b"")


def bits_of(text):
    """The data of a scan: bits, padded with ones."""
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff",
            b"\xff\x00") if text else b""


def jpeg(side, components, sampling=1, scans=None):
    """An image of one colour: baseline, or progressive with a number of scans."""
    def segment(marker, content):
        return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content

    def table(place, symbol):
        return bytes([place, 1] + [0] * 15 + [symbol])

    def blocks(pixels):
        return -(-pixels // 8)

    numbers = range(1, components + 1)
    frame = struct.pack(">BHHB", 8, side, side, components)
    for number in numbers:
        frame += bytes([number, (sampling << 4 | sampling) if number == 1 else 0x11, 0])
    units = (-(-side // (8 * sampling))) ** 2
    per_unit = sampling**2 + components - 1
    file = b"\xff\xd8" + (segment(0xEE, b"Adobe\0\x64\0\0\0\0\0") if components == 4 else b"")
    file += segment(0xDB, b"\0" + b"\x01" * 64)
    header = bytes([components]) + b"".join(bytes([number, 0]) for number in numbers)
    if scans is None:
        # Each block is a 0 for its DC value and a 0 for its end.
        file += segment(0xC0, frame) + segment(0xC4, table(0, 0) + table(0x10, 0))
        data = bytes(-(-units * per_unit * 2 // 8))
        return file + segment(0xDA, header + b"\0\x3f\0") + data + b"\xff\xd9"
    # The DC values, and then again and again runs of 32,767 empty blocks.
    file += segment(0xC2, frame) + segment(0xC4, table(0, 0) + table(0x10, 0xE0))
    file += segment(0xDA, header + b"\0\0\0") + bytes(-(-units * per_unit // 8))
    runs = -(-(blocks(side) ** 2) // 32767)
    scan = segment(0xDA, b"\x01\x01\0\x01\x3f\0") + bits_of(("0" + "1" * 14) * runs)
    return file + scan * (scans - 1) + b"\xff\xd9"


def lossless_webp(side, alpha=False):
    """Five codes of one symbol each, so that a pixel takes no bits."""
    bits = f"{side - 1:014b}"[::-1] * 2 + ("1" if alpha else "0") + "000" + "000"
    bits += "10" + "0" + "0" + ("10" + "1" + "10101010") * 3 + "10" + "0" + "0"
    bits = bits.ljust(-(-len(bits) // 8) * 8, "0")
    data = b"\x2f" + bytes(int(bits[i:i + 8][::-1], 2) for i in range(0, len(bits), 8))
    data += bytes(len(data) % 2)
    body = b"WEBPVP8L" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def lossy_webp(path, mode, side):
    """Written by Pillow in another process, whose memory must not count."""
    code = "import sys; from PIL import Image; Image.MAX_IMAGE_PIXELS = None; " \
        "Image.new(sys.argv[1], (int(sys.argv[2]),) * 2, (90, 120, 30, 128)[:len(sys.argv[1])])" \
        ".save(sys.argv[3], quality=30, method=0)"
    done = subprocess.run([sys.executable, "-c", code, mode, str(side), str(path)],
                          capture_output=True)
    return done.returncode == 0


def files(folder):
    """Names and contents; files without content are written or named elsewhere."""
    long_text = b"Raw profile type exif\0\0" + zlib.compress(bytes(1 << 27), 9)
    yield "1-bit.png", png(SIDE, SIDE, 1, 0)
    yield "grey.png", png(SIDE, SIDE, 8, 0)
    yield "palette.png", png(SIDE, SIDE, 8, 3)
    yield "palette-4-bit.png", png(SIDE, SIDE, 4, 3)
    yield "grey-16.png", png(SIDE, SIDE, 16, 0)
    yield "grey-alpha.png", png(SIDE, SIDE, 8, 4)
    yield "rgb.png", png(SIDE, SIDE, 8, 2)
    yield "rgba.png", png(SIDE, SIDE, 8, 6)
    yield "rgba-16.png", png(SIDE, SIDE, 16, 6)
    yield "interlaced-grey.png", png(SIDE, SIDE, 8, 0, interlaced=True)
    yield "interlaced-rgb.png", png(SIDE, SIDE, 8, 2, interlaced=True)
    yield "rgb-fits.png", png(10100, 10100, 8, 2)
    yield "rgba-fits.png", png(8750, 8750, 8, 6)
    yield "interlaced-rgb-fits.png", png(10100, 10100, 8, 2, interlaced=True)
    yield "narrow.png", png(1, 178_000_000, 8, 0)
    yield "flat.png", png(178_000_000, 1, 8, 0)
    yield "narrow-fits.png", png(178, 1_000_000, 8, 0)
    yield "flat-fits.png", png(1_000_000, 178, 8, 0)
    yield "text.png", png(64, 64, 8, 2, extra=[(b"zTXt", long_text)] * 40)
    yield "profile.png", png(64, 64, 8, 2, extra=[(b"iCCP", b"x\0\0" + long_text[23:])])
    yield "baseline-grey.jpg", jpeg(SIDE, 1)
    yield "baseline.jpg", jpeg(SIDE, 3, sampling=2)
    yield "cmyk.jpg", jpeg(SIDE, 4)
    yield "baseline-fits.jpg", jpeg(10100, 3, sampling=2)
    yield "cmyk-fits.jpg", jpeg(8750, 4)
    yield "progressive.jpg", jpeg(SIDE, 3, sampling=2, scans=10)
    yield "progressive-fits.jpg", jpeg(7100, 3, sampling=2, scans=10)
    yield "scans-3000.jpg", jpeg(SIDE, 1, scans=3000)
    yield "scans-2000.jpg", jpeg(10100, 1, scans=2000)
    yield "scans-500.jpg", jpeg(10100, 1, scans=500)
    yield "scans-300-fits.jpg", jpeg(10100, 1, scans=300)
    yield "scans-500-fits.jpg", jpeg(8100, 1, scans=500)
    yield "lossless.webp", lossless_webp(SIDE)
    yield "lossless-fits.webp", lossless_webp(6200)
    yield "lossless-alpha-fits.webp", lossless_webp(5800, alpha=True)
    for name, mode, side in [("lossy-fits.webp", "RGB", 10100),
                             ("lossy-alpha-fits.webp", "RGBA", 5800)]:
        if lossy_webp(folder / name, mode, side):
            yield name, None
    with open(folder / "zeros.jpg", "wb") as file:
        file.truncate(1 << 30)
    yield "zeros.jpg", None
    yield "/dev/zero", None


def run(arguments):
    """Returns the peak memory in MB, the CPU seconds, the exit status, and the last error line."""
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read().decode(errors="replace").strip()
    process.stderr.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    scale = 1 if sys.platform == "darwin" else 1024
    seconds = usage.ru_utime + usage.ru_stime
    last = errors.splitlines()[-1] if errors else ""
    return usage.ru_maxrss * scale / 1e6, seconds, process.returncode, last


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", help="the binary")
    parser.add_argument("--memory", type=float, default=400,
                        help="the limit of memory in MB (default: 400)")
    parser.add_argument("--seconds", type=float, default=5,
                        help="the limit of CPU time in seconds (default: 5)")
    parser.add_argument("--only", default="", help="only files whose names contain this")
    arguments = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        print(f"{'file':26} {'bytes':>11} {'peak MB':>8} {'CPU s':>6}")
        for name, content in files(folder):
            if arguments.only not in name:
                continue
            path = folder / name
            if content is not None:
                path.write_bytes(content)
            size, content = path.stat().st_size, None
            output = str(folder / "out.npy")
            runs = [
                run([arguments.clip, "preprocess", str(path), "-o", output]),
                run([arguments.clip, "encode", "--model", "tiny", "--threads", "1", "--quiet",
                     str(path)]),
            ]
            memory, seconds = max(r[0] for r in runs), max(r[1] for r in runs)
            is_over = memory > arguments.memory or seconds > arguments.seconds or any(r[2] < 0
                    for r in runs)
            failed += is_over
            message = runs[1][3].replace(str(folder) + "/", "")
            print(f"{name:26} {size:11,} {memory:8.0f} {seconds:6.2f} "
                  f"{'OVER' if is_over else '    '} {message}", flush=True)
            if folder in path.parents:
                path.unlink()
    print(f"{failed} over {arguments.memory:g} MB or {arguments.seconds:g} s" if failed
          else "all within the limits")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
