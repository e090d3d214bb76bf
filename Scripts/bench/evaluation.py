"""Measures `clip eval` against CLIP_benchmark's command on a WebDataset of rendered pictograms.

    python -m venv VENV && VENV/bin/pip install -r Scripts/parity/requirements.txt
    swift build -c release
    VENV/bin/python Scripts/bench/evaluation.py --sets FOLDER --weights MODEL

FOLDER keeps the sets of Scripts/parity/evaluation_sets.py. MODEL is a folder with weights and their
open_clip_config.json, such as the seeded ViT-B/32 of Scripts/parity/full_size.py.

CLIP_benchmark first passes over a few images with every number of workers, batch size, number of
threads, and with and without autocast to bf16 (its default; --no_amp turns it off). The fastest
setting of each precision then takes turns with `clip eval` on the whole set. Each of these runs is
a new process. Two rates are printed: that of the pass over the images (decoding included, without
loading and prompts), and that of the whole command.
"""

import argparse
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "Scripts/parity"))

# CLIP_benchmark's command. `accuracy` is replaced because NumPy 2.4 stops it; the seconds of the
# pass over the images are printed.
PROGRAM = '''
import sys, time
import torch
threads, *sys.argv[1:] = sys.argv[1:]
torch.set_num_threads(int(threads))
from clip_benchmark import cli
from clip_benchmark.metrics import zeroshot_classification as metrics
def accuracy(output, target, topk=(1,)):
    hits = output.topk(max(topk), 1, True, True)[1] == target[:, None]
    return [hits[:, :k].any(1).double().mean().item() for k in topk]
run = metrics.run_classification
def timed(*arguments, **options):
    start = time.perf_counter()
    result = run(*arguments, **options)
    print("seconds", time.perf_counter() - start)
    return result
metrics.accuracy, metrics.run_classification = accuracy, timed
cli.main()
'''

# Runs CLIP_benchmark's pass over the images once for every setting, in one process. The rate does
# not depend on the vectors of the classes, so these are random.
TUNING = '''
import sys, time
import torch
from clip_benchmark.datasets.builder import build_dataset
from clip_benchmark.metrics import zeroshot_classification as metrics
from clip_benchmark.models import load_clip
folder, weights, precision, *settings = sys.argv[1:]
model, transform, _ = load_clip("open_clip", f"local-dir:{weights}", "", None, "cpu")
model.eval()
metrics.tqdm = iter
with torch.no_grad():
    dimension = model.encode_image(torch.zeros(1, 3, 224, 224)).shape[1]
classes = torch.randn(dimension, 100)
for setting in settings:
    workers, batch, threads = map(int, setting.split(","))
    torch.set_num_threads(threads)
    dataset = build_dataset("wds/renders", folder, transform, "test")
    loader = torch.utils.data.DataLoader(
        dataset.batched(batch), batch_size=None, num_workers=workers)
    start = time.perf_counter()
    metrics.run_classification(model, classes, loader, "cpu", amp=precision == "bf16")
    print(time.perf_counter() - start, flush=True)
'''


class Setting:
    """A setting of CLIP_benchmark."""

    def __init__(self, precision, workers, batch, threads):
        self.precision, self.workers, self.batch, self.threads = precision, workers, batch, threads

    def __str__(self):
        return (f"CLIP_benchmark, {self.precision}, {self.workers} workers, batches of "
                f"{self.batch}, {self.threads} threads")  # fmt: skip

    def run(self, folder, weights):
        """Returns the seconds of the images, those of the command, and the metrics."""
        with tempfile.TemporaryDirectory() as temporary:
            output = pathlib.Path(temporary) / "output.json"
            command = [sys.executable, "-c", PROGRAM, str(self.threads), "eval", "--dataset",
                       "wds/renders", "--dataset_root", folder, "--model", f"local-dir:{weights}",
                       "--pretrained", "", "--task", "zeroshot_classification", "--num_workers",
                       str(self.workers), "--batch_size", str(self.batch), "--output", output,
                       "--quiet"]  # fmt: skip
            command += ["--no_amp"] if self.precision == "fp32" else []
            start = time.perf_counter()
            run = subprocess.run(command, capture_output=True, text=True)
            seconds = time.perf_counter() - start
            if run.returncode != 0:
                raise SystemExit(run.stderr)
            images = float(run.stdout.split("seconds")[1].split()[0])
            return images, seconds, json.loads(output.read_text())["metrics"]


