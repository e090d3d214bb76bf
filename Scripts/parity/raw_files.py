"""Builds small RAW files of cameras, with JPEG previews and no sensor pixels worth developing.

Their structure follows the published layouts: ExifTool's tag tables, LibRaw, and the description of
CR3 by Laurent Clévy. Each function takes JPEGs, the smallest first, and an orientation, and returns
the bytes of a file.
"""

import struct

BYTE, ASCII, SHORT, LONG, UNDEFINED, IFD = 1, 2, 3, 4, 7, 13
SIZES = {BYTE: 1, ASCII: 1, SHORT: 2, LONG: 4, UNDEFINED: 1, IFD: 4}
# A lossless JPEG of 64 x 64 samples, as sensor pixels are compressed; its scan is missing.
LOSSLESS = (
    b"\xFF\xD8\xFF\xC4" + struct.pack(">HB16BB", 20, 0, 1, *[0] * 15, 0)
    + b"\xFF\xC3" + struct.pack(">HBHHBBBB", 11, 8, 64, 64, 1, 1, 0x11, 0)
    + b"\xFF\xDA" + struct.pack(">HBBBBBB", 8, 1, 1, 0, 1, 0, 0) + b"\xFF\xD9"
)  # fmt: skip
CFA, YCBCR = 32803, 6


class Tiff:
    """A TIFF file that is written from its end to its beginning: blobs and directories first."""

    def __init__(self, order="<", signature=b"II*\0", header=8, base=0):
        self.order, self.base = order, base
        self.data = bytearray(signature + bytes(header - len(signature)))

    def blob(self, data):
        """Adds bytes and returns their offset."""
        self.data += bytes(len(self.data) % 2)
        offset = len(self.data) - self.base
        self.data += data
        return offset

    def directory(self, entries, following=0):
        """Adds a directory of (tag, type, values) and returns its offset."""
        body = struct.pack(self.order + "H", len(entries))
        for tag, kind, values in sorted(entries, key=lambda entry: entry[0]):
            if not isinstance(values, (bytes, list, tuple)):
                values = [values]
            if isinstance(values, bytes):
                data = values
            else:
                letter = {1: "B", 2: "H", 4: "I"}[SIZES[kind]]
                data = struct.pack(f"{self.order}{len(values)}{letter}", *values)
            count = len(data) // SIZES[kind]
            if len(data) > 4:
                data = struct.pack(self.order + "I", self.blob(data))
            body += struct.pack(self.order + "HHI", tag, kind, count) + data.ljust(4, b"\0")
        return self.blob(body + struct.pack(self.order + "I", following))

    def finish(self, first):
        struct.pack_into(self.order + "I", self.data, 4, first)
        return bytes(self.data)


def camera(make, orientation):
    return [(0x010F, ASCII, make + b"\0"), (0x0110, ASCII, b"Model\0"),
            (0x0112, SHORT, orientation)]  # fmt: skip


def sensor(tiff, compression, data=LOSSLESS):
    return [(0x00FE, LONG, 0), (0x0100, LONG, 64), (0x0101, LONG, 64), (0x0102, SHORT, 14),
            (0x0103, SHORT, compression), (0x0106, SHORT, CFA), (0x0111, LONG, tiff.blob(data)),
            (0x0115, SHORT, 1), (0x0117, LONG, len(data))]  # fmt: skip


def jpeg_tags(tiff, jpeg):
    return [(0x0103, SHORT, 6), (0x0201, LONG, tiff.blob(jpeg)), (0x0202, LONG, len(jpeg))]


