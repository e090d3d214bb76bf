"""Damages indexes, partial outputs and label caches at random from a seed, and uses them.

    python3 Scripts/faults/mutate.py .build/release/clip
        [--count 5000] [--targets index,rounded] [--seconds 7200]

Each target has COUNT cases with one to three changes each (`damage.py` has the list):
- `index`: the files of `.clip-index`, then `clip search`, `dedupe`, `cluster` and `index`, in this
  order;
- `rounded`: `vectors.i8` of an index of 16,500 images, then `clip search`; a tenth of the cases;
- `resume`: the .npy, .jsonl or shards of an interrupted `clip encode`, then `clip encode --resume`;
- `outputs`: a complete .npy with its names and its model record, then `clip search`, `dedupe` and
  `cluster`; a tenth of the cases, and other answers are not violations, since the format has no
  checksum;
- `labels`: the label cache, then `clip zeroshot --labels`.

A violation is: a signal; no end within 10 s; a failing run (status 1) with more than one line of
error, or without one; another status; a wrong answer: status 0 and another output than that of
undamaged files (of `clip index`: an index with other vectors, paths or digests; of `clip search`:
also that nothing is found). If the changed database is valid for other files, for example with
another path, the damage cannot be detected: such answers are not violations, and are counted as
`another valid` with the kind of their change.

Exits with 1 if anything is violated.
"""

import pathlib
import queue
import random
import shutil
import signal
import subprocess
import time
from typing import NamedTuple

import damage
from common import (
    HANG, Run, Violations, Workplace, arguments, in_parallel, make_tree, read_index, table)

IMAGES = 40


class Result(NamedTuple):
    """A run after changes: whether its answer is wrong, and whether it is valid for other files."""
    changes: list
    run: Run
    is_wrong: bool
    is_plausible: bool = False


class IndexTarget:
    """Commands on an index with damaged files."""

    def __init__(self, workplace, number, seed):
        self.workplace = workplace
        self.folder = workplace.folder / f"indexed {number}"
        make_tree(self.folder, IMAGES, random.Random(seed), per_folder=10)
        run = workplace.run("index", self.folder, "--model", "tiny", "-q")
        assert run.status == 0, run
        self.place = self.folder / ".clip-index"
        self.original = damage.database_content(self.place)
        self.saved = workplace.folder / f"{self.folder.name}.saved"
        shutil.copytree(self.place, self.saved)
        self.commands = [
            ["search", "a red square", "--index", self.folder, "--top", "2"],
            ["search", "a dog", "--index", self.folder, "--json"],
            ["dedupe", self.folder, "--threshold", "0.9"], ["cluster", self.folder, "-k", "3"],
            ["index", self.folder, "--model", "tiny"]]
        self.expected = [self.answer(command, workplace.run(*command, "-q"))
                         for command in self.commands]
        self.restore()

    def restore(self):
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(self.saved, self.place)

    def answer(self, command, run):
        if command[0] != "index":
            return run.output
        try:
            entries = read_index(self.folder)
        except Exception as problem:
            return str(problem)
        return entries and {path: (entry.digest, entry.vector) for path, entry in entries.items()}

    def test(self, rng):
        self.restore()
        changes = [damage.change_index(self.place, rng) for _ in range(rng.choice([1, 1, 2, 3]))]
        is_plausible = damage.is_plausible(self.place, self.original)
        for command, expected in zip(self.commands, self.expected):
            run = self.workplace.run(*command, "-q")
            if command[0] == "search" and run.status == 1 and not run.said:
                run.status = 0  # with -q an empty result prints nothing, which is an answer
            wrong = run.status == 0 and self.answer(command, run) != expected
            yield Result(changes, run, wrong, is_plausible)


class RoundedTarget:
    """Searches of an index with quantised vectors, vectors.i8, which are damaged."""

    def __init__(self, workplace, number, seed):
        self.workplace = workplace
        self.folder, first = (workplace.folder / f"many {place}" for place in (number, 0))
        if number == 0:
            make_tree(self.folder, 16_500, random.Random(seed), per_folder=1000, side=8)
            run = workplace.run("index", self.folder, "--model", "tiny", "-q", seconds=900)
            assert run.status == 0 and (self.folder / ".clip-index/vectors.i8").exists(), run
        else:  # a search reads no image
            shutil.copytree(first / ".clip-index", self.folder / ".clip-index")
        self.place = self.folder / ".clip-index"
        self.saved = (self.place / "vectors.i8").read_bytes()
        self.commands = [["search", text, "--index", self.folder, "-q"]
                         for text in ["a red square", "a dog"]]
        self.expected = [workplace.run(*command).output for command in self.commands]

    def test(self, rng):
        (self.place / "vectors.i8").write_bytes(self.saved)
        changes = [damage.change_rounded(self.place, rng) for _ in range(rng.choice([1, 1, 2, 3]))]
        for command, expected in zip(self.commands, self.expected):
            run = self.workplace.run(*command)
            yield Result(changes, run, run.status == 0 and run.output != expected)


