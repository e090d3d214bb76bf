"""Measures `clip serve` beside infinity on the same weights and cores, in turn.

    python -m venv INFINITY-VENV && INFINITY-VENV/bin/pip install -r Scripts/bench/infinity.txt
    python -m venv VENV && VENV/bin/pip install numpy
    swift build -c release
    INFINITY-VENV/bin/python Scripts/bench/server_weights.py MODEL --vocabulary FOLDER
    VENV/bin/python Scripts/bench/server.py --model MODEL --infinity-python
        INFINITY-VENV/bin/python [--output results.json]

MODEL is a folder with ViT-B/32 in Hugging Face's layout. Both servers run all the time; the one
that is not measured is stopped with SIGSTOP. Each client sends one text or image a request, over a
connection that stays open, and asks for base64. The best round counts. The clients run on the same
cores: their CPU time is printed, and their rate with a server that does nothing.

Then: seconds from the start of the process to the first answer, resident memory before and after
the load, and the ratios to `clip bench`, which excludes HTTP, tokenizing and preprocessing.

Prints Markdown; --output writes the same as JSON.
"""

import argparse
import base64
import contextlib
import json
import os
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import time

import numpy

from http_clients import measure, start_null, stop_null

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "Scripts/parity"))
from served import (  # noqa: E402
    HOST, Process, decoded, environment, exchange, free_port, json_request, request)

NAME = "ViT-B-32"
WORDS = """dog cat horse river beach mountain street car bicycle child garden winter snow forest
bridge tower market lamp window bread""".split()


class Server:
    """A way to start a server, its requests, and the process that is running."""

    def __init__(self, name, path, model, command, variables):
        self.name, self.path, self.model = name, path, model
        self.command, self.variables = command, variables
        self.process = None

    def start(self, port, *options, ready=None):
        return Process([*self.command(port), *options], port, ready, variables=self.variables)

    def body(self, kind, given):
        value = {"model": self.model, "input": given, "encoding_format": "base64"}
        return value | ({"modality": "image"} if kind == "image" else {})

    def requests(self, kind, pool, port):
        return [json_request(self.path, self.body(kind, given), port) for given in pool]

    def answer(self, kind, given, port):
        """Returns the vector of a text or image; None if the server is not ready."""
        try:
            status, _, body = exchange(port, json_request(
                self.path, self.body(kind, given), port))
        except (OSError, ValueError):
            return None
        assert status in (200, 503), (self.name, status, body[:500])
        return decoded(json.loads(body)["data"][0]["embedding"]) if status == 200 else None

    def hold(self):
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)

    def signal(self, number):
        if self.process and self.process.is_alive:
            os.kill(self.process.pid, number)


@contextlib.contextmanager
def only(server, servers):
    """Stops the other servers meanwhile."""
    for other in servers:
        other.resume() if other is server else other.hold()
    time.sleep(0.3)
    try:
        yield
    finally:
        for other in servers:
            other.resume()


def make_servers(arguments):
    clip = str(arguments.clip.resolve())
    model = str(arguments.model.resolve())
    program = str(arguments.infinity_python.parent / "infinity_emb")
    quiet = environment() | {"DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0"}
    ours = Server("clip serve", "/v1/embeddings", model,
                  lambda port: [clip, "serve", "--model", model, "--host", HOST, "--port", port,
                                "--log", "none", "--precision", arguments.precision],
                  environment())
    theirs = Server("infinity", "/embeddings", NAME, lambda port: [
        arguments.infinity_python, program, "v2", "--model-id", model, "--served-model-name", NAME,
        "--host", HOST, "--port", port, "--engine", "torch", "--device", "cpu",
        "--dtype", "float32", "--no-bettertransformer", "--log-level", "warning",
        *arguments.infinity_options], quiet)
    return [ours, theirs]


def make_pools(arguments):
    """Returns texts of the same number of tokens, and images as data URLs."""
    random.seed(22)
    texts = [f"a photo of a {random.choice(WORDS)} and a {random.choice(WORDS)} near the "
             f"{random.choice(WORDS)}" for _ in range(512)]
    images = arguments.images or sorted((ROOT / "Examples").glob("*.jpg"))
    urls = ["data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode()
            for path in images]
    return {"text": texts, "image": urls}, [len(path.read_bytes()) for path in images], images


