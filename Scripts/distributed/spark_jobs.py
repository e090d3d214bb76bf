#!/usr/bin/env python3
"""Runs clip_spark in local mode and on a standalone cluster, and compares it with clip.

    spark_jobs.py --clip CLIP --weights FILE --work FOLDER [--images 20000] [--broken 200]

The vectors are equal to the bit, the broken images are rows with errors, the files are the same at
every run, also when a worker process and an executor are killed and when a task runs twice. Prints
images a second beside clip encode's, both after start-up: half of the images by the seconds that
they add.
"""

import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tarfile
import time

import common
import numpy
from cluster import Cluster, Job, strike
from common import check

CORES = 2


def rows_of(folder):
    """Returns name -> (vector bytes or None, error or None) of a table that clip_spark wrote."""
    import pyarrow.parquet

    rows = {}
    table = pyarrow.parquet.read_table(folder)
    raw = table["path_bytes"].to_pylist()
    column = table["embedding"].combine_chunks()
    numbers = column.flatten().to_numpy().astype("<f4", copy=False)
    width = len(numbers) // max(1, len(column) - column.null_count)
    place = 0
    for path, name, error, has in zip(table["path"].to_pylist(), raw, table["error"].to_pylist(),
                                      column.is_valid().to_pylist()):
        vector = None
        if has:
            vector = numbers[place:place + width].tobytes()
            place += width
        rows[name if name is not None else path.encode()] = (vector, error)
    return rows


def files_of(folder):
    """Returns the name, the size and the digest of the pages of each file of a table.

    Left out is the footer: parquet-java lists the encodings of a column in an order that differs
    between Java processes.
    """
    found = {}
    for path in pathlib.Path(folder).glob("part-*"):
        data = path.read_bytes()
        footer = int.from_bytes(data[-8:-4], "little")
        found[path.name] = len(data), hashlib.sha256(data[:-8 - footer]).hexdigest()
    return found


def reference(options, name, *inputs):
    """Returns name -> vector bytes by clip encode, the failed names, and the seconds."""
    npy, errors = options.work / f"{name}.npy", options.work / f"{name}.errors"
    for old in options.work.glob(f"{name}.*"):
        old.unlink()
    _, seconds = common.timed(lambda: common.clip(
        options, "encode", *inputs, "-m", options.weights, "-o", npy, "--errors", errors,
        "--threads", str(CORES), "-q", status=(0, 1), stderr=subprocess.DEVNULL))
    failed = set()
    if errors.exists():
        failed = {json.loads(line)["path"].encode("utf-8", "surrogateescape")
                  for line in errors.read_text().splitlines()}
    rows = dict(zip(common.names_of(npy), map(bytes, numpy.load(npy).astype("<f4"))))
    return rows, failed, seconds


def check_rows(rows, expected, failed, what):
    vectors = {name: vector for name, (vector, _) in rows.items() if vector is not None}
    wrong = {name for name, (_, error) in rows.items() if error is not None}
    check(vectors == expected, f"{what}: {len(vectors)} vectors equal to clip encode's to the bit")
    check(wrong == failed, f"{what}: {len(wrong)} rows with an error, those that clip encode lists")