class ResumeTarget:
    """`clip encode --resume` of an interrupted job whose files are damaged."""

    def __init__(self, workplace, number, seed):
        self.workplace = workplace
        self.images = workplace.folder / f"encoded {number}"
        self.paths = make_tree(self.images, IMAGES, random.Random(seed), per_folder=10)
        self.target = workplace.folder / f"outputs {number}"
        self.layouts = {}
        for name in ["x.npy", "x.jsonl", "shards/"]:
            self.target.mkdir()
            run = workplace.run(*self.command(name))
            assert run.status == 0, run
            expected = self.contents()
            shutil.rmtree(self.target)
            saved = workplace.folder / f"{self.target.name} {name.strip('/')}.saved"
            self.interrupt(name)
            self.target.rename(saved)
            self.layouts[name] = saved, expected

    def command(self, name):
        shards = ["--shard-size", "16"] if name.endswith("/") else []
        return ["encode", self.images, "--model", "tiny", "-q", *shards, "-o",
                f"{self.target}/{name}"]

    def interrupt(self, name):
        """Creates the files of a job that is interrupted after about half of the images."""
        self.target.mkdir()
        command = self.command(name)
        command[1:2] = ["--files-from", "-"]
        process = subprocess.Popen(
            [self.workplace.clip, *map(str, command)], env=self.workplace.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # Rows are flushed with a delay; then the job waits for more names, which never come.
        for path in self.paths[:IMAGES * 5 // 8]:
            process.stdin.write(f"{self.images}/{path}\n".encode())
            process.stdin.flush()
            time.sleep(0.1)
        end = time.monotonic() + HANG
        while time.monotonic() < end and max(map(len, self.contents().values()), default=0) <= 5000:
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        process.wait(HANG)
        process.stdin.close()
        rows = self.contents()
        assert max(map(len, rows.values()), default=0) > 5000, f"{name}: no rows are left: {[*rows]}"

    def contents(self):
        files = [path for path in self.target.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.target)): path.read_bytes() for path in files}

    def test(self, rng):
        name = rng.choice(list(self.layouts))
        saved, expected = self.layouts[name]
        shutil.rmtree(self.target, ignore_errors=True)
        shutil.copytree(saved, self.target)
        changes = [damage.change_outputs(self.target, rng) for _ in range(rng.choice([1, 1, 2, 3]))]
        run = self.workplace.run(*self.command(name), "--resume")
        # Checksums under an unused name are kept; they are not part of the answer.
        found = {name: rows for name, rows in self.contents().items() if not name.endswith(".sums")}
        yield Result(changes, run, run.status == 0 and found != expected)


class OutputsTarget:
    """Commands on a complete .npy with its names and its model record, which are damaged."""

    def __init__(self, workplace, number, seed):
        self.workplace = workplace
        images = workplace.folder / f"complete {number}"
        make_tree(images, IMAGES, random.Random(seed), per_folder=10)
        self.place, self.saved = (workplace.folder / f"complete {number}.{name}"
                                  for name in ["npy", "saved"])
        self.place.mkdir()
        npy = self.place / "x.npy"
        run = workplace.run("encode", images, "--model", "tiny", "-q", "-o", npy)
        assert run.status == 0, run
        # Without model records, the model had to be given.
        model = [] if (self.place / "x.model.json").exists() else ["--model", "tiny"]
        shutil.copytree(self.place, self.saved)
        self.commands = [
            ["search", "a red square", "--index", npy, *model], ["dedupe", npy],
            ["cluster", npy, "-k", "3"]]
        self.expected = [workplace.run(*command, "-q").output for command in self.commands]

    def test(self, rng):
        shutil.rmtree(self.place)
        shutil.copytree(self.saved, self.place)
        changes = [damage.change_outputs(self.place, rng) for _ in range(rng.choice([1, 1, 2, 3]))]
        for command, expected in zip(self.commands, self.expected):
            run = self.workplace.run(*command, "-q")
            # The format has no checksum: another answer is that of another file.
            yield Result(changes, run, run.status == 0 and run.output != expected,
                         is_plausible=True)


