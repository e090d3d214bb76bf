#!/usr/bin/env python3
"""Makes the fixtures of clip export, and checks its outputs with other software.

    Scripts/parity/exports.py --make           writes Tests/Fixtures/exports
    Scripts/parity/exports.py --check CLIP     runs CLIP and compares its outputs

Needs numpy, faiss-cpu and pyarrow; sqlite-vec is checked if it is installed.
"""

import argparse
import json
import pathlib
import sqlite3
import struct
import subprocess
import sys
import tempfile

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "Tests/Fixtures/exports"
NAMES = ["bike.jpg", "a b/\u00fcber 'x'.png", "tab\t.jpg", "dog.webp", "e.jpg"]


def vectors():
    """Five vectors of seven numbers, with float16 ties, subnormals and a negative zero."""
    rows = np.random.default_rng(24).standard_normal((5, 7)).astype("<f4")
    rows[1] = [1 + 2**-11, 1 + 3 * 2**-11, 2**-24, 2**-25, 3 * 2**-25, -0.0, 65504]
    return rows


def write_npy(path):
    np.save(path, vectors())
    fields = [{"cls": 3, "txt": "a bike"}, {}, {"cls": 4}, {"txt": "\u00e9"}, {}]
    lines = [json.dumps({"image": n, **f}, ensure_ascii=False) for n, f in zip(NAMES, fields)]
    path.with_name(path.stem + ".names.jsonl").write_text(
        "\n".join(line.replace('": ', '":').replace(', "', ',"') for line in lines) + "\n")


def make():
    FIXTURES.mkdir(parents=True, exist_ok=True)
    rows = vectors()
    write_npy(FIXTURES / "vectors.npy")
    np.save(FIXTURES / "vectors-f16.npy", rows.astype("<f2"))
    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(rows)
    faiss.write_index(index, str(FIXTURES / "vectors.faiss"))
    (FIXTURES / "vectors.pgcopy").write_bytes(pgcopy(rows, "vector"))
    (FIXTURES / "halfvec.pgcopy").write_bytes(pgcopy(rows, "halfvec"))
    folder = FIXTURES / "retrieval"
    for name in ["img_emb", "metadata"]:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for part, (start, end) in enumerate([(0, 3), (3, 5)]):
        np.save(folder / f"img_emb/img_emb_{part}.npy", rows[start:end].astype("<f2"))
        table = pa.table({
            "image_path": NAMES[start:end], "caption": [f"caption {i}" for i in range(start, end)],
            "width": pa.array(range(start, end), pa.int64())})
        pq.write_table(table, folder / f"metadata/metadata_{part}.parquet")
    folder = FIXTURES / "spark"
    folder.mkdir(exist_ok=True)
    (folder / "_SUCCESS").write_bytes(b"")
    for part, (start, end) in enumerate([(0, 2), (2, 5)]):
        table = pa.table({
            "path": NAMES[start:end],
            "embedding": pa.array(rows[start:end].tolist(), pa.list_(pa.float32()))})
        pq.write_table(table, folder / f"part-0000{part}-c000.snappy.parquet")


def pgcopy(rows, kind):
    """PostgreSQL's binary COPY, written by its documentation alone."""
    out = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
    letter = "f" if kind == "vector" else "e"
    for number, (name, row) in enumerate(zip(NAMES, rows), 1):
        text = name.encode()
        vector = struct.pack(f"!hh{len(row)}{letter}", len(row), 0, *row.tolist())
        out += struct.pack("!hiq", 3, 8, number)
        out += struct.pack("!i", len(text)) + text + struct.pack("!i", len(vector)) + vector
    return out + struct.pack("!h", -1)


def equal(what, found, expected):
    if found != expected:
        sys.exit(f"{what} differs:\nfound    {found!r:.500}\nexpected {expected!r:.500}")
    print(f"{what}: equal")


def check(clip):
    rows = vectors()
    half = rows.astype("<f2")
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        write_npy(place / "x.npy")

        def export(target, output, *options):
            path = place / output
            subprocess.run(
                [clip, "export", place / "x.npy", "--to", target, "-o", path, "-q", *options],
                check=True)
            return path

        path = export("faiss", "y.faiss")
        equal("faiss", path.read_bytes(), (FIXTURES / "vectors.faiss").read_bytes())
        index = faiss.read_index(str(path))
        equal("faiss's search", index.search(rows[:1], 1)[1].tolist(),
              [[int(np.argmax(rows @ rows[0]))]])
        equal("pgvector", export("pgvector", "y.pgcopy").read_bytes(), pgcopy(rows, "vector"))
        equal("halfvec", export("pgvector", "z.pgcopy", "--type", "halfvec").read_bytes(),
              pgcopy(rows, "halfvec"))
        table = pq.read_table(export("parquet", "y.parquet"))
        equal("columns", table.column_names, ["path", "cls", "txt", "embedding"])
        equal("paths", table["path"].to_pylist(), NAMES)
        equal("cls", table["cls"].to_pylist(), [3, None, 4, None, None])
        equal("Parquet's vectors",
              np.array(table["embedding"].to_pylist(), "<f4").tobytes(), rows.tobytes())
        folder = export("clip-retrieval", "folder")
        found = np.load(folder / "img_emb/img_emb_0.npy")
        equal("float16", (found.dtype.str, found.tobytes()), ("<f2", half.tobytes()))
        table = pq.read_table(folder / "metadata/metadata_0.parquet")
        equal("metadata", table.column_names, ["image_path", "cls", "caption"])
        equal("image_path", table["image_path"].to_pylist(), NAMES)
        batches = [json.loads(line)["batch"] for line in export(
            "qdrant", "y.ndjson", "--batch-size", "2", "--first-id", "7").open()]
        equal("ids", [b["ids"] for b in batches], [[7, 8], [9, 10], [11]])
        equal("Qdrant's vectors", np.array(sum([b["vectors"] for b in batches], []), "<f4")
              .tobytes(), rows.tobytes())
        equal("payloads", [p["path"] for b in batches for p in b["payloads"]], NAMES)
        check_sqlite(export("sqlite-vec", "y.sql"), rows)


def check_sqlite(script, rows):
    try:
        import sqlite_vec
    except ImportError:
        return print("sqlite-vec: not installed")
    database = sqlite3.connect(":memory:")
    database.enable_load_extension(True)
    sqlite_vec.load(database)
    database.executescript(script.read_text())
    equal("sqlite-vec's names", database.execute("select * from images").fetchall(),
          list(enumerate(NAMES, 1)))
    found = database.execute("select embedding from images_vec order by rowid").fetchall()
    equal("sqlite-vec's vectors", b"".join(f[0] for f in found), rows.tobytes())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--make", action="store_true")
    parser.add_argument("--check", metavar="CLIP")
    arguments = parser.parse_args()
    if arguments.make:
        make()
    if arguments.check:
        check(arguments.check)


if __name__ == "__main__":
    main()