def first_answers(servers, pools, arguments):
    """Returns the seconds from the start of the process to the first answer, of each kind."""
    times = {}
    for turn in range(arguments.starts):
        for server in servers:
            for kind in pools:
                options = ["--no-model-warmup"] if server.name == "infinity" else []
                port = free_port()
                with server.start(port, *options) as process:
                    while server.answer(kind, pools[kind][turn], port) is None:
                        assert process.is_alive, process.output()
                        time.sleep(0.002)
                    times.setdefault((server.name, kind), []).append(
                        time.perf_counter() - process.started)
    return times


def throughput(servers, pools, arguments):
    """Returns the best round of each server, kind and number of clients."""
    best = {}
    for turn in range(arguments.rounds + 1):
        for kind in pools:
            for clients in arguments.clients:
                for server in servers:
                    with only(server, servers):
                        port = server.process.port
                        requests = server.requests(kind, pools[kind], port)
                        measure(port, requests, clients, 1)
                        before = batches(port) if server.name != "infinity" else None
                        found = measure(port, requests, clients,
                                        arguments.seconds if turn else 2)
                        if before is not None:
                            found["mean_batch"] = mean_batch(before, batches(port))
                    key = (server.name, kind, clients)
                    # The first turn warms up.
                    if turn and (key not in best
                                 or found["per_second"] > best[key]["per_second"]):
                        best[key] = found
        print(f"round {turn} of {arguments.rounds}", file=sys.stderr, flush=True)
    return best


def batches(port):
    """Returns the number of batches and inputs so far, of /metrics."""
    try:
        lines = request(port, "GET", "/metrics")[2].decode().splitlines()
    except (OSError, ValueError):
        return None
    return [sum(float(line.rsplit(" ", 1)[1]) for line in lines
                if line.startswith("clip_batch_size" + ending)) for ending in ("_count", "_sum")]


def mean_batch(before, after):
    if before is None or after is None or after[0] == before[0]:
        return None
    return (after[1] - before[1]) / (after[0] - before[0])


def clip_bench(arguments, *options):
    """Returns the answer of `clip bench`; the best of three."""
    found = [json.loads(subprocess.run(
        [str(arguments.clip.resolve()), "bench", *map(str, options), "--json", "--model",
         str(arguments.model.resolve())], capture_output=True, check=True,
        env=environment()).stdout) for _ in range(3)]
    return min(found, key=lambda one: one["median_ms"])


def ratios(best, pools, images, servers, arguments):
    """Prints the comparison with `clip bench`; both servers are stopped meanwhile."""
    counts = subprocess.run(
        [str(arguments.clip.resolve()), "tokenize", "--count", *pools["text"], "--model",
         str(arguments.model.resolve())], capture_output=True, check=True, env=environment())
    tokens = round(statistics.mean(map(int, counts.stdout.split())))
    cores = len(os.sched_getaffinity(0))
    result = {"tokens": tokens}
    with only(None, servers):
        single = clip_bench(arguments, "--tower", "text", "--batch", 1, "--tokens", tokens)
        decode = statistics.mean(clip_bench(
            arguments, "--tower", "preprocess", "--image", path)["median_ms"] for path in images)
        clients = 16 if 16 in arguments.clients else max(arguments.clients)
        towers = {"text": clip_bench(arguments, "--tower", "text", "--batch", clients,
                                     "--tokens", tokens),
                  "image": clip_bench(arguments, "--tower", "image", "--batch", clients)}
    served = best["clip serve", "text", min(arguments.clients)]
    result |= {"single_text_ms": single["median_ms"],
               "added_ms": served["p50_ms"] - single["median_ms"]}
    print(f"\nA text of {tokens} tokens in the process: {single['median_ms']:.2f} ms; the median "
          f"of a request: {served['p50_ms']:.2f} ms, {result['added_ms']:.2f} more (limit 3).\n")
    print(f"| {clients} clients | served a second | mean batch | `clip bench`, batch {clients} | "
          f"ratio (limit 0.9) |\n|---|---|---|---|---|")
    for kind, tower in towers.items():
        found = best["clip serve", kind, clients]
        rates = {kind: tower["per_second"]}
        if kind == "image":
            # Decoding takes all cores from the tower for this time.
            rates["image, with preprocessing"] = 1000 / (
                1000 / tower["per_second"] + decode / cores)
        for name, rate in rates.items():
            result[f"ratio_{name}"] = found["per_second"] / rate
            print(f"| {name} | {found['per_second']:.1f} | {found['mean_batch'] or 0:.1f} | "
                  f"{rate:.1f} | {found['per_second'] / rate:.3f} |")
    return result


