"""Samples of WebDataset shards: adjacent files of a tar archive with the same name up to the dot.

The rules are those of `clip encode SHARD.tar`: every image of a sample is a row; a second file
with the same suffix begins a new sample; of a truncated archive, the complete samples are kept and
a last row says what was lost. This module needs only the standard library.
"""

import dataclasses
import os
import tarfile

IMAGES = frozenset(
    "jpg jpeg jpe jfif png webp gif bmp dib tif tiff heic heif hif avif jxl "
    "cr2 cr3 nef arw dng raf orf rw2".split())
# The suffixes of files that can become columns.
FIELDS = ("cls", "txt", "json")
LARGEST_FIELD = 1 << 24


@dataclasses.dataclass
class Sample:
    """An image of a shard, or the reason why the rest of the shard is lost."""

    # The path of the shard and the name of the image in it, joined by "/".
    name: bytes
    # The name that the files of the sample share, without the suffix.
    key: bytes
    content: "bytes | None" = None
    error: "str | None" = None
    # The contents of the files beside the image, by suffix.
    fields: dict = dataclasses.field(default_factory=dict)


def split(name):
    """Returns the key of a member and its suffix in lower case."""
    start = name.rfind(b"/") + 1
    base = name[start:]
    dot = base.find(b".", 1)
    if dot < 0:
        return name, ""
    suffix = base[base.rfind(b".") + 1:].decode("utf-8", "replace").lower()
    return name[:start + dot], suffix


def samples(file, shard, largest=64 << 20):
    """Yields the samples of an open, seekable tar archive in order.

    - file: a binary file, read from its beginning.
    - shard: the path of the archive, as bytes.
    - largest: the largest image to read, in bytes. A larger one is a sample with an error.
    """
    waiting, first, count, reading = [], None, 0, None

    def finish():
        found = {suffix: data for _, suffix, _, data in waiting if suffix in FIELDS}
        for key, suffix, name, data in waiting:
            if suffix in IMAGES:
                yield Sample(shard + b"/" + name, key, data, fields=found)

    between = True
    try:
        with tarfile.open(fileobj=file, mode="r:", encoding="utf-8",
                          errors="surrogateescape") as archive:
            while True:
                between = True
                member = archive.next()
                archive.members = []  # otherwise, the archive keeps every header
                if member is None:
                    break
                name = member.name.encode("utf-8", "surrogateescape")
                if not member.isreg() or os.path.basename(name).startswith(b"."):
                    continue
                key, suffix = split(name)
                if any(other != key or known == suffix for other, known, _, _ in waiting):
                    first = first or {part[1] for part in waiting}
                    for sample in finish():
                        count += 1
                        yield sample
                    waiting = []
                if suffix not in IMAGES and suffix not in FIELDS:
                    continue
                limit = largest if suffix in IMAGES else LARGEST_FIELD
                if member.size > limit:
                    yield Sample(
                        shard + b"/" + name, key,
                        error=f"it is too large ({member.size} bytes, limit {limit})")
                    continue
                reading, between = name, False
                waiting.append((key, suffix, name, archive.extractfile(member).read()))
            # tarfile takes a damaged header for the end.
            file.seek(archive.offset)
            check_end(file.read(512))
        yield from finish()
    except (tarfile.TarError, EOFError) as error:
        suffixes = {part[1] for part in waiting}
        if between and (first is None or suffixes == first):
            for sample in finish():
                count += 1
                yield sample
            waiting = []
        lost = waiting[-1][2] if between and waiting else None if between else reading
        message = f"{str(error) or 'it is truncated'}, after {count} complete samples"
        if lost is not None:
            message += f"; the sample of {lost.decode('utf-8', 'replace')} is lost"
        yield Sample(shard, b"", error=message)


def check_end(block):
    if not block:
        raise tarfile.ReadError("it is truncated: its end marker is missing")
    if len(block) < 512:
        raise tarfile.ReadError("it is truncated within a header")
    if block.count(0) != 512:
        raise tarfile.ReadError("expected the header of a tar archive")
