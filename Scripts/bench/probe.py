"""Measures linear probes of the library against scikit-learn's LogisticRegression, in turn.

    swift build -c release --package-path Benchmarks --product ProbeBenchmark
    VENV/bin/python Scripts/bench/probe.py [--rounds 3] [--case NAME ...]
        [--real FEATURES LABELS HELD_OUT]

Both train on the same float32 features, on the same cores, with C = 0.316: scikit-learn with
max_iter=1000 and otherwise its defaults, once with one thread and once with all threads in every
round; the faster setting counts. The features are seeded: one shared mean, a decaying spectrum, a
centre for each class and noise, with norms of about 10 or of exactly 1. With --real, two .npy files
of features and labels are measured too, whose last HELD_OUT rows are held out.

The table has the fastest and the median seconds, the losses of both relative to the optimum, and
the share of 10,000 held-out vectors that are decided as at the optimum. Losses are those of the
returned weights in float64. The optimum is what scikit-learn finds in float64 with tol=1e-8 from
the library's solution. The exit status is 1 if the loss is more than 1e-5 above the optimum, fewer
than 99.9 % of decisions agree, or the library is less than twice as fast.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy
from threadpoolctl import threadpool_limits

ROOT = pathlib.Path(__file__).resolve().parents[2]
THREADS = len(os.sched_getaffinity(0))
C = 0.316
HELD_OUT = 10_000
# The rows, the classes, the norm, and the distance of the centres of classes in deviations.
CASES = {
    "3,000 x 512, 100 classes, norm 10": (3_000, 100, 10.0, 0.3),
    "3,000 x 512, 100 classes, norm 1": (3_000, 100, 1.0, 0.3),
    "20,000 x 512, 20 classes, norm 10": (20_000, 20, 10.0, 0.15),
    "20,000 x 512, 20 classes, norm 1": (20_000, 20, 1.0, 0.15),
}


def features(count, classes, norm, distance, dimension=512, seed=2026):
    """Returns features like CLIP's and their labels; the last rows are held out."""
    random = numpy.random.default_rng([seed, count, classes])
    spectrum = (1 + numpy.arange(dimension)) ** -0.5
    basis = numpy.linalg.qr(random.standard_normal((dimension, dimension)))[0]
    centres = random.standard_normal((classes, dimension))
    labels = random.integers(0, classes, count + HELD_OUT)
    rows = distance * centres[labels] + random.standard_normal((len(labels), dimension))
    rows = rows * spectrum @ basis
    mean = random.standard_normal(dimension)
    mean *= 1.2 * numpy.linalg.norm(rows, axis=1).mean() / numpy.linalg.norm(mean)
    rows += mean
    lengths = numpy.linalg.norm(rows, axis=1, keepdims=True)
    rows *= norm / (lengths if norm == 1 else lengths.mean())
    return rows.astype("float32"), labels.astype("int32")


def loss(x, labels, weights, biases):
    """The objective in float64."""
    logits = x.astype("float64") @ weights.astype("float64").T + biases
    largest = logits.max(1)
    entropy = numpy.log(numpy.exp(logits - largest[:, None]).sum(1)) + largest
    entropy -= logits[numpy.arange(len(labels)), labels]
    return C * entropy.sum() + 0.5 * (weights.astype("float64") ** 2).sum()


def logistic_regression(**options):
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=C, **({"max_iter": 1000} | options))


