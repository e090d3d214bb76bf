"""Arrow record batches in, record batches with vectors out: what a task of `encode` does.

This module needs pyarrow, and neither Spark nor NumPy.
"""

import itertools
import os
import stat

import pyarrow as pa

from . import shards
from .worker import IMAGE, LIMIT, TEXT, Chunk, PayloadError, Worker

# The types of the columns that are added to the input's.
EMBEDDING = pa.list_(pa.field("element", pa.float32(), nullable=False))
ERROR = pa.string()
# The number of rows of a chunk, and the bytes after which a chunk of a shard is full.
ROWS = 128
BYTES = 32 << 20


def columns_of(replies, dimension):
    """Returns the arrays `embedding` and `error` of replies."""
    offsets, end = [], 0
    for error in replies.errors:
        offsets.append(None if error is not None else end)
        end += dimension if error is None else 0
    values = pa.Array.from_buffers(pa.float32(), end, [None, pa.py_buffer(replies.vectors)])
    embedding = pa.ListArray.from_arrays(
        pa.array(offsets + [end], pa.int32()), values, type=EMBEDDING)
    return embedding, pa.array(replies.errors, ERROR)


def with_vectors(batches, options, source, kind=IMAGE):
    """Yields the rows of batches, in order, with the columns `embedding` and `error`.

    - batches: record batches with the column `source`.
    - source: the column of inputs: "content" (bytes), which is left out of the result; "path", for
      files that this node can read (from the column path_bytes where that is not null); or a column
      of texts, if kind is TEXT.
    """
    with Worker(options) as worker:
        for chunk, replies in worker.run(requests(batches, source, kind, options.limit)):
            rows = chunk.context
            if kind == IMAGE and source != "path":
                rows = rows.drop_columns([source])
            added = columns_of(replies, worker.dimension)
            yield pa.RecordBatch.from_arrays(
                rows.columns + list(added), names=rows.schema.names + ["embedding", "error"])


def requests(batches, source, kind, limit):
    """Yields chunks of at most ROWS rows, whose context is a record batch."""
    for batch in batches:
        for start in range(0, batch.num_rows, ROWS):
            rows = batch.slice(start, ROWS)
            if kind == IMAGE and source == "path":
                payloads = [file_payload(path, limit) for path in paths(rows)]
            else:
                payloads = [
                    PayloadError(f"the column {source} is null") if not value.is_valid
                    else value.as_buffer() for value in rows.column(source)]
            yield Chunk(payloads, kind, rows)


def paths(rows):
    """Returns the paths of rows as bytes or, if they have a scheme, as strings; None if null."""
    names = rows.column("path").to_pylist()
    if "path_bytes" in rows.schema.names:
        raw = rows.column("path_bytes").to_pylist()
        names = [name if name is not None else text for name, text in zip(raw, names)]
    return [
        os.fsencode(name) if isinstance(name, str) and "://" not in name else name
        for name in names]


def file_payload(path, limit=LIMIT):
    """Returns a function that reads a file when its turn has come.

    A file that is missing or forbidden becomes an error of its row. Other failures, such as those
    of a network, are no property of the file and fail the task, which Spark retries.
    """
    def read():
        if path is None:
            raise PayloadError("the path is null")
        try:
            if isinstance(path, str):
                with open_uri(path) as file:
                    return file.read()
            with open(path, "rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise PayloadError("it is not a regular file")
                if status.st_size > limit:
                    raise PayloadError(
                        f"the input is too large ({status.st_size} bytes, limit {limit})")
                return file.read()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
            raise PayloadError(error.strerror or str(error)) from error
    return read


def open_uri(uri):
    """Opens a file of any file system that pyarrow knows, such as hdfs:// or s3://."""
    import pyarrow.fs

    system, path = pyarrow.fs.FileSystem.from_uri(uri)
    return system.open_input_file(path)


def shard_schema(fields):
    """Returns the schema of the rows that samples_with_vectors yields."""
    return pa.schema(
        [("path", pa.string()), ("path_bytes", pa.binary()), ("key", pa.string())]
        + [(field, pa.string()) for field in fields]
        + [("embedding", EMBEDDING), ("error", ERROR)])


def samples_with_vectors(batches, options, fields=()):
    """Yields one row for each image of WebDataset shards, in order, with its vector.

    - batches: record batches with the column `path` of shards, and optionally `path_bytes`.
    - fields: the suffixes of files beside the image that become columns: "txt", "cls", "json".
    """
    schema = shard_schema(fields)
    with Worker(options) as worker:
        for chunk, replies in worker.run(sample_chunks(batches, options.limit)):
            found = chunk.context
            names = [sample.name for sample in found]
            columns = [
                pa.array([name.decode("utf-8", "replace") for name in names], pa.string()),
                pa.array([not_utf8(name) for name in names], pa.binary()),
                pa.array([text(sample.key) for sample in found], pa.string())]
            columns += [
                pa.array([text(sample.fields.get(field)) for sample in found], pa.string())
                for field in fields]
            yield pa.RecordBatch.from_arrays(
                columns + list(columns_of(replies, worker.dimension)), schema=schema)


def not_utf8(name):
    """Returns the bytes of a name that is not UTF-8, the content of path_bytes; else None."""
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return name
    return None


def text(data):
    return None if data is None else data.decode("utf-8", "replace").rstrip("\r\n")


def sample_chunks(batches, limit):
    """Yields chunks of samples, whose context is the list of samples."""
    found, size = [], 0
    for sample in itertools.chain.from_iterable(
            shard_samples(path, limit) for batch in batches for path in paths(batch)):
        found.append(sample)
        size += len(sample.content or b"")
        if len(found) == ROWS or size >= BYTES:
            yield sample_chunk(found)
            found, size = [], 0
    if found:
        yield sample_chunk(found)


def sample_chunk(found):
    payloads = [
        PayloadError(sample.error) if sample.error is not None else sample.content
        for sample in found]
    for sample in found:
        sample.content = None  # the payloads keep what is not sent yet
    return Chunk(payloads, IMAGE, found)


def shard_samples(path, limit):
    name = os.fsencode(path)
    try:
        with open_uri(path) if isinstance(path, str) else open(path, "rb") as file:
            yield from shards.samples(file, name, limit)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        yield shards.Sample(name, b"", error=error.strerror or str(error))


__all__ = ["IMAGE", "TEXT", "samples_with_vectors", "shard_schema", "with_vectors"]
