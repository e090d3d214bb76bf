"""The job `search`: the k nearest vectors of each query, exactly, by brute force over Parquet."""

import json
import sys

from pyspark.sql import functions as F
from pyspark.sql.types import (
    BinaryType, FloatType, IntegerType, StructField, StructType)

from . import tables
from .worker import vectors_of_images, vectors_of_texts

FOUND = StructType([
    StructField("query", IntegerType()), StructField("cosine", FloatType()),
    StructField("name", BinaryType())])


def best(count, matches):
    """Returns the first matches (cosine, name): larger cosines first, then smaller names."""
    return sorted(matches, key=lambda match: (-match[0], match[1]))[:count]


def partial_matches(batches, queries, top):
    """Yields the matches of the rows of one partition, at most `top` for each query."""
    import numpy as np
    import pyarrow as pa

    from .vectors import exact_cosines, margin, matrix, unit

    units = unit(queries)
    slack = 2 * margin(queries.shape[1])
    found = [[] for _ in queries]
    for batch in batches:
        places, rows = matrix(batch.column("embedding"), queries.shape[1])
        if len(places) == 0:
            continue
        names = batch.column("name")
        cosines = unit(rows) @ units.T
        for query in range(len(queries)):
            column = cosines[:, query]
            floor = -np.inf
            if len(column) > top:
                floor = np.partition(column, len(column) - top)[len(column) - top] - slack
            if len(found[query]) == top:
                floor = max(floor, found[query][-1][0] - slack)
            near = np.flatnonzero(column >= floor)
            if len(near) == 0:
                continue
            exact = exact_cosines(rows[near], queries[query:query + 1])
            matches = [
                (float(cosine), names[int(places[row])].as_py())
                for row, cosine in zip(near, exact)]
            found[query] = best(top, found[query] + matches)
    flat = [(query, *match) for query, matches in enumerate(found) for match in matches]
    columns = list(zip(*flat)) or [[], [], []]
    yield pa.RecordBatch.from_arrays(
        [pa.array(columns[0], pa.int32()), pa.array(columns[1], pa.float32()),
         pa.array(columns[2], pa.binary())], names=FOUND.names)


def search(frame, queries, top=10, depth=2):
    """Returns the nearest rows of each query: a list of (cosine, name), best first, for each.

    - frame: the columns `path`, optionally `path_bytes`, and `embedding`.
    - queries: a NumPy array of float32 [queries, dimension].
    - top: the number of matches of each query.
    - depth: the depth of the tree by which the matches of partitions are merged.

    Names are bytes. Equal cosines are in the order of the names. Every vector is compared: n * d
    multiplications for each query.
    """
    if top < 1:
        raise ValueError(f"expected a number of matches of at least 1, found {top}")
    rows = frame.where(F.col("embedding").isNotNull()).select(
        tables.name_column(frame).alias("name"), "embedding")
    partial = rows.mapInArrow(lambda batches: partial_matches(batches, queries, top), FOUND)

    def add(matches, row):
        return merge(matches, {row["query"]: [(row["cosine"], bytes(row["name"]))]})

    def merge(a, b):
        return {
            query: best(top, a.get(query, []) + b.get(query, [])) for query in a.keys() | b.keys()}

    merged = partial.rdd.treeAggregate({}, add, merge, depth)
    return [merged.get(query, []) for query in range(len(queries))]


def check_space(frame, fingerprint):
    """Throws ValueError if the vectors of a table are known to be another model's."""
    stated = frame.schema["embedding"].metadata.get("fingerprint")
    if stated is not None and stated != fingerprint:
        raise ValueError(
            f"the table has vectors of the model with the fingerprint {stated}, the queries have "
            f"{fingerprint}: give the same --weights")


def add_arguments(parser):
    parser.add_argument("table", metavar="PARQUET", nargs="+", help="search this table of vectors")
    parser.add_argument("--text", action="append", default=[], help="search for a text; repeat")
    parser.add_argument("--image", action="append", default=[], help="search for an image; repeat")
    parser.add_argument("--top", type=int, default=10, metavar="K",
                        help="print the K best matches of each query [10]")
    parser.add_argument("--json", action="store_true", help="print one JSON object for each query")


def run(spark, arguments, options):
    import numpy as np

    names = arguments.text + arguments.image
    if not names:
        raise ValueError("expected --text or --image")
    frame = spark.read.parquet(*arguments.table)
    parts = []
    for encode, queries in [(vectors_of_texts, arguments.text),
                            (vectors_of_images, arguments.image)]:
        if queries:
            vectors, worker = encode(options, queries)
            check_space(frame, worker.fingerprint)
            parts.append(np.frombuffer(vectors, "<f4").reshape(len(queries), -1))
    for name, matches in zip(names, search(frame, np.concatenate(parts), arguments.top)):
        if arguments.json:
            print(json.dumps({"query": name, "matches": [
                {"cosine": cosine, "path": path.decode("utf-8", "surrogateescape")}
                for cosine, path in matches]}))
            continue
        if len(names) > 1:
            print(f"== {name}", flush=True)
        for cosine, path in matches:
            sys.stdout.buffer.write(b"%.4f  %s\n" % (cosine, path))
        sys.stdout.flush()