class Library:
    """The library in a process that trains on request."""

    def __init__(self, arguments, x, labels, classes, folder):
        x.tofile(folder / "x")
        labels.tofile(folder / "labels")
        self.output, self.shape = folder / "weights", (classes, x.shape[1])
        self.process = subprocess.Popen(
            [arguments.program, folder / "x", folder / "labels", str(x.shape[1]), str(classes),
             self.output, *arguments.options.split()],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        milliseconds, _, self.iterations, self.converged = self.process.stdout.readline().split()
        return float(milliseconds) / 1000

    def close(self):
        """Returns the weights and the biases."""
        self.process.stdin.close()
        self.process.wait()
        values = numpy.fromfile(self.output, "float32")
        classes, dimension = self.shape
        return values[:classes * dimension].reshape(self.shape), values[classes * dimension:]


def measure(arguments, name, x, labels, classes, held_out):
    """Prints a line of the table; returns true if the bars are reached."""
    (x, test), (labels, truth) = [(a[:-held_out], a[-held_out:]) for a in (x, labels)]
    with tempfile.TemporaryDirectory() as folder:
        library = Library(arguments, x, labels, classes, pathlib.Path(folder))
        library.run()
        ours, runs = [], {1: [], THREADS: []}
        for _ in range(arguments.rounds):
            for threads, times in runs.items():
                ours.append(library.run())
                with threadpool_limits(threads):
                    start = time.perf_counter()
                    model = logistic_regression().fit(x, labels)
                    times.append(time.perf_counter() - start)
        weights, biases = library.close()
    threads, theirs = min(runs.items(), key=lambda run: numpy.median(run[1]))
    wide = x.astype("float64")
    best = logistic_regression(tol=1e-8, max_iter=10_000, warm_start=True)
    best.fit(wide[:2 * classes], numpy.arange(2 * classes) % classes)  # makes coef_
    best.coef_, best.intercept_ = weights.astype("float64"), biases.astype("float64")
    with threadpool_limits(threads):
        best.fit(wide, labels)
    solutions = {"ours": (weights, biases), "theirs": (model.coef_, model.intercept_),
                 "best": (best.coef_, best.intercept_)}
    losses = {key: loss(x, labels, *found) for key, found in solutions.items()}
    excess = {key: found / losses["best"] - 1 for key, found in losses.items()}
    decisions = {key: (test @ w.T + b).argmax(1) for key, (w, b) in solutions.items()}
    agreement = {key: (found == decisions["best"]).mean() for key, found in decisions.items()}
    ratio = numpy.median(theirs) / numpy.median(ours)
    print(f"| {name} | {min(ours):.3f} / {numpy.median(ours):.3f} s "
          f"({library.iterations} iterations) "
          f"| {min(theirs):.3f} / {numpy.median(theirs):.3f} s ({model.n_iter_[0]} iterations, "
          f"{threads} thread{'s' if threads > 1 else ''}) "
          f"| {ratio:.2f} "
          f"| {excess['ours']:.1e} / {excess['theirs']:.1e} "
          f"| {100 * agreement['ours']:.2f} / {100 * agreement['theirs']:.2f} "
          f"| {100 * (decisions['ours'] == truth).mean():.1f} |", flush=True)
    return abs(excess["ours"]) <= 1e-5 and agreement["ours"] >= 0.999 and ratio >= 2


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=pathlib.Path,
                        default=ROOT / "Benchmarks/.build/release/ProbeBenchmark")
    parser.add_argument("--options", default="", help="options of the program")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", action="append", help="a part of the name of a case")
    parser.add_argument("--real", nargs=3, metavar=("FEATURES", "LABELS", "HELD_OUT"),
                        help="features and labels as .npy, and how many rows are held out")
    arguments = parser.parse_args()
    print(f"{THREADS} cores")
    print("| features | library | scikit-learn | times faster | loss above the optimum "
          "| decisions as at the optimum, % | accuracy, % |")
    print("|---|---|---|---|---|---|---|")
    good = True
    if arguments.real:
        x, labels = (numpy.load(path) for path in arguments.real[:2])
        classes = int(labels.max()) + 1
        held_out = int(arguments.real[2])
        name = f"{len(x) - held_out:,} x {x.shape[1]}, {classes} classes, real"
        good &= measure(arguments, name, x.astype("float32"), labels.astype("int32"), classes,
                        held_out)
    for name, (count, classes, norm, distance) in CASES.items():
        if any(part in name for part in arguments.case or [name]):
            x, labels = features(count, classes, norm, distance)
            good &= measure(arguments, name, x, labels, classes, HELD_OUT)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
