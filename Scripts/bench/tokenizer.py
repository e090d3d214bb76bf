"""Measures `clip tokenize` against open_clip's tokenizer on 10,000 lines.

    VENV/bin/python Scripts/bench/tokenizer.py [--clip .build/release/clip]

There are two corpora: distinct captions in plain English, and the same with every third one in need
of repair or in another language. Both programs run in turn, and the best of ten runs counts. The
time of `clip` is that of a process that reads the lines and writes their counts, minus that of one
without lines; the time of open_clip is that of the loop.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Scripts" / "parity"))
from text_corpus import EMOJI, LANGUAGES  # noqa: E402


def captions(count=10_000):
    """Returns captions in ASCII."""
    rng = random.Random(11)
    who = ["A man", "two women", "The small dog", "a group of people", "an old fisherman", "my cat",
           "a child"]
    what = ["riding a bicycle", "eating ice cream", "looks at the sea", "playing chess", "sleeping",
            "in a red coat"]
    where = ["on the beach", "in front of a church", "under a bridge", "at night", "near the river",
             "in New York"]
    how = ["", ", black and white", ", oil on canvas", ". It's summer", " & more", " (1998)",
           ", 35mm", "!!"]
    found = {}
    while len(found) < count:
        found[f"{rng.choice(who)} {rng.choice(what)} {rng.choice(where)}{rng.choice(how)} "
              f"{rng.randrange(1000)}"] = None
    return list(found)


def mixed(count=10_000):
    """Returns the captions, every third one in need of repair or in another language."""
    rng = random.Random(12)
    texts = captions(count)
    for index in range(0, count, 3):
        language = f"{rng.choice(LANGUAGES)} {rng.randrange(1000)}"
        texts[index] = rng.choice([
            texts[index] + " \u2013 it\u2019s \u201cart\u201d", texts[index] + " &amp; more",
            rng.choice(EMOJI) + texts[index],
            language, language, language.encode().decode("latin-1")])
    return ["".join(c for c in text if c.isprintable()).strip() for text in texts]


def measure(clip, SimpleTokenizer, title, texts):
    source = "\n".join(texts).encode() + b"\n"
    names = ("start of clip", "clip", "open_clip", "open_clip, words known")
    best, results = dict.fromkeys(names, 1e9), {}

    def run(*options, lines):
        start = time.perf_counter()
        output = subprocess.run([clip, "tokenize", *options], input=lines, stdout=subprocess.PIPE,
                                check=True).stdout
        return output.splitlines(), time.perf_counter() - start

    for _ in range(10):
        best["start of clip"] = min(best["start of clip"], run("--count", lines=b"")[1])
        best["clip"] = min(best["clip"], run("--no-limit", "--count", lines=source)[1])
        tokenizer = SimpleTokenizer()  # with an empty word cache first, later with a full one
        for name in ("open_clip", "open_clip, words known"):
            start = time.perf_counter()
            results[name] = [tokenizer.encode(text) for text in texts]
            best[name] = min(best[name], time.perf_counter() - start)
    best["clip"] -= best["start of clip"]
    found = [json.loads(line)[1:-1] for line in run("--no-limit", lines=source)[0]]
    print(f"{title}: {sum(a != b for a, b in zip(found, results['open_clip']))} of {len(texts)} "
          f"lines differ")
    for name, seconds in best.items():
        print(f"{name:24} {seconds * 1000:7.1f} ms  {seconds / best['clip']:6.1f} x")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", default=str(ROOT / ".build/release/clip"))
    clip = parser.parse_args().clip
    from open_clip.tokenizer import SimpleTokenizer

    for corpus in (captions, mixed):
        measure(clip, SimpleTokenizer, corpus.__name__, corpus())


if __name__ == "__main__":
    main()
