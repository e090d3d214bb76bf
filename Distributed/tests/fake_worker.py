#!/usr/bin/env python3
"""A stand-in for `clip worker` that speaks its protocol, for tests.

    fake_worker.py worker [--die-after N] [--sleep S] [--garbage] [--model W] [--threads N]

The vector of a payload is 8 numbers of its SHA-256, normalised. A payload that begins with
"broken", or is empty, has none. With --die-after N, the process kills itself after N replies.
"""

import array
import hashlib
import math
import os
import signal
import struct
import sys
import time

DIMENSION = 8


def vector(payload):
    numbers = [byte - 127.5 for byte in hashlib.sha256(payload).digest()[:DIMENSION]]
    norm = math.sqrt(sum(number * number for number in numbers))
    return array.array("f", [number / norm for number in numbers]).tobytes()


def option(name, default=None):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default


def main():
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    die_after = int(option("--die-after", -1))
    if stdin.read(12) != b"CLIPWORK\x01\0\0\0":
        sys.exit("fake worker: expected a hello")
    space = hashlib.sha256(str(option("--model")).encode()).digest()
    stdout.write(b"garbage!" if "--garbage" in sys.argv else b"CLIPWORK")
    stdout.write(struct.pack("<II", 1, DIMENSION) + space)
    stdout.flush()
    count = 0
    while head := stdin.read(4):
        if count == die_after:
            print("fake worker: out of memory, they say", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        body = stdin.read(struct.unpack("<I", head)[0])
        number, _ = struct.unpack_from("<QB", body)
        payload = body[9:]
        time.sleep(float(option("--sleep", 0)))
        if not payload or payload.startswith(b"broken"):
            message = "the image is broken: é and more text than fits".encode()[:4 * DIMENSION]
            stdout.write(struct.pack("<QII", number, 1, len(message)))
            stdout.write(message.ljust(4 * DIMENSION, b"\0"))
        else:
            stdout.write(struct.pack("<QII", number, 0, 4 * DIMENSION) + vector(payload))
        stdout.flush()
        count += 1


if __name__ == "__main__":
    main()
