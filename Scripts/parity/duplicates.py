"""Checks that `clip dedupe` deletes duplicates alone.

The inputs are pairs of copies, and pairs of nearly equal images that must both be kept.

    VENV/bin/python -m pip install numpy Pillow
    swift build -c release
    VENV/bin/python Scripts/parity/duplicates.py [--clip .build/release/clip]
        [--count 1000] [--kills 100]

Renders COUNT + COUNT pairs into a temporary folder, reproducibly from the seed: text with a letter
or a word changed, pages with a thin line or a few words more, line drawings, black, white and
coloured logos on transparent ground, scenes and textures with one object changed; and copies as
JPEG (quality 60 to 95), WebP, PNG, resized to 0.3 to 1 of the size, and rotated with an EXIF
orientation. The changed images are saved in the same ways as the copies. All images are in one
folder, so that each one may be taken for a duplicate of any other.

Prints counts by kind. Fails if an image was deleted that is not a copy of a kept one, or if fewer
than 99 % of the copies were found. Then `--delete` and `--move-to` are killed KILLS times in the
middle: one image of each group must be left, the log must agree with the disk, and `--undo` must
restore the moved files.

The model is `tiny`, whose vectors of resized copies differ more than those of larger models do: the
threshold of candidates is 0.9 (--threshold) instead of the default 0.97, which makes the test
harder, as more images are compared.
"""

import argparse
import collections
import hashlib
import json
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import numpy
from PIL import Image, ImageDraw, ImageFont

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORDS = """the quick brown fox jumps over lazy dog and runs away from every small house near green river where people
sell bread wine apples""".split()
# Letters of about the same width, so that the rest of the line does not move.
LETTERS = {
    "a": "eo", "e": "co", "o": "ec", "n": "hu", "u": "nv", "h": "bn", "r": "t", "t": "f", "d": "b",
    "b": "d", "i": "l",
    "l": "i", "c": "e", "p": "q", "s": "a", "w": "m", "m": "w", "v": "y", "y": "v", "f": "t",
    "k": "x", "x": "k",
    "g": "q", "q": "g", "z": "s", "j": "i"}


def texture(rng, width, height, falloff=1.6):
    """Coloured noise with the spectrum of photographs, and grain."""
    noise = numpy.random.default_rng(rng.randrange(1 << 30))
    side = min(512, max(64, 2 ** int(numpy.ceil(numpy.log2(max(width, height) / 2)))))
    frequency = numpy.hypot(numpy.fft.fftfreq(side)[:, None], numpy.fft.rfftfreq(side)[None])
    frequency[0, 0] = 1

    def field():
        return numpy.fft.irfft2(numpy.fft.rfft2(
            noise.standard_normal((side, side))) / frequency ** falloff)

    base, channels = field(), []
    for _ in range(3):
        values = base + field() / 2
        values = (values - values.mean()) / values.std()
        channels.append(numpy.clip(128 + rng.randint(-40, 40) + rng.randint(15, 45) * values, 0,
                                   255))
    image = Image.fromarray(numpy.stack(channels, -1).astype(numpy.uint8)).resize((width, height),
            Image.BICUBIC)
    grain = noise.standard_normal((height, width, 1)) * rng.choice([0, 2, 5])
    return Image.fromarray(numpy.clip(numpy.asarray(image) + grain, 0, 255).astype(numpy.uint8))


def colour(rng):
    return tuple(rng.randrange(256) for _ in range(3))


def objects(rng, count, width, height):
    found = []
    for _ in range(count):
        size = rng.uniform(0.04, 0.25) * min(width, height)
        found.append((
            rng.choice("ers"), rng.uniform(0, width - size), rng.uniform(0, height - size), size,
            size * rng.uniform(0.5, 1), colour(rng)))
    return found


def drawn(ground, found):
    image = ground.copy()
    draw = ImageDraw.Draw(image)
    for kind, x, y, width, height, fill in found:
        if kind == "e":
            draw.ellipse((x, y, x + width, y + height), fill=fill)
        elif kind == "r":
            draw.rectangle((x, y, x + width, y + height), fill=fill)
        else:
            draw.polygon([(x, y + height), (x + width / 2, y), (x + width, y + height)], fill=fill)
    return image


