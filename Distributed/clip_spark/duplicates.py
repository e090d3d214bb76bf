"""The job `near-duplicates`: all pairs of vectors with a cosine of at least a threshold, exactly.

The rows are divided into blocks by a hash of their names, and every pair of blocks is compared by
one task at a time: n * n / 2 dot products in all, and blocks * n rows in the shuffle. Two blocks of
float32 vectors must fit into the memory of a task.
"""

from pyspark.sql import functions as F
from pyspark.sql.types import (
    BinaryType, FloatType, IntegerType, StringType, StructField, StructType)

from . import tables
from .batches import not_utf8

PAIR = StructType([
    StructField("path_a", StringType()), StructField("path_b", StringType()),
    StructField("path_bytes_a", BinaryType()), StructField("path_bytes_b", BinaryType()),
    StructField("cosine", FloatType())])
GROUP = StructType([
    StructField("group", IntegerType()), StructField("path", StringType()),
    StructField("path_bytes", BinaryType())])
# The rows of a block unless the caller decides, and of a tile, whose cosines take 16 MB.
BLOCK_ROWS = 20_000
TILE = 2048


def near_duplicates(frame, threshold, blocks=None):
    """Returns the pairs of rows whose cosine is at least the threshold.

    - frame: the columns `path`, optionally `path_bytes`, and `embedding`.
    - threshold: a cosine, -1 to 1. The cosine of a pair is computed in float64, rounded to float32
      and then compared.
    - blocks: the number of blocks; None for one for 20,000 rows.

    The columns are path_a, path_b, path_bytes_a and path_bytes_b (null if the path is UTF-8), and
    cosine; the bytes of path_a are before those of path_b. The pairs do not depend on blocks and
    partitions.
    """
    rows = frame.where(F.col("embedding").isNotNull()).select(
        tables.name_column(frame).alias("name"), "embedding")
    if blocks is None:
        blocks = max(1, -(-rows.count() // BLOCK_ROWS))
    block = F.pmod(F.xxhash64("name"), F.lit(blocks)).cast("int")
    others = F.explode(F.sequence(F.lit(0), F.lit(blocks - 1)))
    rows = rows.withColumn("block", block).withColumn("other", others)
    rows = rows.withColumn(
        "pair", F.least("block", "other") * F.lit(blocks) + F.greatest("block", "other"))
    tasks = blocks * (blocks + 1) // 2
    return (rows.select("pair", "block", "other", "name", "embedding").repartition(tasks, "pair")
            .sortWithinPartitions("pair", "block", "name")
            .mapInArrow(lambda batches: similar(batches, threshold), PAIR))


def similar(batches, threshold):
    """Yields the similar rows of each pair of blocks; batches are sorted by pair and block."""
    import pyarrow as pa

    parts, current = [], None
    for batch in batches:
        pairs = batch.column("pair").to_numpy()
        start = 0
        while start < len(pairs):
            pair = pairs[start]
            end = int(pairs.searchsorted(pair, side="right"))
            if pair != current and parts:
                yield from similar_of_pair(pa.Table.from_batches(parts), threshold)
                parts = []
            current = pair
            parts.append(batch.slice(start, end - start))
            start = end
    if parts:
        yield from similar_of_pair(pa.Table.from_batches(parts), threshold)


def similar_of_pair(table, threshold):
    """Yields the pairs of rows of two blocks, or within the only block, as record batches."""
    import numpy as np

    from .vectors import margin, matrix, unit

    _, rows = matrix(table.column("embedding"))
    names = table.column("name").combine_chunks()
    block = table.column("block").to_numpy()
    units = unit(rows)
    floor = threshold - margin(rows.shape[1])
    middle = int(np.searchsorted(block, block[0], side="right"))
    one = middle == len(block)
    # The rows of one block alone: a block with itself, unless the other block is empty.
    if one and table.column("other")[0].as_py() != block[0]:
        return
    first, second = (range(len(block)),) * 2 if one else (range(middle), range(middle, len(block)))
    for i in range(first.start, first.stop, TILE):
        for j in range(i if one else second.start, second.stop, TILE):
            ends = min(i + TILE, first.stop), min(j + TILE, second.stop)
            found = np.argwhere(units[i:ends[0]] @ units[j:ends[1]].T >= floor) + [i, j]
            if one:
                found = found[found[:, 0] < found[:, 1]]
            yield from batch_of(found, rows, names, threshold)


def batch_of(found, rows, names, threshold):
    """Yields the pairs of places whose exact cosine is large enough, names in order."""
    import pyarrow as pa

    from .vectors import exact_cosines

    for start in range(0, len(found), 4096):
        places = found[start:start + 4096]
        cosines = exact_cosines(rows[places[:, 0]], rows[places[:, 1]])
        kept = cosines >= threshold
        a = names.take(pa.array(places[kept, 0])).to_pylist()
        b = names.take(pa.array(places[kept, 1])).to_pylist()
        ordered = [(x, y) if x <= y else (y, x) for x, y in zip(a, b)]
        if ordered:
            sides = list(zip(*ordered))
            strings = [pa.array([x.decode("utf-8", "replace") for x in side]) for side in sides]
            raw = [pa.array([not_utf8(x) for x in side], pa.binary()) for side in sides]
            yield pa.RecordBatch.from_arrays(
                strings + raw + [pa.array(cosines[kept])], names=PAIR.names)


def groups(pairs):
    """Returns the connected groups of pairs: a list of sorted lists of names, sorted.

    Runs on the driver, whose memory holds every name that is in a pair.
    """
    parent = {}

    def root(name):
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for a, b in pairs:
        for name in (a, b):
            parent.setdefault(name, name)
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    members = {}
    for name in parent:
        members.setdefault(root(name), []).append(name)
    return sorted(sorted(each) for each in members.values())


def add_arguments(parser):
    parser.add_argument("table", metavar="PARQUET", nargs="+", help="compare this table's vectors")
    parser.add_argument("--threshold", type=float, default=0.97, metavar="COSINE",
                        help="report pairs with at least this cosine [0.97]")
    parser.add_argument("--blocks", type=int, metavar="N",
                        help="divide the rows into N blocks [one for 20,000 rows]")


def run(spark, arguments, options):
    """Writes OUTPUT/pairs (path_a, path_b, …, cosine) and OUTPUT/groups (group, path, …)."""
    pairs = near_duplicates(
        spark.read.parquet(*arguments.table), arguments.threshold, arguments.blocks)
    a = F.coalesce("path_bytes_a", F.col("path_a").cast("binary"))
    b = F.coalesce("path_bytes_b", F.col("path_b").cast("binary"))
    # One file, unless the caller wants more, sorted by names: the same at every run.
    ordered = pairs.repartition(arguments.files or 1, a).sortWithinPartitions(a, b)
    base = arguments.output.rstrip("/")
    tables.write(ordered, base + "/pairs", arguments.overwrite)
    found = spark.read.parquet(base + "/pairs").select(a.alias("a"), b.alias("b"))
    names = ((bytes(row["a"]), bytes(row["b"])) for row in found.toLocalIterator())
    rows = [
        (number, name.decode("utf-8", "replace"), not_utf8(name))
        for number, members in enumerate(groups(names)) for name in members]
    frame = spark.createDataFrame(spark.sparkContext.parallelize(rows, 1), GROUP)
    tables.write(frame, base + "/groups", arguments.overwrite)
