"""The job `encode`: images, paths, texts or WebDataset shards to vectors."""

import dataclasses

from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import ArrayType, FloatType, StringType, StructField, StructType

from . import tables
from .batches import samples_with_vectors, shard_schema, with_vectors
from .worker import IMAGE, TEXT, Worker


def for_cluster(spark, options):
    """Returns options with spark.task.cpus as the number of threads, unless they state one."""
    if options.threads is not None:
        return options
    cpus = int(spark.sparkContext.getConf().get("spark.task.cpus", "1"))
    return dataclasses.replace(options, threads=cpus)


def added_fields(options):
    metadata = {} if options.fingerprint is None else {"fingerprint": options.fingerprint}
    return [
        StructField("embedding", ArrayType(FloatType(), False), True, metadata),
        StructField("error", StringType())]


def encode(frame, options, source="content", kind="image"):
    """Returns the rows of a DataFrame with their vectors.

        encode(spark.read.format("binaryFile").load("hdfs:///photos"), WorkerOptions("clip", "B32"))

    - frame: any columns, and one of inputs.
    - source: the column of inputs: "content" for the bytes of image files, which is left out of the
      result; "path" for files that every node can read; the name of a column of texts.
    - kind: "image" or "text".

    Returns the other columns, `embedding` (array<float>, L2-normalised; null with an error) and
    `error` (string; null with an embedding). Rows keep their order and partitions. One worker runs
    for each partition that is being computed. If a worker dies, the task fails, and Spark retries
    it.
    """
    if kind not in ("image", "text"):
        raise ValueError(f"expected the kind image or text, found {kind}")
    taken = {"embedding", "error"} & set(frame.columns)
    if taken or source not in frame.columns:
        raise ValueError(
            f"expected a column {source} and none named embedding or error, found "
            f"{', '.join(frame.columns)}")
    number = IMAGE if kind == "image" else TEXT
    options = for_cluster(frame.sparkSession, options)
    dropped = source if kind == "image" and source != "path" else None
    schema = StructType(
        [field for field in frame.schema.fields if field.name != dropped] + added_fields(options))
    return frame.mapInArrow(
        lambda batches: with_vectors(batches, options, source, number), schema)


def encode_shards(frame, options, fields=()):
    """Returns one row for each image of WebDataset shards, with its vector.

    - frame: the columns `path` and optionally `path_bytes` of .tar files; see shard_frame.
    - fields: the files beside an image that become columns: "txt", "cls", "json".

    Returns the columns path (the shard's, "/", and the image's name in it), path_bytes (only if
    the path is not UTF-8), key, the fields, embedding and error. A truncated shard gives its
    complete samples and one row with an error.
    """
    options = for_cluster(frame.sparkSession, options)
    schema = from_arrow_schema(shard_schema(fields))
    schema = StructType(schema.fields[:-2] + added_fields(options))
    return frame.select(*[name for name in ("path", "path_bytes") if name in frame.columns]) \
        .mapInArrow(lambda batches: samples_with_vectors(batches, options, fields), schema)


def checked(options):
    """Returns options that state the fingerprint of the worker on the driver.

    Starting a worker before the first task finds wrong paths and weights at once, and all tasks
    then check that they have the same weights.
    """
    if options.fingerprint is not None:
        return options
    with Worker(options) as worker:
        return dataclasses.replace(options, fingerprint=worker.fingerprint)


def add_arguments(parser):
    parser.add_argument("inputs", nargs="+", metavar="INPUT",
                        help="encode these files, folders, tables or URLs, by --from")
    parser.add_argument("--from", dest="origin", default="files",
                        choices=["files", "webdataset", "binary", "parquet"],
                        help="read image files and folders that every node sees (files), .tar "
                        "shards (webdataset), any file system of Hadoop (binary), or Parquet with "
                        "a column content or path (parquet) [files]")
    parser.add_argument("--source", default=None, metavar="COLUMN",
                        help="take the inputs of --from parquet from COLUMN [content, else path]")
    parser.add_argument("--text", action="store_true", help="encode the texts of --source")
    parser.add_argument("--field", action="append", default=[], choices=["txt", "cls", "json"],
                        help="add this file of WebDataset samples as a column; repeat for more")
    parser.add_argument("--partitions", type=int, metavar="N",
                        help="split --from files into N tasks [one for 1,000 files]")


def inputs_frame(spark, arguments, options):
    """Returns the vectors of the inputs of a command line, as a DataFrame."""
    if arguments.origin == "webdataset":
        return encode_shards(
            tables.shard_frame(spark, arguments.inputs), options, tuple(arguments.field))
    if arguments.origin == "files":
        return encode(
            tables.file_frame(spark, arguments.inputs, arguments.partitions), options, "path")
    if arguments.origin == "binary":
        frame = spark.read.format("binaryFile").option("recursiveFileLookup", "true")
        frame = frame.load(arguments.inputs).select("path", "content")
        return encode(frame, options, "content")
    frame = spark.read.parquet(*arguments.inputs)
    source = arguments.source or ("content" if "content" in frame.columns else "path")
    return encode(frame, options, source, "text" if arguments.text else "image")


def run(spark, arguments, options):
    frame = inputs_frame(spark, arguments, checked(options))
    if arguments.files:
        frame = tables.redistributed(frame, arguments.files)
    tables.write(frame, arguments.output, arguments.overwrite)
