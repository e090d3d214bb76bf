#!/usr/bin/env python3
"""Checks the architecture: imports, unsafe pointers, lengths and names of the files in Sources.

    python3 Scripts/imports.py               checks this package and prints the imports
    python3 Scripts/imports.py --root DIR    checks another package
    python3 Scripts/imports.py --self-test   checks the checks, on a package in a temporary folder

The rules:

- A module imports only what MODULES allows, in Swift and in C. No arrow points up or sideways.
- Foundation is for the command; in libraries, only files whose names begin with Foundation import
  it.
- Package.swift declares the modules that a module imports, and no others.
- Unsafe pointers occur only in UNSAFE_MODULES and UNSAFE_FILES.
- No file has more than LONGEST lines, and no type has the name of a module.

Each violation is one line, file:line: reason. The exit status is 1 if there are any.
"""

import argparse
import re
import sys
import tempfile
from pathlib import Path

LIBRARIES = [
    "CLIPServer", "CLIPAnalysis", "CLIPSearch", "CLIPHub", "CLIP", "Tokenizers", "TensorFiles",
    "Images", "Tensors", "Files",
]

# The modules that each module may import, from the top down.
MODULES = {
    "ClipCommand": {*LIBRARIES, "ArgumentParser", "CBundledModel", "CPages", "CVersion"},
    "CLIPServer": {
        "CLIPSearch", "CLIPHub", "CLIP", "NIOCore", "NIOPosix", "NIOHTTP1", "CServerFiles",
    },
    "CLIPAnalysis": {"CLIP", "Tensors"},
    "CLIPSearch": {"CLIP", "Images", "Tensors", "CSQLite"},
    "CLIPHub": {"CLIP", "CHTTP", "CModelRegistry"},
    "CLIP": {"Tokenizers", "TensorFiles", "Images", "Tensors"},
    "Tokenizers": {"CVocabulary"},
    "TensorFiles": {"Tensors"},
    "Images": {"CImageCodecs", "CKernels", "CThreads"},
    "Tensors": {"CKernels", "CThreads", "CBLAS"},
    "Files": {"CSHA256", "CFiles"},
    "CImageCodecs": {"CPNG", "CJPEG", "CWebP"},
}
EVERYWHERE = {"Files", "Synchronization", "Glibc", "Musl", "Darwin"}
FOUNDATION = {"Foundation", "FoundationEssentials"}
# Image types of Apple's frameworks, where they can be imported.
FRAMEWORKS = {"Images": {"CoreGraphics", "CoreVideo"}, "CLIP": {"CoreGraphics", "CoreVideo"}}

UNSAFE_MODULES = {"Files", "Tensors", "Images"}
# The wrapper of each C library or compiled-in table.
UNSAFE_FILES = {
    "CLIPServer": {"ServerFiles.swift"},
    "CLIPSearch": {"SQLite.swift"},
    "CLIP": {"AppleImages.swift"},
    "CLIPHub": {"HTTP.swift", "Registry.swift"},
    "Tokenizers": {"Vocabulary.swift"},
    "ClipCommand": {"BundledModel.swift", "PageTemplate.swift"},
}
UNSAFE = re.compile(r"\b(?:withUnsafe|Unsafe|unsafeBitCast)(?!\w*Continuation)\w*")

LONGEST = 400
TEXT = {".swift", ".c", ".h", ".js", ".css", ".html", ".md"}
IMPORT = re.compile(
    r"^\s*(?:@\w+(?:\(\w+\))?\s+)*(?:(?:public|package|internal|private|fileprivate)\s+)?"
    r"import\s+(?:(?:struct|class|enum|protocol|typealias|func|let|var)\s+)?(\w+)")
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')
# At the beginning of a line, so not within another type.
TYPE = re.compile(r"^(?:@\w+\s+|[a-z]+\s+)*(?:struct|class|enum|actor|protocol|typealias)\s+(\w+)")


def blanked(text: str) -> str:
    """Returns Swift source with blanked comments and string literals, line by line."""
    pattern = re.compile(
        r'//[^\n]*|/\*.*?\*/|#+"(?:.*?)"#+|"""(?:\\.|.)*?"""|"(?:\\.|[^"\\\n])*"', re.DOTALL)
    return pattern.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), text)


