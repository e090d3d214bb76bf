"""The checks of Scripts/parity/server.py of `clip serve`'s own endpoints and of its API key."""

import base64
import json
import urllib.parse

import openai
from served import HOST, expect, request, same, serve


def zeroshot_checks(checks, bench):
    labels = ["a bicycle", "a dog", "a mountain", "café", "an apple, cut; \"quoted\""]

    def check(i, templates, top=None):
        words = [part for template in templates for part in ("--template", template)]
        best = ["--top", top] if top else []
        expected = json.loads(bench.clip.run(
            "zeroshot", bench.images[i], *labels, *words, *best, "--model", bench.model,
            "--json"))["predictions"]
        body = {"model": bench.model, "image": bench.data_url(i), "labels": labels}
        if templates:
            body["templates"] = templates
        if top:
            body["top"] = top
        status, answer = bench.post("/zeroshot", body)
        expect(status, 200, answer)
        # The numbers are compared as they are written, by Python's float of the shortest digits.
        expect(answer["predictions"], expected)

    count = range(len(bench.images))
    checks.run("/zeroshot is clip zeroshot --json", lambda: [check(i, []) for i in count])
    checks.run("/zeroshot with templates", lambda: [
        check(i, ["a photo of a {}", "a drawing of {}"]) for i in count])
    checks.run("/zeroshot with top", lambda: check(0, [], 2))

    def rejects(value):
        status, answer = bench.post("/zeroshot", {"model": bench.model} | value)
        expect(status, 400, answer)

    checks.run("/zeroshot without labels is a 400", lambda: rejects(
        {"image": bench.data_url(0), "labels": []}))
    checks.run("/zeroshot without an image is a 400", lambda: rejects({"labels": labels}))


def search_checks(checks, bench):
    def expected(*words, top=5):
        lines = bench.clip.run("search", *words, "--index", bench.folder, "--top", top, "--json")
        return [json.loads(line) for line in lines.splitlines()]

    def compare(answer, wanted):
        found = answer["results"]
        expect([match["cosine"] for match in found], [match["cosine"] for match in wanted])
        for match, other in zip(found, wanted, strict=True):
            # The server's path is relative to the indexed folder.
            expect(str(bench.folder / match["path"]), other["path"])

    def get(query, *words, top=5):
        parameters = urllib.parse.urlencode({"q": query, "top": top})
        status, _, body = request(bench.port, "GET", f"/search?{parameters}")
        expect(status, 200, body)
        compare(json.loads(body), expected(*words, top=top))

    def post(body, *words):
        status, answer = bench.post("/search", {"top": 5} | body)
        expect(status, 200, answer)
        compare(answer, expected(*words))

    checks.run("GET /search of texts", lambda: [get(text, text) for text in bench.texts[:3]])
    checks.run("GET /search with top", lambda: get("a dog", "a dog", top=1))
    checks.run("GET /search of a sum", lambda: get(
        "2:a dog + a beach - fruit", "2:a dog", "+", "a beach", "-", "fruit"))
    checks.run("POST /search of q", lambda: post({"q": "a dog - fruit"}, "a dog", "-", "fruit"))
    checks.run("POST /search of a text", lambda: post({"terms": [{"text": "a dog"}]}, "a dog"))
    checks.run("POST /search of images", lambda: [
        post({"terms": [{"image": bench.data_url(i)}]}, bench.images[i])
        for i in range(len(bench.images))])
    plain = base64.b64encode(bench.bytes[0]).decode()
    checks.run("POST /search of the sum of a text and an image", lambda: post(
        {"terms": [{"text": "a dog"}, {"image": plain}]}, "a dog", "+", bench.images[0]))
    checks.run("POST /search with weights", lambda: post(
        {"terms": [{"text": "a dog", "weight": 2}, {"image": plain, "weight": -0.5}]},
        "2:a dog", "-", f"0.5:{bench.images[0]}"))

    def originals():
        status, answer = bench.post("/search", {"q": "a dog", "top": 1000})
        expect(status, 200, answer)
        results = answer["results"]
        expect(len(results), len(bench.images))
        for result in results:
            status, _, body = request(bench.port, "GET", result["original"])
            expect(status, 200, result)
            expect(body == (bench.folder / result["path"]).read_bytes(), True, result)

    checks.run("GET /image of each result is the file", originals)
    checks.run("GET /search without a query is a 400", lambda: expect(
        request(bench.port, "GET", "/search?q=")[0], 400))


def key_checks(checks, bench, arguments):
    """Starts a second server that needs a key."""
    key = "parity-key-123"
    with serve(arguments.clip, [arguments.model], "--api-key", key,
               home=arguments.home) as server:
        def create(key):
            client = openai.OpenAI(base_url=f"http://{HOST}:{server.port}/v1", api_key=key,
                                   max_retries=0)
            return client.embeddings.create(model=bench.model, input=bench.texts)

        def wrong(key):
            try:
                create(key)
            except openai.AuthenticationError:
                return
            raise AssertionError("expected a 401, found an answer")

        def right():
            same([row.embedding for row in create(key).data], bench.text_vectors)

        checks.run("a key: openai with the right key", right)
        for name, given in [("a wrong", "parity-key-124"), ("a shorter", "parity-key-12")]:
            checks.run(f"a key: openai with {name} key is a 401", lambda: wrong(given))
        checks.run("a key: no header is a 401", lambda: expect(
            request(server.port, "POST", "/v1/embeddings", b"{}",
                    ["Content-Type: application/json"])[0], 401))
