"""Shared parts of the scripts in this folder: images, runs of `clip`, contents of indexes.

Needs only Python 3.9 and its standard library.
"""

import argparse
import os
import pathlib
import re
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

HANG = 10  # seconds after which a run counts as hanging
NOTE = re.compile(r"clip: (?!error)\w+: ")


def arguments(description, seed=1, **numbers):
    """Returns the parser of all scripts: the binary, --seed, --keep, and given numbers."""
    parser = argparse.ArgumentParser(
        description=description.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("clip", type=pathlib.Path, help="the binary to test")
    parser.add_argument("--seed", type=int, default=seed)
    parser.add_argument("--keep", action="store_true",
                        help="keep the temporary folder and print its path")
    for name, default in numbers.items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(default), default=default)
    return parser


class Workplace:
    """A temporary folder, and an environment in which `clip` touches no files of the user."""

    def __init__(self, clip, keep=False):
        self.clip = str(clip.resolve())
        self.keep = keep
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="clip-faults-"))
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith("CLIP_")}
        self.environment |= {
            "HOME": str(self.folder), "XDG_CACHE_HOME": str(self.folder / "cache"),
            "CLIP_HOME": str(self.folder / "home"),
            "SWIFT_BACKTRACE": "enable=no", "NO_COLOR": "1", "LC_ALL": "C.UTF-8",
        }

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.keep:
            print(f"kept: {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *command, seconds=HANG, environment={}, before=(), **options):
        """Runs `clip` with the arguments; `before` is a launching command such as prlimit."""
        return Run([*map(str, before), self.clip, *map(str, command)], seconds,
                   env=self.environment | environment, **options)


class Run:
    """A finished process: its status (None if it hung and was killed), output, errors and time."""

    def __init__(self, command, seconds=HANG, **options):
        start = time.monotonic()
        self.command = command
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                   "stderr": subprocess.PIPE} | options
        process = subprocess.Popen(command, **options)
        try:
            self.output, self.errors = process.communicate(timeout=seconds)
            self.status = process.returncode
        except subprocess.TimeoutExpired:
            process.kill()
            self.output, self.errors = process.communicate()
            self.status = None
        self.seconds = time.monotonic() - start
        self.lines = [line for line in (self.errors or b"").decode(errors="replace").split("\n")
                      if line]

    @property
    def said(self):
        """The lines on standard error except notes, which begin with the name of the command."""
        return [line for line in self.lines if not NOTE.match(line)]

    @property
    def crash(self):
        """The hang or the signal that ended the process; None if it ended by itself."""
        if self.status is None:
            return f"hangs for {self.seconds:.0f} s"
        if self.status < 0 or self.status > 128:
            return f"signal {-self.status if self.status < 0 else self.status - 128}"
        return None

    def __str__(self):
        return f"{' '.join(self.command[:12])}\n    status {self.status}, {self.seconds:.2f} s" + "".join(
            f"\n    | {line[:300]}" for line in self.lines[:3])