class Package:
    """The modules in Sources, their imports, and the violations found."""

    def __init__(self, root: Path):
        self.root = root
        self.errors = []
        self.folders = {path.name: path for path in sorted((root / "Sources").iterdir())
                        if path.is_dir()}
        self.headers = {
            header.name: name
            for name, folder in self.folders.items()
            for header in folder.glob("include/*.h")
        }
        # Module -> imported module -> the first place that imports it.
        self.imports = {name: {} for name in self.folders}
        for name, folder in self.folders.items():
            for path in sorted(folder.rglob("*")):
                if path.suffix in TEXT:
                    self.read(name, path)
        self.check_manifest()

    def error(self, path: Path, line: int, reason: str) -> None:
        self.errors.append(f"{path.relative_to(self.root)}:{line}: {reason}")

    def read(self, module: str, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        if len(lines) > LONGEST:
            self.error(path, LONGEST + 1, f"{len(lines)} lines; the limit is {LONGEST}")
        if path.suffix in (".c", ".h"):
            for number, line in enumerate(lines, 1):
                if found := INCLUDE.match(line):
                    target = self.headers.get(Path(found.group(1)).name, module)
                    if target != module:
                        self.add(module, target, path, number)
        elif path.suffix == ".swift":
            for number, line in enumerate(blanked(text).splitlines(), 1):
                self.read_swift(module, path, number, line)

    def read_swift(self, module: str, path: Path, number: int, line: str) -> None:
        if found := IMPORT.match(line):
            self.add(module, found.group(1), path, number)
        elif (found := TYPE.match(line)) and found.group(1) in self.folders:
            self.error(path, number, f"the type {found.group(1)} has the name of a module")
        if module in UNSAFE_MODULES or path.name in UNSAFE_FILES.get(module, ()):
            return
        if found := UNSAFE.search(line):
            self.error(path, number, f"{found.group()} in {module}; unsafe pointers belong in "
                       f"{', '.join(sorted(UNSAFE_MODULES))} or a wrapper of a C library")

    def add(self, module: str, imported: str, path: Path, line: int) -> None:
        self.imports[module].setdefault(imported, (path, line))
        if imported in FOUNDATION:
            if module != "ClipCommand" and not path.name.startswith("Foundation"):
                self.error(path, line, f"{module} imports {imported} outside of Foundation*.swift")
        elif module not in MODULES and not module.startswith("C"):
            self.error(path, line, f"{module} is in no line of the table")
        elif imported not in self.allowed(module):
            self.error(path, line, f"{module} may not import {imported}")

    @staticmethod
    def allowed(module: str) -> set:
        return (MODULES.get(module, set()) | EVERYWHERE | FRAMEWORKS.get(module, set())) - {module}

    def check_manifest(self) -> None:
        path = self.root / "Package.swift"
        for module, (line, declared) in self.manifest(path).items():
            if module not in self.folders:
                continue
            for name in sorted(declared - self.allowed(module)):
                self.error(path, line, f"{module} may not depend on {name}")
            has_swift = any(self.folders[module].rglob("*.swift"))
            unused = (declared & self.allowed(module)) - self.imports[module].keys()
            for name in sorted(unused) if has_swift else []:
                self.error(path, line, f"{module} depends on {name} and does not import it")
            known = self.folders.keys() | {"ArgumentParser"}
            for name in sorted((self.imports[module].keys() & known) - declared):
                self.error(path, line, f"{module} imports {name} and does not depend on it")

    @staticmethod
    def manifest(path: Path) -> dict:
        """Returns the line and the dependencies of each target in Package.swift."""
        # Comments are removed, strings are kept.
        text = re.sub(
            r'("(?:\\.|[^"\\\n])*")|//[^\n]*', lambda found: found.group(1) or "", path.read_text())
        targets = {}
        for start in re.finditer(r"\.(?:target|executableTarget|systemLibrary)\(\s*name:\s*\"(\w+)\"", text):
            end = closing(text, text.index("(", start.start()))
            body = text[start.end():end]
            names = set()
            if found := re.search(r"\bdependencies:\s*\[", body):
                listed = body[found.end():closing(body, found.end() - 1)]
                # In .product(name: "A", package: "b") and .target(name: "A", condition: …), the
                # name counts.
                listed = re.sub(
                    r'\.\w+\(\s*name:\s*("\w+").*?(?=,\s*(?:"|\.product|\.target)|$)', r"\1",
                    listed,
                    flags=re.DOTALL)
                names = set(re.findall(r'"(\w+)"', listed))
            elif "condition:" in body or "dependencies:" not in body and start.group(1) in targets:
                continue  # a target that another one names
            targets[start.group(1)] = (text.count("\n", 0, start.start()) + 1, names)
        return targets

    def table(self) -> str:
        order = [name for name in MODULES if name in self.folders]
        order += [name for name in self.folders if name not in order and self.imports[name]]
        width = max(map(len, order), default=0)
        return "\n".join(
            f"{name:{width}} -> {', '.join(sorted(self.imports[name])) or 'nothing'}"
            for name in order)


def closing(text: str, start: int) -> int:
    """Returns the place of the bracket that closes the one at `start`, ignoring strings."""
    depth = 0
    for found in re.finditer(r'"(?:\\.|[^"\\\n])*"|[()\[\]]', text[start:]):
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(found.group(), 0)
        if depth == 0:
            return start + found.start()
    raise SystemExit("Package.swift: brackets are not balanced")


SAMPLE = {
    "Package.swift": """// swift-tools-version: 6.2
let package = Package(
    targets: [
        // .target(name: "CLIP", dependencies: ["ClipCommand"]),
        .target(name: "CLIP", dependencies: ["Tensors", "Files"]),
        .executableTarget(
            name: "ClipCommand",
            dependencies: [
                "CLIP", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),
        .target(name: "Tensors", dependencies: ["Files", "CKernels"]),
        .target(name: "CKernels"),
        .target(
            name: "CImageCodecs",
            dependencies: ["CPNG", .target(name: "CWebP", condition: .when(traits: ["WebP"]))]),
        .target(name: "Files"),
        .testTarget(name: "CLIPTests", dependencies: ["CLIP", "CSQLite"]),
    ])
""",
    "Sources/ClipCommand/Clip.swift": "@preconcurrency import ArgumentParser\nimport CLIP\nimport "
                                      "Foundation\n",
    "Sources/CLIP/CLIPModel.swift": """public import Tensors
    internal import Files
/* import Foundation */ // import ClipCommand
let a = "UnsafePointer"
""",
    "Sources/Tensors/Matrix.swift": "internal import CKernels\npackage import Files\nlet p: "
                                    "UnsafePointer<Float>\n",
    "Sources/CKernels/loops.c": '#include "include/CKernels.h"\n#include <stdint.h>\n',
    "Sources/CKernels/include/CKernels.h": "",
    "Sources/CImageCodecs/png.c": "#include <png.h>\n",
    "Sources/Files/Paths.swift": "internal import Glibc\n",
}


def declaring(*names: str) -> str:
    """Returns the sample's Package.swift with other dependencies of CLIP."""
    listed = ", ".join(f'"{name}"' for name in names)
    return SAMPLE["Package.swift"].replace('"Tensors", "Files"', listed)


# A changed file, and the expected violation; None if there is none.
VIOLATIONS = [
    ("Sources/Tensors/Up.swift", "@_exported import CLIP\n",
     "Sources/Tensors/Up.swift:1: Tensors may not import CLIP"),
    ("Sources/CLIP/Side.swift", "\n@testable public import struct ClipCommand.Clip\n",
     "Sources/CLIP/Side.swift:2: CLIP may not import ClipCommand"),
    ("Sources/CLIP/Text.swift", "import Foundation\n",
     "Sources/CLIP/Text.swift:1: CLIP imports Foundation outside of Foundation*.swift"),
    ("Sources/CLIP/FoundationURL.swift", "public import Foundation\n", None),
    ("Sources/CLIP/Raw.swift", "let a = 1\nx.withUnsafeBytes { _ in }\n",
     "Sources/CLIP/Raw.swift:2: withUnsafeBytes in CLIP"),
    ("Sources/CLIP/Async.swift", "await withUnsafeThrowingContinuation { _ in }\n", None),
    ("Sources/CLIP/Long.swift", "\n" * 401, "Sources/CLIP/Long.swift:401: 401 lines"),
    ("Sources/Files/Name.swift", "public struct Files {}\n",
     "Sources/Files/Name.swift:1: the type Files has the name of a module"),
    ("Sources/CImageCodecs/up.c", '#include "CKernels.h"\n',
     "Sources/CImageCodecs/up.c:1: CImageCodecs may not import CKernels"),
    ("Sources/New/New.swift", "import CLIP\n",
     "Sources/New/New.swift:1: New is in no line of the table"),
    ("Package.swift", declaring("Tensors", "Files", "ClipCommand"),
     "Package.swift:5: CLIP may not depend on ClipCommand"),
    ("Package.swift", declaring("Tensors", "Files", "Images"),
     "Package.swift:5: CLIP depends on Images and does not import it"),
    ("Package.swift", declaring("Tensors"),
     "Package.swift:5: CLIP imports Files and does not depend on it"),
]


def self_test() -> None:
    for name, text, expected in [(None, None, None), *VIOLATIONS]:
        with tempfile.TemporaryDirectory() as folder:
            for path, content in (SAMPLE | ({name: text} if name else {})).items():
                (Path(folder) / path).parent.mkdir(parents=True, exist_ok=True)
                (Path(folder) / path).write_text(content)
            package = Package(Path(folder))
        # One violation causes no others, except that an import is not declared.
        errors = [
            error for error in package.errors if "does not depend on it" not in error
            or error == expected
        ]
        found = "; ".join(errors)
        good = found.startswith(expected) and len(errors) == 1 if expected else not errors
        if not good:
            sys.exit(f"self-test failed\ninput: {name}\n{text}\nexpected: {expected}\nfound: "
                     f"{found or None}")
        if name is None and "Tensors      -> CKernels, Files\n" not in package.table():
            sys.exit(f"self-test failed\nexpected: Tensors -> CKernels, "
                     f"Files\nfound:\n{package.table()}")
    print(f"self-test: {len(VIOLATIONS) + 1} packages as expected")


def main() -> None:
    parser = argparse.ArgumentParser(description="Checks the architecture of Sources.")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[1])
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    if arguments.self_test:
        return self_test()
    package = Package(arguments.root)
    print(package.table())
    print("\n".join(package.errors), file=sys.stderr, end="\n" if package.errors else "")
    sys.exit(bool(package.errors))


if __name__ == "__main__":
    main()
