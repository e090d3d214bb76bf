#!/usr/bin/env python3
"""Reads the Parquet of clip with pyarrow, DuckDB, Polars and PySpark: equal to the bit to the .npy.

Names are compared, too, among them some that are not UTF-8 (the column path_bytes).
"""

import json
import os
import pathlib

import numpy

import common
from common import check

ODD = [b"a/caf\xe9.jpg", b"a/\xff\xfe.jpg", "a/caf\u00e9.jpg".encode(), b"a/it's \"q\", x.jpg"]


def table(options):
    """Returns the path of an .npy, some of whose names are not UTF-8, and its table."""
    source = common.synthetic_vectors(options, options.vectors)
    index = options.work / "odd.npy"
    base = os.fspath(index).removesuffix(".npy")
    if not index.exists():
        numpy.save(index, numpy.load(source))
        names = common.names_of(source)
        names[10:10 + len(ODD)] = ODD
        with open(base + ".names.jsonl", "w", encoding="utf-8") as file:
            for name in names:
                line = {"image": name.decode("utf-8", "surrogateescape")}
                file.write(json.dumps(line) + "\n")
        record = pathlib.Path(os.fspath(source).removesuffix(".npy") + ".model.json")
        pathlib.Path(base + ".model.json").write_bytes(record.read_bytes())
    file = options.work / "odd.parquet"
    file.unlink(missing_ok=True)
    common.clip(options, "export", index, "--to", "parquet", "-o", file)
    return index, file


def names_of(paths, raw):
    return [bytes(b) if b is not None else p.encode() for p, b in zip(paths, raw)]


def by_pyarrow(file):
    import pyarrow.parquet

    read = pyarrow.parquet.read_table(file)
    column = read["embedding"].combine_chunks()
    print(f"        pyarrow {pyarrow.__version__}: {column.type}")
    vectors = column.flatten().to_numpy().reshape(len(column), -1)
    return names_of(read["path"].to_pylist(), read["path_bytes"].to_pylist()), vectors


def by_duckdb(file):
    import duckdb

    rows = duckdb.sql(
        f"SELECT path, path_bytes, embedding FROM read_parquet('{file}')").fetchnumpy()
    raw = [None if b is None or b is numpy.ma.masked else b for b in rows["path_bytes"]]
    return names_of(rows["path"], raw), numpy.stack(list(rows["embedding"]))


def by_polars(file):
    import polars

    rows = polars.read_parquet(file)
    vectors = rows["embedding"].explode().to_numpy().reshape(len(rows), -1)
    return names_of(rows["path"].to_list(), rows["path_bytes"].to_list()), vectors


def by_pyspark(file):
    from pyspark.sql import SparkSession

    spark = (SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
             .config("spark.driver.host", "127.0.0.1")
             .config("spark.driver.bindAddress", "127.0.0.1")
             .config("spark.driver.maxResultSize", "0").getOrCreate())
    try:
        read = spark.read.parquet(str(file)).toArrow()
    finally:
        spark.stop()
    vectors = read["embedding"].combine_chunks().flatten().to_numpy().reshape(read.num_rows, -1)
    return names_of(read["path"].to_pylist(), read["path_bytes"].to_pylist()), vectors


def main():
    options = common.arguments(__doc__.splitlines()[0], vectors=20_000)
    index, file = table(options)
    names, vectors = common.names_of(index), numpy.load(index)
    for label, read in [("pyarrow", by_pyarrow), ("DuckDB", by_duckdb), ("Polars", by_polars),
                        ("PySpark", by_pyspark)]:
        found, rows = read(file)
        check(common.same_vectors(rows, vectors), f"{label}: vectors equal to the bit")
        check(found == names, f"{label}: names equal, {len(ODD)} odd ones among them")
    common.finish()


if __name__ == "__main__":
    main()