def cr2(small, large, orientation):
    tiff = Tiff(signature=b"II*\0\x10\0\0\0CR\x02\0", header=16)
    raw = tiff.directory([(0x0103, SHORT, 6), (0x0111, LONG, tiff.blob(LOSSLESS)),
                          (0x0117, LONG, len(LOSSLESS))])  # fmt: skip
    pixels = tiff.directory([(0x0103, SHORT, 1), (0x0106, SHORT, 2),
                             (0x0111, LONG, tiff.blob(bytes(48))), (0x0117, LONG, 48)],
                            raw)  # fmt: skip
    thumbnail = tiff.directory([(0x0201, LONG, tiff.blob(small)), (0x0202, LONG, len(small))],
                               pixels)  # fmt: skip
    return tiff.finish(tiff.directory(
        camera(b"Canon", orientation)
        + [(0x0103, SHORT, 6), (0x0111, LONG, tiff.blob(large)), (0x0117, LONG, len(large))],
        thumbnail))  # fmt: skip


def nef(small, large, orientation, order=">"):
    tiff = Tiff(order, b"MM\0*" if order == ">" else b"II*\0")
    preview = tiff.directory([(0x00FE, LONG, 1)] + jpeg_tags(tiff, large))
    raw = tiff.directory(sensor(tiff, 34713))
    note = nikon_note(small)
    exif = tiff.directory([(0x927C, UNDEFINED, note)])
    return tiff.finish(tiff.directory(
        camera(b"NIKON CORPORATION", orientation)
        + [(0x00FE, LONG, 1), (0x0103, SHORT, 1), (0x0106, SHORT, 2),
           (0x0111, LONG, tiff.blob(bytes(48))), (0x0117, LONG, 48),
           (0x014A, LONG, [preview, raw]), (0x8769, LONG, exif)]))  # fmt: skip


def nikon_note(jpeg):
    """A maker note: a TIFF file of its own, with the preview's directory."""
    note = Tiff(">", b"MM\0*")
    preview = note.directory(jpeg_tags(note, jpeg))
    return b"Nikon\0\x02\x10\0\0" + note.finish(note.directory([(0x0011, LONG, preview)]))


def old_nef(small, large, orientation):
    """A NEF whose only preview is in the maker note, behind a small thumbnail."""
    tiff = Tiff(">", b"MM\0*")
    raw = tiff.directory(sensor(tiff, 1, bytes(64)))
    exif = tiff.directory([(0x927C, UNDEFINED, nikon_note(large))])
    return tiff.finish(tiff.directory(
        camera(b"NIKON", orientation) + [(0x014A, LONG, raw), (0x8769, LONG, exif)],
        tiff.directory(jpeg_tags(tiff, small))))  # fmt: skip


def arw(small, large, orientation):
    tiff = Tiff()
    raw = tiff.directory(sensor(tiff, 32767, bytes(64)))
    thumbnail = tiff.directory([(0x00FE, LONG, 1)] + jpeg_tags(tiff, small))
    return tiff.finish(tiff.directory(
        camera(b"SONY", orientation) + [(0x00FE, LONG, 1), (0x014A, LONG, raw)]
        + jpeg_tags(tiff, large), thumbnail))  # fmt: skip


def old_arw(small, large, orientation):
    """An ARW of the first cameras, whose SubIFDs are not a directory but pixels."""
    tiff = Tiff()
    raw = tiff.blob(bytes(64))
    thumbnail = tiff.directory(jpeg_tags(tiff, small))
    return tiff.finish(tiff.directory(
        camera(b"SONY", orientation) + [(0x014A, LONG, raw)] + jpeg_tags(tiff, large),
        thumbnail))  # fmt: skip


def dng(small, large, orientation):
    tiff = Tiff()

    def preview(jpeg):
        return [(0x00FE, LONG, 1), (0x0103, SHORT, 7), (0x0106, SHORT, YCBCR),
                (0x0111, LONG, tiff.blob(jpeg)), (0x0117, LONG, len(jpeg))]  # fmt: skip

    raw, preview_offset = tiff.directory(sensor(tiff, 7)), tiff.directory(preview(large))
    return tiff.finish(tiff.directory(
        camera(b"Any", orientation) + preview(small)
        + [(0x014A, LONG, [raw, preview_offset]), (0xC612, BYTE, [1, 4, 0, 0])]))  # fmt: skip


