#!/usr/bin/env python3
"""Checks the form of comments, doc comments and test names.

    Scripts/prose.py [FOLDER...]        default: Sources Tests Examples Benchmarks Scripts

- No doc comment begins with What, Whether, How, Where, Of, Which, When, Why or One.
- The summary of a doc comment has at least three words.
- No line of Swift, C or shell is longer than 100 columns.
- Images are called images.

Prints FILE:LINE and the problem of each finding; the exit status is 1 if there are any.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ["Sources", "Tests", "Examples", "Benchmarks", "Scripts"]
RIDDLES = re.compile(r"(What|Whether|How|Where|Of|Which|When|Why|One)\b")
OTHER_WORD = re.compile(r"pict" + "ure", re.IGNORECASE)
LIMIT = 100


def files(folders):
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            parts = path.relative_to(ROOT).parts
            if ".build" in parts or "Fixtures" in parts or parts[:2] == ("Scripts", "training"):
                continue
            if path.is_file() and path.suffix in (".swift", ".c", ".h", ".sh", ".py"):
                yield path


def findings(path):
    lines = path.read_text().split("\n")
    for number, line in enumerate(lines, 1):
        if path.suffix != ".py" and len(line) > LIMIT and "http" not in line:
            yield number, f"{len(line)} columns, at most {LIMIT}"
        if path.suffix != ".py" and OTHER_WORD.search(line):
            yield number, "images are called images"
        summary = re.match(r"\s*/// ?(.*)", line)
        before = lines[number - 2].strip() if number > 1 else ""
        if summary is None or before.startswith("///"):
            continue
        if RIDDLES.match(summary[1]):
            yield number, f"begins like a riddle: {summary[1][:60]}"
        after = lines[number].strip() if number < len(lines) else ""
        if len(summary[1].split()) < 3 and not after.startswith("/// "):
            yield number, f"is no sentence: {summary[1]}"


def main():
    count = 0
    for path in files(sys.argv[1:] or FOLDERS):
        for number, message in findings(path):
            print(f"{path.relative_to(ROOT)}:{number}: {message}")
            count += 1
    print(f"{count} findings" if count else "comments are in form")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
