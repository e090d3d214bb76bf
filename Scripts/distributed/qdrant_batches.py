#!/usr/bin/env python3
"""Loads the batches of clip export --to qdrant by qdrant-client's local mode, and searches them."""

import json
import subprocess

import common
from common import TOP, check


def main():
    options = common.arguments(__doc__, vectors=20_000)
    from qdrant_client import QdrantClient
    from qdrant_client.models import Batch, Distance, VectorParams

    index = common.synthetic_vectors(options, options.vectors)
    expected, _ = common.clip_search(options, index)
    queries = common.query_vectors(options)
    client = QdrantClient(":memory:")
    client.create_collection(
        "items", VectorParams(size=queries.shape[1], distance=Distance.COSINE))
    export = subprocess.Popen(
        [options.clip, "export", index, "--to", "qdrant"], stdout=subprocess.PIPE)
    batches = 0
    for line in export.stdout:
        client.upsert("items", Batch(**json.loads(line)["batch"]))
        batches += 1
    check(export.wait() == 0, f"clip export --to qdrant: {batches} batches")
    count = client.count("items").count
    check(count == options.vectors, f"{count} points")
    found = [
        [point.payload["path"].encode()
         for point in client.query_points("items", query.tolist(), limit=TOP).points]
        for query in queries]
    common.check_matches(options, index, found, expected, "qdrant-client")
    common.finish()


if __name__ == "__main__":
    main()
