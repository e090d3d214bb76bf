"""Data and helpers of the parts of Scripts/distributed/test.sh."""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
QUERIES = 100
TOP = 10
COLOURS = "red orange yellow green blue purple brown black white grey".split()
THINGS = "car dog house tree boat bicycle bird mountain table flower".split()

failures = 0


def arguments(description, **more):
    """Parses the options that all parts have, and `more`: name -> default of a number."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--clip", required=True, type=pathlib.Path, help="the command to test")
    parser.add_argument("--weights", required=True, help="a model, or its file or folder")
    parser.add_argument("--work", required=True, type=pathlib.Path,
                        help="the folder of generated and written files")
    for name, default in more.items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(default), default=default)
    found = parser.parse_args()
    found.clip = found.clip.resolve()
    if os.path.exists(found.weights):
        found.weights = os.path.abspath(found.weights)
    found.work = found.work.resolve()
    found.work.mkdir(parents=True, exist_ok=True)
    return found


def check(holds, message):
    """Prints whether a requirement holds, and counts those that do not."""
    global failures
    print(("ok      " if holds else "FAILED  ") + message, flush=True)
    failures += not holds
    return holds


def finish():
    sys.exit(1 if failures else 0)


def clip(options, *arguments, status=(0,), **more):
    """Runs a subcommand of clip, and returns its output."""
    command = [options.clip, *map(os.fspath, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, **more)
    if done.returncode not in status:
        raise SystemExit(f"{' '.join(map(str, command))}: exit status {done.returncode}")
    return done.stdout


def names_of(npy):
    """Returns the names of the rows of an .npy of clip, as bytes."""
    names = []
    with open(os.fspath(npy).removesuffix(".npy") + ".names.jsonl", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            name = row["image"] if "image" in row else row["text"]
            names.append(name.encode("utf-8", "surrogateescape"))
    return names


def same_vectors(a, b):
    """Returns true if two arrays of float32 are equal to the bit."""
    a, b = numpy.ascontiguousarray(a, "<f4"), numpy.ascontiguousarray(b, "<f4")
    return a.shape == b.shape and a.tobytes() == b.tobytes()


def timed(call):
    start = time.perf_counter()
    result = call()
    return result, time.perf_counter() - start


def text_queries():
    """Returns 100 texts to search for."""
    return [f"a photo of a {colour} {thing}" for colour in COLOURS for thing in THINGS]


def query_vectors(options):
    """Returns the normalised vectors of text_queries() by clip encode."""
    path = options.work / "queries.npy"
    if not path.exists():
        texts = options.work / "queries.txt"
        texts.write_text("\n".join(text_queries()) + "\n")
        clip(options, "encode", "--text-file", texts, "-m", options.weights, "-o", path, "-q")
    return numpy.load(path)


def synthetic_vectors(options, count):
    """Returns the path of an .npy of `count` seeded, normalised vectors with names.

    The vectors lie near a subspace of 64 dimensions with 200 centres, as embeddings of photos do;
    the queries' mean is part of them, so that texts are neither near nor orthogonal.
    """
    path = options.work / f"vectors-{count}.npy"
    if path.exists():
        return path
    queries = query_vectors(options)
    dimension = queries.shape[1]
    random = numpy.random.default_rng(24)
    basis = random.standard_normal((64, dimension)) / numpy.sqrt(dimension)
    basis[:32] = queries[random.permutation(len(queries))[:32]]
    centres = random.standard_normal((200, 64))
    latent = centres[random.integers(0, 200, count)] + 0.7 * random.standard_normal((count, 64))
    rows = latent @ basis + 0.3 / numpy.sqrt(dimension) * random.standard_normal((count, dimension))
    rows /= numpy.linalg.norm(rows, axis=1, keepdims=True)
    numpy.save(path, rows.astype("<f4"))
    base = os.fspath(path).removesuffix(".npy")
    with open(base + ".names.jsonl", "w") as file:
        for row in range(count):
            file.write(json.dumps({"image": f"photos/{row:06}.jpg"}) + "\n")
    # The record of the model, so that a search checks that the queries are the same model's.
    record = pathlib.Path(options.work, "queries.model.json")
    pathlib.Path(base + ".model.json").write_bytes(record.read_bytes())
    return path


def clip_search(options, index):
    """Returns the names of the best matches of each query by clip search, and the seconds."""
    command = ["search", "-i", "--json", "--index", index, "--top", str(TOP), "-m", options.weights,
               "-q"]
    lines, seconds = timed(lambda: clip(
        options, *command, input="\n".join(text_queries()).encode() + b"\n"))
    found = {query: [] for query in text_queries()}
    for line in lines.decode().splitlines():
        match = json.loads(line)
        found[match["query"]].append(match["path"].encode("utf-8", "surrogateescape"))
    return [found[query] for query in text_queries()], seconds


def check_matches(options, index, found, expected, what):
    """Checks that the matches of all queries are the expected ones, in order.

    Matches may change places if their exact cosines differ by less than the resolution of float32,
    in which both sides compute them.
    """
    names, vectors = names_of(index), numpy.load(index).astype("f8")
    places = {name: place for place, name in enumerate(names)}
    same = ties = 0
    for query, ours, theirs in zip(query_vectors(options).astype("f8"), expected, found):
        if list(ours) == list(theirs):
            same += 1
            continue
        cosines = [vectors[[places[name] for name in row]] @ query for row in (ours, theirs)]
        ties += len(ours) == len(theirs) and numpy.abs(cosines[0] - cosines[1]).max() < 2.0**-24
    ok = same + ties == len(expected) == len(found) and all(len(row) == TOP for row in expected)
    check(ok, f"{what}: top {TOP} of {same} of {len(expected)} queries equal to clip search, {ties} "
              "more but for cosines that are equal in float32")


def recall(found, expected):
    """Returns the share of the expected matches that were found."""
    return sum(len(set(a) & set(b)) for a, b in zip(found, expected)) / sum(map(len, expected))
