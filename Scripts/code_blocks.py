#!/usr/bin/env python3
"""Writes the Swift code blocks of README, DocC and doc comments to a file that the tests compile.

    python3 Scripts/code_blocks.py            writes Tests/ClipCommandTests/CodeBlocks.swift
    python3 Scripts/code_blocks.py --check    fails if the file is out of date

Each block becomes the body of a function. Its imports go to the top of the file, and undeclared
names become parameters, with the types in NAMES. A block of another language, such as a part of a
Package.swift, is marked with that language or none.
"""

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "Tests" / "ClipCommandTests" / "CodeBlocks.swift"
PUBLIC = ["CLIP", "CLIPAnalysis", "CLIPHub", "CLIPSearch", "CLIPServer"]

# The types of names that blocks use without declaring them.
NAMES = {
    "bike": "RGBImage",
    "buffer": "[UInt8]",
    "classifier": "ZeroShotClassifier",
    "cosines": "[Float]",
    "data": "[UInt8]",
    "embeddings": "Embeddings",
    "dog": "[Float]",
    "folder": "String",
    "hub": "ModelHub",
    "frame": "[UInt8]",
    "image": "RGBImage",
    "images": "[RGBImage]",
    "index": "FolderIndex",
    "labels": "[String]",
    "model": "CLIPModel",
    "mountain": "RGBImage",
    "path": "String",
    "paths": "[String]",
    "query": "[Float]",
    "texts": "[String]",
    "vector": "[Float]",
    "vectors": "Embeddings",
}
# Other types of these names in single files.
EXCEPTIONS = {
    "VectorIndex": {"index": "VectorIndex"},
    "EmbeddingFileError": {"embeddings": "NamedEmbeddings"},
}


def blocks(text: str) -> list[str]:
    """Returns the code between ```swift and ```, without the indentation of the fence."""
    found = re.findall(r"^( *)```swift *\n(.*?)^\1``` *$", text, re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", code, flags=re.MULTILINE) for indent, code in found]


def doc_comments(source: str) -> str:
    """Returns the doc comments of a Swift file without slashes; other lines are empty."""
    lines = [re.match(r"\s*/// ?(.*)", line) for line in source.splitlines()]
    return "\n".join(line.group(1) if line else "" for line in lines) + "\n"


def declares(code: str, name: str) -> bool:
    patterns = [
        rf"\b(?:let|var|func|for|case)\s+(?:let\s+)?(?:\([^)]*\b)?{name}\b",  # let x, for (i, x)
        rf"\{{\s*\(?(?:[\w, ]+, )?{name}\b[\w, )]*(?:\s+throws(?:\(\w+\))?)?\s+in\b",  # {{ x in
    ]
    return any(re.search(pattern, code) for pattern in patterns)


def uses(code: str, name: str) -> bool:
    code = re.sub(r"//[^\n]*", "", code)
    # Neither a member nor an argument label; a string may use it by interpolation.
    bare = re.sub(r'"(?:\\\(([^)]*)\)|\\.|[^"\\\n])*"', lambda found: " ".join(
        re.findall(r"\\\(([^)]*)\)", found.group())), code)
    return bool(re.search(rf"(?<![\w.]){name}\b(?!\s*:)", bare))


def function(name: str, number: int, source: str, code: str) -> str:
    types = dict(NAMES)
    for part, others in EXCEPTIONS.items():
        if part in Path(source).name:
            types |= others
    parameters = [
        f"{key}: {kind}" for key, kind in sorted(types.items()) if uses(code, key)
        and not declares(code, key)
    ]
    lines = [f"    {line}".rstrip() for line in code.rstrip().splitlines()]
    # Avoids warnings about unused variables.
    for declared in re.findall(r"^(?:let|var) (\w+|\([\w, ]+\))", code, re.MULTILINE):
        lines.append(f"    _ = {declared}")
    # URL is there with the trait Foundation alone.
    before, after = (["#if Foundation"], ["#endif"]) if "URL(" in code else ([], [])
    effects = "async throws" if "await " in code else "throws"
    head = f"func {name}({', '.join(parameters)}) {effects} {{"
    if len(head) > 100:
        head = f"func {name}(\n    {', '.join(parameters)}\n) {effects} {{"
    return "\n".join(
        [
            *before,
            f"// {source}, block {number}",
            head,
            *lines,
            "}",
            *after,
        ])


def documents() -> list[tuple[str, str]]:
    """Returns the name and the text of each file that may have blocks."""
    paths = [ROOT / "README.md", *sorted((ROOT / "Sources").glob("*/*.docc/**/*.md"))]
    found = [(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in paths]
    for path in sorted((ROOT / "Sources").rglob("*.swift")):
        found.append((str(path.relative_to(ROOT)), doc_comments(path.read_text(encoding="utf-8"))))
    return found


def contents() -> str:
    imports = {name for name in PUBLIC if (ROOT / "Sources" / name).is_dir()} | {"Foundation"}
    functions = []
    for source, text in documents():
        for number, code in enumerate(blocks(text), 1):
            imports |= set(re.findall(r"^import (\w+)$", code, re.MULTILINE))
            if source.startswith("Sources/"):
                room = source.split("/")[1]
                imports.add("CLIP" if room == "Tokenizers" else room)  # CLIP exports Tokenizers
            code = re.sub(r"^import \w+\n+", "", code, flags=re.MULTILINE)
            stem = re.sub(r"\W", "_", source.removeprefix("Sources/").removesuffix(
                ".md").removesuffix(".swift"))
            functions.append(function(f"{stem}_{number}", number, source, code))
    assert functions, "no code block was found"
    return "\n".join([
        "// Written by Scripts/code_blocks.py from the code blocks of README, DocC and doc "
        "comments.",
        "// swift-format-ignore-file", "", *(f"import {name}" for name in sorted(imports)), "",
        "\n\n".join(functions), ""])


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes the code blocks of the documentation for "
                                                 "the tests.")
    parser.add_argument("--check", action="store_true", help="fail if the file is out of date")
    text = contents()
    if not parser.parse_args().check:
        TARGET.write_text(text, encoding="utf-8")
    elif not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text:
        sys.exit("Tests/ClipCommandTests/CodeBlocks.swift differs: run python3 "
                 "Scripts/code_blocks.py")


if __name__ == "__main__":
    main()