def olympus_note(small, large, head=b"OLYMPUS\0II\x03\0"):
    note = Tiff(signature=head, header=len(head))
    # The directory follows the signature, so that its values and blobs come after it.
    at = len(head) + 2 + 2 * 12 + 4
    settings = at + len(small)
    start = settings + 2 + 3 * 12 + 4
    note.data += struct.pack("<H", 2)
    note.data += struct.pack("<HHII", 0x0100, UNDEFINED, len(small), at)
    note.data += struct.pack("<HHII", 0x2020, IFD, 1, settings) + bytes(4)
    note.data += small + struct.pack("<H", 3)
    for tag, number in ((0x0100, 1), (0x0101, start), (0x0102, len(large))):
        note.data += struct.pack("<HHII", tag, LONG, 1, number)
    return bytes(note.data) + bytes(4) + large


def orf(small, large, orientation, signature=b"IIRO", head=b"OLYMPUS\0II\x03\0"):
    tiff = Tiff(signature=signature)
    exif = tiff.directory([(0x927C, UNDEFINED, olympus_note(small, large, head))])
    return tiff.finish(tiff.directory(
        camera(b"OLYMPUS CORPORATION", orientation)
        + [(0x0103, SHORT, 1), (0x0111, LONG, tiff.blob(bytes(64))), (0x0117, LONG, 64),
           (0x8769, LONG, exif)]))  # fmt: skip


def old_orf(small, large, orientation):
    """An ORF of byte order MM whose maker note counts offsets from the file's beginning."""
    tiff = Tiff(">", b"MMOR")
    settings = tiff.directory(
        [(0x0101, LONG, tiff.blob(large)), (0x0102, LONG, len(large))])  # fmt: skip
    note = struct.pack(">HHHII", 1, 0x2020, IFD, 1, settings)
    exif = tiff.directory([(0x927C, UNDEFINED, b"OLYMP\0\x02\0" + note + bytes(4))])
    return tiff.finish(tiff.directory(
        camera(b"OLYMPUS OPTICAL CO.,LTD", orientation) + [(0x8769, LONG, exif)]))  # fmt: skip


def rw2(small, large, orientation):
    tiff = Tiff(signature=b"IIU\0", header=24)
    return tiff.finish(tiff.directory(
        camera(b"Panasonic", orientation)
        + [(0x0002, SHORT, 64), (0x0003, SHORT, 64), (0x002E, UNDEFINED, large),
           (0x0111, LONG, 0xFFFFFFFF), (0x0118, LONG, tiff.blob(bytes(64)))]))  # fmt: skip


def raf(small, large, orientation):
    head = b"FUJIFILMCCD-RAW 0201FF393101" + b"X-T1".ljust(32, b"\0") + b"0100" + bytes(20)
    assert len(head) == 84
    numbers = struct.pack(">6I", 148, len(large), 148 + len(large), 16, 164 + len(large), 64)
    return (head + numbers).ljust(148, b"\0") + large + bytes(80)


def box(kind, data):
    return struct.pack(">I", 8 + len(data)) + kind + data


def track(offset, size, codec=b"JPEG"):
    entry = box(b"CRAW", bytes(82) + box(codec, bytes(4)))
    table = box(b"stsd", bytes(4) + struct.pack(">I", 1) + entry)
    table += box(b"stsz", bytes(4) + struct.pack(">II", size, 1))
    table += box(b"co64", bytes(4) + struct.pack(">IQ", 1, offset))
    return box(b"trak", box(b"tkhd", bytes(84)) + box(
        b"mdia", box(b"mdhd", bytes(24)) + box(b"minf", box(b"stbl", table))))  # fmt: skip