def scene(rng):
    """A burst of photos: one object is gone, or has another colour, place or shape."""
    width, height = rng.randint(300, 1000), rng.randint(300, 1000)
    plain = rng.random() < 0.3
    ground = Image.new("RGB", (width, height), colour(rng)) if plain else texture(rng, width,
            height)
    found = objects(rng, rng.randint(4, 12), width, height)
    other, (kind, x, y, w, h, fill) = list(found), found[-1]
    change = rng.randrange(4)
    if change == 0:
        other.pop()
    elif change == 1:
        other[-1] = (kind, x, y, w, h, tuple((v + rng.choice([-1, 1]) * rng.randint(40, 120)) % 256
                                             for v in fill))
    elif change == 2:
        other[-1] = (kind, x + w * rng.uniform(0.2, 1) * rng.choice([-1, 1]), y, w, h, fill)
    else:
        other[-1] = ({"e": "r", "r": "s", "s": "e"}[kind], x, y, w, h, fill)
    return drawn(ground, found), drawn(ground, other)


def photo(rng):
    """A texture, and the same with an object in it."""
    width, height = rng.randint(300, 1000), rng.randint(300, 1000)
    ground = texture(rng, width, height, rng.uniform(1, 2))
    return ground, drawn(ground, objects(rng, 1, width, height))


