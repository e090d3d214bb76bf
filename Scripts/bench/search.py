"""Measures `FolderIndex.search` and `clip search` against faiss and NumPy on random vectors.

    swift build -c release
    VENV/bin/pip install numpy faiss-cpu
    VENV/bin/python Scripts/bench/search.py --folder FOLDER

FOLDER gets an index of a million vectors that belong to empty files (2 GB, and 0.5 GB quantised).
In every round each engine searches once; the table has the fastest and the median.
"""

import argparse
import os
import pathlib
import sqlite3
import statistics
import subprocess
import sys
import time

import faiss
import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]


def make(folder, clip, model, count):
    """Creates an index of random vectors from one of a single image."""
    (folder / "x").mkdir(parents=True)
    subprocess.run(["cp", ROOT / "Examples/bike.jpg", folder / "x/0.jpg"], check=True)
    subprocess.run([clip, "index", folder, "--model", model, "-q"], check=True)
    place = folder / ".clip-index"
    database = sqlite3.connect(place / "files.sqlite")
    dimension = int(database.execute("SELECT value FROM facts WHERE name = 'dimension'").fetchone()[
        0])
    chance = numpy.random.default_rng(1)
    with open(place / "vectors.f32", "wb") as file:
        for _ in range(0, count, 10_000):
            block = chance.standard_normal((10_000, dimension), numpy.float32)
            (block / numpy.linalg.norm(block, axis=1, keepdims=True)).astype("<f4").tofile(file)
    database.execute("DELETE FROM files")
    database.executemany("INSERT INTO files(path, size, modified, row, width, height) VALUES (?, "
                         "0, 0, ?, 1, 1)",
                         ((f"{row:07}.jpg".encode(), row) for row in range(count)))
    database.execute("UPDATE facts SET value = ? WHERE name = 'rows'", (str(count),))
    # In the format of version 0.1.0, without checksums.
    database.execute("UPDATE facts SET value = '1' WHERE name = 'version'")
    database.execute("DELETE FROM facts WHERE name IN ('sum', 'generation')")
    database.commit()
    database.close()


def finish(folder, clip, model, count):
    """Lets `clip index` write checksums and quantised vectors, which needs the files unchanged."""
    for row in range(count):
        path = folder / f"{row:07}.jpg"
        path.touch()
        os.utime(path, (0, 0))
    subprocess.run([clip, "index", folder, "--model", model, "-q"], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--model", required=True, help="seeded weights with embeddings of 512")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--clip", default=str(ROOT / ".build/release/clip"))
    arguments = parser.parse_args()
    folder = arguments.folder / "index"
    if not folder.exists():
        make(folder, arguments.clip, arguments.model, arguments.count)
        finish(folder, arguments.clip, arguments.model, arguments.count)
    dimension = (folder / ".clip-index/vectors.f32").stat().st_size // 4 // arguments.count
    vectors = numpy.fromfile(folder / ".clip-index/vectors.f32", "<f4").reshape(-1, dimension)

    place = folder / ".clip-index"
    texts = ["a dog", "a cat on a mat", "two bicycles", "the sea at night"]
    command = [arguments.clip, "encode", "--format", "npy", "--model", arguments.model]
    for text in texts:
        command += ["--text", text]
    output = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    queries = numpy.frombuffer(output[128:], "<f4").reshape(-1, dimension)
    # Without the quantised vectors, then with them.
    hidden = place / "vectors.i8.hidden"
    for is_rounded in [False, True]:
        source, target = (hidden, place / "vectors.i8") if is_rounded else (place / "vectors.i8",
                hidden)
        source.rename(target)
        for text, query in zip(texts, queries):
            cosines = vectors @ query
            expected = [f"{folder}/{row:07}.jpg"
                        for row in numpy.lexsort((numpy.arange(len(cosines)), -cosines))[:10]]
            found = subprocess.run([arguments.clip, "search", text, "--index", folder, "--paths",
                                    "--model",
                                    arguments.model], stdout=subprocess.PIPE, check=True, text=True)
            assert found.stdout.split("\n")[:-1] == expected, (found.stdout, expected)
        print(f"the first 10 of {len(vectors)} are NumPy's, in that order, for {len(texts)} texts, "
              f"{'with' if is_rounded else 'without'} rounded vectors")

    index = faiss.IndexFlatIP(dimension)
    index.add(vectors)
    benches = {}
    for name in ["clip, float32", "clip, rounded first"]:
        source, target = (place / "vectors.i8", hidden) if name == "clip, float32" else (hidden,
                place / "vectors.i8")
        source.rename(target)
        bench = subprocess.Popen([arguments.clip, "bench", "--tower", "search", "--index", folder,
                                  "--on-request"],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        print(file=bench.stdin, flush=True)
        bench.stdout.readline()  # it has opened the index
        benches[name] = bench
    process = [arguments.clip, "search", texts[0], "--index", folder, "--model", arguments.model]
    bodies = {"faiss": lambda: index.search(queries[:1], 10), "NumPy": lambda: vectors @ queries[0],
              "one pass, NumPy's sum": lambda: vectors.sum(),
              "clip search, the process": lambda: subprocess.run(process, stdout=subprocess.DEVNULL,
                      check=True)}
    times = {name: [] for name in [*benches, *bodies]}
    for _ in range(arguments.rounds):
        for name, bench in benches.items():
            print(file=bench.stdin, flush=True)
            times[name].append(float(bench.stdout.readline()))
        for name, body in bodies.items():
            start = time.perf_counter()
            body()
            times[name].append(1000 * (time.perf_counter() - start))
    for bench in benches.values():
        bench.stdin.close()
    print(f"\n| {len(vectors)} x {dimension}, top 10, {faiss.omp_get_max_threads()} threads | "
          f"fastest, ms | median, ms |\n"
          "|---|---|---|")
    for name, values in times.items():
        print(f"| {name} | {min(values):.0f} | {statistics.median(values):.0f} |")


main()