def png(rng, side=32):
    """The bytes of a PNG with a few random rectangles."""
    rows = [bytearray(rng.randbytes(3) * side) for _ in range(side)]
    for _ in range(3):
        x, y = rng.randrange(side), rng.randrange(side)
        width, height, color = rng.randint(1, side - x), rng.randint(1, side - y), rng.randbytes(3)
        for row in rows[y:y + height]:
            row[3 * x:3 * (x + width)] = color * width

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I",
                zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows), 1)
    # A comment of random length, so that few files have the same size.
    text = chunk(b"tEXt", b"Comment\0" + b"x" * rng.randrange(2000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + text + chunk(b"IDAT",
            pixels) + chunk(b"IEND", b"")


def make_tree(folder, count, rng, per_folder=20, side=32):
    """Writes images into subfolders and returns their paths in the folder."""
    paths = []
    for number in range(count):
        path = f"album {number // per_folder:03}/{number:05}.png"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(png(rng, side))
        paths.append(path)
    return paths


def change_tree(folder, paths, rng, each, number):
    """Creates, changes, moves and deletes `each` images and returns the resulting paths.

    `number` begins the names of new files, so that no name is used twice.
    """
    chosen = rng.sample(paths, 3 * each)
    changed, moved, deleted = chosen[:each], chosen[each:2 * each], chosen[2 * each:]
    for path in changed:
        (folder / path).write_bytes(png(rng))
    new = [f"new {number}/{place:05}.png" for place in range(2 * each)]
    (folder / new[0]).parent.mkdir(exist_ok=True)
    for path, target in zip(moved, new):
        (folder / path).rename(folder / target)
    for path in new[each:]:
        (folder / path).write_bytes(png(rng))
    for path in deleted:
        (folder / path).unlink()
    return sorted(set(paths) - set(moved) - set(deleted) | set(new))


class Entry:
    """A file of an index: its digest, vector, size, modification time and failure."""

    def __init__(self, size, modified, digest, vector, failure):
        self.size, self.modified, self.digest, self.vector, self.failure = size, modified, digest, vector, failure

    def __eq__(self, other):
        return vars(self) == vars(other)

    def __repr__(self):
        vector = "no vector" if self.vector is None else f"vector {self.vector[:4].hex()}"
        failure = f", {self.failure!r}" if self.failure else ""
        return f"<{self.size} bytes, digest {(self.digest or b'').hex()[:8]}, {vector}{failure}>"


def read_index(folder):
    """Returns the entries of a folder's index by path; None if there is no index.

    Reads a copy, so that the log and the locks of the database do not change.
    """
    # A rebuild that could not replace the old index leaves the new one under the other name.
    places = [pathlib.Path(folder, name) for name in [".clip-index", ".clip-index.old"]]
    place = next((place for place in places if (place / "files.sqlite").exists()), None)
    if place is None:
        return None
    with tempfile.TemporaryDirectory(prefix="clip-faults-") as copy:
        for name in ["files.sqlite", "files.sqlite-wal"]:
            if (place / name).exists():
                shutil.copy(place / name, copy)
        database = sqlite3.connect(f"{copy}/files.sqlite")
        try:
            tables = {name for name, in database.execute("SELECT name FROM sqlite_master")}
            facts = dict(database.execute("SELECT name, value FROM facts")) if "facts" in tables else {}
            if "dimension" not in facts:
                return None
            width = 4 * int(facts["dimension"])
            vectors = (place / "vectors.f32").read_bytes()[:int(facts.get("rows", 0)) * width]
            entries = {}
            for path, size, modified, digest, row, failure in database.execute(
                    "SELECT path, size, modified, digest, row, failure FROM files"):
                vector = None
                if row is not None:
                    vector = vectors[row * width:(row + 1) * width]
                    if row < 0 or len(vector) < width:
                        raise ValueError(f"{path!r} has row {row} of {len(vectors) // width}")
                entries[os.fsdecode(path)] = Entry(size, modified, digest, vector, failure)
            return entries
        finally:
            database.close()


def difference(found, expected):
    """Describes the first difference between the entries of two indexes; None if they are equal."""
    if found is None or expected is None:
        if found is expected:
            return None
        return "there is no index" if found is None else "there is an index"
    for path in sorted(set(found) | set(expected)):
        if found.get(path) != expected.get(path):
            return f"{path}: expected {expected.get(path)}, found {found.get(path)}"
    return None


def table(header, rows):
    """Prints a table."""
    rows = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    for place, row in enumerate(rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")
        if place == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


class Violations:
    """The violations found; the first of each kind are printed at once."""

    def __init__(self, shown=5):
        self.counts = {}
        self.shown = shown

    def add(self, kind, text):
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if self.counts[kind] <= self.shown:
            print(f"VIOLATION, {kind}: {text}", flush=True)

    def exit(self):
        """Ends the script, with status 1 if there was a violation."""
        print(f"\n{sum(self.counts.values())} violations"
              + "".join(f"\n  {count:6} {kind}" for kind, count in sorted(self.counts.items())))
        sys.exit(1 if self.counts else 0)


def in_parallel(body, cases, processes=2):
    """Calls `body` with each case, several at once, and yields the results in order."""
    with ThreadPoolExecutor(processes) as pool:
        yield from pool.map(body, cases)