class Test:
    def __init__(self, options):
        self.options = options
        self.images = options.work / f"images-{options.images}-{options.broken}"
        if not self.images.exists():
            partial = pathlib.Path(str(self.images) + ".partial")
            shutil.rmtree(partial, ignore_errors=True)
            script = pathlib.Path(__file__).with_name("make_images.py")
            subprocess.run([sys.executable, script, partial, "--count", str(options.images),
                            "--broken", str(options.broken)], check=True)
            partial.rename(self.images)
        # A file travels with the job; a folder or a name is on every node.
        self.files = [options.clip]
        self.worker = ["--clip", options.clip.name, "--weights", options.weights]
        if os.path.isfile(options.weights):
            self.files.append(options.weights)
            self.worker[3] = os.path.basename(options.weights)

    def job(self, name, *arguments, master="local[2,4]", settings=()):
        needs_worker = arguments[0] != "near-duplicates"
        return Job(self.options, name, *arguments, *(self.worker if needs_worker else []),
                   master=master, files=self.files if needs_worker else [], settings=settings)

    def encode(self, name, *inputs, **more):
        """Starts encode, whose output folder is named like the job."""
        folder = self.options.work / name
        shutil.rmtree(folder, ignore_errors=True)
        return folder, self.job(name, "encode", *inputs, "-o", folder, **more)

    def run(self):
        expected, failed, seconds = reference(self.options, "reference", self.images)
        check(len(failed) == self.options.broken, f"clip encode: {len(failed)} broken images")
        folders = sorted(self.images.iterdir())
        self.half = folders[:len(folders) // 2]
        rate = self.rate(seconds, lambda: reference(self.options, "half", *self.half)[2])
        print(f"        clip encode, {CORES} threads: {rate:.1f} images/s after start-up")

        local, job = self.encode("local", self.images)
        _, taken = job.wait()
        check_rows(rows_of(local), expected, failed, "local[2]")
        self.throughput("local[2]", taken, rate, "local[2,4]")
        self.jobs(local, expected)
        self.shards()
        with Cluster(self.options.work) as cluster:
            folder, job = self.encode("cluster", self.images, master=cluster.url)
            _, taken = job.wait()
            check_rows(rows_of(folder), expected, failed, "cluster")
            self.throughput("cluster", taken, rate, cluster.url)
            check(files_of(folder) == files_of(local), "cluster: the same files as local[2]")
            self.kills(cluster, seconds, files_of(local))
            self.speculation(cluster, files_of(local))

    def rate(self, seconds, of_half):
        """Returns the images a second after start-up: half of the images by the added seconds.

        If there is one folder only, or if other work disturbs, start-up is not told apart.
        """
        added = seconds - of_half() if self.half else 0
        if added <= 0:
            return self.options.images / seconds
        count = self.options.images - sum(len(list(each.iterdir())) for each in self.half)
        return count / added

    def throughput(self, what, seconds, rate, master):
        found = self.rate(
            seconds, lambda: self.encode("half", *self.half, master=master)[1].wait()[1])
        check(found >= 0.9 * rate,
              f"{what}: {found:.1f} images/s after start-up, {found / rate:.3f} of clip encode")

    def kills(self, cluster, seconds, files):
        """Kills a worker of clip and an executor of Spark in the middle of a job."""
        folder, job = self.encode("killed", self.images, master=cluster.url)
        wait_for_start(cluster, job)
        time.sleep(0.3 * seconds)
        strike(cluster.ids, self.options.clip.name, signal.SIGKILL, job)
        # The executor that reports the failure must not die first.
        while "ended early" not in job.text() and job.process.poll() is None:
            time.sleep(0.2)
        strike(cluster.ids, "CoarseGrainedExecutorBackend", signal.SIGKILL, job)
        job.wait()
        log = job.text()
        check("ended early (SIGKILL)" in log, "killed: the message says how the worker ended")
        check("Lost executor" in log, "killed: Spark lost an executor")
        check(files_of(folder) == files, "killed: the same files as undisturbed")

    def speculation(self, cluster, files):
        """Stops a worker, so that Spark runs its task a second time."""
        folder, job = self.encode("speculative", self.images, master=cluster.url, settings=[
            "spark.speculation=true", "spark.speculation.quantile=0.1",
            "spark.speculation.multiplier=1.5", "spark.speculation.interval=1s"])
        wait_for_start(cluster, job)
        stopped = strike(cluster.ids, self.options.clip.name, signal.SIGSTOP, job)
        try:
            job.wait()
        finally:
            try:
                os.kill(stopped, signal.SIGCONT)
            except ProcessLookupError:
                pass  # Spark has ended it with its task
        check(".1 in stage 0" in job.text(), "speculative: Spark ran a task twice")
        check(files_of(folder) == files, "speculative: the same files as undisturbed")

    def jobs(self, table, expected):
        """Compares search, zeroshot and near-duplicates with clip and NumPy."""
        queries = ["a red car", "a dog"]
        arguments = [part for query in queries for part in ("--text", query)]
        output, _ = self.job("search", "search", table, *arguments, "--json", "--top", "10").wait()
        lines = [line for line in output.decode().splitlines() if line.startswith("{")]
        check(len(lines) == len(queries), f"search: {len(lines)} lines of JSON")
        for line in lines:
            found = json.loads(line)
            index = self.options.work / "reference.npy"
            lines = common.clip(self.options, "search", found["query"], "--index", index, "--json",
                                "-m", self.options.weights, "--top", "10", "-q")
            best = [json.loads(each)["path"] for each in lines.decode().splitlines()]
            check([match["path"] for match in found["matches"]] == best,
                  f"search: top 10 of {found['query']!r} equal to clip search")

        import pyarrow.parquet

        labels = self.options.work / "labels.txt"
        labels.write_text("a circle\na photo of the sky\na red thing\n")
        folder = self.options.work / "zeroshot"
        shutil.rmtree(folder, ignore_errors=True)
        self.job("zeroshot", "zeroshot", table, "--from", "parquet", "--labels", labels, "--top",
                 "3", "-o", folder).wait()
        rows = pyarrow.parquet.read_table(folder).to_pylist()
        found = {row["path"]: row["predictions"] for row in rows}
        lines = common.clip(self.options, "zeroshot", self.images / "000", "--labels", labels,
                            "--top", "3", "--format", "csv", "-m", self.options.weights, "-q",
                            status=(0, 1), stderr=subprocess.DEVNULL).decode().splitlines()
        worst, places = 0, 0
        for line in lines[1:]:
            path, rank, label, probability = line.split(",")[:4]
            prediction = found[path][int(rank) - 1]
            places += prediction["label"] == label
            worst = max(worst, abs(prediction["probability"] - float(probability)))
        check(places == len(lines) - 1 > 0, f"zeroshot: {places} labels equal to clip zeroshot's")
        check(worst < 1e-5, f"zeroshot: probabilities differ by at most {worst:.1e}")

        folder = self.options.work / "duplicates"
        shutil.rmtree(folder, ignore_errors=True)
        threshold = 0.995
        self.job("duplicates", "near-duplicates", table, "--threshold", str(threshold), "--blocks",
                 "5", "-o", folder).wait()
        pairs = pyarrow.parquet.read_table(folder / "pairs").to_pylist()
        found = {(row["path_a"], row["path_b"]) for row in pairs}
        names = [name.decode() for name in expected]
        rows = numpy.stack([numpy.frombuffer(each, "<f4") for each in expected.values()])
        rows = rows.astype(numpy.float64)
        rows /= numpy.linalg.norm(rows, axis=1, keepdims=True)
        best = set()
        for start in range(0, len(rows), 1000):
            cosines = (rows[start:start + 1000] @ rows.T).astype(numpy.float32)
            best |= {tuple(sorted((names[start + a], names[b])))
                     for a, b in numpy.argwhere(cosines >= threshold) if start + a < b}
        check(found == best and len(pairs) == len(found),
              f"near-duplicates: {len(found)} pairs, those of NumPy")

    def shards(self):
        """Encodes WebDataset shards, one of which is truncated."""
        paths = []
        for number in range(2):
            path = self.options.work / f"shard{number}.tar"
            with tarfile.open(path, "w") as archive:
                for image in sorted((self.images / "000").iterdir())[number * 100:][:100]:
                    archive.add(image, arcname=image.name)
            paths.append(path)
        os.truncate(paths[1], paths[1].stat().st_size // 2)
        expected, failed, _ = reference(self.options, "shard-reference", *paths)
        folder, job = self.encode("shards", *paths, "--from", "webdataset")
        job.wait()
        check_rows(rows_of(folder), expected, failed, "shards")


def wait_for_start(cluster, job):
    """Waits until tasks are running workers of clip, which begins after Spark's start."""
    from cluster import descendants

    while job.process.poll() is None:
        if descendants(cluster.ids, "pyspark.daemon") and "Starting task 1.0 in stage 0" \
                in job.text():
            return
        time.sleep(0.5)


def main():
    options = common.arguments(__doc__.splitlines()[0], images=20_000, broken=200)
    # The cluster is ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    Test(options).run()
    common.finish()


if __name__ == "__main__":
    main()
