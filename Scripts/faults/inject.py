"""Makes system calls fail, one at a time, while `clip index` updates an index.

    python3 Scripts/faults/inject.py .build/release/clip
        [--kinds read,stat] [--every 1] [--seconds 1800]

Compiles `inject.c` with `cc` and preloads it. A folder of some 60 images in subfolders is indexed;
then images are created, changed, moved and deleted. The update is repeated from the same state once
for each call that it makes (open, read, opendir, readdir, stat, write, fsync, rename, unlink,
mkdir, mmap, ftruncate, flock, pthread_create) and each error that fits the call; only calls on
files below the folder fail, and the creation of any thread. Then all calls from the Nth on fail,
for some N. The same for `clip index --rebuild`, if the binary has it.

After each run:
- the run ends within 10 s, and not by a signal;
- the status is 0 with the complete index and no error on standard error, or 1 with one line that
  names the folder or a file in it (with many failing calls, at most a line for each file);
- the index is the old one, the new one, or a mixture: an unchanged file has its entry, and every
  vector is that of its digest. A changed file, and in a rebuild any file, may have lost its vector
  if it could not be read: these are counted, not violations;
- the same command without faults exits with 0 and makes the index that a clean run makes.

Linux with glibc only. Exits with 1 if anything is violated.
"""

import errno
import pathlib
import queue
import random
import shutil
import subprocess
import time

from common import (
    Violations, Workplace, arguments, change_tree, difference, in_parallel, make_tree, read_index, table)

ERRORS = {
    "open": ["EACCES", "EMFILE", "EIO"], "read": ["EIO"], "opendir": ["EACCES", "EMFILE", "ENOMEM"],
    "readdir": ["EIO"],
    "stat": ["EACCES", "EIO"], "write": ["ENOSPC", "EIO"], "fsync": ["EIO", "ENOSPC"],
    "rename": ["EACCES", "EIO"],
    "unlink": ["EACCES", "EIO"], "mkdir": ["EACCES", "ENOSPC"], "mmap": ["ENOMEM"],
    "ftruncate": ["EIO"],
    "flock": ["ENOLCK"], "pthread_create": ["EAGAIN"],
}


class Place:
    """A folder of images with an outdated index, and the index expected after an update."""

    def __init__(self, workplace, number, seed, command):
        self.workplace, self.command = workplace, command
        self.folder = workplace.folder / f"{command[-1].strip('-')} {number}"
        self.saved = workplace.folder / f"{self.folder.name}.saved"
        self.log = workplace.folder / f"{self.folder.name}.log"
        rng = random.Random(seed)
        paths = make_tree(self.folder, 60, rng)
        self.index()
        self.before = read_index(self.folder)
        self.paths = change_tree(self.folder, paths, rng, each=5, number=1)
        shutil.copytree(self.folder / ".clip-index", self.saved)
        clean = self.index(environment={"LD_PRELOAD": str(workplace.library),
                                        "CLIP_FAULT_LOG": str(self.log),
                                        "CLIP_FAULT_UNDER": str(self.folder)})
        self.after = read_index(self.folder)
        self.files = self.names()
        assert clean.status == 0 and sorted(self.after) == self.paths, clean
        self.vectors = {entry.digest: entry.vector
                        for entry in [*self.before.values(), *self.after.values()]}
        self.counts = {kind: int(number) for _, kind, number, *_ in map(str.split,
                self.log.read_text().splitlines())}

    def index(self, **options):
        return self.workplace.run(*self.command, self.folder, "--model", "tiny", **options)

    def names(self):
        """The files of the index, and those beside it."""
        return sorted(str(path.relative_to(self.folder))
                      for path in self.folder.glob(".*")) + sorted(
            path.name for path in (self.folder / ".clip-index").iterdir())

    def restore(self):
        for path in self.folder.glob(".clip-index*"):
            shutil.rmtree(path)
        shutil.copytree(self.saved, self.folder / ".clip-index")
        self.log.unlink(missing_ok=True)

    def test(self, kind, number, error, goes_on):
        """Makes a call fail; returns the outcome in a word, and the violations."""
        self.restore()
        fault = f"{kind}:{number}:{getattr(errno, error)}" + (":on" if goes_on else "")
        run = self.index(environment={
            "LD_PRELOAD": str(self.workplace.library), "CLIP_FAULT_LOG": str(self.log),
            "CLIP_FAULT": fault,
            "CLIP_FAULT_UNDER": str(self.folder)})
        log = self.log.read_text() if self.log.exists() else ""
        failed = next((line for line in log.splitlines() if line.startswith("failed")),
                      "failed nothing")
        found = []
        if run.crash:
            found.append((run.crash.split(" for ")[0], str(run)))
        entries, lost = self.check_entries(run, found)
        if not run.crash:
            self.check_status(run, entries, len(self.paths) if goes_on else 1, found)
        again = self.index()
        try:
            wrong = difference(read_index(self.folder), self.after)
        except Exception as problem:
            wrong = f"the index cannot be read: {problem}"
        if again.status != 0 or wrong:
            found.append(("the next run does not repair it", f"{again}\n    {wrong or ''}"))
        elif self.names() != self.files:
            found.append(("files are left over", f"expected {self.files}, found {self.names()}"))
        outcome = "crash" if run.crash else "done" if run.status == 0 else "refused"
        where = f"{fault}, {error}, {failed}"
        return outcome, lost, [(what, f"{where}\n    {text}")
                               for what, text in found], "failed " in log

    def check_status(self, run, entries, most, found):
        if run.status == 0:
            wrong = difference(entries, self.after)
            if wrong:
                found.append(("status 0, and the index is not complete", wrong))
            if run.said:
                found.append(("status 0, and a line of error", str(run)))
        elif run.status != 1:
            found.append((f"status {run.status}", str(run)))
        elif not 1 <= len(run.said) <= most:
            found.append((f"status 1 and {'more than one line' if run.said else 'nothing said'}",
                          str(run)))
        elif not all(str(self.folder) in line for line in run.said):
            found.append(("the error names neither the folder nor a file", str(run)))

    def may_lose(self, path, run):
        """True if a rebuild, which reads every file again, has reported this one as unreadable."""
        is_named = any(f"{self.folder}/{path}:" in line for line in run.said)
        return "--rebuild" in self.command and run.status == 1 and is_named

    def check_entries(self, run, found):
        """Checks the index after a fault; returns the number of changed files without a vector."""
        try:
            entries = read_index(self.folder)
        except Exception as problem:
            found.append(("the index cannot be read", str(problem)))
            return None, 0
        if entries is None:
            found.append(("the index is gone", ""))
            return None, 0
        lost, gone = 0, []
        for path in sorted({*self.before, *self.after, *entries}):
            entry, old, new = entries.get(path), self.before.get(path), self.after.get(path)
            if entry and entry.vector is not None:
                if entry.vector != self.vectors.get(entry.digest):
                    found.append(("a vector is not that of its file", f"{path}: {entry}"))
                elif not old and not new:
                    found.append(("an entry of no file", f"{path}: {entry}"))
            elif old and new and old == new and not self.may_lose(path, run):
                gone.append(f"{path}: expected {old}, found {entry}")
            elif old and new:
                lost += 1
        if gone:
            found.append(("unchanged files have lost their vectors",
                          f"{len(gone)}, the first is {gone[0]}"))
        return entries, lost


