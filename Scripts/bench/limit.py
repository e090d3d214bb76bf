"""Compares the image tower with the fastest float32 matrix product that this machine does.

    VENV/bin/python Scripts/bench/limit.py --folder FOLDER

Alternates ViT-B/32 at a batch of 8 with square products by PyTorch (MKL) and NumPy (OpenBLAS) on
all cores, and prints the GFLOP/s of each. For the tower, only operations that `clip` computes
count, which are fewer than the model has.
"""

import argparse
import pathlib
import statistics
import time

import numpy
import torch

from engines import ROOT, THREADS, Engine, make_weights


def tower_flops(batch, width=768, layers=12, patches=49, patch=3 * 32 * 32, dimension=512):
    """The operations of all products; the last block computes only the class token's query."""
    rows = batch * (patches + 1)
    attention = 2 * 2 * batch * (patches + 1) ** 2 * width
    block = 2 * rows * 12 * width * width + attention
    last = 2 * rows * 2 * width * width + 2 * batch * 10 * width * width
    return 2 * batch * patches * patch * width + (
        layers - 1) * block + last + 2 * batch * width * dimension


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--clip", default=str(ROOT / ".build/release/clip"))
    arguments = parser.parse_args()
    folder = arguments.folder / "ViT-B-32-quickgelu"
    make_weights(folder)
    torch.set_num_threads(THREADS)
    size = 3200  # about as many operations as the tower, so that both are disturbed equally
    a, b = torch.rand(size, size), torch.rand(size, size)
    x, y = a.numpy(), b.numpy()
    engine = Engine([arguments.clip, "bench", "--on-request", "--model", folder, "--tower", "image",
                     "--batch", "8"])
    engine.run()
    rates = {"clip": [], "PyTorch sgemm": [], "NumPy sgemm": []}
    for _ in range(arguments.rounds):
        rates["clip"].append(tower_flops(8) / engine.run() / 1e6)
        for name, multiply in [("PyTorch sgemm", lambda: a @ b), ("NumPy sgemm", lambda: x @ y)]:
            start = time.perf_counter()
            multiply()
            rates[name].append(2 * size**3 / (time.perf_counter() - start) / 1e9)
            time.sleep(0.3)  # its threads spin for a while
    engine.close()
    for name, found in rates.items():
        print(f"{name}: {max(found):.0f} GFLOP/s at most, median {statistics.median(found):.0f}")
    best = max("PyTorch sgemm", "NumPy sgemm", key=lambda name: max(rates[name]))
    print(f"clip / {best}: {max(rates['clip']) / max(rates[best]):.3f} of the largest, "
          f"{statistics.median(rates['clip']) / statistics.median(rates[best]):.3f} of the medians")


if __name__ == "__main__":
    main()
