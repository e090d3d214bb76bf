"""Puts `clip serve` under load: good, bad, slow and vanishing clients, SIGTERM, idle connections.

    python -m venv VENV && VENV/bin/pip install numpy
    swift build -c release
    VENV/bin/python Scripts/bench/server_load.py --clip .build/release/clip --model tiny
        [--minutes 10] [--clients 64] [--idle 10000] [--parts load term idle]

Part load: clients send texts, images, broken images, oversized bodies, bad JSON, pipelined and slow
requests, and abort connections at random points. Each vector must have the bits of `clip encode`,
each bad request its status; 429 is allowed for all. Resident memory is sampled each second, and may
grow by less than 20 MB after the first minute.

Part term: sends SIGTERM while all clients wait for answers. Each request that the server's machine
has received before must be answered, new connections must be refused, and the exit status be 0.

Part idle: opens idle connections. Others must be served meanwhile, each in at most 5 s.

Everything runs on loopback addresses, and only the process that the script has started is ended.
Exits with 1 if anything fails.
"""

import argparse
import asyncio
import base64
import fcntl
import pathlib
import random
import resource
import signal
import statistics
import struct
import sys
import time

from load_clients import Closed, Connection, Load, Wrong

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "Scripts/parity"))
from served import Clip, serve  # noqa: E402

SIOCOUTQ = 0x5411
GROWTH = 20  # megabytes
BODY_LIMIT = 16 << 20
# How often each behaviour is chosen.
WEIGHTS = {"steady": 40, "pipelined": 8, "broken_image": 10, "bad_json": 10, "other": 6,
           "oversized": 3, "aborted": 15, "slow": 8}


def raise_open_files(wanted):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))


def make_load(arguments, port):
    """Returns the load with expected vectors from `clip encode`."""
    random.seed(arguments.seed)
    words = "red green blue small large old new dog cat car tree house river road bird boat".split()
    texts = [" ".join(random.choices(words, k=random.randint(1, 12))) for _ in range(200)]
    paths = [*sorted((ROOT / "Examples").glob("*.jpg")),
             *sorted((ROOT / "Tests/Fixtures/images").glob("*.jpg"))]
    clip = Clip(arguments.clip, arguments.model, arguments.home)
    images = ["data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode()
              for path in paths]
    return Load(port, arguments.model, texts, clip.vectors(texts=texts), images,
                clip.vectors(paths), BODY_LIMIT)


async def client(load, server, deadline):
    """Behaves in random ways, one after the other."""
    names, weights = list(WEIGHTS), list(WEIGHTS.values())
    while time.monotonic() < deadline and server.is_alive:
        name = random.choices(names, weights)[0]
        try:
            async with Connection(load.port) as connection:
                await getattr(load, name)(connection)
        except (Wrong, Closed, ValueError, KeyError) as error:
            load.wrong.append(f"{name}: {type(error).__name__}: {error}")
        except (ConnectionError, TimeoutError) as error:
            # An aborting client does not care; the others must be accepted and read.
            load.count(name, type(error).__name__)
            if name != "aborted":
                load.wrong.append(f"{name}: {type(error).__name__}: {error}")


async def sample(server, samples, deadline):
    start = time.monotonic()
    while time.monotonic() < deadline and server.is_alive:
        samples.append((time.monotonic() - start, server.memory()))
        await asyncio.sleep(1)


async def loaded(load, server, arguments):
    deadline = time.monotonic() + 60 * arguments.minutes
    samples = []

    async def endless():
        async with Connection(load.port) as connection:
            try:
                await load.endless(connection, arguments.request_timeout)
            except Wrong as error:
                load.wrong.append(str(error))

    await asyncio.gather(
        sample(server, samples, deadline), endless(), endless(),
        *[client(load, server, deadline) for _ in range(arguments.clients)])
    return samples


