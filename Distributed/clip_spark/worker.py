"""A client of `clip worker`: one process that turns image files and texts into vectors.

    with Worker(WorkerOptions(clip="clip", weights="ViT-B/32", threads=2)) as worker:
        for chunk, replies in worker.run([Chunk([b"...", b"..."])]):
            print(replies.errors, len(replies.vectors))

The protocol is version 1 of the article "The worker" in the documentation of clip. All numbers are
little-endian. This module needs only the standard library.
"""

import collections
import dataclasses
import os
import queue
import shutil
import signal
import stat
import struct
import subprocess
import threading

MAGIC = b"CLIPWORK"
VERSION = 1
IMAGE, TEXT = 1, 2
# The id and the kind of a request, which its length includes.
OVERHEAD = 9
# The largest payload that the worker accepts by default, in bytes.
LIMIT = 64 << 20
# The bytes of the worker's stderr that an error message quotes.
QUOTED = 4096


class WorkerError(RuntimeError):
    """The worker ended, or sent what the protocol does not allow. The task must be retried."""


class PayloadError(ValueError):
    """An input that has no vector, such as a missing file. It becomes the error of its row."""


@dataclasses.dataclass(frozen=True)
class WorkerOptions:
    """How a task starts its worker."""

    # The command: the name of a file of --files, a path on every node, or a name in PATH.
    clip: str = "clip"
    # The model: the name of a file or archive of --files, a path on every node, or a model's name.
    weights: str = "ViT-B/32"
    # The number of threads of each worker; None for spark.task.cpus.
    threads: "int | None" = None
    # Further options of clip worker, such as ("--precision", "bf16").
    arguments: tuple = ()
    # The expected fingerprint of the embedding space, 64 hexadecimal digits; None accepts any.
    fingerprint: "str | None" = None
    # The largest payload to send, in bytes. Larger inputs become rows with an error.
    limit: int = LIMIT

    def command(self):
        """Returns the command line of the worker on this node."""
        command = [executable(self.clip), "worker", "--model", local_path(self.weights)]
        if self.threads is not None:
            command += ["--threads", str(self.threads)]
        if self.limit != LIMIT:
            command += ["--max-request-size", str(self.limit + OVERHEAD)]
        return command + list(self.arguments)


@dataclasses.dataclass
class Chunk:
    """Some requests that travel together, and what belongs to their rows.

    A payload is bytes, a function that returns bytes and is called by the writer thread, or a
    PayloadError for a row that is known to have no vector.
    """

    payloads: list
    kind: int = IMAGE
    # Anything that the caller needs when the replies have come, such as other columns.
    context: object = None


@dataclasses.dataclass
class Replies:
    """The replies to the requests of a chunk, in order."""

    # The vectors of the rows without an error, one after the other, as float32.
    vectors: bytearray
    # The error of each row; None if it has a vector.
    errors: list


def local_path(name):
    """Returns the path on this node of a file of `--files`, or the name itself.

    The copy that Spark made wins, so that a path of the driver's machine works on every node. YARN
    puts the files into the working folder.
    """
    base = os.path.basename(name.rstrip("/"))
    for path in [spark_file(base), name, os.path.join(os.getcwd(), base)]:
        if path and base and os.path.exists(path):
            return path
    return name


def spark_file(name):
    """Returns the path of a file of `--files` on this node; None without Spark."""
    try:
        from pyspark import SparkFiles
        return SparkFiles.get(name)
    except Exception:  # no Spark, or no context: the caller tries other places
        return None


def executable(name):
    """Returns the path of the command on this node, made executable if it is not."""
    path = local_path(name)
    if not os.path.isfile(path):
        return shutil.which(name) or name
    path = os.path.abspath(path)
    if not os.access(path, os.X_OK):
        # Spark's copies may have lost the mode.
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR | stat.S_IRUSR)
    return path


