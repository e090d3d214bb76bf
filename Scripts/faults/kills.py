"""Kills `clip index` and `clip encode --resume` with kill -9 at random moments.

    python3 Scripts/faults/kills.py .build/release/clip
        [--kills 60] [--images 3000] [--encode-kills 40] [--seconds 1800]

`clip index`: creates 3,000 images, starts `clip index`, kills it after a random time, and so on
until a run ends by itself. Then paths, sizes, times, digests and vectors must equal those of an
index made in a single run. Some files are changed, created, moved and deleted, and the updates are
killed as well. After each kill the index must be readable, each vector that of its digest, and
`clip search` must exit with 0 and name only files that are or were in the folder (or, before there
is an index, with 1 and one line).

`clip encode --resume` into .npy, .jsonl, shards, Parquet, a folder of it, and clip-retrieval's
directory: the same, and every file must be identical to that of a single run, without leftover
files.

Exits with 1 if anything is violated. Only processes that this script has started are killed.
"""

import os
import random
import shutil
import subprocess
import time

from common import (
    Violations, Workplace, arguments, change_tree, difference, make_tree, read_index, table)


def kill_after(workplace, seconds, *command):
    """Starts `clip` and kills it after a time; returns its status, or None if it was killed."""
    process = subprocess.Popen(
        [workplace.clip, *map(str, command)], env=workplace.environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        errors = process.communicate(timeout=seconds)[1]
        return process.returncode, errors.decode(errors="replace")
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None, ""


class IndexKills:
    def __init__(self, workplace, options, violations):
        self.workplace, self.options, self.violations = workplace, options, violations
        self.rng = random.Random(options.seed)
        self.folder = workplace.folder / "images"
        self.paths = make_tree(self.folder, options.images, self.rng, per_folder=100)
        self.ever = set(self.paths)
        self.kills = self.runs = self.rounds = self.searches = self.early = 0
        self.vectors = {}

    def clean(self):
        """Returns the index of a single run, and its time. The other index is set aside."""
        place, aside = self.folder / ".clip-index", self.workplace.folder / "aside"
        if place.exists():
            place.rename(aside)
        run = self.workplace.run("index", self.folder, "--model", "tiny", "-q", seconds=600)
        assert run.status == 0, run
        entries = read_index(self.folder)
        shutil.rmtree(place)
        if aside.exists():
            aside.rename(place)
        self.vectors |= {entry.digest: entry.vector for entry in entries.values()}
        return entries, run.seconds

    def run(self, deadline):
        expected, whole = self.clean()
        first = whole
        while True:
            is_last = self.kills >= self.options.kills or time.monotonic() > deadline
            status, errors = kill_after(
                self.workplace, 600 if is_last else self.rng.uniform(0, whole / 2),
                "index", self.folder, "--model", "tiny", "-q")
            self.runs += 1
            if status is None:
                self.kills += 1
                self.check(expected)
                continue
            if status != 0:
                self.violations.add("index: a run after kills fails",
                                    f"status {status}\n    {errors}")
            wrong = difference(read_index(self.folder), expected)
            if wrong:
                self.violations.add("index: not the one of a run in one go",
                                    f"round {self.rounds + 1}: {wrong}")
            self.rounds += 1
            if is_last:
                return
            self.paths = change_tree(self.folder, self.paths, self.rng, self.options.images // 12,
                                     self.rounds)
            self.ever |= set(self.paths)
            expected, _ = self.clean()
            whole = max(0.2, first / 4)  # an update is shorter than the first run

    def check(self, expected):
        try:
            entries = read_index(self.folder)
        except Exception as problem:
            self.violations.add("index: unreadable after a kill", str(problem))
            return
        for path, entry in (entries or {}).items():
            if entry.vector is not None and entry.vector != self.vectors.get(entry.digest):
                self.violations.add("index: a vector is not that of its file", f"{path}: {entry}")
                break
        search = self.workplace.run("search", "a red square", "--index", self.folder, "--paths",
                                    "-q")
        if entries:
            names = [os.path.relpath(line, self.folder)
                     for line in search.output.decode().splitlines()]
            if search.status != 0 or search.lines or len(names) != min(10, len(entries)):
                self.violations.add(
                    "search: fails after a kill",
                    f"{len(entries)} entries, {len(names)} found: {search}")
            elif not self.ever.issuperset(names):
                self.violations.add("search: a path that never was", str(set(names) - self.ever))
            self.searches += 1
        elif search.status != 1 or len(search.lines) > 1:
            self.violations.add("search: not one line before there is an index", str(search))
        else:
            self.early += 1


def test_encode(workplace, folder, name, kills, rng, violations, deadline):
    """Kills `clip encode --resume` the requested number of times; returns the row of the table."""
    options = {"shards/": ["--shard-size", "500"],
               "parquets/": ["--format", "parquet", "--shard-size", "500"],
               "retrieval": ["--format", "clip-retrieval", "--shard-size", "500"]}.get(name, [])
    command = ["encode", folder, "--model", "tiny", "-q", *options, "-o"]
    clean, target = workplace.folder / "clean", workplace.folder / "killed"
    clean.mkdir()
    run = workplace.run(*command, f"{clean}/{name}", seconds=600)
    assert run.status == 0, run
    expected = contents(clean)
    status, count, runs, rounds = None, 0, 0, 0
    is_last = False
    while status is None or not is_last:
        is_last = count >= kills or time.monotonic() > deadline
        target.mkdir(exist_ok=True)
        status, errors = kill_after(
            workplace, 600 if is_last else rng.uniform(0, run.seconds / 2), *command,
            f"{target}/{name}", "--resume")
        runs += 1
        if status is None:
            count += 1
            continue
        rounds += 1
        if status != 0:
            violations.add(f"encode {name}: a run after kills fails",
                           f"status {status}\n    {errors}")
        found = contents(target)
        for path in sorted({*expected, *found}):
            if expected.get(path) != found.get(path):
                kind = ("a file is missing" if path not in found else
                        "a file is left over" if path not in expected else "not equal to the bit")
                violations.add(f"encode {name}: {kind}", f"{path}, in round {rounds}")
        shutil.rmtree(target)
    shutil.rmtree(target, ignore_errors=True)
    shutil.rmtree(clean)
    return [f"encode -o {name}", count, runs, rounds, ""]


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*")
            if path.is_file()}


def main():
    options = arguments(__doc__, kills=60, images=3000, encode_kills=40, seconds=1800).parse_args()
    violations, deadline = Violations(), time.monotonic() + options.seconds
    with Workplace(options.clip, options.keep) as workplace:
        index = IndexKills(workplace, options, violations)
        index.run(deadline)
        rows = [["index", index.kills, index.runs, index.rounds,
                 f"{index.searches} searches, {index.early} before there was an index"]]
        rng = random.Random(options.seed)
        for name in ["x.npy", "x.jsonl", "shards/", "x.parquet", "parquets/",
                     "retrieval"]:
            rows.append(test_encode(workplace, index.folder, name, options.encode_kills, rng,
                                    violations, deadline))
    table(["clip", "kills", "runs", "complete rounds", "notes"], rows)
    if time.monotonic() > deadline:
        print("the time limit was reached (--seconds) before all kills were made")
    violations.exit()


if __name__ == "__main__":
    main()