def part_load(arguments):
    with serve(arguments.clip, [arguments.model], "--request-timeout", arguments.request_timeout,
               "--max-body", "16M", *arguments.serve, home=arguments.home) as server:
        load = make_load(arguments, server.port)
        samples = asyncio.run(loaded(load, server, arguments))
        print("| kind | answers |\n|---|---|")
        for kind, counts in sorted(load.counts.items()):
            print(f"| {kind} | "
                  + ", ".join(f"{key}: {n}" for key, n in sorted(counts.items(), key=str)) + " |")
        print(f"\n{load.checked} vectors compared, {len(load.wrong)} wrong answers")
        for message in load.wrong[:20]:
            print(f"    {message[:400]}")
        settled = min(60, arguments.minutes * 20)
        # Bodies that are just being received come and go, so medians are compared.
        early = [size for at, size in samples if settled / 2 < at <= settled]
        late = [size for at, size in samples[-max(1, len(samples) // 10):]]
        growth = statistics.median(late) - statistics.median(early)
        peaks = [max(size for at, size in samples if (at > settled) == after)
                 for after in (False, True)]
        print(f"Resident memory: {samples[0][1]:.0f} MB at the start; median "
              f"{statistics.median(early):.1f} MB until {settled:.0f} s and "
              f"{statistics.median(late):.1f} MB at the end: growth {growth:.1f} MB (limit "
              f"{GROWTH}); at most {peaks[0]:.0f} MB before and {peaks[1]:.0f} MB after")
        print(f"The server is {'alive' if server.is_alive else 'dead'} at the end")
        alive = server.is_alive and server.status("/health") == 200
        status = server.stop()
        print(f"SIGTERM without load: exit status {status}")
        if not alive:
            print(server.output())
        return not load.wrong and growth < GROWTH and alive and status == 0


class Waiting:
    """A request that has been sent, and its fate."""

    def __init__(self, connection):
        self.connection, self.arrived, self.outcome = connection, False, None
        self.is_sent = False

    def note_arrival(self):
        """Records if the kernel has delivered the complete request to the server's socket."""
        queue = fcntl.ioctl(self.connection.writer.get_extra_info("socket").fileno(), SIOCOUTQ,
                            b"\0\0\0\0")
        buffered = self.connection.writer.transport.get_write_buffer_size()
        self.arrived = self.is_sent and not buffered and struct.unpack("i", queue)[0] == 0


async def term_client(load, stop, waiting):
    """Sends requests on a connection that the server has accepted, until the signal."""
    async with Connection(load.port) as connection:
        while not stop.is_set():
            kind = random.choice(["text", "image"])
            data, rows = load.inputs(kind, random.choice([1, 4, 16]))
            one = Waiting(connection)
            waiting.append(one)
            try:
                await connection.send(data)
                one.is_sent = True
                load.check(kind, rows, *await connection.answer())
                one.outcome = "answered"
            except (Wrong, ConnectionError, Closed) as error:
                one.outcome = f"{type(error).__name__} {error}"
                if isinstance(error, Wrong):
                    load.wrong.append(str(error))
                return
            if not stop.is_set():
                waiting.remove(one)


async def terminated(load, server, clients):
    stop, waiting = asyncio.Event(), []
    tasks = [asyncio.create_task(term_client(load, stop, waiting)) for _ in range(clients)]
    await asyncio.sleep(5 + random.random())
    in_flight = [one for one in waiting if not one.outcome]
    for one in in_flight:
        one.note_arrival()
    server.process.send_signal(signal.SIGTERM)
    stop.set()
    await asyncio.sleep(0.5)
    refused = "refused"
    try:
        async with Connection(load.port) as connection:
            await connection.send(load.inputs("text", 1)[0])
            refused = f"answered with {(await connection.answer())[0]}"
    except (ConnectionError, Closed):
        pass
    await asyncio.gather(*tasks)
    return in_flight, refused


def part_term(arguments):
    good = True
    for turn in range(arguments.turns):
        with serve(arguments.clip, [arguments.model], *arguments.serve,
                   home=arguments.home) as server:
            load = make_load(arguments, server.port)
            random.seed(arguments.seed + turn)
            in_flight, refused = asyncio.run(terminated(load, server, arguments.clients))
            status = server.process.wait(60)
        arrived = [one for one in in_flight if one.arrived]
        lost = [one for one in arrived if one.outcome != "answered"]
        print(f"SIGTERM under load: {len(in_flight)} requests waited, {len(arrived)} had arrived, "
              f"{len(lost)} of them lost, {len(load.wrong)} wrong; a new connection is {refused}; "
              f"exit status {status}", flush=True)
        for one in lost[:5]:
            print(f"    {one.outcome}")
        for message in load.wrong[:5]:
            print(f"    {message}")
        good &= not lost and not load.wrong and status == 0 and bool(arrived)
        good &= not refused.startswith("answered with 2")
    return good


async def held(load, arguments):
    """Opens idle connections while others are served; returns the latencies of those."""
    idle, refused, latencies, failures = [], 0, [], []
    for i in range(arguments.idle):
        if refused > 20 and not i % 100:
            # A server that accepts no more lets each attempt wait.
            break
        # A source address has at most as many connections to a port as there are ports.
        connection = Connection(load.port, f"127.0.0.{2 + i // 4000}", timeout=1)
        try:
            await connection.__aenter__()
            idle.append(connection)
        except (OSError, TimeoutError):
            refused += 1
    print(f"{len(idle)} idle connections opened, {refused} refused", flush=True)
    closed = 0
    for i in range(arguments.requests):
        start = time.perf_counter()
        try:
            data, rows = load.inputs("text", 1)
            async with Connection(load.port) as connection:
                await connection.send(data)
                load.check("text", rows, *await asyncio.wait_for(connection.answer(), 5))
            latencies.append(1000 * (time.perf_counter() - start))
        except (Wrong, Closed, OSError, TimeoutError) as error:
            failures.append(f"{type(error).__name__} {error}")
        await asyncio.sleep(0.1)
        closed = sum(connection.reader.at_eof() for connection in idle)
    for connection in idle:
        connection.writer.transport.abort()
    await asyncio.sleep(0.5)
    return len(idle), closed, latencies, failures


def part_idle(arguments):
    raise_open_files(arguments.idle + 1000)
    with serve(arguments.clip, [arguments.model], *arguments.serve, home=arguments.home) as server:
        load = make_load(arguments, server.port)
        before = server.memory()
        opened, closed, latencies, failures = asyncio.run(held(load, arguments))
        print(f"{closed} of {opened} idle connections were closed by the server; {len(latencies)} "
              f"of {arguments.requests} others served, at most "
              f"{max(latencies, default=0):.0f} ms; memory {before:.0f} MB, then "
              f"{server.memory():.0f} MB")
        for message in failures[:5]:
            print(f"    {message}")
        alive = server.status("/health") == 200
        return alive and not failures and not load.wrong and server.stop() == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", type=pathlib.Path, default=ROOT / ".build/release/clip")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--home", type=pathlib.Path, help="the CLIP_HOME with the weights")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--idle", type=int, default=10_000)
    parser.add_argument("--requests", type=int, default=100, help="requests beside idle ones")
    parser.add_argument("--turns", type=int, default=3, help="repetitions of part term")
    parser.add_argument("--request-timeout", type=int, default=20)
    parser.add_argument("--seed", type=int, default=22)
    parser.add_argument("--parts", nargs="+", default=["load", "term", "idle"])
    parser.add_argument("--serve", nargs=argparse.REMAINDER, default=["--log", "none"],
                        help="further options of clip serve (default: --log none)")
    arguments = parser.parse_args()
    arguments.clip = arguments.clip.resolve()
    raise_open_files(4096)
    parts = {"load": part_load, "term": part_term, "idle": part_idle}
    failed = [name for name in arguments.parts if not parts[name](arguments)]
    print(f"failed: {', '.join(failed)}" if failed else "all parts passed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
