"""Compares `clip tokenize` with the tokenizers of open_clip, OpenAI and Hugging Face.

    VENV/bin/python Scripts/parity/tokens.py [--clip .build/release/clip] [--random 20000]

Makes about 750,000 strings: every code point that Python knows, alone and in words; every entity of
HTML, named and numbered; text in many languages, as it is and damaged by every pair of encodings
that ftfy knows; emoji; and seeded mixtures of all characters with special rules. Prints a table,
and each difference.
"""

import argparse
import html.entities
import json
import random
import subprocess
import sys
import unicodedata
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import ftfy
import goldens_text
from ftfy.chardata import CHARMAP_ENCODINGS
from text_corpus import EMOJI, LANGUAGES, PLAIN, misread, mojibake

ROOT = Path(__file__).resolve().parents[2]
SEED = 5


def code_points():
    """Every assigned code point except NUL, alone and inside words, some in one string."""
    known = [chr(i) for i in range(1, 0x110000)
             if unicodedata.category(chr(i)) not in ("Cn", "Cs", "Co")]
    for character in known:
        yield character
        yield f"a{character}b {character}1 'S{character} \u0391\u03a3{character}"
        if unicodedata.combining(character) or unicodedata.decomposition(character):
            yield f"a{character}\u0327 e\u0301{character} " + unicodedata.normalize("NFD",
                    character)


def entities():
    for name in html.entities.html5:
        yield f"&{name}"
        yield f"x&{name}y &{name.upper()} &amp;{name} <&{name}"
    points = [point for point in [*range(0x500), *range(0x2000, 0x2100)]
              if unicodedata.category(chr(point)) != "Cn"]
    for point in [*points, 0xD800, 0xDFFF, 0xFFFE, 0x1F600, 0x10FFFF, 0x110000, 10**12]:
        yield f"&#{point};"
        yield f"a&#x{point:X};b &#{point} &#X{point:x}z"


def mixtures(count):
    """Random sequences of characters with special rules."""
    rng = random.Random(SEED)
    parts = [
        "'s", "'LL", "\u2019ve", "&amp;", "&lt;", "&", ";", "#", "<", "\n", "\r", " ", "  ",
        "\u03a3", "\u0130", "\u0391",
        "\u017f", "\ufb03", "\uff21", "\uff07", "\u3000", "\u00a0", "\u200d", "\u0345", "\x1c",
        "\x1b[3m", "1", "\u0663",
        "\u00bd", "\u2167", "_", "a", "Z", "the", "Cat", "!", "...", "\u2026", "\u201c", "\u4e00",
        "<|endoftext|>",
        "<|startoftext|>", "<start_of_text>", "<end_of_text>", "<|EndOfText|>", "\u0301", "\u0327",
        "\u1100", "\u1161",
        "\u11a8", "\uac00", "e\u0301", "\u212b", "\ufffd", "\x1a", "?", "\u0085", "\u0081", "\x7f",
        "\u00ad", "\u202e",
        "\u00c3", "\u00c2", "\u00e2\u20ac", "\u00e2\u20ac\u2122", "\u00c3\u00a9",
        "\u00f0\u0178\u02dc\u20ac", "\u00c3 ",
        "\u00c2 ", "\u00e3\u0192", "\u0432\u0402", "\u00d0\u00b0", "\u00ce\u00b1", "\u00e0\u00a4",
        "\u221a\u00a9", "\u0420\u00b0",
        "\u0111\u017a", "\u00ed\u00a0\u00bd\u00ed\u00b8\u20ac", "\u00c0\u0080", "\u00c0", "\u0192",
        "\u00b0", "\u20ac", "\u0161", "\u0153"]
    sloppy = [bytes([byte]).decode(encoding) for encoding in CHARMAP_ENCODINGS
              for byte in range(0x80, 0x100)]
    everything = [chr(i) for i in range(1, 0x110000)
                  if unicodedata.category(chr(i)) not in ("Cn", "Cs", "Co")]
    for index in range(count):
        row = rng.choices(parts, k=rng.randint(1, 8))
        row += rng.choices(sloppy, k=rng.choice((0, 2, 6)))
        row += rng.choices(everything, k=rng.choice((0, 0, 3)))
        rng.shuffle(row)
        for text in ("".join(row), misread("".join(row), rng.choice(CHARMAP_ENCODINGS))):
            # Text decoded by ftfy may be newer than Python's Unicode; regex has a still newer
            # version.
            if text is not None and all(unicodedata.category(c) != "Cn"
                                        for c in ftfy.fix_text(text)):
                yield text


def corpus(count):
    groups = {
        "code points, alone and in words": code_points(), "entities of HTML": entities(),
        "languages, emoji and hard cases": [*LANGUAGES, *EMOJI, *PLAIN],
        "sentences in wrong encodings": mojibake(), "random mixtures": mixtures(count)}
    return {name: [text for text in dict.fromkeys(texts) if "\0" not in text]
            for name, texts in groups.items()}


def open_clip_ids(texts):
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer = SimpleTokenizer()
    return [tokenizer.encode(text) for text in texts]


def openai_ids(texts):
    tokenizer = goldens_text.load_tokenizer()
    return [tokenizer.encode(text) for text in texts]


def hf_ids(texts):
    tokenizer = goldens_text.load_hf_tokenizer()
    return [ids[1:-1] for ids in tokenizer(texts)["input_ids"]]


def clip_ids(clip, rules, texts):
    command = [clip, "tokenize", "-0", "--no-limit", "--tokenizer", rules]
    result = subprocess.run(command, input="".join(f"{text}\0" for text in texts).encode(),
                            stdout=subprocess.PIPE, check=True)
    return [json.loads(line)[1:-1] for line in result.stdout.splitlines()]


def in_parts(function, texts, pool):
    size = max(1, len(texts) // 16 + 1)
    parts = [texts[start : start + size] for start in range(0, len(texts), size)]
    return [ids for part in pool.map(function, parts) for ids in part]


def compare(clip, count=20_000):
    """Returns the rows of the table: reference, group, number of strings, number of differences."""
    rows = []
    with ProcessPoolExecutor() as pool:
        for name, texts in corpus(count).items():
            for rules, function in (("open_clip", open_clip_ids), ("openai", openai_ids),
                                    ("hf", hf_ids)):
                expected, found = in_parts(function, texts, pool), clip_ids(clip, rules, texts)
                assert len(found) == len(texts), (len(found), len(texts))
                differing = [text for text, a, b in zip(texts, expected, found) if a != b]
                for text in differing[:5]:
                    print(f"  {rules}: {text!r}", file=sys.stderr)
                rows.append((rules, name, len(texts), len(differing)))
                print(rows[-1], file=sys.stderr, flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", default=str(ROOT / ".build/release/clip"))
    parser.add_argument("--random", type=int, default=20_000, help="the number of mixtures")
    arguments = parser.parse_args()
    rows = compare(arguments.clip, arguments.random)
    print("| reference | strings | count | different |\n|---|---|---|---|")
    for rules, name, count, differing in rows:
        print(f"| {rules} | {name} | {count:,} | {differing} |")
    sys.exit(any(differing for *_, differing in rows))


if __name__ == "__main__":
    main()
