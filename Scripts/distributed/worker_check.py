#!/usr/bin/env python3
"""Checks clip worker: vectors, order, memory, backpressure and faults.

    Scripts/distributed/worker_check.py CLIP [--model MODEL] [--requests N] [--images FOLDER]

CLIP is a built command, MODEL a name or path (default: tiny). Needs only Python's standard library,
and Linux for /proc. The checks:

- vectors: those of the worker equal those of clip encode --format npy bit for bit.
- memory: N requests (default: 100000) of small images and texts. The resident memory is printed
  every N / 10 requests, and must not grow by more than 5 % after the first fifth.
- backpressure: a client that does not read. The worker stops reading, its memory stays bounded, and
  all replies arrive once the client reads.
- announcement: 4 GB that are announced and not sent are refused, without allocating them.
- garbage: input of another kind ends the worker with status 1 and one line.
- signals: SIGTERM and SIGKILL in the middle leave whole replies before the cut.
- throughput, with --images: all images of FOLDER, at least 0.95 times as fast as clip encode.

The exit status is 1 if a check fails.
"""

import argparse
import os
import random
import select
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path

HELLO = struct.pack("<8sI", b"CLIPWORK", 1)
IMAGE, TEXT = 1, 2
EXAMPLES = Path(__file__).resolve().parents[2] / "Examples"
WORDS = "a photo of one red blue dog cat bike house tree boat on the beach at night".split()


def check(condition, message):
    if not condition:
        raise SystemExit(f"worker_check: FAILED: {message}")


def png(width, height, seed):
    """Returns a PNG of random colours."""
    rows = random.Random(seed)
    data = b"".join(b"\0" + rows.randbytes(3 * width) for _ in range(height))

    def chunk(kind, body):
        return (struct.pack(">I", len(body)) + kind + body
                + struct.pack(">I", zlib.crc32(kind + body)))

    return (b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(data, 1)) + chunk(b"IEND", b""))


def text(seed):
    words = random.Random(seed)
    return " ".join(words.choices(WORDS, k=words.randint(1, 12)))


def request(number, kind, payload):
    return struct.pack("<IQB", 9 + len(payload), number, kind) + payload


