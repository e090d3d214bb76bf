"""Shared parts of the scripts that test `clip serve`: the server's process, raw HTTP, checks, and
expected vectors.

Needs NumPy, and `clip` itself for the expected vectors.
"""

import base64
import ctypes
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time
import traceback

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"


def end_with_parent():
    """Makes the system end this process with its parent, even if that is killed (Linux)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def free_port():
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return listener.getsockname()[1]


def environment(home=None):
    """Returns the environment without variables of `clip`; `home` is a folder with weights."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CLIP_")}
    return kept | {"CLIP_OFFLINE": "1", "HF_HUB_OFFLINE": "1", "LC_ALL": "C.UTF-8"} | (
        {"CLIP_HOME": str(home)} if home else {})


class Process:
    """A server that this script has started; only its own process id is ever signalled."""

    def __init__(self, command, port, ready, log=None, variables=None, seconds=120):
        """Starts the command and waits until the path `ready` is answered with success."""
        self.port = port
        self.log = log or tempfile.TemporaryFile()
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=self.log, env=variables, preexec_fn=end_with_parent)
        self.pid = self.process.pid
        try:
            while ready:
                status = self.status(ready)
                if status is not None and status < 300:
                    break
                if self.process.poll() is not None:
                    raise SystemExit(f"{command[0]} ended with {self.process.returncode}:\n"
                                     f"{self.output()}")
                if time.perf_counter() - self.started > seconds:
                    raise SystemExit(f"{command[0]} is not ready after {seconds} s:\n"
                                     f"{self.output()}")
                time.sleep(0.002)
        except BaseException:
            self.kill()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def status(self, path):
        """Returns the status of a GET; None if the server does not answer."""
        try:
            return request(self.port, "GET", path, timeout=5)[0]
        except (OSError, ValueError):
            return None

    def output(self):
        """The last lines that the server has printed."""
        try:
            with open(f"/proc/self/fd/{self.log.fileno()}", "rb") as file:
                return file.read()[-4000:].decode(errors="replace")
        except (OSError, ValueError):
            return ""

    @property
    def is_alive(self):
        return self.process.poll() is None

    def memory(self, field="VmRSS"):
        """Returns a field of /proc/PID/status (kB) in megabytes, summed with that of children."""
        return sum(memory(pid, field) for pid in [self.pid, *children(self.pid)])

    def stop(self, seconds=60):
        """Sends SIGTERM, and SIGKILL if that does not help; returns the exit status."""
        if self.is_alive:
            self.process.send_signal(signal.SIGTERM)
            try:
                return self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode

    def kill(self):
        if self.is_alive:
            self.process.kill()
            self.process.wait()


def memory(pid, field):
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    return 0.0


def children(pid):
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, task.read_text().split())
        except OSError:
            pass
    return found + [below for child in found for below in children(child)]


def serve(clip, models, *options, home=None, **others):
    """Starts `clip serve` at a free port, with the options given."""
    port = free_port()
    chosen = [part for model in models for part in ("--model", model)]
    return Process([clip, "serve", *chosen, "--host", HOST, "--port", port, *options], port,
                   "/health", variables=environment(home), **others)


def head(method, path, body=b"", headers=(), port=0):
    """Returns the bytes of a request, with the usual headers before the given ones."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}:{port}", *headers]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def json_request(path, value, port=0):
    body = json.dumps(value).encode()
    return head("POST", path, body, ["Content-Type: application/json"], port)


def request(port, method, path, body=b"", headers=(), timeout=60):
    """Sends a request on a connection of its own; returns the status, headers and body."""
    closing = [*headers, "Connection: close"]
    return exchange(port, head(method, path, body, closing, port), timeout)


def exchange(port, sent, timeout=60):
    """Sends raw bytes; returns the status, headers (names in lower case) and body."""
    with socket.create_connection((HOST, port), timeout) as connection:
        connection.sendall(sent)
        file = connection.makefile("rb")
        line = file.readline().split(None, 2)
        if len(line) < 2 or not line[0].startswith(b"HTTP/1.1"):
            raise ValueError(f"not HTTP: {line}")
        headers = {}
        for field in iter(file.readline, b"\r\n"):
            if not field:
                raise ValueError("the connection ended in the headers")
            name, _, value = field.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while size := int(file.readline().split(b";")[0], 16):
                body += file.read(size)
                file.readline()
            return int(line[1]), headers, body
        length = headers.get("content-length")
        if int(line[1]) in (204, 304):
            length = "0"
        body = file.read() if length is None else file.read(int(length))
        if length is not None and len(body) != int(length):
            raise ValueError(f"{len(body)} of {length} bytes of the body")
        return int(line[1]), headers, body


class Clip:
    """Runs other subcommands of `clip` for the answers that the server must give."""

    def __init__(self, clip, model, home=None):
        self.clip, self.model, self.environment = clip, model, environment(home)

    def run(self, *arguments, **options):
        """Returns the standard output."""
        done = subprocess.run([str(part) for part in [self.clip, *arguments]],
                              capture_output=True, env=self.environment, **options)
        if done.returncode:
            raise SystemExit(f"{arguments}: {done.stderr.decode(errors='replace')}")
        return done.stdout

    def vectors(self, images=(), texts=(), *options):
        """Returns the vectors of images and then texts, as float32."""
        words = [part for text in texts for part in ("--text", text)]
        output = self.run("encode", *images, *words, "--model", self.model, "--format", "json",
                          "--quiet", *options)
        return numpy.array([row["embedding"] for row in json.loads(output)["embeddings"]],
                           numpy.float32)


class Checks:
    """Runs checks and prints the outcome of each."""

    def __init__(self):
        self.failed, self.count = [], 0

    def run(self, name, body):
        self.count += 1
        try:
            body()
            print(f"ok    {name}", flush=True)
        except Exception as error:
            self.failed.append(name)
            where = traceback.extract_tb(error.__traceback__)[-1]
            print(f"FAIL  {name}: {type(error).__name__}: {str(error)[:600]} "
                  f"({pathlib.Path(where.filename).name}:{where.lineno})", flush=True)


def expect(found, expected, *about):
    assert found == expected, f"expected {expected!r}, found {found!r} {str(about)[:300]}"


def decoded(value):
    """Returns a vector given as JSON numbers or as base64 of little-endian float32."""
    if isinstance(value, str):
        return numpy.frombuffer(base64.b64decode(value, validate=True), "<f4")
    return numpy.array(value, numpy.float32)


def same(found, expected):
    """Compares rows of vectors by the bits of their float32."""
    found = numpy.asarray(found, numpy.float32)
    assert found.shape == expected.shape, f"expected {expected.shape}, found {found.shape}"
    differing = (found.view(numpy.uint32) != expected.view(numpy.uint32)).any(1)
    assert not differing.any(), (f"rows {numpy.flatnonzero(differing)[:10].tolist()} differ, by at "
                                 f"most {numpy.abs(found - expected).max():.3g}")
