"""Runs commands of `clip` under limits: memory, threads, open files, file size, a full disk.

    python3 Scripts/faults/limits.py .build/release/clip
        [--only search,encode] [--step 10] [--seconds 1800]

Each command runs on small data with `--model tiny` under
- RLIMIT_AS (`prlimit --as`) from 40 to 400 MB in steps of 10,
- RLIMIT_NOFILE from 4 to 20,
- RLIMIT_NPROC, 1 to 4 threads in all: as root with another user id, since root has no such limit,
- a cgroup with pids.max of 1 to 4, if one can be created,
- RLIMIT_FSIZE of 0, 1, 4, 16 and 64 KB,
- a tmpfs with 0 to 256 KB free as the output folder, if one can be mounted (in its own namespace).

Violations: no end within 10 s; a signal (below 150 MB of address space it is only counted); status
0 with another output than without a limit; a status other than 0 and 1 (127 is the loader's); a
failing run that prints no error, or more than one line per input. Prints for each command the limit
from which on all runs succeed, and the failing runs by status. Exits with 1 if anything is
violated.
"""

import contextlib
import itertools
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

from common import Violations, Workplace, arguments, in_parallel, make_tree, png, read_index, table

USER = 61234  # a user id without other processes
PIDS = [pathlib.Path("/sys/fs/cgroup/pids"), pathlib.Path("/sys/fs/cgroup")]
IMAGES = 12
MARK = "FAULTS_IN_NAMESPACE"


class Command:
    """A command, its number of inputs, and the output files that it writes into its folder."""

    def __init__(self, *words, inputs=1, outputs=()):
        self.words, self.inputs, self.outputs = words, inputs, outputs


def commands(data):
    image, images = f"{data}/one.png", f"{data}/images"
    index, npy = f"{data}/indexed", f"{data}/vectors.npy"
    tiny, labels = ["--model", "tiny"], f"{data}/labels.txt"
    return {
        "encode IMAGE": Command("encode", image, *tiny),
        "encode FOLDER -o x.npy": Command("encode", images, "-o", "{}/x.npy", *tiny, inputs=IMAGES,
                                          outputs=["x.npy", "x.names.jsonl"]),
        "encode --text": Command("encode", "--text", "a dog", *tiny),
        "index": Command("index", "{}/images", *tiny, inputs=IMAGES, outputs=["images"]),
        "search TEXT": Command("search", "a red square", "--index", index),
        "search IMAGE": Command("search", image, "--index", index),
        "zeroshot": Command("zeroshot", image, "a dog", "a cat", *tiny),
        "zeroshot --labels": Command("zeroshot", images, "--labels", labels, *tiny, inputs=IMAGES),
        "score": Command("score", "--image", image, "--text", "a dog", *tiny),
        "similarity": Command("similarity", "--image", image, "--text", "a dog", "--text", "a cat",
                              *tiny),
        "dedupe": Command("dedupe", index),
        "cluster": Command("cluster", index, "-k", "3"),
        "map": Command("map", npy, "-o", "{}/map.html", outputs=["map.html"]),
        "preprocess": Command("preprocess", image, "-o", "{}/x.npy", *tiny, outputs=["x.npy"]),
        "tokenize": Command("tokenize", "a dog on a beach"),
        "info": Command("info", "tiny"),
        "convert": Command("convert", "tiny", "{}/x.safetensors", outputs=["x.safetensors"]),
        "version": Command("--version"),
    }


