"""Writes Tests/Fixtures/text/repair.json: every step of text cleaning, by ftfy and Python.

    VENV/bin/pip install ftfy==6.3.1
    VENV/bin/python Scripts/parity/goldens_repair.py [--check]

The texts are those of Tests/Fixtures/text/tokens.json. Each case has the text and the result of
each step that changes it; an absent step does not change the text:

    "unescaped"    html.unescape
    "mojibake"     true if ftfy.badness.is_bad
    "encoding"     ftfy.fix_encoding
    "composed"     unicodedata.normalize("NFC")
    "repaired"     ftfy.fix_text
    "lowercased"   str.lower
    "cleaned"      OpenAI's whitespace_clean(basic_clean(text)).lower()

Most cases that only lower-casing changes are left out. A wrong token id does not tell which step is
wrong; these values do. With --check the file is compared, not written.
"""

import argparse
import html
import json
import re
import sys
import unicodedata
from pathlib import Path

import ftfy
from ftfy.badness import is_bad

TEXTS = Path(__file__).resolve().parents[2] / "Tests" / "Fixtures" / "text"
# Unicode's White_Space, which the package regex matches by \s; Python's re has U+001C to U+001F
# too.
SPACE = re.compile("[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")
PLAIN = 20


def cleaned(text: str) -> str:
    text = html.unescape(html.unescape(ftfy.fix_text(text))).strip()
    return SPACE.sub(" ", text).strip().lower()


STEPS = {
    "unescaped": html.unescape,
    "encoding": ftfy.fix_encoding,
    "composed": lambda text: unicodedata.normalize("NFC", text),
    "repaired": ftfy.fix_text,
    "lowercased": str.lower,
    "cleaned": cleaned,
}


def case(text: str) -> dict:
    found = {"text": text}
    for name, step in STEPS.items():
        result = step(text)
        if result != text:
            found[name] = result
    if is_bad(text):
        found["mojibake"] = True
    return found


def contents(tokens: str) -> str:
    cases = [case(entry["text"]) for entry in json.loads(tokens)["cases"]]
    plain = [entry for entry in cases if entry.keys() <= {"text", "lowercased", "cleaned"}]
    kept = [entry for entry in cases if entry not in plain] + plain[:PLAIN]
    lines = ",\n".join(json.dumps(entry) for entry in kept)
    return f'{{"cases": [\n{lines}\n]}}\n'


def make(target: Path) -> None:
    text = contents((target / "tokens.json").read_text(encoding="ascii"))
    (target / "repair.json").write_text(text, encoding="ascii")


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Writes or checks Tests/Fixtures/text/repair.json.")
    parser.add_argument("--check", action="store_true", help="compare with the existing file")
    if not parser.parse_args().check:
        return make(TEXTS)
    new = contents((TEXTS / "tokens.json").read_text(encoding="ascii"))
    is_equal = new == (TEXTS / "repair.json").read_text(encoding="ascii")
    print("identical" if is_equal else "Tests/Fixtures/text/repair.json differs")
    sys.exit(not is_equal)


if __name__ == "__main__":
    main()
