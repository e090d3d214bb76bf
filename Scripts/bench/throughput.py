"""Measures `clip encode` against PyTorch, open_clip and a DataLoader on a folder of JPEGs.

    swift build -c release
    VENV/bin/python Scripts/bench/throughput.py --folder FOLDER --photos PHOTOS

FOLDER keeps ViT-B/32 with seeded weights and 2,000 JPEGs of 640 x 480, cropped from the images in
PHOTOS. The pipeline in Python is the usual one: workers that decode and preprocess, batches of 64,
`inference_mode`, normalised and saved vectors, with the fastest number of workers. Each run is a
new process, and the time is that of the whole process.
"""

import argparse
import pathlib
import random
import subprocess
import sys
import time

import numpy
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]

PIPELINE = '''
import pathlib, sys
import numpy, open_clip, torch
from PIL import Image
from safetensors.torch import load_file
folder, weights, output, workers, precision = sys.argv[1:]
model, _, preprocess = open_clip.create_model_and_transforms("ViT-B-32-quickgelu", precision=precision)
model.load_state_dict(load_file(weights))
model.eval()
paths = sorted(pathlib.Path(folder).glob("*.jpg"))
class Images(torch.utils.data.Dataset):
    def __len__(self): return len(paths)
    def __getitem__(self, index): return preprocess(Image.open(paths[index]))
loader = torch.utils.data.DataLoader(Images(), batch_size=64, num_workers=int(workers))
rows = []
with torch.inference_mode():
    for batch in loader:
        rows.append(model.encode_image(batch.to(torch.bfloat16 if precision == "bf16" else torch.float32), normalize=True).float())
numpy.save(output, torch.cat(rows).numpy())
'''


def cut(photos, folder, count):
    """Writes crops of photos, all different."""
    folder.mkdir(parents=True)
    chance = random.Random(1)
    paths = [path for path in sorted(photos.rglob("*"))
             if path.suffix.lower() in (".jpg", ".jpeg", ".png")]
    sources = [image.convert("RGB") for image in map(Image.open, paths) if min(image.size) >= 300]
    for number in range(count):
        source = sources[number % len(sources)]
        width = chance.randint(min(source.width, 200), source.width)
        height = min(source.height, max(1, width * 3 // 4))
        left, top = chance.randint(0, source.width - width), chance.randint(0,
                source.height - height)
        part = source.crop((left, top, left + width, top + height)).resize((640, 480),
                Image.Resampling.BICUBIC)
        part.save(folder / f"{number:05}.jpg", quality=90)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--photos", type=pathlib.Path, required=True)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--clip", default=str(ROOT / ".build/release/clip"))
    arguments = parser.parse_args()
    model = arguments.folder / "ViT-B-32-quickgelu"
    images = arguments.folder / f"jpegs-{arguments.count}"
    subprocess.run([sys.executable, ROOT / "Scripts/bench/engines.py", "weights", model],
                   check=True)
    weights = next(path for path in model.rglob("*.safetensors"))
    if not images.exists():
        cut(arguments.photos, images, arguments.count)
    output = arguments.folder / "rows.npy"

    runs = {}
    for precision in ["fp32", "bf16", "int8"]:
        runs[f"clip, {precision}"] = [
            arguments.clip, "encode", images, "--model", model, "--precision", precision, "-o",
            output, "-q"]
    for precision in ["fp32", "bf16"]:
        for workers in arguments.workers:
            runs[f"PyTorch, {precision}, {workers} workers"] = [
                sys.executable, "-c", PIPELINE, images, weights, output, str(workers), precision]
    times, exact = {name: [] for name in runs}, None
    for _ in range(arguments.rounds):
        for name, command in runs.items():
            output.unlink(missing_ok=True)
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
            times[name].append(time.perf_counter() - start)
            rows = numpy.load(output)
            exact = rows if exact is None else exact
            least = (rows * exact).sum(1).min()
            print(f"{name}: {times[name][-1]:.1f} s, least cosine to the first {least:.6f}",
                  flush=True)
    best = {name: min(values) for name, values in times.items()}
    print(f"\n| {arguments.count} JPEGs | seconds | images a second | times the fastest of "
          f"PyTorch's in fp32 | in the same precision |\n|---|---|---|---|---|")
    fastest = {precision: min(value for name, value in best.items()
                              if name.startswith(f"PyTorch, {precision}"))
               for precision in ["fp32", "bf16"]}
    for name, value in best.items():
        precision = name.split(", ")[1]
        same = f"{fastest[precision] / value:.2f}" if precision in fastest else ""
        print(f"| {name} | {value:.1f} | {arguments.count / value:.1f} | "
              f"{fastest['fp32'] / value:.2f} | {same} |")


main()
