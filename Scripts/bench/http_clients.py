"""Concurrent HTTP clients that cost little, and a server that answers without doing anything.

Shared by server.py. Each client has a connection that stays open and sends its next request when
the last one is answered. All run in one thread; bodies are made before the measurement.
"""

import asyncio
import itertools
import json
import os
import signal
import statistics
import sys
import time

HOST = "127.0.0.1"


class Client(asyncio.Protocol):
    """A connection that sends requests in turn until the deadline."""

    def __init__(self, run):
        self.run = run

    def connection_made(self, transport):
        self.transport = transport
        self.buffer, self.needed = bytearray(), None
        self.send()

    def send(self):
        self.start = time.perf_counter()
        if self.start >= self.run.deadline:
            self.transport.close()
            return
        self.transport.write(next(self.run.requests))

    def data_received(self, data):
        self.buffer += data
        if self.needed is None:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self.buffer[:end]).lower()
            mark = head.find(b"\r\ncontent-length:")
            if not head.startswith(b"http/1.1 200") or mark < 0:
                self.run.fail(f"unexpected answer: {bytes(self.buffer[:400])!r}")
                self.transport.abort()
                return
            self.needed = end + 4 + int(head[mark + 17:].split(b"\r\n", 1)[0])
        if len(self.buffer) >= self.needed:
            now = time.perf_counter()
            self.run.finished.append((now, now - self.start))
            self.buffer, self.needed = bytearray(), None
            self.send()

    def connection_lost(self, error):
        if time.perf_counter() < self.run.deadline:
            self.run.fail(f"the server closed the connection: {error}")
        self.run.close()


class Run:
    """A measurement with a number of clients for some seconds."""

    def __init__(self, requests, clients, seconds):
        self.requests = itertools.cycle(requests)
        self.open, self.seconds = clients, seconds
        self.finished, self.failure = [], None

    def fail(self, message):
        self.failure = self.failure or message

    def close(self):
        self.open -= 1
        if not self.open:
            self.done.set_result(None)

    async def perform(self, port):
        loop = asyncio.get_running_loop()
        self.done = loop.create_future()
        self.begin = time.perf_counter()
        self.deadline = self.begin + self.seconds
        used = time.process_time()
        for _ in range(self.open):
            await loop.create_connection(lambda: Client(self), HOST, port)
        await asyncio.wait_for(self.done, self.seconds + 120)
        self.used = time.process_time() - used
        if self.failure:
            raise SystemExit(f"clients: {self.failure}")


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def measure(port, requests, clients, seconds):
    """Returns the answers a second, latencies in milliseconds and the clients' own CPU time.

    Answers after the deadline count in the latencies, and not in the rate.
    """
    run = Run(requests, clients, seconds)
    asyncio.run(run.perform(port))
    latencies = [1000 * latency for _, latency in run.finished]
    counted = sum(end <= run.deadline for end, _ in run.finished)
    return {
        "clients": clients, "count": counted, "per_second": counted / seconds,
        "p50_ms": statistics.median(latencies), "p99_ms": percentile(latencies, 0.99),
        "client_cpu_ms": 1000 * run.used / len(run.finished),
    }


class Null(asyncio.Protocol):
    """Answers every request at once with the same bytes."""

    answer = b""

    def connection_made(self, transport):
        self.transport, self.buffer = transport, bytearray()

    def data_received(self, data):
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self.buffer[:end]).lower()
            length = int(head.split(b"\r\ncontent-length:")[1].split(b"\r\n", 1)[0])
            if len(self.buffer) < end + 4 + length:
                return
            del self.buffer[:end + 4 + length]
            self.transport.write(self.answer)


def start_null(dimension):
    """Starts a server without work in a child process; returns its process id and port."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        with os.fdopen(reader) as file:
            return pid, int(file.readline())
    os.close(reader)
    body = json.dumps({"object": "list", "data": [
        {"object": "embedding", "index": 0, "embedding": "A" * (dimension * 16 // 3)}],
        "model": "null", "usage": {"prompt_tokens": 7, "total_tokens": 7}}).encode()
    Null.answer = (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                   b"Content-Length: %d\r\n\r\n" % len(body)) + body

    async def run():
        server = await asyncio.get_running_loop().create_server(Null, HOST, 0)
        os.write(writer, b"%d\n" % server.sockets[0].getsockname()[1])
        await server.serve_forever()

    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    try:
        asyncio.run(run())
    finally:
        sys.stderr.flush()
        os._exit(1)


def stop_null(pid):
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)