def main():
    parser = arguments(__doc__, every=1, seconds=1800)
    parser.add_argument("--kinds", help="only these kinds, separated by commas")
    options = parser.parse_args()
    violations, deadline = Violations(), time.monotonic() + options.seconds
    with Workplace(options.clip, options.keep) as workplace:
        workplace.library = workplace.folder / "inject.so"
        source = pathlib.Path(__file__).with_name("inject.c")
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", workplace.library, source, "-ldl"],
                       check=True)
        commands = [["index"]]
        if b"--rebuild" in workplace.run("index", "--help").output:
            commands.append(["index", "--rebuild"])
        for command in commands:
            test_command(workplace, command, options, deadline, violations)
    violations.exit()


def test_command(workplace, command, options, deadline, violations):
    places = [Place(workplace, number, options.seed, command) for number in range(2)]
    kinds = options.kinds.split(",") if options.kinds else list(ERRORS)
    counts = {kind: min(place.counts[kind] for place in places) for kind in kinds}
    cases = []
    for kind in kinds:
        for error in ERRORS[kind]:
            numbers = range(1, counts[kind] + 1, options.every)
            cases += [(kind, number, error, False) for number in numbers]
            cases += [(kind, number, error, True) for number in numbers if number in (1, 2, 3, 5)
                      or number % 17 == 0]
    free = queue.SimpleQueue()
    for place in places:
        free.put(place)

    def test(case):
        if time.monotonic() > deadline:
            return case, None
        place = free.get()
        try:
            return case, place.test(*case)
        finally:
            free.put(place)

    columns = ["cases", "hit", "done", "refused", "crash", "lost", "violations"]
    totals = {kind: dict.fromkeys(columns, 0) for kind in kinds}
    left_out = 0
    for (kind, *_), result in in_parallel(test, cases):
        if result is None:
            left_out += 1
            continue
        outcome, lost, found, is_hit = result
        total = totals[kind]
        total["cases"] += 1
        total["hit"] += is_hit
        total[outcome] += 1
        total["lost"] += lost
        total["violations"] += len(found)
        for what, text in found:
            violations.add(f"{' '.join(command)}: {what}", text)
    print(f"\nclip {' '.join(command)}: calls of a clean run, and what became of the runs with "
          f"faults; lost are vectors "
          "of changed files that could not be read")
    table(["call", "calls", *columns],
          [[kind, counts[kind], *total.values()] for kind, total in totals.items()])
    if left_out:
        print(f"{left_out} cases were left out: the time limit was reached (--seconds)")


if __name__ == "__main__":
    main()
