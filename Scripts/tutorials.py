#!/usr/bin/env python3
"""Runs the commands of README and of the articles, and compares the outputs that they show.

    Scripts/tutorials.py CLIP              all pages; CLIP is the built command
    Scripts/tutorials.py CLIP ZeroShot     the pages whose path has this word

The info string of a code block says what happens with it:

- `sh`: the block is run by bash, and must succeed.
- `console`: lines that begin with `clip ` are commands; the lines after a command are its output.
  A line `…` stands for any further lines. Empty lines do not count.
- any other, such as `bash`: the block is not run. It needs a download, a network or root.

The blocks of a page run in order, in a temporary folder with copies of Examples and Weights, a home
of their own, no network and no model but `tiny`. Words are compared, so that columns may be
separated by tabs or spaces; a number may differ by 1 in the last digit shown, or by one in 100,000.
The exit status is 1 if a command fails or prints something else.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ELLIPSIS = "…"
SECONDS = 300


def blocks(text: str) -> list[tuple[str, int, list[str]]]:
    """Returns the info string, the line and the lines of each code block."""
    found, info, start = [], None, 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            if info is None:
                info, start = line[3:].strip(), number + 1
                found.append((info, start, []))
            else:
                info = None
        elif info is not None:
            found[-1][2].append(line)
    return found


def commands(lines: list[str], start: int) -> list[tuple[int, str, list[str]]]:
    """Returns the line, the command and the expected output of each command of a console block."""
    found = []
    for number, line in enumerate(lines, start):
        if line.startswith("clip "):
            found.append((number, line, []))
        elif line.strip():
            if not found:
                raise ValueError(f"line {number}: output without a command: {line}")
            found[-1][2].append(line)
    return found


def number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def alike(line: str, expected: str) -> bool:
    words, others = (re.split(r"[\s,:{}\[\]]+", text.strip()) for text in (line, expected))
    if len(words) != len(others):
        return False
    for word, other in zip(words, others):
        if word == other:
            continue
        found, wanted = number(word), number(other)
        if found is None or wanted is None:
            return False
        decimals = len(other.partition("e")[0].partition(".")[2])
        last_digit = 0 if "e" in other else 1.5 * 10**-decimals
        if abs(found - wanted) > max(last_digit, 1e-5 * abs(wanted)):
            return False
    return True


def difference(output: str, expected: list[str]) -> str | None:
    """Returns a description of the first difference, or None."""
    lines = [line for line in output.splitlines() if line.strip()]
    for place, wanted in enumerate(expected):
        if wanted.strip() == ELLIPSIS:
            return None
        found = lines[place] if place < len(lines) else "(nothing)"
        if not alike(found, wanted):
            return f"expected: {wanted}\nfound:    {found}"
    if len(lines) > len(expected):
        return f"expected: (nothing)\nfound:    {lines[len(expected)]}"
    return None


class Runner:
    def __init__(self, clip: Path):
        self.clip, self.count, self.failures = clip, 0, 0

    def environment(self, folder: Path) -> dict:
        names = ("LANG", "LD_LIBRARY_PATH", "TMPDIR")
        kept = {name: os.environ[name] for name in names if name in os.environ}
        return kept | {
            "PATH": f"{folder / 'bin'}:{os.environ.get('PATH', '/usr/bin:/bin')}",
            "HOME": str(folder / "home"), "CLIP_HOME": str(folder / "home" / "clip"),
            "HF_HOME": str(folder / "home" / "hf"), "HF_HUB_OFFLINE": "1", "NO_COLOR": "1",
        }

    def page(self, name: str, text: str) -> None:
        found = [block for block in blocks(text) if block[0] in ("sh", "console")]
        if not found:
            return
        with tempfile.TemporaryDirectory() as parent:
            folder = Path(parent)
            work = folder / "work"
            (folder / "bin").mkdir()
            (folder / "home").mkdir()
            (folder / "bin" / "clip").symlink_to(self.clip)
            for source in ("Examples", "Weights"):
                shutil.copytree(ROOT / source, work / source,
                                ignore=shutil.ignore_patterns(".clip-index"))
            before = self.failures
            for info, start, lines in found:
                if info == "sh":
                    self.run(name, start, "\n".join(lines), None, folder)
                    continue
                try:
                    listed = commands(lines, start)
                except ValueError as error:
                    self.fail(name, start, "the block", str(error))
                    continue
                for line, command, expected in listed:
                    self.run(name, line, command, expected, folder)
            print(f"{'right' if before == self.failures else 'WRONG'}: {name}", flush=True)

    def run(self, name: str, line: int, command: str, expected: list | None, folder: Path) -> None:
        self.count += 1
        try:
            result = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", command], cwd=folder / "work",
                env=self.environment(folder), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            self.fail(name, line, command, f"no end after {SECONDS} seconds")
            return
        output = result.stdout.decode(errors="replace")
        if result.returncode != 0:
            self.fail(name, line, command, f"status {result.returncode}\n{output.strip()}")
        elif expected is not None and (reason := difference(output, expected)):
            self.fail(name, line, command, reason)

    def fail(self, name: str, line: int, command: str, reason: str) -> None:
        self.failures += 1
        print(f"{name}:{line}: {command}\n{reason}\n", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description="Runs the commands of README and articles, and "
                                                 "compares their outputs.")
    parser.add_argument("clip", type=Path, help="the built command")
    parser.add_argument("words", nargs="*", help="run only pages whose path has one of these words")
    arguments = parser.parse_args()
    clip = arguments.clip.resolve()
    if not os.access(clip, os.X_OK):
        sys.exit(f"tutorials: not an executable file: {arguments.clip}")
    runner = Runner(clip)
    pages = [ROOT / "README.md", *sorted((ROOT / "Sources").glob("*/*.docc/**/*.md"))]
    for path in pages:
        name = str(path.relative_to(ROOT))
        if not arguments.words or any(word in name for word in arguments.words):
            runner.page(name, path.read_text(encoding="utf-8"))
    if runner.count == 0:
        sys.exit("tutorials: no command was found")
    print(f"tutorials: {runner.count} commands, {runner.failures} failures")
    sys.exit(bool(runner.failures))


if __name__ == "__main__":
    main()
