"""Compares the image tower with the fastest float32 matrix product that this machine does.

    VENV/bin/python Scripts/bench/limit.py --folder FOLDER [--model ViT-B-16-SigLIP2-256]

Alternates the image tower of ViT-B/32 or SigLIP 2 B/16 at a batch of 8 with square products by
PyTorch (MKL) and NumPy (OpenBLAS) on all cores, and prints the GFLOP/s of each. For the tower, only
operations that `clip` computes count, which are fewer than the model has.
"""

import argparse
import pathlib
import statistics
import time

import numpy
import torch

from engines import ROOT, THREADS, Engine, make_weights


def block_flops(images, tokens, width):
    """The operations of the products of a block, attention included."""
    return images * (2 * tokens * 12 * width**2 + 2 * 2 * tokens**2 * width)


def clip_flops(images, width=768, layers=12, patches=49, patch=3 * 32 * 32, dimension=512):
    """The operations of ViT-B/32; the last block computes only the class token's query."""
    tokens = patches + 1
    last = 2 * images * tokens * 2 * width**2 + 2 * images * 10 * width**2
    return 2 * images * patches * patch * width + (
        layers - 1) * block_flops(images, tokens, width) + last + 2 * images * width * dimension


def siglip_flops(images, width=768, layers=12, tokens=256, patch=3 * 16 * 16, heads=12):
    """The operations of SigLIP 2 B/16 at 256 pixels.

    Its attention pool has one query for each head and computes no keys and values: scores and means
    of all tokens, the values of the means, the output projection, and the MLP.
    """
    pool = 2 * 2 * heads * tokens * width + 2 * width**2 + 2 * width**2 + 2 * 8 * width**2
    return images * (2 * tokens * patch * width + pool) + layers * block_flops(
        images, tokens, width)


FLOPS = {"ViT-B-32-quickgelu": clip_flops, "ViT-B-16-SigLIP2-256": siglip_flops}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--model", choices=FLOPS, default="ViT-B-32-quickgelu")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--clip", default=str(ROOT / ".build/release/clip"))
    arguments = parser.parse_args()
    folder = arguments.folder / arguments.model
    flops = FLOPS[arguments.model](8)
    make_weights(folder)
    torch.set_num_threads(THREADS)
    # About as many operations as the tower, so that both are disturbed equally.
    size = round((flops / 2) ** (1 / 3) / 100) * 100
    a, b = torch.rand(size, size), torch.rand(size, size)
    x, y = a.numpy(), b.numpy()
    engine = Engine([arguments.clip, "bench", "--on-request", "--model", folder, "--tower", "image",
                     "--batch", "8"])
    engine.run()
    rates = {"clip": [], "PyTorch sgemm": [], "NumPy sgemm": []}
    for _ in range(arguments.rounds):
        rates["clip"].append(flops / engine.run() / 1e6)
        for name, multiply in [("PyTorch sgemm", lambda: a @ b), ("NumPy sgemm", lambda: x @ y)]:
            start = time.perf_counter()
            multiply()
            rates[name].append(2 * size**3 / (time.perf_counter() - start) / 1e9)
            time.sleep(0.3)  # its threads spin for a while
    engine.close()
    print(f"{arguments.model}: {flops / 8e9:.2f} GFLOP an image")
    for name, found in rates.items():
        print(f"{name}: {max(found):.0f} GFLOP/s at most, median {statistics.median(found):.0f}")
    best = max("PyTorch sgemm", "NumPy sgemm", key=lambda name: max(rates[name]))
    print(f"clip / {best}: {max(rates['clip']) / max(rates[best]):.3f} of the largest, "
          f"{statistics.median(rates['clip']) / statistics.median(rates[best]):.3f} of the medians")


if __name__ == "__main__":
    main()
