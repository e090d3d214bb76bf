"""Runs 16 concurrent searches while `clip index` follows a folder that changes all the time.

    python3 Scripts/faults/busy.py .build/release/clip
        [--images 10000] [--searchers 16] [--seconds 60]

Indexes 10,000 images of 32 x 32 pixels. Then `clip search` runs in a loop on 16 threads, while
files are deleted, replaced, renamed and created, and `clip index` runs over and over. Every search
must exit with 0, print ten distinct files in descending order of their cosines, and name only files
that were in the folder: none that was deleted before the start of the last update that ended before
the search, and none that was created after the search. Every `clip index` must exit with 0, and at
the end the index must equal one that is made in a single run.

Prints the number of searches and their median and slowest times; `--bar` limits the slowest, in
seconds. The times are meaningful only on an otherwise idle machine: see the load before the test.
Exits with 1 if anything is violated.
"""

import os
import pathlib
import random
import shutil
import statistics
import threading
import time

from common import Violations, Workplace, arguments, difference, make_tree, png, read_index, table

QUERIES = ["a red square", "a dog", "the sea at night", "two bicycles", "a green circle",
           "a cat on a mat"]


class Folder:
    """The images, and the times at which each path was created and deleted; no path is reused."""

    def __init__(self, place, count, rng):
        self.place, self.rng, self.number = place, rng, 0
        self.lock = threading.Lock()
        now = time.monotonic()
        self.paths = make_tree(place, count, rng, per_folder=500)
        self.made = dict.fromkeys(self.paths, now)
        self.deleted = {}
        (place / "new").mkdir()

    def new_path(self):
        self.number += 1
        path = f"new/{self.number:06}.png"
        with self.lock:
            self.made[path] = time.monotonic()
        self.paths.append(path)
        return self.place / path

    def take(self):
        """Removes a path from the list."""
        place = self.rng.randrange(len(self.paths))
        self.paths[place], self.paths[-1] = self.paths[-1], self.paths[place]
        return self.paths.pop()

    def mark_deleted(self, path):
        with self.lock:
            self.deleted[path] = time.monotonic()

    def change(self):
        kind = self.rng.randrange(4)
        if kind == 0:
            path = self.take()
            (self.place / path).unlink()
            self.mark_deleted(path)
        elif kind == 1:  # replaced at once, as editors do
            path = self.place / self.rng.choice(self.paths)
            beside = path.with_suffix(".tmp")
            beside.write_bytes(png(self.rng))
            beside.replace(path)
        elif kind == 2:
            path = self.take()
            (self.place / path).rename(self.new_path())
            self.mark_deleted(path)
        else:
            path = self.new_path()
            beside = path.with_suffix(".tmp")
            beside.write_bytes(png(self.rng))
            beside.replace(path)


class Test:
    def __init__(self, workplace, options):
        self.workplace, self.options = workplace, options
        self.violations = Violations()
        self.rng = random.Random(options.seed)
        self.folder = Folder(workplace.folder / "images", options.images, self.rng)
        self.is_over = threading.Event()
        self.lock = threading.Lock()
        self.updates = []  # start and end times of updates that ended with status 0
        self.times = []
        self.changes = self.update_count = 0

    def index(self, seconds=600):
        start = time.monotonic()
        run = self.workplace.run("index", self.folder.place, "--model", "tiny", "-q",
                                 seconds=seconds)
        # A file that is deleted or renamed between listing and reading is reported, with status 1.
        races = run.status == 1 and all(self.is_race(line) for line in run.lines)
        if run.status != 0 and not races:
            self.violations.add("clip index fails", str(run))
        with self.lock:
            self.update_count += 1
            if run.status == 0 or races:
                self.updates.append((start, time.monotonic()))
        return run

    def is_race(self, line):
        with self.folder.lock:
            return any(f"/{path}" in line for path in self.folder.deleted)

    def keep_indexing(self):
        while not self.is_over.is_set():
            self.index()

    def keep_changing(self):
        while not self.is_over.is_set():
            self.folder.change()
            self.changes += 1
            self.is_over.wait(60 / self.options.changes)

    def keep_searching(self, number):
        rng = random.Random(f"{self.options.seed} {number}")
        while not self.is_over.is_set():
            start = time.monotonic()
            run = self.workplace.run("search", rng.choice(QUERIES), "--index", self.folder.place,
                                     "-q")
            end = time.monotonic()
            with self.lock:
                self.times.append(run.seconds)
            self.check(run, start, end)

    def check(self, run, start, end):
        if run.status != 0 or run.lines:
            self.violations.add(f"a search fails{', ' + run.crash if run.crash else ''}", str(run))
            return
        rows = [line.split("\t", 1) for line in run.output.decode().splitlines()]
        paths = [os.path.relpath(path, self.folder.place) for _, path in rows]
        cosines = [float(cosine) for cosine, _ in rows]
        if len(set(paths)) != 10 or cosines != sorted(cosines, reverse=True):
            self.violations.add("not ten files in falling order", run.output.decode())
        with self.lock:
            known = max((begin for begin, done in self.updates if done < start), default=0)
        with self.folder.lock:
            for path in paths:
                if self.folder.made.get(path, end) >= end:
                    self.violations.add("a path that never was", path)
                elif self.folder.deleted.get(path, end) < known:
                    self.violations.add("a path that was gone before the last update", path)

    def run(self):
        load = os.getloadavg()[0]
        first = self.index()
        assert first.status == 0, first
        threads = [threading.Thread(target=self.keep_indexing),
                   threading.Thread(target=self.keep_changing)]
        for number in range(self.options.searchers):
            threads.append(threading.Thread(target=self.keep_searching, args=[number]))
        for thread in threads:
            thread.start()
        try:
            time.sleep(self.options.seconds)
        finally:
            self.is_over.set()
            for thread in threads:
                thread.join()
        last = self.index()
        if last.status != 0:
            self.violations.add("the last clip index fails", str(last))
        found = read_index(self.folder.place)
        shutil.rmtree(pathlib.Path(self.folder.place, ".clip-index"))
        self.index()
        wrong = difference(found, read_index(self.folder.place))
        if wrong:
            self.violations.add("the index is not that of a run in one go", wrong)
        slowest = max(self.times)
        if slowest > self.options.bar:
            self.violations.add(f"the slowest search took more than {self.options.bar} s",
                                f"{slowest:.2f} s")
        table(["images", "searchers", "cores", "load before", "searches", "median, s", "99 %, s",
               "slowest, s",
               "updates", "changes"],
              [[self.options.images, self.options.searchers, os.cpu_count(), f"{load:.1f}",
                len(self.times),
                f"{statistics.median(self.times):.2f}",
                f"{sorted(self.times)[len(self.times) * 99 // 100]:.2f}",
                f"{slowest:.2f}", self.update_count, self.changes]])
        self.violations.exit()


def main():
    parser = arguments(__doc__, images=10_000, searchers=16, seconds=60, changes=2000, bar=1.0)
    options = parser.parse_args()
    with Workplace(options.clip, options.keep) as workplace:
        Test(workplace, options).run()


if __name__ == "__main__":
    main()
