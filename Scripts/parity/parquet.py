"""Checks that Parquet files are written and read as by pyarrow, DuckDB and Polars.

    python3 -m venv venv && venv/bin/pip install pyarrow duckdb polars pandas numpy
    venv/bin/python Scripts/parity/parquet.py             checks files in both directions
    venv/bin/python Scripts/parity/parquet.py --goldens   writes Tests/Fixtures/parquet/
    venv/bin/python Scripts/parity/parquet.py --speed     1,000,000 x 512 beside a copy of the file

It builds Sources/Files and Sources/CLIPSearch/Parquet with clang and swiftc in a temporary folder,
without SwiftPM. Values are compared to the bit: in files of no rows, one row and many row groups,
of 1, 3 and 512 dimensions, with nulls and with names that are not UTF-8. With pyspark in the
environment and a Java runtime, Spark reads and writes the files, too.
"""

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np
import pandas
import polars
import pyarrow
import pyarrow.parquet

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "Tests" / "Fixtures" / "parquet"
SOURCES = ROOT / "Sources"
ROWS, DIMENSION = 40, 5


def build(folder: Path) -> Path:
    """Builds Scripts/parity/Parquet, and returns the path of the program."""
    objects = []
    flags = ["-package-name", "clip", "-swift-version", "6"]
    for name in ("CFiles", "CSHA256"):
        include = SOURCES / name / "include"
        headers = "\n".join(f'header "{path}"' for path in sorted(include.glob("*.h")))
        module = folder / f"{name}.modulemap"
        module.write_text(f"module {name} {{\n{headers}\nexport *\n}}\n")
        flags += ["-Xcc", f"-fmodule-map-file={module}"]
        for source in sorted((SOURCES / name).glob("*.c")):
            objects.append(folder / f"{name}-{source.stem}.o")
            subprocess.run(["clang", "-O2", "-c", f"-I{include}", source, "-o", objects[-1]],
                           check=True)
    files = sorted((SOURCES / "Files").rglob("*.swift"))
    objects.append(folder / "Files.o")
    subprocess.run(
        ["swiftc", "-O", "-wmo", *flags, "-parse-as-library", "-module-name", "Files",
         "-emit-module", "-emit-module-path", folder / "Files.swiftmodule", "-emit-object", "-o",
         objects[-1], *files], check=True)
    # ParquetTable.swift needs more modules.
    sources = [path for path in sorted((SOURCES / "CLIPSearch" / "Parquet").glob("*.swift"))
               if path.name != "ParquetTable.swift"]
    program = folder / "parquet"
    subprocess.run(
        ["swiftc", "-O", "-wmo", *flags, "-I", folder, "-module-name", "Parquet", *sources,
         ROOT / "Scripts" / "parity" / "Parquet" / "main.swift", *objects, "-o", program],
        check=True)
    return program


def bits(numbers, rows: int, dimension: int) -> np.ndarray:
    return np.asarray(numbers, dtype=np.float32).reshape(rows, dimension).view(np.uint32)


def expected(rows: int) -> dict:
    """The values of the files that Scripts/parity/Parquet writes."""
    names = [f"n{row}".encode() + b"\xff" if row % 3 == 1 else f"é{row}".encode()
             for row in range(rows)]
    return {
        "path": [name.decode(errors="replace") for name in names],
        "path_bytes": [names[row] if row % 3 == 1 else None for row in range(rows)],
        "integer": [None if row % 5 == 0 else row - 50 for row in range(rows)],
        "double": [None if row % 7 == 0 else row / 3 for row in range(rows)],
        "boolean": [None if row % 2 == 0 else row % 4 == 1 for row in range(rows)],
        "required": [row % 3 == 0 for row in range(rows)],
    }