class Worker:
    """A running `clip worker`. One thread calls its methods; a second one feeds the process."""

    def __init__(self, options):
        self.options = options
        self.command = options.command()
        self.process = None
        self.writer = None
        self.dimension = None
        self.fingerprint = None
        self._stderr = collections.deque(maxlen=64)
        self._sent = queue.SimpleQueue()
        self._chunks = queue.SimpleQueue()
        self._id = 0
        self._answered = 0

    def __enter__(self):
        try:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except OSError as error:
            raise WorkerError(f"cannot start {self.command[0]}: {error.strerror}") from error
        self._drain = threading.Thread(target=self._read_stderr, daemon=True)
        self._drain.start()
        try:
            self._greet()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def _greet(self):
        try:
            self.process.stdin.write(MAGIC + struct.pack("<I", VERSION))
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self._death() from None
        hello = self._read(48)
        version, self.dimension = struct.unpack_from("<II", hello, 8)
        if hello[:8] != MAGIC or version != VERSION or self.dimension == 0:
            raise WorkerError(
                f"expected the hello of clip worker, version {VERSION}, found {hello[:16]!r}")
        self.fingerprint = hello[16:].hex()
        expected = self.options.fingerprint
        if expected is not None and expected != self.fingerprint:
            raise WorkerError(
                f"{self.command[3]} has the fingerprint {self.fingerprint}, expected {expected}: "
                "the nodes have different weights")

    def run(self, chunks, ahead=2):
        """Sends the requests of chunks, and yields each chunk with its replies, in order.

        The caller's thread takes chunks and reads replies; a writer thread sends. At most `ahead`
        chunks are in flight, so that the worker has work while the caller takes the next chunk.
        After the last chunk, the worker has ended with status 0.

        Throws WorkerError if the worker ends early or breaks the protocol, and what a payload
        function throws, unless that is a PayloadError.
        """
        self.writer = threading.Thread(target=self._write, daemon=True)
        self.writer.start()
        waiting = collections.deque()
        for chunk in chunks:
            self._chunks.put(chunk)
            waiting.append(chunk)
            if len(waiting) >= ahead:
                oldest = waiting.popleft()
                yield oldest, self._replies(len(oldest.payloads))
        self._chunks.put(None)
        for chunk in waiting:
            yield chunk, self._replies(len(chunk.payloads))
        self._finish()

    def _write(self):
        """Sends the chunks of the queue; runs on the writer thread."""
        stdin = self.process.stdin
        try:
            while (chunk := self._chunks.get()) is not None:
                for payload in chunk.payloads:
                    try:
                        data = self._content(payload)
                    except PayloadError as error:
                        self._sent.put(str(error) or "the input has no content")
                        continue
                    # Announced first: if the worker dies now, the reader waits for the reply and
                    # finds the end of the stream.
                    self._sent.put(None)
                    stdin.write(struct.pack("<IQB", len(data) + OVERHEAD, self._id, chunk.kind))
                    stdin.write(data)
                    stdin.flush()
                    self._id += 1
            stdin.close()
        except BrokenPipeError:
            pass  # the reader finds the end of the replies and says why
        except BaseException as error:
            self._sent.put(error)

    def _content(self, payload):
        if callable(payload):
            payload = payload()
        if isinstance(payload, PayloadError):
            raise payload
        if len(payload) > self.options.limit:
            raise PayloadError(
                f"the input is too large ({len(payload)} bytes, limit {self.options.limit})")
        return payload

    def _replies(self, count):
        size = 4 * self.dimension
        replies = Replies(bytearray(), [])
        for _ in range(count):
            local = self._sent.get()
            if isinstance(local, BaseException):
                raise local
            if local is not None:
                replies.errors.append(local)
                continue
            reply = self._read(16 + size)
            number, status, length = struct.unpack_from("<QII", reply)
            if number != self._answered or status > 1 or length > size:
                raise WorkerError(
                    f"expected a reply with id {self._answered} and status 0 or 1, found id "
                    f"{number}, status {status}, length {length}")
            if status == 0 and length != size:
                raise WorkerError(f"expected a vector of {size} bytes, found {length}")
            self._answered += 1
            if status == 0:
                replies.vectors += memoryview(reply)[16:]
                replies.errors.append(None)
            else:
                message = reply[16:16 + length].decode("utf-8", "replace")
                replies.errors.append(message or "the input has no vector")
        return replies

    def _read(self, count):
        data = self.process.stdout.read(count)
        if len(data) < count:
            raise self._death()
        return data

    def _finish(self):
        """Waits for the end of the worker, whose replies have all been read."""
        self.writer.join()
        if self.process.stdout.read(1):
            raise WorkerError("the worker sent more replies than it got requests")
        if self.process.wait() != 0:
            raise self._death()

    def _read_stderr(self):
        for line in self.process.stderr:
            self._stderr.append(line)

    def _death(self):
        """Returns the error that says how the worker ended, and what it printed."""
        try:
            status = self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return WorkerError("the worker closed its output and did not end")
        self._drain.join(timeout=10)
        how = f"exit status {status}"
        if status < 0:
            try:
                how = signal.Signals(-status).name
            except ValueError:
                how = f"signal {-status}"
        said = b"".join(self._stderr)[-QUOTED:].decode("utf-8", "replace").strip()
        return WorkerError(
            f"{' '.join(self.command)} ended early ({how}) after {self._answered} replies; "
            f"it printed: {said or 'nothing'}")

    def close(self):
        """Ends the process, whatever it is doing, and the threads."""
        if self.process is None:
            return
        self._chunks.put(None)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.writer is not None:
            self.writer.join(timeout=10)
        self._drain.join(timeout=10)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                stream.close()
            except OSError:
                pass  # unsent bytes for a process that has ended


def vectors_of_texts(options, texts):
    """Returns the vectors of texts as rows of floats in an array of bytes, and the worker.

    Throws PayloadError if a text has no vector, for example because it is too long.
    """
    return _vectors(options, [text.encode("utf-8") for text in texts], TEXT, texts)


def vectors_of_images(options, paths):
    """Returns the vectors of image files, as vectors_of_texts does for texts."""
    payloads = []
    for path in paths:
        with open(path, "rb") as file:
            payloads.append(file.read())
    return _vectors(options, payloads, IMAGE, paths)


def _vectors(options, payloads, kind, names):
    with Worker(options) as worker:
        vectors = bytearray()
        for start, replies in worker.run(
                Chunk(payloads[i:i + 256], kind, i) for i in range(0, len(payloads), 256)):
            for place, error in enumerate(replies.errors):
                if error is not None:
                    raise PayloadError(f"{names[start.context + place]!r}: {error}")
            vectors += replies.vectors
    return vectors, worker