class Clip:
    """`clip eval` in a precision."""

    def __init__(self, clip, precision):
        self.clip, self.precision = clip, precision

    def __str__(self):
        return f"clip, {self.precision}"

    def run(self, folder, weights):
        start = time.perf_counter()
        run = subprocess.run(
            [self.clip, "eval", folder, "--model", weights, "--precision", self.precision, "--json",
             "-q"], capture_output=True, text=True, check=True)  # fmt: skip
        seconds = time.perf_counter() - start
        result = json.loads(run.stdout)
        return result["images"] / result["images_per_second"], seconds, result["metrics"]


def fastest(arguments, folder, count, precision):
    """Returns CLIP_benchmark's fastest setting in a precision."""
    settings = [Setting(precision, *values) for values in itertools.product(
        arguments.workers, arguments.batch_sizes, arguments.threads)]  # fmt: skip
    if len(settings) == 1:
        return settings[0]
    rates = {}
    run = subprocess.Popen(
        [sys.executable, "-c", TUNING, folder, arguments.weights, precision,
         *(f"{one.workers},{one.batch},{one.threads}" for one in settings)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # fmt: skip
    for setting, line in zip(settings, run.stdout):
        rates[setting] = count / float(line)
        print(f"| {setting} | {rates[setting]:.1f} |", flush=True)
    if run.wait() != 0:
        raise SystemExit("CLIP_benchmark failed")
    return max(rates, key=rates.get)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=pathlib.Path, required=True)
    parser.add_argument("--weights", type=pathlib.Path, required=True)
    parser.add_argument("--count", type=int, default=3000, help="the number of images")
    parser.add_argument("--tuning", type=int, default=256, help="the number to choose a setting by")
    parser.add_argument("--rounds", type=int, default=2, help="0 only measures the settings")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--reference", nargs="+", default=["fp32", "bf16"],
                        choices=["fp32", "bf16"], help="the precisions of CLIP_benchmark")
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16", "int8"])
    parser.add_argument("--clip", default=str(ROOT / ".build/release/clip"))
    arguments = parser.parse_args()
    import evaluation_sets

    folders = {}
    for count in {arguments.count, arguments.tuning}:
        place = arguments.sets / f"{count}-{arguments.seed}"
        evaluation_sets.make(place, count, arguments.seed)
        folders[count] = place / "classes"
    print(f"| CLIP_benchmark's setting | images a second, of {arguments.tuning} |\n|---|---|")
    runs = [fastest(arguments, folders[arguments.tuning], arguments.tuning, precision)
            for precision in arguments.reference]  # fmt: skip
    if arguments.rounds == 0:
        return
    runs += [Clip(arguments.clip, precision) for precision in arguments.precisions]
    best = {run: (float("inf"), float("inf"), None) for run in runs}
    for _ in range(arguments.rounds):
        for run in runs:
            images, seconds, metrics = run.run(folders[arguments.count], arguments.weights)
            best[run] = (min(best[run][0], images), min(best[run][1], seconds), metrics)
            print(f"{run}: images {images:.1f} s, command {seconds:.1f} s", file=sys.stderr,
                  flush=True)
    base = min((best[run] for run in runs if isinstance(run, Setting)), key=lambda one: one[0])
    whole = min(best[run][1] for run in runs if isinstance(run, Setting))
    print(f"\n| {arguments.count} images | images a second | times CLIP_benchmark's fastest | "
          f"command, seconds | times | acc1 |\n|---|---|---|---|---|---|")  # fmt: skip
    for run in runs:
        images, seconds, metrics = best[run]
        print(f"| {run} | {arguments.count / images:.1f} | {base[0] / images:.2f} | "
              f"{seconds:.1f} | {whole / seconds:.2f} | {metrics['acc1']:.4f} |")  # fmt: skip


if __name__ == "__main__":
    main()
