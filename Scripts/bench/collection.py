"""Indexes generated images with `clip index`, kills it at random moments, moves and deletes files.

    swift build -c release
    VENV/bin/pip install numpy pillow
    VENV/bin/python Scripts/bench/collection.py --folder FOLDER

FOLDER gets the images, of which one in a hundred is broken in one of ten ways. Prints the
measurements, and fails if a result is wrong.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import sqlite3
import subprocess
import time

import numpy
from PIL import Image, ImageDraw

ROOT = pathlib.Path(__file__).resolve().parents[2]


def draw(seed):
    """Returns an image of coloured shapes."""
    chance = random.Random(seed)
    side = chance.randint(64, 320)
    image = Image.new("RGB", (side, chance.randint(64, 320)), tuple(chance.randbytes(3)))
    pen = ImageDraw.Draw(image)
    for _ in range(chance.randint(1, 6)):
        box = sorted(chance.randint(0, 300) for _ in range(2)) + sorted(chance.randint(0, 300)
                for _ in range(2))
        box = (box[0], box[2], box[1] + 1, box[3] + 1)
        shape = chance.choice([pen.ellipse, pen.rectangle])
        shape(box, fill=tuple(chance.randbytes(3)))
    return image


def spoil(path, way):
    """Breaks a file."""
    data = path.read_bytes()
    if way == 0:
        data = b""
    elif way == 1:
        data = data[:20]
    elif way == 2:
        data = data[: len(data) // 2]
    elif way == 3:
        data = b"this is no image\n" * 10
    elif way == 4:
        data = bytes(len(data))
    elif way == 5:
        data = data[::-1]
    elif way == 6:
        data = b"<html><body>404</body></html>"
    elif way == 7:
        data = data[4:]
    elif way == 8:
        data = b"\x89PNG\r\n\x1a\n" + bytes(100)
    elif way == 9:
        data = b"GIF89a" + data[6:]
    path.write_bytes(data)


def generate(folder, count):
    for index in range(count):
        path = folder / f"{index // 1000:02}" / f"{index}.{'jpg' if index % 3 else 'png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(index).save(path)
        if index % 100 == 50:
            spoil(path, index // 100 % 10)


def run(clip, folder):
    start = time.perf_counter()
    result = subprocess.run([clip, "index", folder, "--model", "tiny", "--json", "-q"],
                            stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL)
    return json.loads(result.stdout), time.perf_counter() - start


def content(folder):
    """Returns the vector of each path."""
    place = folder / ".clip-index"
    database = sqlite3.connect(f"file:{place}/files.sqlite?mode=ro", uri=True)
    rows = database.execute("SELECT path, row, digest FROM files ORDER BY path").fetchall()
    dimension = int(database.execute("SELECT value FROM facts WHERE name = 'dimension'").fetchone()[
        0])
    vectors = numpy.fromfile(place / "vectors.f32", "<f4").reshape(-1, dimension)
    return [(path, digest, None if row is None else vectors[row].tobytes())
            for path, row, digest in rows], rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--clip", default=str(ROOT / ".build/release/clip"))
    arguments = parser.parse_args()
    clip, folder = arguments.clip, arguments.folder / "images"
    if not folder.exists():
        generate(folder, arguments.count)
    shutil.rmtree(folder / ".clip-index", ignore_errors=True)

    first, seconds = run(clip, folder)
    print(f"first run: {first['encoded']} encoded, {first['failed']} failed, {seconds:.1f} s")
    assert first["encoded"] + first["failed"] == arguments.count
    again, seconds_again = run(clip, folder)
    print(f"nothing changed: {seconds_again:.2f} s, {100 * seconds_again / seconds:.1f} % of the "
          f"first run")
    assert again["encoded"] == 0 and again["unchanged"] == first["encoded"]
    expected, rows = content(folder)

    shutil.rmtree(folder / ".clip-index")
    chance = random.Random(1)
    for _ in range(arguments.kills):
        process = subprocess.Popen([clip, "index", folder, "--model", "tiny", "-q"],
                                   stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0, 2.4 * seconds / arguments.kills))
        process.kill()
        process.wait()
    last, _ = run(clip, folder)
    found, found_rows = content(folder)
    print(f"killed {arguments.kills} times: the last run encoded {last['encoded']}; the same "
          f"index, row for row: "
          f"{found == expected and rows == found_rows}")
    assert found == expected and rows == found_rows and last["encoded"] < first["encoded"]

    files = sorted(path for path in folder.rglob("*.*g") if ".clip-index" not in path.parts)
    good = [path for path in files if int(path.stem) % 100 != 50]
    moved = chance.sample(good, min(1000, len(good) // 4))
    (folder / "moved").mkdir()
    for path in moved:
        path.rename(folder / "moved" / path.name)
    for path in chance.sample(sorted(set(good) - set(moved)), min(100, len(good) // 4)):
        path.unlink()
    after, seconds_after = run(clip, folder)
    print(f"after moves: {after['encoded']} encoded, {after['moved']} moved, {after['deleted']} "
          f"deleted, "
          f"{seconds_after:.2f} s")
    assert after["encoded"] == 0 and after["moved"] == len(moved)
    by_digest = {digest: vector for _, digest, vector in expected if vector}
    assert all(vector == by_digest[digest] for _, digest, vector in content(folder)[0] if vector)
    shutil.rmtree(folder)


main()
