"""Checks that `clip serve` answers existing clients, with the vectors of `clip encode` to the bit.

    python -m venv VENV && VENV/bin/pip install numpy pillow openai
    swift build -c release
    VENV/bin/python Scripts/parity/server.py --clip .build/release/clip --model tiny
    VENV/bin/python Scripts/parity/server.py --home FOLDER --model ViT-B/32
        --immich-name ViT-B-32__openai

Starts the server with the model and with an index of copied images, and sends the requests of the
openai package (sync and async), LangChain, infinity, vLLM, Jina, Text Embeddings Inference,
Weaviate and immich. immich's are sent by Node.js (20 or later; immich.mjs), whose fetch and
FormData its server uses, and as recorded bytes. /zeroshot and /search must agree with
`clip zeroshot --json` and `clip search --json`.

--home is a CLIP_HOME with weights, such as ViT-B-32.safetensors. The images are those of
Examples and Tests/Fixtures/images, or of --images.

Prints a line for each check; exits with 1 if any fails.
"""

import argparse
import asyncio
import base64
import contextlib
import io
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import server_clients
import server_own
from PIL import Image
from served import (
    HOST, ROOT, Checks, Clip, decoded, exchange, expect, json_request, request, same, serve)

TEXTS = ["a dog", "a man riding bicycle", "naïve café, 東京タワー & more", "x" * 60,
         "  two   spaces\nand a line  ", "an astronaut -- on a horse; 4k, 1665!"]
WORDS = "red green blue small large old new dog cat car tree house river road bird boat".split()
LONG = "very " * 200 + "long"


class Bench:
    """The inputs of all checks, the vectors they must have, and the server."""

    def __init__(self, arguments, folder):
        self.clip = Clip(arguments.clip, arguments.model, arguments.home)
        self.model = arguments.model
        self.immich_name = arguments.immich_name or arguments.model
        self.texts = list(TEXTS)
        self.many = [f"{WORDS[i % 16]} {WORDS[i // 16]} number {i}" for i in range(200)]
        self.folder = folder
        self.images = sorted(path for path in folder.iterdir() if path.is_file())
        self.bytes = [path.read_bytes() for path in self.images]
        self.image_vectors = self.clip.vectors(self.images)
        self.text_vectors = self.clip.vectors(texts=self.texts)
        self.many_vectors = self.clip.vectors(texts=self.many)
        self.raw_image_vectors = self.clip.vectors(self.images, (), "--no-normalize")
        self.raw_text_vectors = self.clip.vectors((), self.texts, "--no-normalize")
        self.long_vector = self.clip.vectors((), [LONG], "--truncate")
        self.port = None

    def data_url(self, i):
        kind = {".png": "png", ".webp": "webp"}.get(self.images[i].suffix, "jpeg")
        return f"data:image/{kind};base64,{base64.b64encode(self.bytes[i]).decode()}"

    def post(self, path, value):
        """Returns the status and the parsed body."""
        status, _, body = exchange(self.port, json_request(path, value, self.port))
        return status, json.loads(body)

    def embed(self, value, path="/v1/embeddings"):
        """Posts a request in OpenAI's shape; returns the vectors and the answer."""
        status, answer = self.post(path, {"model": self.model} | value)
        expect(status, 200, answer)
        expect(answer["object"], "list")
        expect([row["index"] for row in answer["data"]], list(range(len(answer["data"]))))
        expect({row["object"] for row in answer["data"]}, {"embedding"})
        return [decoded(row["embedding"]) for row in answer["data"]], answer