class LabelsTarget:
    """`clip zeroshot --labels` with a damaged cache of the labels' vectors."""

    def __init__(self, workplace, number, seed):
        self.workplace = workplace
        images = workplace.folder / f"classified {number}"
        make_tree(images, 2, random.Random(seed))
        labels = workplace.folder / f"labels {number}.txt"
        labels.write_text("".join(f"a thing of kind {place}\n" for place in range(300)))
        self.home = {name: str(workplace.folder / f"home {number}")
                     for name in ["HOME", "CLIP_HOME", "XDG_CACHE_HOME"]}
        self.command = ["zeroshot", images, "--labels", labels, "--model", "tiny", "--top", "3",
                        "-q"]
        run = workplace.run(*self.command, environment=self.home)
        self.expected = run.output
        home = pathlib.Path(self.home["HOME"])
        files = [path for path in home.rglob("*") if path.is_file()]
        assert run.status == 0 and files, f"{run}: no label cache is written"
        self.place = files[0].parent
        self.saved = workplace.folder / f"labels {number}.saved"
        shutil.copytree(self.place, self.saved)

    def test(self, rng):
        shutil.rmtree(self.place)
        shutil.copytree(self.saved, self.place)
        changes = [damage.change_labels(self.place, rng) for _ in range(rng.choice([1, 1, 2, 3]))]
        run = self.workplace.run(*self.command, environment=self.home)
        yield Result(changes, run, run.status == 0 and run.output != self.expected)


TARGETS = {"index": IndexTarget, "rounded": RoundedTarget, "resume": ResumeTarget,
           "outputs": OutputsTarget,
           "labels": LabelsTarget}
FEWER = {"rounded", "outputs"}  # a tenth of the cases
OUTCOMES = ["cases", "runs", "same answer", "refused", "crash", "wrong", "another valid"]


def judge(result):
    """Returns the outcome of a run, and its violation or None."""
    run = result.run
    if run.crash:
        return "crash", run.crash.split(" for ")[0]
    if run.status == 0:
        if not result.is_wrong:
            return "same answer", None
        return ("another valid", None) if result.is_plausible else ("wrong",
                "status 0 and a wrong answer")
    if run.status == 2 and result.is_plausible:
        return "another valid", None  # such as more clusters than images
    if run.status != 1:
        return "refused", f"status {run.status}"
    if not run.said:
        return "refused", "nothing is said"
    # clip index names every file that it cannot read.
    names_files = run.command[1] == "index" and all(run.command[2] in line for line in run.said)
    is_short = len(run.said) == 1 or names_files and len(run.said) <= IMAGES
    return "refused", None if is_short else "more than one line of error"


def test_target(workplace, name, options, deadline, violations):
    """Tests a target and prints its table."""
    free = queue.SimpleQueue()
    for number in range(2):
        free.put(TARGETS[name](workplace, number, options.seed))
    totals = {}

    def test(number):
        if time.monotonic() > deadline:
            return None
        target = free.get()
        try:
            return list(target.test(random.Random(f"{options.seed} {name} {number}")))
        finally:
            free.put(target)

    left_out = 0
    count = max(1, options.count // 10) if name in FEWER else options.count
    numbers = range(options.first, options.first + count)
    for number, results in zip(numbers, in_parallel(test, numbers)):
        if results is None:
            left_out += 1
            continue
        changes = results[0].changes
        # Counted under its change, or under "several".
        kind = changes[0].kind if len(changes) == 1 else "several"
        total = totals.setdefault(kind, dict.fromkeys(OUTCOMES, 0))
        total["cases"] += 1
        for result in results:
            total["runs"] += 1
            outcome, found = judge(result)
            total[outcome] += 1
            if found:
                what = f"{found} ({result.run.command[1]}, {kind})" if outcome == "wrong" else found
                violations.add(f"{name}: {what}",
                               f"case {number}, {'; '.join(map(str, changes))}\n    {result.run}")
    print(f"\n{name}")
    table(["change", *OUTCOMES], [[kind, *total.values()]
                                  for kind, total in sorted(totals.items())])
    if left_out:
        print(f"{left_out} cases were left out: the time limit was reached (--seconds)")


def main():
    parser = arguments(__doc__, count=5000, first=0, seconds=7200)
    parser.add_argument("--targets", default=",".join(TARGETS))
    options = parser.parse_args()
    violations, deadline = Violations(shown=2), time.monotonic() + options.seconds
    with Workplace(options.clip, options.keep) as workplace:
        for name in options.targets.split(","):
            test_target(workplace, name, options, deadline, violations)
    violations.exit()


if __name__ == "__main__":
    main()