def check_vectors(servers, pools):
    """Compares the vectors of both servers."""
    for kind in pools:
        rows = []
        for server in servers:
            found = [server.answer(kind, given, server.process.port) for given in pools[kind][:8]]
            rows.append(numpy.array([row / numpy.linalg.norm(row) for row in found]))
        least = (rows[0] * rows[1]).sum(1).min()
        print(f"Least cosine of the vectors of both, {kind}: {least:.6f}")
        assert least > 0.999, "the servers do not run the same model"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", type=pathlib.Path, default=ROOT / ".build/release/clip")
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--infinity-python", type=pathlib.Path, required=True)
    parser.add_argument("--images", type=pathlib.Path, nargs="+")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 16, 64])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--precision", choices=["fp32", "bf16", "int8"], default="fp32",
                        help="of clip serve; infinity computes in float32")
    parser.add_argument("--output", type=pathlib.Path)
    parser.add_argument("--infinity-options", nargs=argparse.REMAINDER, default=[])
    arguments = parser.parse_args()
    # Not resolved: the link in a virtual environment is what selects it.
    arguments.infinity_python = arguments.infinity_python.absolute()
    servers = make_servers(arguments)
    pools, sizes, images = make_pools(arguments)
    print(f"{len(os.sched_getaffinity(0))} cores, {len(sizes)} JPEGs of "
          f"{statistics.mean(sizes) / 1000:.0f} kB on average")
    result = {"rows": []}

    pid, port = start_null(512)
    print("\n| clients alone (null server) | requests a second | CPU of the clients |\n"
          "|---|---|---|")
    for kind in pools:
        for clients in arguments.clients:
            found = measure(port, servers[0].requests(kind, pools[kind], port), clients, 2)
            result.setdefault("null", []).append({"kind": kind} | found)
            print(f"| {kind}, {clients} clients | {found['per_second']:.0f} | "
                  f"{found['client_cpu_ms']:.3f} ms a request |", flush=True)
    stop_null(pid)

    times = first_answers(servers, pools, arguments)
    print("\n| seconds to the first answer | clip serve | infinity | times faster |\n"
          "|---|---|---|---|")
    for kind in pools:
        ours, theirs = (min(times[server.name, kind]) for server in servers)
        result[f"first_{kind}"] = {"clip": ours, "infinity": theirs}
        print(f"| {kind} | {ours:.3f} | {theirs:.2f} | {theirs / ours:.1f} (limit 10) |",
              flush=True)

    with contextlib.ExitStack() as stack:
        for server in servers:
            server.process = stack.enter_context(server.start(free_port(), ready="/health"))
        stack.callback(lambda: [server.resume() for server in servers])
        check_vectors(servers, pools)
        best = throughput(servers, pools, arguments)
        print("\n| | server | a second | p50 | p99 | CPU of the clients | times infinity |\n"
              "|---|---|---|---|---|---|---|")
        for kind in pools:
            for clients in arguments.clients:
                theirs = best["infinity", kind, clients]["per_second"]
                for server in servers:
                    found = best[server.name, kind, clients]
                    result["rows"].append({"server": server.name, "kind": kind} | found)
                    print(f"| {kind}, {clients} clients | {server.name} | "
                          f"{found['per_second']:.1f} | {found['p50_ms']:.1f} ms | "
                          f"{found['p99_ms']:.1f} ms | {found['client_cpu_ms']:.2f} ms | "
                          f"{found['per_second'] / theirs:.2f} |")
        print("\n| memory after the load | resident | peak | anonymous |\n|---|---|---|---|")
        for server in servers:
            fields = [server.process.memory(field) for field in ("VmRSS", "VmHWM", "RssAnon")]
            result.setdefault("memory", {})[server.name] = fields
            print(f"| {server.name} | {' | '.join(f'{value:.0f} MB' for value in fields)} |")
        ours, theirs = (result["memory"][server.name][0] for server in servers)
        print(f"\nResident memory: {100 * ours / theirs:.0f} % of infinity's (limit 25 %).")
        result["ratios"] = ratios(best, pools, images, servers, arguments)
    if arguments.output:
        arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
