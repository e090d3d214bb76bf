"""Makes Tests/Fixtures/codecs/large-stream.heic: rgb.heic with an HEVC stream that states 16384 x
16384 pixels, which its boxes do not."""

from pathlib import Path

FOLDER = Path(__file__).parents[2] / "Tests" / "Fixtures" / "codecs"


def unescape(unit: bytes) -> bytes:
    return unit.replace(b"\0\0\3", b"\0\0")


def escape(data: bytes) -> bytes:
    out, zeros = bytearray(), 0
    for byte in data:
        if zeros >= 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


def read_golomb(bits: str, at: int) -> int:
    """Returns the position after a code."""
    return at + 2 * (bits.index("1", at) - at) + 1


def golomb(value: int) -> str:
    digits = f"{value + 1:b}"
    return "0" * (len(digits) - 1) + digits


def enlarge(unit: bytes, width: int, height: int) -> bytes:
    """Changes the picture size of a sequence parameter set with one layer and 4:2:0."""
    bits = "".join(f"{byte:08b}" for byte in unescape(unit))
    start = read_golomb(bits, read_golomb(bits, 16 + 8 + 96))
    end = read_golomb(bits, read_golomb(bits, start))
    bits = bits[:start] + golomb(width) + golomb(height) + bits[end:].rstrip("0")
    bits += "0" * (-len(bits) % 8)
    return escape(int(bits, 2).to_bytes(len(bits) // 8, "big"))


def enlarge_file(data: bytes, width: int, height: int) -> bytes:
    start = data.index(b"\x42\x01", data.index(b"hvcC"))
    length = int.from_bytes(data[start - 2 : start], "big")
    unit = enlarge(data[start : start + length], width, height)
    out = bytearray(data[: start - 2] + len(unit).to_bytes(2, "big") + unit
                    + data[start + length :])  # fmt: skip

    def add(at: int) -> None:
        value = int.from_bytes(out[at : at + 4], "big") + len(unit) - length
        out[at : at + 4] = value.to_bytes(4, "big")

    for name in (b"meta", b"iprp", b"ipco", b"hvcC"):
        add(out.index(name) - 4)
    # The base offset of the only item: iloc of version 0, with numbers of 4 bytes.
    locations = out.index(b"iloc") + 4
    assert out[locations] == 0 and out[locations + 4 : locations + 8] == b"\x44\x40\0\1"
    add(locations + 8 + 2 + 2)
    return bytes(out)


def write() -> None:
    data = (FOLDER / "rgb.heic").read_bytes()
    (FOLDER / "large-stream.heic").write_bytes(enlarge_file(data, 16384, 16384))


if __name__ == "__main__":
    write()
