"""DataFrames of files and shards, and Parquet with the same names and bytes at every run."""

import os
import re

from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, StringType, StructField, StructType

from .batches import not_utf8
from .shards import IMAGES

PATHS = StructType([
    StructField("path", StringType()),
    # The name where it is not UTF-8, in which case `path` has replacement characters.
    StructField("path_bytes", BinaryType()),
])
# The number of files of one task, and the largest number of tasks, unless the caller decides.
FILES_PER_TASK = 1000
MOST_TASKS = 50_000


def listed(inputs, suffixes):
    """Returns the files among inputs and, sorted, those in folders, as bytes.

    Names that begin with a dot are left out. Files that are named are kept, whatever their suffix.
    """
    found = []
    for name in map(os.fsencode, inputs):
        if not os.path.isdir(name):
            found.append(name)
            continue
        below = []
        for folder, folders, files in os.walk(name, onerror=fail, followlinks=True):
            folders[:] = [each for each in folders if not each.startswith(b".")]
            below += [
                os.path.join(folder, file) for file in files
                if not file.startswith(b".")
                and os.fsdecode(os.path.splitext(file)[1][1:]).lower() in suffixes]
        found += sorted(below)
    return found


def fail(error):
    raise error


def path_frame(spark, names, partitions):
    """Returns a DataFrame of paths in equal slices of the given order."""
    rows = [
        (name.decode("utf-8", "replace"), not_utf8(name)) for name in names]
    return spark.createDataFrame(spark.sparkContext.parallelize(rows, max(1, partitions)), PATHS)


def file_frame(spark, inputs, partitions=None):
    """Returns a DataFrame (path, path_bytes) of the images in files and folders.

    The driver lists them, and every node must see them at the same paths. The number of partitions
    depends on the number of files alone (one for 1,000 files), so that the same files give the same
    partitions on every cluster.
    """
    names = listed(inputs, IMAGES)
    slices = partitions or min(MOST_TASKS, -(-len(names) // FILES_PER_TASK))
    return path_frame(spark, names, slices)


def shard_frame(spark, inputs):
    """Returns a DataFrame (path, path_bytes) of .tar files, one partition for each."""
    names = listed(inputs, {"tar"})
    return path_frame(spark, names, len(names))


def name_column(frame):
    """Returns the column of names as bytes, also of those that are not UTF-8."""
    path = F.col("path").cast("binary")
    return F.coalesce(F.col("path_bytes"), path) if "path_bytes" in frame.columns else path


def redistributed(frame, files):
    """Returns the rows in `files` partitions, each sorted by path.

    The partition of a row depends on its path alone. What `write` makes of the result depends on
    the rows and on `files`, and not on how the input was partitioned.
    """
    name = name_column(frame)
    return frame.repartition(files, name).sortWithinPartitions(name)


def write(frame, path, overwrite=False):
    """Writes a DataFrame as a folder of Parquet files part-00000.parquet and so on.

    The files are uncompressed and without dictionaries, which do not make vectors smaller. They
    are written to PATH.partial; when all tasks are committed, they are renamed to what does not
    change between runs, and the folder to PATH. Works on every file system of Hadoop.
    """
    spark = frame.sparkSession
    hadoop = spark._jvm.org.apache.hadoop.fs
    target = hadoop.Path(path)
    system = target.getFileSystem(spark._jsc.hadoopConfiguration())
    if system.exists(target) and not overwrite:
        raise FileExistsError(f"{path} exists; --overwrite replaces it")
    partial = path.rstrip("/") + ".partial"
    (frame.write.mode("overwrite").option("compression", "none")
     .option("parquet.enable.dictionary", "false").parquet(partial))
    for status in system.listStatus(hadoop.Path(partial)):
        found = status.getPath()
        name = stable_name(found.getName())
        if name and not system.rename(found, hadoop.Path(partial, name)):
            raise OSError(f"cannot rename {found.toString()} to {name}")
    if system.exists(target) and not system.delete(target, True):
        raise OSError(f"cannot replace {path}")
    if not system.rename(hadoop.Path(partial), target):
        raise OSError(f"cannot rename {partial} to {path}")


def stable_name(name):
    """Returns the name of a file of Spark without the random id of the job; None to keep it.

    part-00007-5ef1….c000.parquet becomes part-00007.parquet.
    """
    found = re.fullmatch(r"(part-\d+)-[0-9a-f-]{36}[-.]c(\d+)(?:\.\w+)*?\.parquet", name)
    if not found:
        return None
    place = int(found.group(2))
    return found.group(1) + (f"-c{place:03}" if place else "") + ".parquet"
