"""Checks that an embedding has the same bits in any batch and order, on any number of threads.

    VENV/bin/python Scripts/parity/batches.py --model tiny [--count 1000]
        [--clip .build/release/clip]

Images of noise and texts of random words are encoded in batches of 1, 2, 3, 7 and 32 and all at
once, each time in another order, on one thread and on two: one process per batch.
"""

import argparse
import pathlib
import random
import subprocess
import sys
import tempfile

import numpy
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORDS = "a photo of the red dog cat house on under green sea very small two blue 17 street bicycle ! , née".split()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--clip", default=str(ROOT / ".build/release/clip"))
    arguments = parser.parse_args()
    rng = random.Random(4)
    noise = numpy.random.default_rng(4)
    first, encoded, differing = None, 0, set()
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        images = [folder / f"{index}.png" for index in range(arguments.count)]
        for image in images:
            Image.fromarray(noise.integers(0, 256, (24, 31, 3), dtype=numpy.uint8)).save(image)
        texts = [" ".join(rng.choices(WORDS, k=rng.randrange(0, 40))) for _ in images]
        output, lines = folder / "rows.npy", folder / "texts.txt"
        for threads in (1, 2):
            for size in (1, 2, 3, 7, 32, arguments.count):
                rows = {}
                order = rng.sample(range(arguments.count), arguments.count)
                for start in range(0, arguments.count, size):
                    batch = order[start : start + size]
                    lines.write_text("".join(texts[index] + "\n" for index in batch))
                    subprocess.run(
                        [arguments.clip, "encode", "--model", arguments.model,
                         *(images[index] for index in batch),
                         "--text-file", lines, "--no-normalize", "--threads", str(threads), "-o",
                         output], check=True)
                    found = numpy.load(output)
                    for position, index in enumerate(batch):
                        rows[index] = (found[position].tobytes(),
                                       found[len(batch) + position].tobytes())
                first = first or rows
                differing |= {index for index in rows if rows[index] != first[index]}
                encoded += len(rows)
                print(f"{threads} threads, batches of {size}: {len(differing)} differ so far",
                      flush=True)
    print(f"{arguments.model}: {arguments.count} images and texts, {encoded} encodings of each: "
          f"{len(differing)} with differing bits")
    sys.exit(bool(differing))


if __name__ == "__main__":
    main()