class Test:
    def __init__(self, workplace, options, mounts):
        self.workplace, self.options, self.violations = workplace, options, Violations(shown=3)
        self.is_root, self.mounts = os.geteuid() == 0, mounts
        folder = workplace.folder
        folder.chmod(0o755)
        # Another user may not be allowed to read the binary's folder.
        shutil.copy(workplace.clip, folder / "clip")
        workplace.clip = str(folder / "clip")
        rng = random.Random(options.seed)
        self.data = folder / "data"
        for name in ["images", "indexed"]:
            make_tree(self.data / name, IMAGES, rng)
        (self.data / "one.png").write_bytes(png(rng, 300))
        (self.data / "labels.txt").write_text("".join(f"label {number}\n" for number in range(300)))
        for words in [["index", self.data / "indexed"],
                      ["encode", self.data / "images", "-o", self.data / "vectors.npy"]]:
            run = workplace.run(*words, "--model", "tiny", "-q")
            assert run.status == 0, run
        self.commands = {name: command for name, command in commands(self.data).items()
                         if not options.only or any(word in name.split()
                                                    for word in options.only.split(","))}
        self.numbers = itertools.count()
        self.expected = {}
        for name, command in self.commands.items():
            run, products = self.run(command, [])
            assert run.status == 0, run
            self.expected[name] = products
        if self.is_root:
            subprocess.run(["chmod", "-R", "a+rwX", folder], check=True)

    def run(self, command, before, free=None):
        """Runs a command in a fresh folder; returns the run and its outputs.

        With `free`, the folder lies on its own disk with that many KB free.
        """
        place = self.workplace.folder / f"run {next(self.numbers)}"
        place.mkdir()
        if "images" in command.outputs:
            shutil.copytree(self.data / "images", place / "images")
        for path in [place, *place.rglob("*")] if self.is_root else []:
            os.chown(path, USER, USER)
        words = [word.replace("{}", str(place)) for word in map(str, command.words)]
        # An empty home, so that no command uses the cache of another.
        home = {"HOME": str(place), "CLIP_HOME": str(place / "home"),
                "XDG_CACHE_HOME": str(place / "cache")}
        try:
            with contextlib.nullcontext() if free is None else self.disk(place, free):
                run = self.workplace.run(*words, before=before, environment=home)
                return run, self.products(command, place, run)
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def products(self, command, place, run):
        # OpenBLAS is not loaded with little address space, which the version reports.
        products = [re.sub(rb"; OpenBLAS [^)]*", b"", run.output.replace(os.fsencode(place), b""))]
        for name in command.outputs:
            path = place / name
            if name == "images":
                entries = read_index(path) if run.status == 0 else None
                products.append(entries and {path: (entry.digest, entry.vector)
                                             for path, entry in entries.items()})
            else:
                products.append(path.read_bytes().replace(os.fsencode(place), b"") if path.exists()
                                else None)
        return products

    def sweep(self, limit, values, starter, least_for_signals=0, processes=2, is_disk=False):
        """Runs every command under each value of a limit; returns the cells of the table."""
        def test(case):
            name, value = case
            if time.monotonic() > self.deadline:
                return None
            return self.run(self.commands[name], starter(value), free=value if is_disk else None)

        cases = [(name, value) for name in self.commands for value in values]
        outcomes = {name: {} for name in self.commands}
        for (name, value), result in zip(cases, in_parallel(test, cases, processes)):
            if result is None:
                self.left_out += 1
                continue
            run, products = result
            outcomes[name][value] = self.judge(f"{name}, {limit} {value}", name, run, products,
                                               run.crash and value >= least_for_signals)
        for name, found in outcomes.items():
            failing = [value for value, outcome in found.items() if outcome != "0"]
            working = [value for value in found if value > max(failing, default=-1)]
            kinds = [f"{list(found.values()).count(kind)} x {kind}"
                     for kind in sorted(set(found.values()) - {"0"})]
            least = (min(working) if failing else f"<= {min(working)}") if working else f"> {max(found, default=0)}"
            self.rows.append([name, limit, least, ", ".join(kinds)])

    def judge(self, where, name, run, products, crash_counts):
        add = lambda kind: self.violations.add(kind, f"{where}\n    {run}")
        if run.crash:
            outcome = "hang" if run.status is None else run.crash
            if run.status is None or crash_counts:
                add(f"{name}: {outcome}")
            return outcome
        if run.status == 0:
            if products != self.expected[name]:
                add(f"{name}: status 0 and another output")
                return "wrong output"
        elif run.status not in (1, 127):
            add(f"{name}: status {run.status}")
        elif not run.said:
            add(f"{name}: fails and says nothing")
        elif len(run.said) > self.commands[name].inputs:
            add(f"{name}: more than one line of error")
        return str(run.status)

    def all(self):
        self.deadline, self.left_out, self.rows, skipped = time.monotonic() + self.options.seconds, 0, [], []
        self.sweep("address space, MB", range(40, 401, self.options.step),
                   lambda value: ["prlimit", f"--as={value * 1_000_000}"], least_for_signals=150)
        self.sweep("open files", range(4, 21), lambda value: ["prlimit", f"--nofile={value}"])
        user = ["setpriv", f"--reuid={USER}", f"--regid={USER}",
                "--clear-groups"] if self.is_root else []
        used = 0 if self.is_root else count_threads(os.getuid())
        self.sweep("threads of the user", range(1, 5),
                   lambda value: [*user, "prlimit", f"--nproc={used + value}"],
                   processes=1)
        self.sweep("file size, KB", [0, 1, 4, 16, 64],
                   lambda value: ["prlimit", f"--fsize={value * 1024}"])
        if not self.sweep_pids():
            skipped.append("no cgroup for pids.max can be made here")
        if self.mounts:
            self.sweep("free on the disk, KB", [0, 4, 16, 64, 256], lambda value: [], is_disk=True)
        else:
            skipped.append("no tmpfs can be mounted here")
        self.rows.sort(key=lambda row: list(self.commands).index(row[0]))
        table(["command", "limit", "works from", "failing runs by status"], self.rows)
        for line in skipped:
            print(f"left out: {line}")
        if self.left_out:
            print(f"left out: {self.left_out} runs, since the time limit was reached (--seconds)")
        self.violations.exit()

    def sweep_pids(self):
        group = next((place / f"clip-faults-{os.getpid()}" for place in PIDS
                      if make_group(place, os.getpid())), None)
        if not group:
            return False
        try:
            # The shell moves itself into the group, and is replaced by the command.
            enter = f'echo $0 > {group}/pids.max && echo $$ > {group}/cgroup.procs && exec "$@"'
            self.sweep("pids of a cgroup", range(1, 5),
                       lambda value: ["sh", "-c", enter, str(value)], processes=1)
        finally:
            group.rmdir()
        return True

    @contextlib.contextmanager
    def disk(self, place, free):
        """Mounts a tmpfs over a folder and fills it; only this process and its children see it."""
        with tempfile.TemporaryDirectory(prefix="clip-faults-") as aside:
            shutil.copytree(place, aside, dirs_exist_ok=True, copy_function=shutil.copy2)
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place], check=True)
            try:
                shutil.copytree(aside, place, dirs_exist_ok=True, copy_function=shutil.copy2)
                state = os.statvfs(place)
                (place / "filler").write_bytes(
                    bytes(max(0, state.f_bavail * state.f_frsize - 1024 * free)))
                yield
            finally:
                subprocess.run(["umount", "--lazy", place], check=True)