def immich_checks(checks, bench):
    """The requests of immich's server, by Node.js and as recorded bytes."""
    visual = {"clip": {"visual": {"modelName": bench.immich_name}}}
    textual = {"clip": {"textual": {"modelName": bench.immich_name, "options": {"language": "de"}}}}
    faces = {"facial-recognition": {
        "detection": {"modelName": "buffalo_l", "options": {"minScore": 0.7}},
        "recognition": {"modelName": "buffalo_l"}}}
    characters = {"ocr": {
        "detection": {"modelName": "PP-OCRv5_mobile",
                      "options": {"minScore": 0.5, "maxResolution": 736}},
        "recognition": {"modelName": "PP-OCRv5_mobile", "options": {"minScore": 0.8}}}}
    # A form's values have CR LF line ends, so the vector is that of the changed text.
    texts = [text.replace("\n", "\r\n") for text in bench.texts]
    text_vectors = bench.clip.vectors(texts=texts)

    def image_answer(status, answer, i):
        expect(status, 200, answer)
        assert isinstance(answer["clip"], str), "clip must be a string"
        same([decoded(json.loads(answer["clip"]))], bench.image_vectors[i:i + 1])
        image = Image.open(io.BytesIO(bench.bytes[i]))
        size = (answer["imageWidth"], answer["imageHeight"])
        turned = "orientation" in bench.images[i].name
        assert size == image.size or turned and size == image.size[::-1], (size, image.size)

    def text_answer(status, answer, i):
        expect(status, 200, answer)
        same([decoded(json.loads(answer["clip"]))], text_vectors[i:i + 1])

    requests = [{"entries": visual, "image": str(path)} for path in bench.images]
    requests += [{"entries": textual, "text": text} for text in [*bench.texts, LONG]]
    requests += [{"entries": faces, "image": str(bench.images[0])},
                 {"entries": characters, "image": str(bench.images[0])},
                 {"entries": visual}, {"entries": {"clip": {}}, "text": "x"}]
    answers = []

    def node():
        done = subprocess.run(
            ["node", ROOT / "Scripts/parity/immich.mjs", f"http://{HOST}:{bench.port}"],
            input="".join(json.dumps(value) + "\n" for value in requests), text=True,
            capture_output=True, timeout=300)
        expect(done.returncode, 0, done.stderr)
        answers.extend(map(json.loads, done.stdout.splitlines()))
        expect(len(answers), 1 + len(requests))
        expect((answers[0]["status"], answers[0]["body"]), (200, "pong"))

    def each(first, count, check):
        for i in range(count):
            check(answers[first + i]["status"], answers[first + i]["body"], i)

    def statuses(last, *accepted):
        for answer, statuses in zip(answers[last:], accepted):
            assert answer["status"] in statuses, answer
    images, texts_count = len(bench.images), len(bench.texts)
    checks.run("immich by Node.js: /ping and all requests are answered", node)
    checks.run(f"immich by Node.js: {images} images", lambda: each(1, images, image_answer))
    checks.run(f"immich by Node.js: {texts_count} texts",
               lambda: each(1 + images, texts_count, text_answer))
    checks.run("immich by Node.js: a long text is truncated", lambda: same(
        [decoded(json.loads(answers[1 + images + texts_count]["body"]["clip"]))],
        bench.long_vector))
    client_error = range(400, 500)
    checks.run("immich by Node.js: faces and characters are 4xx, no input 400, bad entries 422",
               lambda: statuses(-4, client_error, client_error, [400], [422]))

    def recorded(entries, field, content):
        """The bytes that Node.js 20.20 sends for immich's requests, with its boundary."""
        boundary = b"------formdata-undici-090855329542"
        body = (boundary + b'\r\nContent-Disposition: form-data; name="entries"\r\n\r\n'
                + json.dumps(entries, separators=(",", ":")).encode() + b"\r\n" + boundary
                + b"\r\nContent-Disposition: form-data; " + field + b"\r\n\r\n" + content + b"\r\n"
                + boundary + b"--\r\n")
        sent = (b"POST /predict HTTP/1.1\r\nhost: 127.0.0.1:%d\r\nconnection: keep-alive\r\n"
                b"content-type: multipart/form-data; boundary=%b\r\naccept: */*\r\n"
                b"accept-language: *\r\nsec-fetch-mode: cors\r\nuser-agent: node\r\n"
                b"accept-encoding: gzip, deflate\r\ncontent-length: %d\r\n\r\n"
                % (bench.port, boundary[2:], len(body)))
        status, headers, answer = exchange(bench.port, sent + body)
        assert headers["content-type"].startswith("application/json"), headers
        return status, json.loads(answer)

    image_field = b'name="image"; filename="blob"\r\nContent-Type: application/octet-stream'
    checks.run("immich as recorded: images", lambda: [
        image_answer(*recorded(visual, image_field, content), i)
        for i, content in enumerate(bench.bytes)])
    checks.run("immich as recorded: texts", lambda: [
        text_answer(*recorded(textual, b'name="text"', text.encode()), i)
        for i, text in enumerate(texts)])
    checks.run("immich as recorded: GET / is its message", lambda: expect(
        json.loads(request(bench.port, "GET", "/", headers=["Accept: */*"])[2]),
        {"message": "Immich ML"}))


def make_folder(arguments, folder):
    """Copies the images, so that an index can be made beside them."""
    given = arguments.images or [*sorted((ROOT / "Examples").glob("*.jpg")),
                                 *sorted((ROOT / "Tests/Fixtures/images").iterdir())]
    for path in given:
        if path.suffix in (".jpg", ".png", ".webp"):
            shutil.copy(path, folder / path.name)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", type=pathlib.Path, default=ROOT / ".build/release/clip")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--immich-name", help="the model's name in immich's requests")
    parser.add_argument("--home", type=pathlib.Path, help="the CLIP_HOME with the weights")
    parser.add_argument("--images", type=pathlib.Path, nargs="+")
    parser.add_argument("--skip", nargs="+", default=[],
                        help="parts to leave out, such as immich or search")
    arguments = parser.parse_args()
    arguments.clip = arguments.clip.resolve()
    checks = Checks()
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory())).resolve()
        make_folder(arguments, folder)
        bench = Bench(arguments, folder)
        bench.clip.run("index", folder, "--model", arguments.model, "--quiet")
        server = stack.enter_context(serve(
            arguments.clip, [arguments.model], "--index", folder, home=arguments.home))
        bench.port = server.port
        parts = {
            "openai": lambda: server_clients.openai_checks(checks, bench, LONG),
            "async": lambda: asyncio.run(server_clients.async_checks(checks, bench)),
            "infinity": lambda: server_clients.infinity_checks(checks, bench),
            "vllm": lambda: server_clients.vllm_checks(checks, bench),
            "jina": lambda: server_clients.jina_checks(checks, bench),
            "tei": lambda: server_clients.tei_checks(checks, bench, LONG),
            "weaviate": lambda: server_clients.weaviate_checks(checks, bench),
            "immich": lambda: immich_checks(checks, bench),
            "zeroshot": lambda: server_own.zeroshot_checks(checks, bench),
            "search": lambda: server_own.search_checks(checks, bench),
            "key": lambda: server_own.key_checks(checks, bench, arguments),
        }
        for name, part in parts.items():
            if name not in arguments.skip:
                part()
        checks.run("the server is alive at the end", lambda: expect(server.is_alive, True))
        checks.run("SIGTERM ends the server with status 0", lambda: expect(server.stop(), 0))
        if checks.failed:
            print(server.output()[-2000:])
    print(f"{checks.count} checks, {len(checks.failed)} failed")
    sys.exit(1 if checks.failed else 0)


if __name__ == "__main__":
    main()