def check_written(path: Path, spark) -> None:
    """Reads a file of ours by every reader."""
    rows, dimension, group = map(int, path.stem.split("-"))
    columns = expected(rows)
    vectors = bits(np.arange(rows * dimension, dtype=np.float32) / np.float32(7), rows, dimension)

    def compare(reader: str, name: str, found, wanted) -> None:
        if found != wanted:
            raise SystemExit(f"{path.name}, {reader}, column {name}:\nexpected: "
                             f"{str(wanted)[:300]}\nfound: {str(found)[:300]}")

    def compare_vectors(reader: str, found) -> None:
        if not np.array_equal(bits(found, rows, dimension), vectors):
            raise SystemExit(f"{path.name}, {reader}: the vectors differ")

    table = pyarrow.parquet.read_table(path, page_checksum_verification=True)
    for name, wanted in columns.items():
        compare("pyarrow", name, table[name].to_pylist(), wanted)
    element = pyarrow.field("element", pyarrow.float32(), nullable=False)
    compare("pyarrow", "embedding's type", table.schema.field("embedding").type,
            pyarrow.list_(element, dimension))
    compare_vectors("pyarrow", table["embedding"].to_pylist())
    metadata = pyarrow.parquet.read_metadata(path)
    compare("pyarrow", "metadata", metadata.metadata[b"clip.model"], b"tiny")
    compare("pyarrow", "row groups", metadata.num_row_groups, -(-rows // group))
    if rows:
        nulls = sum(metadata.row_group(index).column(2).statistics.null_count
                    for index in range(metadata.num_row_groups))
        compare("pyarrow", "nulls", nulls, columns["path_bytes"].count(None))

    frame = polars.read_parquet(path)
    for name, wanted in columns.items():
        compare("Polars", name, frame[name].to_list(), wanted)
    compare("Polars", "embedding's type", frame["embedding"].dtype,
            polars.Array(polars.Float32, dimension))
    compare_vectors("Polars", frame["embedding"].to_list())

    cursor = duckdb.execute(f"SELECT * FROM '{path}'")
    found = cursor.fetchall()
    places = {column[0]: place for place, column in enumerate(cursor.description)}
    for name, wanted in columns.items():
        compare("DuckDB", name, [row[places[name]] for row in found], wanted)
    compare_vectors("DuckDB", [row[places["embedding"]] for row in found])

    frame = pandas.read_parquet(path)
    compare("pandas", "path", frame["path"].tolist(), columns["path"])
    compare_vectors("pandas", [list(row) for row in frame["embedding"]])

    if spark:
        found = spark.read.parquet(str(path)).orderBy("required").collect() if rows else []
        order = {name: row for row, name in enumerate(columns["path"])}
        found = sorted(found, key=lambda row: order[row["path"]])
        for name, wanted in columns.items():
            values = [bytes(row[name]) if isinstance(row[name], bytearray) else row[name]
                      for row in found]
            compare("Spark", name, values, wanted)
        compare_vectors("Spark", [row["embedding"] for row in found])
    print(f"{path.name}: as expected by pyarrow, Polars, DuckDB, pandas"
          f"{', Spark' if spark else ''}")


def golden_table() -> pyarrow.Table:
    """The rows of the fixtures, which the tests compute, too."""
    numbers = [(37 * index % 101 - 50) / 64 for index in range(ROWS * DIMENSION)]
    return pyarrow.table({
        "path": [f"photos/ü{row}.jpg" for row in range(ROWS)],
        "label": [None if row % 4 == 0 else f"label {row % 3}" for row in range(ROWS)],
        "count": pyarrow.array([None if row % 5 == 0 else row - 20 for row in range(ROWS)],
                               pyarrow.int64()),
        "score": [None if row % 7 == 0 else row / 4 for row in range(ROWS)],
        "flag": [None if row % 6 == 0 else row % 2 == 0 for row in range(ROWS)],
        "embedding": pyarrow.FixedSizeListArray.from_arrays(
            pyarrow.array(numbers, pyarrow.float32()), DIMENSION),
    })


def make_goldens(target: Path) -> None:
    """Writes the fixtures: files that are read, and files with an error in row 3."""
    target.mkdir(parents=True, exist_ok=True)
    table = golden_table()

    def write(name: str, table: pyarrow.Table = table, **options) -> None:
        pyarrow.parquet.write_table(table, target / f"{name}.parquet", **options)

    def with_vectors(vectors: list, kind: pyarrow.DataType) -> pyarrow.Table:
        return table.set_column(5, "embedding", pyarrow.array(vectors, pyarrow.list_(kind)))

    small = {"row_group_size": 17, "data_page_size": 128, "write_page_checksum": True}
    for version in ("1.0", "2.0"):
        for codec in ("none", "snappy"):
            write(f"pyarrow-v{version[0]}-{codec}-dictionary", compression=codec,
                  data_page_version=version, **small)
        write(f"pyarrow-v{version[0]}-plain", compression="snappy", data_page_version=version,
              use_dictionary=False, **small)
    vectors = table["embedding"].to_pylist()
    write("pyarrow-double", with_vectors(vectors, pyarrow.float64()))
    write("pyarrow-half", with_vectors([np.float16(row).tolist() for row in vectors],
                                       pyarrow.float16()))
    # Without this type, integers beside nulls become floating-point numbers.
    nullable = {pyarrow.int64(): pandas.Int64Dtype()}.get
    table.to_pandas(types_mapper=nullable).to_parquet(target / "pandas.parquet")
    frame = polars.from_arrow(table)
    frame.write_parquet(target / "polars-snappy.parquet", compression="snappy")
    frame.write_parquet(target / "polars-none.parquet", compression="uncompressed")
    write_duckdb(table, target)
    for name, row in (("short", [1.0, 2.0]), ("empty", []),
                      ("nan", [1.0, float("nan"), 3.0, 4.0, 5.0]),
                      ("element", [1.0, None, 3.0, 4.0, 5.0])):
        write(f"bad-{name}", with_vectors(vectors[:3] + [row] + vectors[4:], pyarrow.float32()))
    without = [None if row in (0, 3, len(vectors) - 1) else vector
               for row, vector in enumerate(vectors)]
    missing = with_vectors(without, pyarrow.float32())
    write("missing", missing)
    # All rows with a vector are texts; all others are images.
    kinds = ["image" if vector is None else "text" for vector in without]
    write("missing-images", missing.select(["path", "embedding"]).append_column("kind", [kinds]))
    # Columns of types that are left out.
    others = {"taken": pyarrow.array([0, 1], pyarrow.date32()),
              "size": pyarrow.array([{"width": 3}, {"width": 4}]),
              "tags": [["a", "b"], None], "label": ["x", "y"]}
    write("odd-columns", pyarrow.table({"path": ["a", "b"], **others, "embedding": vectors[:2]}))
    # A name that is not UTF-8, though its column is annotated as strings.
    names = pyarrow.array([b"a\xff", b"b"]).view(pyarrow.string())
    write("bad-names", pyarrow.table({"path": names, "embedding": vectors[:2]}))
    for codec in ("gzip", "zstd"):
        write(f"bad-{codec}", compression=codec)
    write("bad-delta", use_dictionary=False, column_encoding={"path": "DELTA_BYTE_ARRAY"})
    total = sum(path.stat().st_size for path in target.iterdir())
    assert total < 200_000, total
    print(f"{len(list(target.iterdir()))} files, {total:,} bytes")


def write_duckdb(table: pyarrow.Table, target: Path) -> None:
    connection = duckdb.connect()
    connection.register("golden", table)
    connection.execute(f"COPY golden TO '{target}/duckdb.parquet'")


def printed(table: pyarrow.Table) -> list:
    """The lines that Scripts/parity/Parquet prints for the fixtures, sorted."""
    def text(value) -> str:
        if value is None:
            return "null"
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, str):
            return ",".join(map(str, value.encode()))
        return str(value if isinstance(value, int) else np.float64(value).view(np.uint64))

    lines = [f"rows {table.num_rows}"]
    for name in table.column_names[:-1]:
        lines += [f"{name} {text(value)}" for value in table[name].to_pylist()]
    vectors = np.array(table["embedding"].to_pylist(), dtype=np.float32).view(np.uint32)
    lines += [f"embedding {number}" for number in vectors.ravel()]
    return sorted(lines)


def check_fixture(path: Path) -> None:
    """Reads the file of ours with the rows of the fixtures."""
    wanted = golden_table().to_pylist()
    for reader, found in (
        ("pyarrow", pyarrow.parquet.read_table(path).to_pylist()),
        ("Polars", polars.read_parquet(path).to_dicts()),
        ("DuckDB", duckdb.read_parquet(str(path)).pl().to_dicts()),
    ):
        found = [row | {"embedding": list(row["embedding"])} for row in found]
        if found != wanted:
            raise SystemExit(f"{path.name}, {reader}: expected {wanted[1]}, found {found[1]}")
    print(f"{path.name}: as expected by pyarrow, Polars and DuckDB")


def check_read(program: Path, path: Path, wanted: list) -> None:
    found = subprocess.run([program, "read", path], check=True, capture_output=True, text=True)
    if sorted(found.stdout.splitlines()) != wanted:
        raise SystemExit(f"{path.name}: expected {wanted[:5]}…, found {found.stdout[:500]}")
    print(f"{path.name}: read")


def start_spark():
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        return None
    return (SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
            .getOrCreate())


def speed(program: Path, folder: Path) -> None:
    path, copy = folder / "speed.parquet", folder / "copy.parquet"
    for _ in range(3):
        path.unlink(missing_ok=True)  # so that its removal is not measured
        os.sync()
        found = subprocess.run([program, "speed", path], check=True, capture_output=True, text=True)
        seconds = float(found.stdout)
        os.sync()
        start = time.monotonic()
        subprocess.run(["cp", path, copy], check=True)
        with open(copy, "rb") as file:
            os.fsync(file.fileno())
        copied = time.monotonic() - start
        print(f"written in {seconds:.2f} s, copied in {copied:.2f} s: {copied / seconds:.0%}")
        copy.unlink()
        os.sync()


def main() -> None:
    parser = argparse.ArgumentParser(description="Checks Parquet files beside other software.")
    parser.add_argument("--goldens", action="store_true", help="write Tests/Fixtures/parquet")
    parser.add_argument("--speed", action="store_true", help="compare with a copy of the file")
    arguments = parser.parse_args()
    if arguments.goldens:
        make_goldens(FIXTURES)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = build(folder)
        if arguments.speed:
            return speed(program, folder)
        if arguments.goldens:
            subprocess.run([program, "write", folder], check=True)
            (FIXTURES / "ours.parquet").write_bytes((folder / "ours.parquet").read_bytes())
            return
        spark = start_spark()
        (folder / "written").mkdir()
        subprocess.run([program, "write", folder / "written"], check=True)
        for path in sorted((folder / "written").glob("*-*.parquet")):
            check_written(path, spark)
        ours = folder / "written" / "ours.parquet"
        check_fixture(ours)
        if ours.read_bytes() != (FIXTURES / "ours.parquet").read_bytes():
            raise SystemExit("the writer's files have changed: run with --goldens")
        make_goldens(folder / "goldens")
        wanted = printed(golden_table())
        goldens = sorted((folder / "goldens").glob("*.parquet"))
        for path in goldens + sorted(FIXTURES.glob("*.parquet")):
            if not path.stem.startswith(("bad-", "missing", "odd-")):
                check_read(program, path, wanted)
        if spark:
            frame = spark.read.parquet(str(FIXTURES / "polars-none.parquet"))
            frame.coalesce(1).write.parquet(str(folder / "spark"))
            for path in (folder / "spark").glob("*.parquet"):
                check_read(program, path, wanted)


if __name__ == "__main__":
    main()