def make_group(place, number):
    """Creates a cgroup that limits processes; returns false if that is not possible."""
    group = place / f"clip-faults-{number}"
    try:
        group.mkdir()
    except OSError:
        return False
    if (group / "pids.max").exists() and os.access(group / "cgroup.procs", os.W_OK):
        return True
    group.rmdir()
    return False


def count_threads(user):
    """The number of threads of a user."""
    count = 0
    for task in pathlib.Path("/proc").glob("[0-9]*/task/*"):
        try:
            count += task.stat().st_uid == user
        except OSError:
            pass
    return count


def main():
    parser = arguments(__doc__, step=10, seconds=1800)
    parser.add_argument("--only", help="only commands with one of these words, separated by commas")
    options = parser.parse_args()
    mounts = os.environ.pop(MARK, None)
    if mounts is None:
        # Runs again in its own mount namespace, whose mounts end with it.
        probe = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        can_mount = not subprocess.run(probe, stderr=subprocess.DEVNULL).returncode
        start = ["unshare", "--mount"] if can_mount else []
        command = [*start, sys.executable, *sys.argv]
        os.execvpe(command[0], command, os.environ | {MARK: "1" if can_mount else ""})
    with Workplace(options.clip, options.keep) as workplace:
        Test(workplace, options, bool(mounts)).all()


if __name__ == "__main__":
    main()