def logo(rng):
    """Two different logos in one ink on transparent ground, with a pattern of their own."""
    side, ink = rng.choice([200, 256, 512]), rng.choice(
        [(0, 0, 0), (255, 255, 255), colour(rng)]) + (255,)
    margin, inner, images = side * rng.uniform(0.1, 0.3), rng.uniform(0.1, 0.3), []
    badge = [place for place in range(30) if rng.random() < 0.5]
    for kind in rng.sample(["circle", "square", "star", "word", "ring", "bars"], 2):
        image = Image.new("RGBA", (side, side), (0, 0, 0, 0))
        draw = ImageDraw.Draw(image)
        box = (margin, margin, side - margin, side - margin)
        if kind == "circle":
            draw.ellipse(box, fill=ink)
        elif kind == "ring":
            draw.ellipse(box, outline=ink, width=rng.randint(side // 32, side // 8))
        elif kind == "square":
            draw.rectangle(box, fill=ink)
        elif kind == "bars":
            for number in range(4):
                left = margin + number * side * 0.15
                draw.rectangle((left, margin, left + side * 0.08, side - margin), fill=ink)
        elif kind == "star":
            points = []
            for number in range(10):
                radius, angle = side * (inner if number % 2 else 0.4), number * numpy.pi / 5
                points.append((side / 2 + radius * numpy.sin(angle),
                               side / 2 - radius * numpy.cos(angle)))
            draw.polygon(points, fill=ink)
        else:
            word = rng.choice(["HELLO", "WORLD", "CLIP"])
            draw.text((margin, side * 0.4), word, fill=ink, font=ImageFont.load_default(side // 6))
        for place in badge:
            left, top = side * (0.2 + 0.1 * (place % 6)), side * (0.01 + 0.04 * (place // 6))
            draw.rectangle((left, top, left + side * 0.08, top + side * 0.03), fill=ink)
        images.append(image)
    return images


def lines(rng):
    """A line drawing, and the same with one line more, less, or elsewhere."""
    width, height, thickness = rng.randint(400, 1000), rng.randint(400, 1000), rng.randint(1, 4)

    def stroke():
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        points = [(x, y)]
        for _ in range(rng.randint(1, 6)):
            x = min(width, max(0, x + rng.uniform(-0.3, 0.3) * width))
            y = min(height, max(0, y + rng.uniform(-0.3, 0.3) * height))
            points.append((x, y))
        return points

    def draw(strokes):
        image = Image.new("RGB", (width, height), "white")
        for points in strokes:
            ImageDraw.Draw(image).line(points, fill="black", width=thickness)
        return image

    strokes = [stroke() for _ in range(rng.randint(3, 25))]
    other, change, which = list(strokes), rng.randrange(3), rng.randrange(len(strokes))
    if change == 0:
        x, y = rng.uniform(0, width * 0.9), rng.uniform(0, height * 0.9)
        other.append([(x, y), (x + rng.uniform(0.03, 0.1) * width,
                               y + rng.uniform(0.03, 0.1) * height)])
    elif change == 1:
        points = list(other[which])
        place = rng.randrange(len(points))
        shift = rng.choice([-1, 1]) * rng.uniform(0.02, 0.1) * width
        points[place] = (points[place][0] + shift, points[place][1])
        other[which] = points
    else:
        other.pop(which)
    return draw(strokes), draw(other)


def page(rng, size=None):
    """Returns the size of a page, the size of the font, and lines of text."""
    width, height = rng.choice([(1000, 1000), (800, 1100), (1000, 1400)])
    size = size or rng.randint(12, 36)
    most = int(height * 0.8 / (size * 1.4))
    rows = [
        " ".join(rng.choice(WORDS) for _ in range(int(width * 0.75 / size / 3.2)))
        for _ in range(rng.randint(min(3, most), most))]
    return width, height, size, rows


def written(width, height, size, rows):
    image, font = Image.new("RGB", (width, height), "white"), ImageFont.load_default(size)
    for number, row in enumerate(rows):
        ImageDraw.Draw(image).text((width * 0.1, height * 0.08 + number * size * 1.4), row,
                                   fill="black", font=font)
    return image


def text(rng):
    """A page of text, and the same with one letter or one word changed."""
    width, height, size, rows = page(rng)
    other, which, change = list(rows), rng.randrange(len(rows)), rng.randrange(3)
    row = rows[which]
    if change == 0:
        place = rng.choice([place for place, letter in enumerate(row) if letter in LETTERS])
        other[which] = row[:place] + rng.choice(LETTERS[row[place]]) + row[place + 1:]
    elif change == 1:
        other[which] = row + " " + rng.choice(WORDS)
    else:
        other[which] = row.rsplit(" ", 1)[0] if " " in row else ""
    return written(width, height, size, rows), written(width, height, size, other)


def blank(rng):
    """A blank page, and one with a few words."""
    width, height, size, _ = page(rng)
    words = " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 3)))
    return written(width, height, size, []), written(width, height, size,
                                                     [""] * rng.randrange(8) + [words])


def thin(rng):
    """A page, and the same with a line of one pixel."""
    image = written(*page(rng)) if rng.random() < 0.5 else Image.new("RGB", (1000, 1000), "white")
    other = image.copy()
    x, y, length = rng.randint(50, 700), rng.randint(50, 900), rng.randint(40, 250)
    end = (x + length, y) if rng.random() < 0.5 else (x + length * 0.6, y + length * 0.5)
    ImageDraw.Draw(other).line((x, y) + end, fill="black", width=1)
    return image, other


KINDS = {
    "scene": scene, "photo": photo, "logo": logo, "lines": lines, "text": text, "blank": blank,
    "thin": thin}


def is_visible(image, other):
    """True if a change is visible: an object may be hidden by another, a line drawn over a line."""
    a, b = (numpy.asarray(x.convert("RGBA")).astype(int) for x in (image, other))
    return (abs(a - b).max(-1) >= 40).sum() >= 12


def pair(rng, kind):
    while True:
        image, other = KINDS[kind](rng)
        if is_visible(image, other):
            return image, other


def save(image, path, **options):
    image.save(path, **options)
    return path


def saved_copy(rng, image, stem):
    """Saves an image in another way; returns the path and a description."""
    has_alpha = image.mode == "RGBA"
    way = rng.choice(["resize", "webp", "png"] if has_alpha
                     else ["jpeg", "jpeg", "resize", "resize+jpeg", "webp", "exif", "png"])
    if way == "png":
        return save(image, f"{stem}.png", compress_level=1, optimize=False, dpi=(72, 72)), way
    if way == "webp":
        lossless = rng.random() < 0.3
        return save(image, f"{stem}.webp", quality=rng.randint(75, 95), lossless=lossless,
                    exact=lossless), way
    if way == "jpeg":
        quality = rng.randint(60, 95)
        return save(image, f"{stem}.jpg", quality=quality, subsampling=rng.choice([0, 2])), way
    if way == "exif":
        # Rotated by 90 degrees, with the orientation that rotates it back.
        exif = Image.Exif()
        exif[0x0112] = 6
        turned = image.transpose(Image.ROTATE_90)
        return save(turned, f"{stem}.jpg", quality=rng.randint(80, 95), exif=exif), way
    scale = rng.uniform(0.3, 1)
    size = [max(1, round(side * scale)) for side in image.size]
    smaller = image.resize(size, rng.choice([Image.BICUBIC, Image.LANCZOS, Image.HAMMING,
                                             Image.BILINEAR]))
    if way == "resize":
        return save(smaller, f"{stem}.png", compress_level=1), way
    return save(smaller, f"{stem}.jpg", quality=rng.randint(80, 95),
                subsampling=rng.choice([0, 2])), way


def render(folder, count, seed):
    """Writes copies and changed images; returns the digests of the pixels, and the kinds."""
    shows, kinds = {}, {}

    def content(image):
        return hashlib.sha256(repr(image.size).encode()
                              + image.convert("RGBA").tobytes()).hexdigest()

    for number in range(2 * count):
        rng = random.Random(f"{seed} {number}")
        kind = list(KINDS)[number // 2 % len(KINDS)]
        image, other = pair(rng, kind)
        first = save(image, f"{folder}/{number:05}a.png", compress_level=1)
        shows[pathlib.Path(first).name] = content(image)
        if number % 2 == 0:
            second, way = saved_copy(rng, image, f"{folder}/{number:05}b")
            shows[pathlib.Path(second).name] = content(image)
            kinds[number] = ("copy", way, kind)
        else:
            # Half of the changed images are saved without loss.
            if rng.random() < 0.5:
                second = save(other, f"{folder}/{number:05}b.png", compress_level=1)
            else:
                second, _ = saved_copy(rng, other, f"{folder}/{number:05}b")
            shows[pathlib.Path(second).name] = content(other)
            kinds[number] = ("changed", kind, kind)
    return shows, kinds


def run(clip, *arguments):
    return subprocess.run(
        [str(clip), *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        check=False)


def check_pairs(clip, folder, arguments):
    print(f"rendering {2 * arguments.count} pairs", flush=True)
    shows, kinds = render(folder, arguments.count, arguments.seed)
    indexed = run(clip, "index", folder, "--model", "tiny", "-q")
    if indexed.returncode:
        sys.exit(indexed.stderr.decode())
    start = time.monotonic()
    result = run(clip, "dedupe", folder, "--threshold", arguments.threshold, "--json", "--delete",
                 "--yes")
    print(f"dedupe took {time.monotonic() - start:.0f} s: {result.stderr.decode().strip()}")
    if result.returncode:
        print("WRONG: exit status", result.returncode)
    there = {path.name for path in folder.iterdir()}
    wrong, counts = [], collections.Counter()
    for line in result.stdout.splitlines():
        group = json.loads(line)
        kept = pathlib.Path(group["kept"]["path"]).name
        for member in group["duplicates"]:
            name = pathlib.Path(member["path"]).name
            if member["duplicate"] and shows[name] != shows[kept]:
                wrong.append(f"{name} ({kinds[int(name[:5])]}) as a duplicate of {kept}, cosine "
                             f"{member['cosine']:.4f}")
            if member["duplicate"] == (name in there):
                wrong.append(f"{name} is said to be a duplicate: {member['duplicate']}, is there: "
                             f"{name in there}")
    left = {shows[name] for name in there if name in shows}
    for value in set(shows.values()) - left:
        wrong.append(f"all of {[name for name in shows if shows[name] == value]} are gone")
    found = total = 0
    for number, (sort, kind, shown) in kinds.items():
        names = [name for name in shows if name.startswith(f"{number:05}")]
        gone = sum(name not in there for name in names)
        if sort == "copy":
            total += 1
            found += gone >= 1
            counts[sort, kind, "found" if gone else "missed"] += 1
            if not gone and arguments.verbose:
                print("missed:", *names, kind, shown)
        else:
            counts[sort, kind, "kept" if gone == 0 else "a copy of another one deleted"] += 1
    for (sort, kind, outcome), count in sorted(counts.items()):
        print(f"{sort:8} {kind:12} {outcome:30} {count}")
    for line in wrong:
        print("WRONG:", line)
    share = 100 * found / max(1, total)
    print(f"{found} of {total} copies found ({share:.2f} %), {len(wrong)} deleted or reported "
          f"wrongly")
    return not wrong and share >= 99 and not result.returncode


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def is_true(log):
    """Compares the log's last entry for each file with the disk; returns the contradictions."""
    last, wrong = {}, []
    for line in log.read_bytes().split(b"\n"):
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # truncated
        last[entry["from"]] = entry
    for entry in last.values():
        source, target = pathlib.Path(entry["from"]), pathlib.Path(entry["to"] or "/nonexistent")
        kept = pathlib.Path(entry["kept"])
        if not kept.exists():
            wrong.append(f"{kept} was kept and is gone")
        if entry["step"] == "done":
            if source.exists() or entry["to"] and (not target.exists()
                                                   or digest(target) != entry["sha256"]):
                wrong.append(f"done, but {source} is there or {target} is not")
        elif entry["step"] == "intent":
            # The file is at the old place, the new one, or both: never at none, unless it was
            # deleted.
            if entry["to"] and not source.exists() and (not target.exists()
                                                        or digest(target) != entry["sha256"]):
                wrong.append(f"intended, but {source} is at neither place")
    return wrong, last


def check_kills(clip, folder, arguments):
    """Kills `--delete` and `--move-to` in the middle, repeatedly."""
    images, originals = folder / "images", folder / "originals"
    rng = random.Random(arguments.seed)
    originals.mkdir()
    for number in range(20):
        image = texture(rng, 200, 200)
        for copy in range(6):
            path = originals / f"{number:02}-{copy}.png"
            save(image, path, compress_level=copy + 1)
    groups = collections.defaultdict(list)
    for path in originals.iterdir():
        groups[path.name[:2]].append(path.name)
    shutil.copytree(originals, images)
    run(clip, "index", images, "--model", "tiny", "-q")
    saved_index = folder / "index"
    shutil.copytree(images / ".clip-index", saved_index)
    wrong, killed, halves = [], 0, 0
    for attempt in range(arguments.kills):
        for place in (images, folder / "away"):
            shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(originals, images)
        shutil.copytree(saved_index, images / ".clip-index")
        log = folder / f"{attempt}.jsonl"
        action = ["--move-to", folder / "away"] if attempt % 2 else ["--delete", "--yes"]
        process = subprocess.Popen(
            [str(clip), "dedupe", str(images), "-q", "--log", str(log), *map(str, action)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        # In the middle, that is, once the log has some lines.
        wanted = rng.randrange(1, 150)
        while process.poll() is None:
            if log.exists() and log.read_bytes().count(b"\n") >= wanted:
                break
            time.sleep(0.0005)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        for group, names in groups.items():
            if not any((images / name).exists() for name in names):
                wrong.append(f"run {attempt}: nothing is left of group {group}")
        if not log.exists():
            continue
        found, last = is_true(log)
        wrong += [f"run {attempt}: {line}" for line in found]
        halves += sum(entry["step"] == "intent" for entry in last.values())
        if attempt % 2:
            for repeated in range(2):
                undone = run(clip, "dedupe", "--undo", log)
                if undone.returncode:
                    wrong.append(f"run {attempt}: --undo: {undone.stderr.decode()}")
            for name in (name for names in groups.values() for name in names):
                if not (images / name).exists() or digest(images / name) != digest(
                    originals / name):
                    wrong.append(f"run {attempt}: --undo did not bring back {name}")
    for line in wrong:
        print("WRONG:", line)
    print(f"killed {killed} of {arguments.kills} times, {halves} unfinished actions; {len(wrong)} "
          f"wrong")
    return not wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", default=str(ROOT / ".build/release/clip"))
    parser.add_argument("--count", type=int, default=1000,
                        help="number of pairs of copies, and of changed images")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--threshold", default="0.9")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--verbose", action="store_true", help="print the names of missed copies")
    arguments = parser.parse_args()
    clip = pathlib.Path(arguments.clip).resolve()
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary).resolve()
        (folder / "pairs").mkdir()
        (folder / "kills").mkdir()
        passed = arguments.count == 0 or check_pairs(clip, folder / "pairs", arguments)
        passed = (arguments.kills == 0 or check_kills(clip, folder / "kills", arguments)) and passed
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
