"""Runs schemathesis against `clip serve` and its /openapi.json: no 500, no schema violation.

    python3 -m venv VENV
    VENV/bin/python -m pip install schemathesis==4.32.5
    swift build -c release
    VENV/bin/python Scripts/parity/schemathesis_server.py --clip .build/release/clip
    VENV/bin/python Scripts/parity/schemathesis_server.py --clip PATH --include /v1/embeddings

Indexes a small folder of images with `tiny`, and starts the server twice on a free port: without
an API key, and with one. Each run makes positive and negative requests with all checks. The exit
status is 1 if a check fails, or if the server crashes or does not stop on SIGTERM.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = "tiny"
KEY = "a-key-for-tests"

# 413, 414 and 431 are proper answers to what is too long. The schema cannot count tokens, tell which
# dimensions a model has, parse a query, or describe the JSON in a form: 400, 413 and 422 may answer
# valid data.
CONFIGURATION = """
hooks = {hooks}

[checks]
negative_data_rejection.expected-statuses = [
    "400", "401", "403", "404", "405", "406", "408", "409", "413", "414", "415", "422",
    "429", "431",
]
positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "429"]

[[operations]]
include-path = ["/", "/v1/embeddings", "/embeddings", "/embed", "/predict", "/zeroshot", "/search"]
checks.positive_data_acceptance.expected-statuses = [
    "2xx", "400", "401", "403", "404", "413", "414", "422", "429",
]
"""


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def index(clip, folder):
    """Copies images into a folder and indexes it; returns the images, smallest first."""
    folder.mkdir()
    for path in sorted((ROOT / "Examples").glob("*.jpg")):
        shutil.copy(path, folder)
    subprocess.run([clip, "index", folder, "--model", MODEL, "--quiet"], check=True)
    return sorted(folder.glob("*.jpg"), key=lambda path: path.stat().st_size)


class Server:
    """A running `clip serve`."""

    def __init__(self, clip, folder, log, options):
        self.url = f"http://127.0.0.1:{free_port()}"
        port = self.url.rsplit(":", 1)[1]
        self.process = subprocess.Popen(
            [clip, "serve", "--model", MODEL, "--index", folder, "--port", port, *options],
            stdout=log, stderr=log)

    def wait(self, seconds=30):
        """Waits until the server answers."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=2) as response:
                    return json.load(response)["status"] == "ok"
            except OSError:
                time.sleep(0.05)
        return False

    def images(self, key):
        """Returns the ids of some indexed images."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        request = urllib.request.Request(f"{self.url}/search?q=a+photo&top=3", headers=headers)
        with urllib.request.urlopen(request, timeout=30) as response:
            return [result["id"] for result in json.load(response)["results"]]

    def stop(self):
        """Ends the server with SIGTERM; returns its exit status, or None if it had to be killed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None


def run(arguments, folder, images, key):
    """Runs schemathesis against one server; returns true if nothing failed."""
    log_path = folder / "server.log"
    environment = {
        **os.environ, "CLIP_IMAGES": ":".join(map(str, images[:3])), "CLIP_MODEL_NAME": MODEL,
        "PYTHONPATH": str(ROOT / "Scripts/parity"), "PYTHONDONTWRITEBYTECODE": "1",
    }
    with open(log_path, "w") as log:
        server = Server(
            arguments.clip, folder / "images", log, ["--api-key", key] if key else [])
        try:
            if not server.wait():
                print("WRONG: the server does not answer")
                return False
            environment["CLIP_IMAGE_IDS"] = ":".join(server.images(key))
            command = [
                pathlib.Path(sys.executable).parent / "schemathesis",
                "--config-file", folder / "schemathesis.toml", "run", f"{server.url}/openapi.json",
                "--checks", "all", "--mode", "all", "--phases", "examples,coverage,fuzzing",
                "--max-examples", str(arguments.examples), "--seed", str(arguments.seed),
                "--continue-on-failure", "--request-timeout", "60",
                "--suppress-health-check", "all", "--generation-database", "none",
            ]
            if arguments.seconds:
                command += ["--max-time", str(arguments.seconds)]
            for path in arguments.include:
                command += ["--include-path", path]
            if key:
                command += ["--header", f"Authorization: Bearer {key}"]
            status = subprocess.run(command, env=environment, cwd=folder).returncode
            is_alive = server.process.poll() is None
        finally:
            ended = server.stop()
    lines = log_path.read_text(errors="replace").splitlines()
    is_right = status == 0 and is_alive and ended == 0
    if not is_right:
        print("\n".join(lines[-20:]))
    kind = "with an API key" if key else "without an API key"
    print(
        f"{'right' if is_right else 'WRONG'}: {kind}: schemathesis ended with {status}, the server "
        f"{'ran' if is_alive else 'had crashed'} and ended with {ended}", flush=True)
    return is_right


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", default=ROOT / ".build/release/clip", type=pathlib.Path)
    parser.add_argument("--examples", type=int, default=100, help="requests per operation [100]")
    parser.add_argument(
        "--seconds", type=int, default=0, help="repeat fuzzing for this time per server [once]")
    parser.add_argument("--seed", type=int, default=1, help="[1]")
    parser.add_argument("--include", action="append", default=[], help="test only this path")
    arguments = parser.parse_args()
    arguments.clip = arguments.clip.resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        images = index(arguments.clip, folder / "images")
        (folder / "schemathesis.toml").write_text(
            CONFIGURATION.format(hooks=json.dumps("schemathesis_hooks")))
        results = [run(arguments, folder, images, key) for key in (None, KEY)]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