def resident(pid):
    """Returns the resident memory of a process in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1000
    raise SystemExit("worker_check: FAILED: the worker has ended")


class Worker:
    def __init__(self, options, *more):
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [options.clip, "worker", "--model", options.model, "-q", *more],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)
        self.pid = self.process.pid
        self.dimension = 0

    def start(self):
        """Sends and reads the hellos."""
        self.write(HELLO)
        magic, version, self.dimension, self.fingerprint = struct.unpack("<8sII32s", self.read(48))
        check((magic, version) == (b"CLIPWORK", 1), f"wrong hello: {magic} {version}")
        return self

    def write(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def feed(self, requests):
        """Writes requests in a thread, then closes the pipe."""
        def run():
            try:
                for data in requests:
                    self.process.stdin.write(data)
                self.process.stdin.close()
            except (BrokenPipeError, ValueError):
                pass  # the worker has ended
        threading.Thread(target=run, daemon=True).start()

    def read(self, count):
        data = self.process.stdout.read(count)
        check(len(data) == count, f"the worker has ended: {self.messages()}")
        return data

    def reply(self):
        number, status, count = struct.unpack("<QII", self.read(16))
        body = self.read(4 * self.dimension)
        check(not any(body[count:]), f"reply {number} has bytes after its message")
        return number, status, body[:count]

    def messages(self):
        self.errors.seek(0)
        return self.errors.read().decode()

    def end(self):
        """Returns the exit status and the largest resident memory in MB."""
        _, status, usage = os.wait4(self.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        for pipe in (self.process.stdin, self.process.stdout):
            try:
                pipe.close()
            except BrokenPipeError:
                pass
        return self.process.returncode, usage.ru_maxrss / 1000


def check_vectors(options):
    with tempfile.TemporaryDirectory() as folder:
        paths = sorted(EXAMPLES.glob("*.jpg"))
        for seed in range(20):
            path = Path(folder) / f"{seed}.png"
            path.write_bytes(png(20 + 17 * seed, 300 - 13 * seed, seed))
            paths.append(path)
        texts = [text(seed) for seed in range(40)] + ["ein süßer Hund", "🚲 🚲"]
        words = [word for one in texts for word in ("--text", one)]
        npy = subprocess.run(
            [options.clip, "encode", "--model", options.model, "--format", "npy", "-q",
             *map(str, paths), *words], stdout=subprocess.PIPE, check=True).stdout
        payloads = [(IMAGE, path.read_bytes()) for path in paths]
    payloads += [(TEXT, one.encode()) for one in texts]
    order = list(range(len(payloads))) * 3
    random.Random(1).shuffle(order)
    worker = Worker(options).start()
    size = 4 * worker.dimension
    rows = npy[len(npy) - size * len(payloads):]
    worker.feed([request(row, *payloads[row]) for row in order])
    for row in order:
        number, status, body = worker.reply()
        check(number == row, f"expected the reply {row}, found {number}")
        check(status == 0, f"input {row}: {body}")
        check(body == rows[size * row:size * (row + 1)], f"the vector of input {row} differs")
    status, _ = worker.end()
    check(status == 0, f"exit status {status}: {worker.messages()}")
    print(f"vectors: {len(order)} equal those of clip encode, {worker.dimension} dimensions")


def check_memory(options):
    images = [png(8 + seed % 57, 8 + seed % 43, seed) for seed in range(200)]
    texts = [text(seed).encode() for seed in range(500)]

    def requests():
        choice = random.Random(2)
        for number in range(options.requests):
            if number % 1000 == 999:
                yield request(number, IMAGE, b"no image")
            elif choice.random() < 0.5:
                yield request(number, IMAGE, choice.choice(images))
            else:
                yield request(number, TEXT, choice.choice(texts))

    worker = Worker(options).start()
    worker.feed(requests())
    base, start = None, time.monotonic()
    step = max(1, options.requests // 10)
    for number in range(options.requests):
        found, status, _ = worker.reply()
        check(found == number, f"expected the reply {number}, found {found}")
        check(status == (number % 1000 == 999), f"request {number} has the status {status}")
        if (number + 1) % step == 0 and number + 1 < options.requests:
            now = resident(worker.pid)
            rate = (number + 1) / (time.monotonic() - start)
            print(f"memory: {number + 1} requests, {now:.1f} MB, {rate:.0f} requests a second",
                  flush=True)
            if number + 1 >= 2 * step:
                base = base or now
                check(now <= 1.05 * base, f"{now:.1f} MB, more than 5 % above {base:.1f} MB")
    status, _ = worker.end()
    check(status == 0, f"exit status {status}: {worker.messages()}")


def check_backpressure(options):
    payload = png(250, 250, 3)  # about 190 KB
    worker = Worker(options).start()
    before = resident(worker.pid)
    pipe = worker.process.stdin.fileno()
    os.set_blocking(pipe, False)
    sent, most, count = 0, before, 0
    rest = b""
    while True:
        if not rest:
            rest = request(count, IMAGE, payload)
            count += 1
        _, ready, _ = select.select([], [pipe], [], options.stall)
        if not ready:
            break
        written = os.write(pipe, rest)
        sent, rest = sent + written, rest[written:]
        if count % 50 == 0:
            most = max(most, resident(worker.pid))
        check(count < 100_000, "the worker reads on, although nobody reads its replies")
    most = max(most, resident(worker.pid))
    print(f"backpressure: stopped after {count} requests, {sent / 1e6:.1f} MB; "
          f"{before:.1f} MB before, at most {most:.1f} MB")
    check(most < before + options.memory, f"more than {options.memory} MB were added")
    os.set_blocking(pipe, True)
    worker.feed([rest])
    for number in range(count):
        found, status, _ = worker.reply()
        check((found, status) == (number, 0), f"reply {number}: {found}, status {status}")
    status, _ = worker.end()
    check(status == 0, f"exit status {status}: {worker.messages()}")


def expect_refusal(name, worker, most=None):
    status, memory = worker.end()
    lines = worker.messages().splitlines()
    check(status == 1, f"{name}: exit status {status}")
    check(len(lines) == 1 and lines[0].startswith("clip: error: "), f"{name}: {lines}")
    check(most is None or memory < most, f"{name}: {memory:.1f} MB, expected less than {most} MB")
    print(f"{name}: status 1, at most {memory:.1f} MB: {lines[0]}")


def check_announcement(options):
    idle = Worker(options).start()
    idle.process.stdin.close()
    _, memory = idle.end()
    worker = Worker(options).start()
    worker.write(struct.pack("<I", 0xFFFFFFFF))
    expect_refusal("announcement", worker, memory + 50)
    worker = Worker(options, "--max-request-size", str(0xFFFFFFFF - 9)).start()
    worker.write(struct.pack("<IQB", 0xFFFFFFFF, 1, IMAGE) + bytes(100_000))
    worker.process.stdin.close()
    expect_refusal("permitted announcement", worker, memory + 50)


def check_garbage(options):
    for name, data in [
        ("HTTP", b"GET / HTTP/1.1\r\n\r\n"), ("random bytes", random.Random(4).randbytes(100_000)),
        ("nothing", b""), ("version 2", struct.pack("<8sI", b"CLIPWORK", 2)),
    ]:
        worker = Worker(options)
        worker.feed([data])
        check(worker.process.stdout.read() == b"", f"{name}: something is on standard output")
        expect_refusal(f"garbage, {name}", worker)
    worker = Worker(options).start()
    worker.feed([request(1, TEXT, b"a dog"), request(2, TEXT, b"a cat")[:-1]])
    check(worker.reply()[:2] == (1, 0), "no reply to the complete request")
    expect_refusal("garbage, a cut request", worker)


def check_signals(options):
    for number in (signal.SIGTERM, signal.SIGKILL):
        worker = Worker(options).start()
        worker.feed(request(row, TEXT, text(row).encode()) for row in range(200_000))
        for row in range(1000):
            check(worker.reply()[:2] == (row, 0), f"wrong reply {row}")
        os.kill(worker.pid, number)
        rest = worker.process.stdout.read()
        status, _ = worker.end()
        check(status == -number, f"exit status {status} after signal {number}")
        size = 16 + 4 * worker.dimension
        for row, start in enumerate(range(0, len(rest) - size + 1, size)):
            check(struct.unpack_from("<Q", rest, start)[0] == 1000 + row, "wrong reply at the end")
        print(f"signals: ended by {number.name}, {len(rest) // size} whole replies after it")
    worker = Worker(options).start()
    worker.feed(request(row, TEXT, text(row).encode()) for row in range(200_000))
    worker.process.stdout.close()
    expect_refusal("closed output", worker)


def check_throughput(options):
    paths = sorted(str(path) for path in Path(options.images).iterdir() if path.is_file())

    def by_worker():
        worker = Worker(options).start()
        worker.feed(request(row, IMAGE, Path(path).read_bytes()) for row, path in enumerate(paths))
        for _ in paths:
            worker.reply()
        check(worker.end()[0] == 0, worker.messages())

    def by_encode():
        subprocess.run(
            [options.clip, "encode", "--model", options.model, "--format", "npy", "-q",
             "--files-from", "-"], input="\n".join(paths), text=True, stdout=subprocess.DEVNULL,
            check=False)

    times = {by_encode: [], by_worker: []}
    for _ in range(3):
        for run, list_ in times.items():
            start = time.monotonic()
            run()
            list_.append(time.monotonic() - start)
    encode, worker = (min(times[run]) for run in (by_encode, by_worker))
    print(f"throughput: {len(paths)} images, clip encode {len(paths) / encode:.1f} and clip worker "
          f"{len(paths) / worker:.1f} a second: {encode / worker:.3f}")
    check(encode / worker >= 0.95, "the worker is slower than 0.95 of clip encode")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("clip", help="the built command")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--images", help="a folder of images for the throughput")
    parser.add_argument("--stall", type=float, default=10,
                        help="the seconds without reading after which the worker has stopped")
    parser.add_argument("--memory", type=float, default=500,
                        help="the MB that a client that does not read may add")
    parser.add_argument("--only", nargs="*", help="the checks to run, such as memory garbage")
    options = parser.parse_args()
    checks = [check_vectors, check_announcement, check_garbage, check_signals, check_backpressure,
              check_memory]
    if options.images:
        checks.append(check_throughput)
    for one in checks:
        if not options.only or one.__name__.removeprefix("check_") in options.only:
            one(options)
    print("worker_check: all checks passed")


if __name__ == "__main__":
    sys.exit(main())
