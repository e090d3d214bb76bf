"""The checks of Scripts/parity/server.py with the requests of embedding clients.

Part of server.py: the openai package, LangChain, infinity, vLLM, Jina, Text Embeddings Inference
and Weaviate.
"""

import asyncio
import base64
import json

import openai
from served import HOST, decoded, exchange, expect, head, request, same


def address(bench):
    return f"http://{HOST}:{bench.port}/v1"


def raises(kind, body, *words):
    """Runs a request that must raise the client's error, with words in its message."""
    try:
        body()
    except kind as error:
        for word in words:
            assert word in str(error), f"{word!r} is missing in {error}"
        shape = error.body
        assert {"message", "type", "param", "code"} <= set(shape), shape
        return error
    raise AssertionError(f"expected {kind.__name__}, found an answer")


def openai_checks(checks, bench, long):
    client = openai.OpenAI(base_url=address(bench), api_key="none", max_retries=0)

    def create(texts, **options):
        return client.embeddings.create(model=bench.model, input=texts, **options)

    def rows(answer):
        return [row.embedding for row in answer.data]

    checks.run("openai: a string (base64 by default)", lambda: same(
        rows(create(bench.texts[0])), bench.text_vectors[:1]))
    checks.run("openai: a string, explicit float", lambda: same(
        rows(create(bench.texts[0], encoding_format="float")), bench.text_vectors[:1]))
    checks.run("openai: a string, explicit base64", lambda: same(
        [decoded(create(bench.texts[0], encoding_format="base64").data[0].embedding)],
        bench.text_vectors[:1]))
    checks.run("openai: each text alone", lambda: same(
        [rows(create(text))[0] for text in bench.texts], bench.text_vectors))
    checks.run("openai: 200 texts", lambda: same(rows(create(bench.many)), bench.many_vectors))
    checks.run("openai: 200 texts, explicit float", lambda: same(
        rows(create(bench.many, encoding_format="float")), bench.many_vectors))

    def usage():
        answer = create(bench.texts)
        counts = bench.clip.run("tokenize", "--count", *bench.texts, "--model", bench.model)
        expected = sum(map(int, counts.split()))
        expect((answer.usage.prompt_tokens, answer.usage.total_tokens), (expected, expected))
        expect((answer.object, answer.model), ("list", bench.model))
        expect([row.index for row in answer.data], list(range(len(bench.texts))))

    checks.run("openai: usage is the count of clip tokenize, and the order is kept", usage)
    dimension = bench.text_vectors.shape[1]
    checks.run("openai: dimensions equal to the model's", lambda: same(
        rows(create(bench.texts[0], dimensions=dimension, user="u")), bench.text_vectors[:1]))
    checks.run("openai: other dimensions are a 400", lambda: raises(
        openai.BadRequestError, lambda: create("x", dimensions=dimension // 2), str(dimension)))
    checks.run("openai: an unknown model is a 404 that says how to get it", lambda: raises(
        openai.NotFoundError, lambda: client.embeddings.create(model="no-such-model", input="x"),
        "no-such-model"))
    checks.run("openai: an empty list is a 400", lambda: raises(
        openai.BadRequestError, lambda: create([])))

    def too_long():
        try:
            found = rows(create(long))
        except openai.BadRequestError as error:
            assert "token" in str(error), error
        else:
            same(found, bench.long_vector)

    checks.run("openai: a text that is too long is a 400, or is truncated as by --truncate",
               too_long)
    checks.run("openai: models.list contains the model", lambda: expect(
        bench.model in [model.id for model in client.models.list()], True))
    for name, tokens in [("ids", [320, 1929]), ("lists of ids", [[320, 1929], [320, 2368]])]:
        checks.run(f"LangChain: {name} are a 400 that names the switch", lambda: raises(
            openai.BadRequestError, lambda: create(tokens), "check_embedding_ctx_length"))


async def async_checks(checks, bench):
    async with openai.AsyncOpenAI(base_url=address(bench), api_key="none", max_retries=0) as client:
        async def each(**options):
            answers = await asyncio.gather(*[
                client.embeddings.create(model=bench.model, input=text, **options)
                for text in bench.many])
            return [answer.data[0].embedding for answer in answers]

        for name, options in [("base64", {}), ("float", {"encoding_format": "float"})]:
            found = await each(**options)
            checks.run(f"openai async: 200 concurrent requests, {name}",
                       lambda: same(found, bench.many_vectors))
        listed = await client.embeddings.create(model=bench.model, input=bench.many)
        checks.run("openai async: 200 texts", lambda: same(
            [row.embedding for row in listed.data], bench.many_vectors))


def infinity_checks(checks, bench):
    urls = [bench.data_url(i) for i in range(len(bench.images))]

    def embed(value, path="/v1/embeddings"):
        found, answer = bench.embed(value, path)
        assert answer["model"] and {"prompt_tokens", "total_tokens"} <= set(answer["usage"])
        return found

    for encoding in [{}, {"encoding_format": "base64"}, {"encoding_format": "float"}]:
        name = encoding.get("encoding_format", "no format")
        checks.run(f"infinity: a list of {len(urls)} images, {name}", lambda: same(
            embed({"input": urls, "modality": "image"} | encoding), bench.image_vectors))
    checks.run("infinity: each image alone", lambda: same(
        [embed({"input": url, "modality": "image"})[0] for url in urls], bench.image_vectors))
    checks.run("infinity: modality text", lambda: same(
        embed({"input": bench.texts, "modality": "text"}), bench.text_vectors))

    def rejects(value, word=""):
        status, answer = bench.post("/v1/embeddings", {"model": bench.model} | value)
        expect(status, 400, answer)
        assert word in answer["error"]["message"], answer

    checks.run("infinity: audio is a 400", lambda: rejects(
        {"input": "data:audio/wav;base64,AAAA", "modality": "audio"}, "audio"))
    checks.run("infinity: URLs are a 400 by default", lambda: rejects(
        {"input": "http://127.0.0.1:9/x.jpg", "modality": "image"}))
    checks.run("infinity: a broken image is a 400", lambda: rejects(
        {"input": [urls[0], "data:image/png;base64,iVBORw0KGgo="], "modality": "image"}))

    def health():
        status, _, body = request(bench.port, "GET", "/health")
        expect(status, 200)
        assert isinstance(json.loads(body)["unix"], (int, float)), body

    checks.run("infinity: /health", health)


def vllm_checks(checks, bench):

    def embed(content, **fields):
        messages = [{"role": "user", "content": content}]
        return bench.embed({"messages": messages} | fields)[0]

    for encoding in ["float", "base64"]:
        checks.run(f"vLLM: messages with an image_url each, {encoding}", lambda: same([embed(
            [{"type": "image_url", "image_url": {"url": bench.data_url(i)}}],
            encoding_format=encoding)[0] for i in range(len(bench.images))], bench.image_vectors))
    checks.run("vLLM: messages with a text each", lambda: same(
        [embed([{"type": "text", "text": text}])[0] for text in bench.texts], bench.text_vectors))

    def both():
        content = [{"type": "image_url", "image_url": {"url": bench.data_url(0)}},
                   {"type": "text", "text": "x"}]
        status, answer = bench.post("/v1/embeddings", {
            "model": bench.model, "messages": [{"role": "user", "content": content}]})
        expect(status, 400, answer)

    checks.run("vLLM: an image and a text together are a 400", both)


def jina_checks(checks, bench):
    texts = [{"text": text} for text in bench.texts]
    plain = [{"image": base64.b64encode(content).decode()} for content in bench.bytes]
    urls = [{"image": bench.data_url(i)} for i in range(len(bench.images))]

    def mixed(**fields):
        found, _ = bench.embed({"input": [texts[0], plain[0], texts[1], urls[1]]} | fields)
        same(found[::2], bench.text_vectors[:2])
        same(found[1::2], bench.image_vectors[:2])

    checks.run("Jina: text objects", lambda: same(
        bench.embed({"input": texts})[0], bench.text_vectors))
    checks.run("Jina: image objects, base64", lambda: same(
        bench.embed({"input": plain})[0], bench.image_vectors))
    checks.run("Jina: image objects, data URLs", lambda: same(
        bench.embed({"input": urls})[0], bench.image_vectors))
    checks.run("Jina: texts and images mixed", mixed)
    checks.run("Jina: normalized, embedding_type float", lambda: mixed(
        normalized=True, embedding_type="float"))
    checks.run("Jina: embedding_type base64", lambda: mixed(embedding_type="base64"))
    checks.run("Jina: not normalized", lambda: same(
        bench.embed({"input": plain, "normalized": False})[0], bench.raw_image_vectors))


def tei_checks(checks, bench, long):

    def embed(value):
        status, answer = bench.post("/embed", value)
        expect(status, 200, answer)
        return list(map(decoded, answer))

    checks.run("TEI: /embed of a string", lambda: same(
        embed({"inputs": bench.texts[0]}), bench.text_vectors[:1]))
    checks.run("TEI: /embed of texts", lambda: same(
        embed({"inputs": bench.texts, "normalize": True, "truncate": False}), bench.text_vectors))
    checks.run("TEI: normalize false", lambda: same(
        embed({"inputs": bench.texts, "normalize": False}), bench.raw_text_vectors))
    checks.run("TEI: truncate true", lambda: same(
        embed({"inputs": [long], "truncate": True}), bench.long_vector))

    def rejected():
        status, answer = bench.post("/embed", {"inputs": [long], "truncate": False})
        assert status in (400, 413, 422), (status, answer)
        assert {"error", "error_type"} <= set(answer), answer

    checks.run("TEI: a text that is too long is rejected in TEI's shape", rejected)
    checks.run("TEI: /info names the model", lambda: expect("model_id" in json.loads(
        request(bench.port, "GET", "/info")[2]), True))


def weaviate_checks(checks, bench):
    images = [base64.b64encode(content).decode() for content in bench.bytes]

    def vectorize(texts, images):
        # Weaviate's client is Go's, which sends these headers.
        body = json.dumps({"texts": texts, "images": images}).encode()
        sent = head("POST", "/vectorize", body,
                    ["User-Agent: Go-http-client/1.1", "Content-Type: application/json",
                     "Accept-Encoding: identity"], bench.port)
        status, _, answer = exchange(bench.port, sent)
        expect(status, 200, answer)
        return json.loads(answer)

    def both():
        answer = vectorize(bench.texts, images)
        same(list(map(decoded, answer["textVectors"])), bench.text_vectors)
        same(list(map(decoded, answer["imageVectors"])), bench.image_vectors)

    checks.run("Weaviate: /vectorize of texts and images", both)
    checks.run("Weaviate: texts alone", lambda: same(
        list(map(decoded, vectorize(bench.texts, [])["textVectors"])), bench.text_vectors))
    checks.run("Weaviate: images alone, texts null", lambda: same(
        list(map(decoded, vectorize(None, images)["imageVectors"])), bench.image_vectors))

    def broken():
        status, answer = bench.post("/vectorize", {"texts": [], "images": ["AAAA"]})
        assert 400 <= status < 500 and isinstance(answer["error"], str), (status, answer)

    checks.run("Weaviate: a broken image is a 4xx with error", broken)
    for name in ["live", "ready"]:
        checks.run(f"Weaviate: /.well-known/{name} is 204", lambda: expect(
            request(bench.port, "GET", f"/.well-known/{name}")[::2], (204, b"")))
    checks.run("Weaviate: /meta is an object", lambda: expect(
        isinstance(json.loads(request(bench.port, "GET", "/meta")[2]), dict), True))
