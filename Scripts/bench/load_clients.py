"""The clients of Scripts/bench/server_load.py: good, bad, slow and vanishing ones.

Each behaviour opens a connection of its own, or uses one that stays open. It records the status of
each answer under its kind, and raises Wrong if an answer is not one that is allowed.
"""

import asyncio
import base64
import json
import pathlib
import random
import socket
import struct
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "parity"))
from served import HOST, decoded  # noqa: E402

TIMEOUT = 90


class Wrong(Exception):
    """An answer that the server must not give."""


class Closed(Exception):
    """The server closed the connection without a complete answer."""


class Connection:
    """A connection with complete control of the bytes that are sent."""

    def __init__(self, port, source=None, timeout=TIMEOUT):
        self.port, self.source, self.timeout = port, source, timeout
        self.reader = self.writer = None

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.wait_for(asyncio.open_connection(
            HOST, self.port, local_addr=self.source and (self.source, 0)), self.timeout)
        return self

    async def __aexit__(self, *_):
        self.writer.transport.abort()

    async def send(self, data):
        self.writer.write(data)
        await asyncio.wait_for(self.writer.drain(), TIMEOUT)

    async def answer(self):
        """Returns the status and body of the next answer."""
        try:
            head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), TIMEOUT)
            lines = head.decode("latin-1").split("\r\n")
            status = int(lines[0].split(" ")[1])
            fields = dict(line.lower().split(":", 1) for line in lines[1:] if ":" in line)
            length = int(fields.get("content-length", "0"))
            body = await asyncio.wait_for(self.reader.readexactly(length), TIMEOUT)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise Closed(type(error).__name__) from error
        except TimeoutError as error:
            raise Wrong(f"no answer in {TIMEOUT} s") from error
        return status, body

    def reset(self):
        """Closes the connection with RST instead of FIN."""
        self.writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Load:
    """The requests with their expected vectors, and the counts of all answers."""

    def __init__(self, port, model, texts, text_vectors, images, image_vectors, body_limit):
        self.port, self.model, self.body_limit = port, model, body_limit
        self.vectors = {"text": text_vectors, "image": image_vectors}
        self.given = {"text": texts, "image": images}
        self.counts, self.wrong, self.checked = {}, [], 0

    def count(self, kind, outcome):
        counts = self.counts.setdefault(kind, {})
        counts[outcome] = counts.get(outcome, 0) + 1

    def request(self, body, path="/v1/embeddings", length=None):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        length = len(body) if length is None else length
        return (f"POST {path} HTTP/1.1\r\nHost: {HOST}:{self.port}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
                ).encode() + body

    def inputs(self, kind, count):
        """Returns a request for random inputs and their rows."""
        rows = [random.randrange(len(self.given[kind])) for _ in range(count)]
        value = {"model": self.model, "input": [self.given[kind][row] for row in rows],
                 "encoding_format": random.choice(["base64", "float"])}
        if kind == "image":
            value["modality"] = "image"
        return self.request(value), rows

    def check(self, kind, rows, status, body, name=None):
        """Compares an answer with the expected vectors, to the bit; 429 is allowed."""
        self.count(name or kind, status)
        if status == 429:
            return
        if status != 200:
            raise Wrong(f"{name or kind}: {status} {body[:200]!r}")
        data = json.loads(body)["data"]
        if len(data) != len(rows):
            raise Wrong(f"{name or kind}: {len(data)} vectors for {len(rows)} inputs")
        for i, (row, item) in enumerate(zip(rows, data)):
            expected = self.vectors[kind][row]
            if item["index"] != i or decoded(item["embedding"]).tobytes() != expected.tobytes():
                raise Wrong(f"{name or kind}: a wrong vector for input {row}")
            self.checked += 1

    async def refused(self, name, connection, data, *statuses):
        """Sends a bad request, whose answer must have one of the statuses."""
        try:
            await connection.send(data)
        except ConnectionError:
            pass  # the server may answer and close before it has read everything
        try:
            status, body = await connection.answer()
        except Closed:
            # RST can overtake the answer if the server has not read the whole body.
            self.count(name, "closed")
            if 413 not in statuses:
                raise Wrong(f"{name}: closed without an answer") from None
            return False
        self.count(name, status)
        if status not in statuses and status != 429:
            raise Wrong(f"{name}: {status} {body[:200]!r}, expected {statuses}")
        return True

    async def steady(self, connection):
        """Several good requests on one connection."""
        for _ in range(random.randint(1, 8)):
            kind = random.choice(["text", "text", "image"])
            data, rows = self.inputs(kind, random.choice([1, 1, 1, 4, 16]))
            await connection.send(data)
            self.check(kind, rows, *await connection.answer())

    async def pipelined(self, connection):
        sent = [self.inputs("text", random.choice([1, 2])) for _ in range(random.randint(2, 6))]
        await connection.send(b"".join(data for data, _ in sent))
        for _, rows in sent:
            self.check("text", rows, *await connection.answer(), "pipelined")

    async def broken_image(self, connection):
        content = base64.b64decode(random.choice(self.given["image"]).split(",", 1)[1])
        damaged = random.choice([
            content[:random.randrange(200)], random.randbytes(random.randrange(2000)),
            b"GIF89a" + content, content[:2] + random.randbytes(300)])
        url = "data:image/jpeg;base64," + base64.b64encode(damaged).decode()
        await self.refused("broken image", connection, self.request(
            {"model": self.model, "input": [url], "modality": "image"}), 400, 422)

    async def bad_json(self, connection):
        body = random.choice([
            b"", b"{", b"[1,2", b'{"input":}', b"\xff\xfe", b"[" * 10_000, b'"text"', b"null",
            b'{"input":"a","input":"b",}', json.dumps({"model": self.model}).encode(),
            json.dumps({"model": self.model, "input": [1, 2]}).encode(),
            json.dumps({"model": self.model, "input": {"a": 1}}).encode()])
        await self.refused("bad JSON", connection, self.request(body), 400)

    async def other(self, connection):
        data, statuses = random.choice([
            (self.request({}, "/nothing"), [404]), (self.request({}, "/health"), [405]),
            (self.request({"model": "../../etc/passwd", "input": "x"}), [400, 404]),
            (b"nonsense\r\n\r\n", [400]), (b"GET / HTTP/9.9\r\n\r\n", [400, 505]),
            (b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", [400]),
            (b"GET /health HTTP/1.1\r\nHost: evil.example.com\r\n\r\n", [400, 403, 421]),
            (b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
             [400, 413, 431])])
        # The parser may only close the connection after a broken head.
        await self.refused("other errors", connection, data, *statuses, 413)

    async def oversized(self, connection):
        if random.random() < 0.8:
            head = self.request(b"", length=self.body_limit + random.randint(1, 1 << 40))
            await self.refused("oversized", connection, head + bytes(1 << 16), 413)
            return
        head = self.request(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        try:
            await connection.send(head)
            for _ in range(self.body_limit // (1 << 20) + 2):
                await connection.send(b"100000\r\n" + b" " * (1 << 20) + b"\r\n")
        except ConnectionError:
            pass
        await self.refused("oversized, chunked", connection, b"", 413)

    async def aborted(self, connection):
        data, _ = self.inputs(random.choice(["text", "image"]), random.choice([1, 8]))
        end = random.choice([random.randrange(len(data)), len(data)])
        await connection.send(data[:end])
        await asyncio.sleep(random.choice([0, 0.001, 0.02, 0.2]))
        if random.random() < 0.5:
            connection.reset()
        self.count("aborted", "in the request" if end < len(data) else "after the request")

    async def slow(self, connection):
        """Sends a good request in pieces, within the server's time limit."""
        data, rows = self.inputs("text", 1)
        parts = random.randint(2, 20)
        for i in range(parts):
            await connection.send(data[len(data) * i // parts:len(data) * (i + 1) // parts])
            await asyncio.sleep(random.random() * 0.3)
        self.check("text", rows, *await connection.answer(), "slow")

    async def endless(self, connection, limit):
        """Sends a byte now and then, and never completes the request; must be cut."""
        data = self.request(b"", length=1000)
        start = asyncio.get_running_loop().time()
        try:
            await connection.send(data[:-2])
            while asyncio.get_running_loop().time() - start < 2 * limit + 10:
                if connection.reader.at_eof():
                    break
                await asyncio.sleep(0.5)
                await connection.send(b"X: y\r\n")
            else:
                raise Wrong(f"endless: not cut after {2 * limit + 10} s")
        except ConnectionError:
            pass
        self.count("endless", "cut")