def cr3(small, large, orientation, has_full=True):
    """A CR3. The large JPEG is the track's if has_full, otherwise the preview's."""
    preview = small if has_full else large
    thumbnail = box(b"THMB", struct.pack(">IHHII", 0, 160, 120, len(small), 0x10000) + small)
    tiff = Tiff()
    metadata = box(b"CMT1", tiff.finish(tiff.directory(camera(b"Canon", orientation))))
    canon = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
    canon = box(b"uuid", canon + box(b"CNCV", b"CanonCR3_001/00.09.00/00.00.00") + metadata
                + thumbnail)  # fmt: skip
    shown = bytes.fromhex("eaf42b5e1c984b88b9fbb7dc406e4d16") + bytes(4) + struct.pack(">I", 1)
    shown += box(b"PRVW", struct.pack(">IHHHHI", 0, 1, 1620, 1080, 1, len(preview)) + preview)
    start = box(b"ftyp", b"crx \0\0\0\x01crx isom")
    sensor_data = b"\xFF\x01" + bytes(62)

    def movie(offset):
        tracks = track(offset, len(large)) if has_full else b""
        tracks += track(offset + len(large) * has_full, len(sensor_data), b"CMP1")
        return box(b"moov", canon + box(b"mvhd", bytes(100)) + tracks) + box(b"uuid", shown)

    offset = len(start + movie(0)) + 16
    size = 16 + len(large) * has_full + len(sensor_data)
    data = struct.pack(">I4sQ", 1, b"mdat", size) + (large if has_full else b"") + sensor_data
    return start + movie(offset) + data


def all_files(small, large, larger_exif):
    """Returns files by name, with the orientation that each ought to have."""
    return {
        "canon.cr2": (cr2(small, large, 6), 6),
        "canon.cr3": (cr3(small, large, 8), 8),
        "canon-preview.cr3": (cr3(small, large, 3, has_full=False), 3),
        "nikon.nef": (nef(small, large, 6), 6),
        "nikon-little.nef": (nef(small, large, 1, "<"), 1),
        "nikon-old.nef": (old_nef(small, large, 8), 8),
        "sony.arw": (arw(small, large, 3), 3),
        "sony-old.arw": (old_arw(small, large, 6), 6),
        "adobe.dng": (dng(small, large, 6), 6),
        "olympus.orf": (orf(small, large, 6), 6),
        "olympus-rs.orf": (orf(small, large, 1, b"IIRS"), 1),
        "olympus-om.orf": (orf(small, large, 8, head=b"OM SYSTEM\0\0\0II\x04\0"), 8),
        "olympus-old.orf": (old_orf(small, large, 3), 3),
        "panasonic.rw2": (rw2(small, large, 6), 6),
        "fuji.raf": (raf(small, larger_exif, 1), 6),
        # The orientation of the JPEG counts.
        "exif.dng": (dng(small, larger_exif, 3), 6),
    }


def ordinary_files(jpeg):
    """Returns TIFF files that are not RAW: one of a camera, one with a JPEG preview as a SubIFD."""
    files = {}
    for name, make, tag in (("camera", b"NIKON", None), ("preview", b"Any", 0x014A)):
        tiff = Tiff()
        preview = tiff.directory([(0x00FE, LONG, 1)] + jpeg_tags(tiff, jpeg))
        pixels = bytes(range(192))
        entries = camera(make, 1) + [
            (0x0100, LONG, 8), (0x0101, LONG, 8), (0x0102, SHORT, [8, 8, 8]), (0x0103, SHORT, 1),
            (0x0106, SHORT, 2), (0x0111, LONG, tiff.blob(pixels)), (0x0115, SHORT, 3),
            (0x0116, LONG, 8), (0x0117, LONG, len(pixels)),
        ]  # fmt: skip
        if tag:
            entries.append((tag, LONG, preview))
        files[f"{name}.tif"] = tiff.finish(tiff.directory(entries, 0 if tag else preview))
    return files
