"""Checks of the help texts, of facts.json and of the manual pages. Each problem is one line."""

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from manpages.pages import FACTS, Pages, load, spellings

ROOT = Path(__file__).resolve().parent.parent.parent
# The width of help texts in which an example must fit into one line.
COLUMNS = 80
VARIABLE = re.compile(r"(?<![\w-])[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?!\w)")


def example_problems(root):
    """Every command has an example, and every example is one line that a shell can read."""
    for command in root.all:
        own = [e for e in command.examples if e.startswith(command.name + " ")]
        if not own and command.name not in command.examples and not command.subcommands:
            yield f"{command.name} --help has no example that begins with {command.name}"
        for example in command.examples:
            try:
                shlex.split(example)
            except ValueError as error:
                yield f"{command.name} --help: {error}: {example}"


def help_problems(root, clip):
    """Every help text is a sentence, and --help prints it whole, and examples in one line."""
    for command in root.all:
        shown = subprocess.run(
            [clip, *command.words[1:], "--help"], capture_output=True, text=True,
            env={**os.environ, "COLUMNS": str(COLUMNS)}).stdout
        for example in command.examples:
            if f"  {example}" not in shown.split("\n"):
                yield f"{command.name} --help: wrapped at {COLUMNS} columns: {example}"
        words = " ".join(shown.split())
        texts = [command.abstract, *command.paragraphs]
        for argument in command.arguments:
            names = spellings(argument) or [f"<{argument['valueName']}>"]
            texts += names + [argument.get("abstract", "")]
            if not re.search(r"[^.…][.)]$", argument.get("abstract", "")):
                yield f"{command.name} --help: no full stop after the text of {names[-1]}"
        for text in texts:
            if " ".join(text.split()).removesuffix(".") not in words:
                yield f"{command.name} --help is cut; it does not print: {text}"


def sources():
    for path in sorted((ROOT / "Sources").rglob("*")):
        if path.suffix in (".swift", ".c", ".h"):
            yield path, path.read_text(errors="replace")


def source_problems():
    """The sources read the variables of facts.json and no others, and use its files."""
    call = re.compile(r'(?:nvironment\[|\bgetenv\(|\bvalue\()\s*"([A-Z][A-Z0-9_]*)"')
    name = re.compile(r'"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)"')
    read, literals = {}, []
    for path, text in sources():
        for found in [*call.findall(text), *name.findall(text)]:
            read.setdefault(found, path.relative_to(ROOT))
        literals += re.findall(r'"([^"\n]*)"', text)
    known = {v["name"]: v for v in FACTS["environment"]}
    for variable, path in sorted(read.items()):
        if variable not in known and variable not in FACTS["not_variables"]:
            yield f"{path}: {variable} is read, but facts.json does not describe it"
    for variable, fact in known.items():
        if ("read_by" in fact) == (variable in read):
            yield f"facts.json: {variable}: read_by and the sources disagree about who reads it"
    for fact in FACTS["files"]:
        if "installed" in fact:
            continue
        stem = fact["path"].split("/")[-1].split("DATE")[0].strip("*")
        if not any(stem in literal for literal in literals):
            yield f"facts.json: the file {fact['path']} is not in the sources"


def fact_problems(pages):
    """The facts name commands and options that exist; each page has the variables it mentions."""
    commands = {command.key: command for command in pages.root.all}
    for kind in ("environment", "files"):
        for fact in FACTS[kind]:
            for entry in fact["for"]:
                for use in [*FACTS.get(entry, [entry]), *fact.get("not", [])]:
                    if use not in commands and use not in pages.known and use != "help":
                        yield f"facts.json: {list(fact.values())[0]}: unknown command: {use}"
    for key in FACTS["exit"]:
        if key not in commands:
            yield f"facts.json: exit: unknown command: {key}"
    names = {command.page.removeprefix("clip-") for command in commands.values()}
    for name, others in FACTS["see"].items():
        for unknown in {name, *others} - names:
            yield f"facts.json: see: unknown command: {unknown}"
    for command in commands.values():
        listed = {v["name"] for v in FACTS["environment"] if command.concerns(v)}
        help_text = [command.abstract, *command.paragraphs]
        help_text += [a.get("abstract", "") for a in command.arguments]
        for variable in sorted(set(VARIABLE.findall(" ".join(help_text))) - listed):
            yield f"{command.name} --help mentions {variable}, its page does not describe it"


def page_problems(path):
    """The page is ASCII with known macros; groff and mandoc have no warning."""
    macros = {".TH", ".nr", ".ad", ".SH", ".TP", ".PP", ".br", ".EX", ".EE", '.\\"'}
    for number, line in enumerate(path.read_text().split("\n"), 1):
        if not line.isascii() or line.startswith("'"):
            yield f"{path.name}:{number}: unescaped: {line}"
        if line.startswith(".") and line.split()[0] not in macros:
            yield f"{path.name}:{number}: unknown macro: {line}"
    linters = [
        ["groff", "-man", "-Tutf8", "-ww", "-z"], ["mandoc", "-Tlint", "-Wstyle"],
    ]
    for linter in linters:
        if shutil.which(linter[0]):
            result = subprocess.run([*linter, str(path)], capture_output=True, text=True)
            for line in (result.stdout + result.stderr).splitlines():
                yield f"{linter[0]}: {line}"


def check(clip):
    root, version = load(clip)
    pages = Pages(root, version, "2000-01-01")
    problems = [
        *example_problems(root), *help_problems(root, clip), *source_problems(),
        *fact_problems(pages),
    ]
    for option in FACTS["options"]:
        for name in option["names"]:
            arguments = [name, "bash"] if "value" in option else [name]
            if subprocess.run([clip, *arguments], capture_output=True).returncode:
                problems.append(f"facts.json: clip {' '.join(arguments)} fails")
    with tempfile.TemporaryDirectory() as folder:
        for path in pages.write(Path(folder)):
            problems += page_problems(path)
    for problem in problems:
        print(problem)
    print(f"{len(problems)} problems in {len(root.all)} manual pages")
    return 1 if problems else 0
