"""Writes Tests/Fixtures/text/tokens.json: hard strings and their token ids by OpenAI's tokenizer.

"cases" have the text, OpenAI's "ids" without the start and end tokens, and the ids of "open_clip"
and "hf" if they differ.
"""

import html.entities
import importlib.util
import json
import random
import unicodedata
from pathlib import Path

import regex

from open_clip.tokenizer import SimpleTokenizer
from text_corpus import EMOJI, LANGUAGES, PLAIN, mojibake
from tokenizers import AddedToken
from transformers import CLIPTokenizerFast

def load_tokenizer():
    """OpenAI's simple_tokenizer.py as clip-anytorch carries it, without the rest of the package."""
    folder = importlib.util.find_spec("clip").submodule_search_locations[0]
    path = Path(folder) / "simple_tokenizer.py"
    spec = importlib.util.spec_from_file_location("simple_tokenizer", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SimpleTokenizer()


def load_hf_tokenizer():
    """transformers' own class with CLIP's vocabulary and its published special tokens."""
    reference = load_tokenizer()
    merges = sorted(reference.bpe_ranks, key=reference.bpe_ranks.get)
    return CLIPTokenizerFast(
        vocab=dict(reference.encoder), merges=merges,
        bos_token=AddedToken("<|startoftext|>", normalized=True, special=True),
        eos_token=AddedToken("<|endoftext|>", normalized=False, special=True))


def entities(rng: random.Random) -> list[str]:
    names = sorted(html.entities.html5)
    found = []
    for name in rng.sample(names, 170):
        found.append(f"&{name}")
    for name in rng.sample(names, 60):
        found.append(f"a&{name}b &{name} &{name.rstrip(';')}x")
    for name in rng.sample(names, 40):
        found.append(f"&{name.upper()} &{name.lower()} &{name.swapcase()}")
    for name in rng.sample(names, 30):
        found.append(f"&amp;{name} &amp;amp;{name} &#38;{name} &#x26;amp;{name}")
    for name in rng.sample(names, 25):
        found.append(f"<i>&{name} &{name.upper()}</i>\n&{name.upper()}")
    for name in [name for name in names if not name.endswith(";")]:
        found.append(f"&{name}")
    two = [name for name in names if len(html.entities.html5[name]) == 2]
    found += [f"&{name}" for name in rng.sample(two, 15)]
    found += ["&notit;", "&notin;", "&NOTIN;", "&not;in", "&gtQUEST;", "&GTQUEST;", "&ampamp;"]
    found += ["P&EACUTE;REZ", "STRA&SZLIG;E", "&NAPOS;", "&FILIG;", "&MICRO;", "&IMATH;"]
    found += ["&nTILDE;"]
    found += ["&CounterClockwiseContourIntegral;", "&counterclockwisecontourintegral;"]
    found += ["&lt;b&gt; &amp;eacute;", "&lt; &EACUTE;", "a\n<\n&EACUTE;", "&EACUTE;\n<\n&EACUTE;"]
    found += ["&amp;#x26;#38;amp;", "&&amp;;", "&amp;&amp", "&am p;", "&a\u0301mp;", "&amp\u200b;"]
    found += ["&" + "a" * 24 + ";", "&" + "a" * 25 + ";", "&" + "x" * 40 + ";"]
    found += ["&eacute" + "x" * 40]
    return found


def numeric_references() -> list[str]:
    points = [0, 1, 8, 9, 10, 11, 12, 13, 14, 31, 32, 34, 38, 39, 59, 60, 62, 65, 0x61, 0x7E, 0x7F]
    points += list(range(0x80, 0xA2)) + [0xAD, 0xE9, 0x130, 0x3A3, 0x2019, 0x2028, 0x20AC, 0x3000]
    points += [0xD7FF, 0xD800, 0xDBFF, 0xDC00, 0xDFFF, 0xE000, 0xFB01, 0xFDD0, 0xFDEF, 0xFEFF]
    points += [0xFF21, 0xFFFC, 0xFFFD, 0xFFFE, 0xFFFF, 0x10000, 0x1F600, 0x1FFFE, 0x10FFFD]
    points += [0x10FFFE, 0x10FFFF, 0x110000, 0xFFFFFFFF, 0x100000041, 10**25]
    found = []
    for index, point in enumerate(points):
        forms = [f"&#{point};", f"&#x{point:x};", f"&#X{point:X};", f"&#{point}", f"&#x{point:04x}"]
        found.append(f"a{forms[0]}b")
        found.append(f"a{forms[1 + index % 4]} b")
    found += ["&#65", "&#65a", "&#65;a", "&#0065;", "&#x00041;", "&#x", "&#x;", "&#;", "&# 65;"]
    found += ["&#-1;"]
    found += ["&#65;&#66", "&#6&#53;;", "&#xfg;", "&#12ab;", "&#x1F600;&#x200D;"]
    found += ["&#xD83D;&#xDE00;"]
    found += ["&#" + "0" * 30 + "65;", "&#x" + "0" * 22 + "41;", "&#" + "9" * 23 + ";", "&#\u0661;"]
    return found


def odd_characters() -> list[str]:
    points = list(range(0x21)) + [0x7F, 0x80, 0x85, 0x8D, 0x9D, 0xA0, 0xAD, 0x345, 0x34F, 0x61C]
    points += [0x115F, 0x1160, 0x1680, 0x17B4, 0x180E] + list(range(0x2000, 0x2010))
    points += [0x2011, 0x2012, 0x2015] + list(range(0x2028, 0x2030)) + [0x205F]
    points += list(range(0x2060, 0x2070)) + [0x2800, 0x3000, 0x3164, 0xE000, 0xF8FF, 0xFDD0, 0xFDEF]
    points += [0xFE00, 0xFE0E, 0xFE0F, 0xFEFF, 0xFFA0, 0xFFF0, 0xFFF9, 0xFFFA, 0xFFFB, 0xFFFC]
    points += [0xFFFD]
    points += [0xFFFE, 0xFFFF, 0x1D173, 0x1D17A, 0x1FFFE, 0xE0001, 0xE0020, 0xE007F, 0xE0100]
    points += [0xF0000, 0x10FFFD, 0x10FFFF, 0x378, 0x2FE0, 0xE0080]
    found = []
    for character in map(chr, points):
        found.append(f"a{character}b")
        found.append(f"{character}Cat {character}{character} !{character}")
    found += ["", " ", "   ", "\t\n\r", "\u00a0", "\u3000", "\u200b", "\ufeff", "\x00", "\x1c"]
    found += ["\x85"]
    found += ["a\r\nb", "a\rb", "a\n\nb", "a\u2028b\u2029c", "\r\n", "a \r\n b", "\n\r", "a\r\r\nb"]
    found += ["\x1b[31mred\x1b[0m", "\x1b[1;36;44mx", "\x1b[m", "\x1b[", "\x1b[3", "\x1b]0;t\x07x"]
    found += ["\x1b[\u0663\u0661mx", "\x1b[3\x001mx", "\x1b[31\x1b[0mm", "\uff3b31m"]
    found += ["\x1b\uff3b31mx"]
    found += ["&#27;[31mred", "&\x00amp;", "&am\x01p;", "&#3\x028;", "\ufeff&amp;", "&\u200bamp;"]
    found += ["it\u00ads", "'\u200ds", "'\u0345s", "a\u0345'\u0345s", "\u0391\u03a3\u00ad\u0392"]
    found += ["\u0391\u03a3\u200d\u0392", "\u0391\u03a3\u200c", "\u0391\u00ad\u03a3"]
    found += ["\u0391\u0345\u03a3"]
    found += ["\u0391\u03a3\u00a0\u0392", "\u0391\u03a3\u3000\u0392", "\u0391\u03a3\x1c\u0392"]
    return found


def scripts() -> list[str]:
    """Digits of every script, other numbers, and all capitals that Python knows."""
    everything = [chr(i) for i in range(0x110000) if not 0xD800 <= i < 0xE000]
    # A letter newer than Python's tables has no lower case there, but regex knows it already.
    known = [c for c in everything if unicodedata.category(c) != "Cn"]
    zeros = [
        c for c in known if unicodedata.digit(c, None) == 0 and unicodedata.category(c) == "Nd"
    ]
    found = ["".join(chr(ord(zero) + i) for i in (0, 7, 2)) + "x" for zero in zeros]
    others = [c for c in known if unicodedata.category(c) in ("Nl", "No")]
    found += ["".join(others[i : i + 3]) for i in range(0, len(others), 24)]
    capitals = [c for c in known if c.lower() != c]
    found += ["".join(capitals[i : i + 11]) for i in range(0, len(capitals), 11)]
    marks = [c for c in known if unicodedata.category(c)[0] == "M"]
    found += ["q" + "".join(marks[i : i + 2]) + "u" for i in range(0, len(marks), 45)]
    symbols = [c for c in known if unicodedata.category(c)[0] in "PS"]
    found += ["".join(symbols[i : i + 3]) for i in range(0, len(symbols), 60)]
    letters = [c for c in known if unicodedata.category(c) == "Lo"]
    found += ["".join(letters[i : i + 2]) for i in range(0, len(letters), 1500)]
    modifiers = [c for c in known if unicodedata.category(c) == "Lm"]
    found += ["a" + "".join(modifiers[i : i + 2]) for i in range(0, len(modifiers), 12)]
    found += ["".join(map(chr, range(i, i + 6))) for i in range(0xFF00, 0xFFF0, 6)]
    kelvin, angstrom, ohm = "\u212a", "\u212b", "\u2126"
    return found + [kelvin, f"5 {angstrom}", f"k{ohm}", f"'{kelvin}", "\u017f't", "\u1e9e\u017f"]


def mixtures(rng: random.Random, vocabulary: list[str]) -> list[str]:
    """Random sequences of tokens, of letters, and of all characters with special rules."""
    words = [token.replace("</w>", " ") for token in vocabulary if token.isascii()]
    found = ["".join(rng.choices(words, k=rng.randint(2, 7))) for _ in range(130)]
    letters = "aaeeiinoorstlhdcumpgybfvkwxjqz"
    for _ in range(60):
        found.append("".join(rng.choices(letters, k=rng.randint(3, 22))))
    special = ["'s", "'LL", "\u2019ve", "&amp;", "&lt;", "&", ";", "#", "<", "\n", "\r", " ", "  "]
    special += ["\u03a3", "\u0130", "\u0391", "\u017f", "\ufb03", "\uff21", "\uff07", "\u3000"]
    special += ["\u00a0"]
    special += ["\u200d", "\u0345", "\x1c", "\x00", "\x1b[3m", "1", "\u0663", "\u00bd", "\u2167"]
    special += ["_"]
    special += ["a", "Z", "the", "Cat", "!", "...", "\u2026", "\u201c", "<|endoftext|>", "\u4e00"]
    special += ["\u0e01\u0e33", "\u0915\u094d", "\U0001f600", "\u0627", "&EACUTE;", "&#39;"]
    special += ["&notin"]
    for _ in range(330):
        found.append("".join(rng.choices(special, k=rng.randint(2, 9))))
    found.append(" ".join(rng.choices(words, k=120)))
    found.append("a photo of a cat, " * 20)
    found.append("".join(rng.choices(letters, k=200)))
    found.append("\U0001f600" * 30)
    found.append("a" * 300)
    return found


def damaged(rng: random.Random) -> list[str]:
    """Text decoded with a wrong encoding, and text that is not in normal form C."""
    sources = LANGUAGES[:40] + ["it\u2019s", "\u201cquoted\u201d", "\u2026", "\u2714 No problems"]
    found = []
    for text in sources:
        for encoding in ("latin-1", "windows-1252", "windows-1251", "macroman", "cp437"):
            try:
                found.append(text.encode("utf-8").decode(encoding)[:60])
            except UnicodeDecodeError:
                continue
    found = rng.sample(found, 70)
    found += [text[:60] for text in rng.sample(list(mojibake()), 300)]
    for text in rng.sample(LANGUAGES, 45):
        found.append(unicodedata.normalize("NFD", text)[:50].rstrip())
    found += ["e\u0301", "\u1100\u1161\u11a8", "q\u0323\u0307", "q\u0307\u0323", "\u2126", "\u212b"]
    found += ["\u0344", "\u0958", "\ufb1d", "\u2adc", "\U0001d15e", "\u00e3\u0083\u0084"]
    found += ["\x91a\x92"]
    return found


def make(target: Path, seed: int) -> None:
    rng = random.Random(seed)
    tokenizer = load_tokenizer()
    texts = PLAIN + LANGUAGES + EMOJI + entities(rng) + numeric_references() + odd_characters()
    texts += scripts() + mixtures(rng, list(tokenizer.encoder)[:20000]) + damaged(rng)
    hf_tokenizer, open_clip_tokenizer = load_hf_tokenizer(), SimpleTokenizer()
    lines = []
    for text in dict.fromkeys(texts):
        ids = tokenizer.encode(text)
        # These would make the ids depend on the version of Python's Unicode tables.
        assert not any(
            unicodedata.category(c) == "Cn" and regex.match(r"[\p{L}\p{N}]", c) for c in text
        )
        entry = {"text": text, "ids": ids}
        others = {"open_clip": open_clip_tokenizer.encode(text),
                  "hf": hf_tokenizer(text)["input_ids"][1:-1]}
        entry |= {name: other for name, other in others.items() if other != ids}
        lines.append(json.dumps(entry, separators=(",", ":")))
    assert len(lines) >= 2000
    target.mkdir(parents=True, exist_ok=True)
    (target / "tokens.json").write_text('{"cases":[\n' + ",\n".join(lines) + "\n]}\n",
                                        encoding="ascii")
    print(f"text: {len(lines)} cases")
