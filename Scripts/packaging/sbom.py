#!/usr/bin/env python3
"""Writes a software bill of materials of a package, in CycloneDX 1.5's JSON.

    sbom.py --package FILE --version VERSION --binary FILE --swift VERSION --kind KIND PACKAGE...

KIND is static, if the Debian PACKAGEs are linked into the binary, or shared, if they are the
package's dependencies. The Swift packages come from Scripts/packaging/dependencies.json, versions
from dpkg-query. The output depends on nothing but these and SOURCE_DATE_EPOCH.
"""

import argparse
import datetime
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import uuid

HERE = pathlib.Path(__file__).parent
SWIFT = "Apache-2.0 WITH Swift-exception"
SWIFT_LICENCES = {
    "swift-argument-parser": SWIFT,
    "swift-atomics": SWIFT,
    "swift-collections": SWIFT,
    "swift-system": SWIFT,
    "swift-nio": "Apache-2.0",
}
# By the beginning of the name of the Debian package.
DEBIAN_LICENCES = {
    "libc6": "LGPL-2.1-or-later",
    "libgcc": "GPL-3.0-or-later WITH GCC-exception-3.1",
    "libstdc++": "GPL-3.0-or-later WITH GCC-exception-3.1",
    "libjpeg": "IJG AND BSD-3-Clause AND Zlib",
    "libpng": "libpng-2.0",
    "libwebp": "BSD-3-Clause",
    "libsharpyuv": "BSD-3-Clause",
    "libsqlite3": "blessing",
    "zlib1g": "Zlib",
}


def sha256(path):
    return {"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}


def licence(table, name):
    for start, expression in table.items():
        if name.startswith(start):
            return [{"expression": expression}]
    sys.exit(f"sbom.py does not know the licence of {name}; add it to the table")


def swift_package(pin):
    state, location = pin["state"], pin["location"].removesuffix(".git")
    path = location.removeprefix("https://")
    reference = f"pkg:swift/{path}@{state['version']}"
    return {
        "type": "library",
        "bom-ref": reference,
        "name": pin["identity"],
        "version": state["version"],
        "licenses": licence(SWIFT_LICENCES, pin["identity"]),
        "purl": reference,
        "externalReferences": [{"type": "vcs", "url": f"{location}/tree/{state['revision']}"}],
    }


def installed(package, field):
    output = subprocess.run(
        ["dpkg-query", "-W", "-f=${%s}\n" % field, package],
        check=True, capture_output=True, text=True,
    )
    return output.stdout.splitlines()[0]


def debian_package(name, static):
    version, architecture = installed(name, "Version"), installed(name, "Architecture")
    quoted = version.replace("+", "%2B").replace(":", "%3A")
    reference = f"pkg:deb/debian/{name.replace('+', '%2B')}@{quoted}?arch={architecture}"
    component = {
        "type": "library",
        "bom-ref": reference,
        "name": name,
        "version": version,
        "licenses": licence(DEBIAN_LICENCES, name),
        "purl": reference,
        "properties": [{"name": "clip:linkage", "value": "static" if static else "shared"}],
    }
    if static:
        files = subprocess.run(
            ["dpkg-query", "-L", name], check=True, capture_output=True, text=True
        ).stdout.split("\n")
        archives = sorted(f for f in files if re.search(r"\.a$", f) and os.path.isfile(f))
        component["components"] = [
            {"type": "file", "name": path, "hashes": [sha256(pathlib.Path(path))]}
            for path in archives if not os.path.islink(path)
        ]
    return component


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for option in ("--package", "--binary"):
        parser.add_argument(option, type=pathlib.Path, required=True)
    for option in ("--version", "--swift"):
        parser.add_argument(option, required=True)
    parser.add_argument("--kind", choices=("static", "shared"), required=True)
    parser.add_argument("packages", nargs="*")
    given = parser.parse_args()

    pins = json.loads((HERE / "dependencies.json").read_text())["pins"]
    runtime = f"pkg:swift/github.com/swiftlang/swift@{given.swift}"
    components = [
        swift_package(pin) for pin in sorted(pins, key=lambda pin: pin["identity"])
    ] + [{
        "type": "framework",
        "bom-ref": runtime,
        "name": "swift",
        "version": given.swift,
        "description": "Swift's runtime, standard library, Foundation Essentials and libdispatch",
        "licenses": [{"expression": SWIFT}],
        "purl": runtime,
    }] + [
        debian_package(name, given.kind == "static") for name in sorted(set(given.packages))
    ]

    package_hash = sha256(given.package)
    time = datetime.datetime.fromtimestamp(
        int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
    root = f"clip@{given.version}"
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, package_hash['content'])}",
        "version": 1,
        "metadata": {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": "clip",
                "version": given.version,
                "licenses": [{"expression": "MIT"}],
                "hashes": [package_hash],
                "components": [
                    {"type": "file", "name": "bin/clip", "hashes": [sha256(given.binary)]}
                ],
            },
        },
        "components": components,
        "dependencies": [
            {"ref": root, "dependsOn": sorted(part["bom-ref"] for part in components)}
        ],
    }
    json.dump(document, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
