"""Measures `clip` against PyTorch on the same weights, in one run, alternating.

    swift build -c release
    VENV/bin/python Scripts/bench/against_pytorch.py --model FOLDER --image PICTURE

FOLDER holds open_clip_model.safetensors and open_clip_config.json, as Scripts/parity/full_size.py
writes them. Measured are the whole process of a zero-shot classification (wall time and peak memory,
best of several; both warm in the page cache), and the towers alone (medians and minima).
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LABELS = ["a man riding bicycle", "a man climbing mountain"]


def python_zeroshot(folder, image):
    """What a user of open_clip runs: the same files, the same answer."""
    import open_clip
    import torch
    from PIL import Image

    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    model.eval()
    tokens = open_clip.get_tokenizer("ViT-B-32")(LABELS)
    with torch.no_grad():
        image_row, text_rows = model(preprocess(Image.open(image)).unsqueeze(0), tokens)[:2]
        cosines = image_row @ text_rows.T
        probabilities = (model.logit_scale.exp() * cosines).softmax(dim=-1)
    print(json.dumps(probabilities[0].tolist()))


def python_towers(folder, repetitions):
    """Milliseconds of each case; one line of JSON a case, when a line asks for it."""
    import open_clip
    import torch

    model = open_clip.create_model(f"local-dir:{folder}").eval()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    for line in sys.stdin:
        tower, batch, tokens = json.loads(line)
        pixels = torch.randn(batch, 3, 224, 224)
        ids = torch.randint(1, 49000, (batch, tokens))
        ids[:, -1] = 49407

        def image():
            return model.encode_image(pixels)

        def text():
            x = model.token_embedding(ids) + model.positional_embedding[:tokens]
            x = model.transformer(x, attn_mask=model.attn_mask[:tokens, :tokens])
            return model.ln_final(x)[:, -1] @ model.text_projection

        run = image if tower == "image" else text
        times = []
        with torch.no_grad():
            run(), run()
            for _ in range(repetitions):
                start = time.perf_counter()
                run()
                times.append(1000 * (time.perf_counter() - start))
        print(json.dumps(times), flush=True)


def child(command):
    """Wall seconds and peak megabytes of a command."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    assert status == 0, command
    return time.perf_counter() - start, usage.ru_maxrss * 1024 / 1e6, output


def whole_process(arguments):
    ours = [arguments.clip, "zeroshot", arguments.image, *LABELS, "--model", arguments.model,
            "--json", "--reference"]
    theirs = [sys.executable, __file__, "--python-zeroshot", "--model", arguments.model,
              "--image", arguments.image]
    results = {"clip": [], "open_clip": []}
    child(ours), child(theirs)
    for _ in range(arguments.repetitions):
        results["clip"].append(child(ours))
        results["open_clip"].append(child(theirs))
    predictions = json.loads(results["clip"][0][2])["predictions"]
    found = [p["probability"] for label in LABELS for p in predictions if p["label"] == label]
    expected = json.loads(results["open_clip"][0][2])
    print(f"\nzero-shot, whole process, best of {arguments.repetitions}; "
          f"probabilities {found} and {expected}\n")
    print("| | seconds | peak MB |\n|---|---|---|")
    best = {}
    for name, runs in results.items():
        best[name] = min(run[0] for run in runs), min(run[1] for run in runs)
        print(f"| {name} | {best[name][0]:.3f} | {best[name][1]:.0f} |")
    print(f"| ratio | {best['open_clip'][0] / best['clip'][0]:.1f} times faster | "
          f"{best['clip'][1] / best['open_clip'][1]:.2f} of the memory |")


def towers(arguments):
    cases = [("image", 1, 77), ("image", 8, 77), ("text", 32, 12), ("text", 32, 77)]
    worker = subprocess.Popen(
        [sys.executable, __file__, "--python-towers", "--model", arguments.model],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    print("\ntowers, milliseconds a batch: median (fastest)\n")
    print("| tower | batch | ids | clip | PyTorch | ratio of the fastest |\n|---|---|---|---|---|---|")
    for tower, batch, tokens in cases:
        times = {"clip": [], "torch": []}
        for _ in range(3):
            worker.stdin.write(json.dumps([tower, batch, tokens]) + "\n")
            worker.stdin.flush()
            times["torch"] += json.loads(worker.stdout.readline())
            run = subprocess.run(
                [arguments.clip, "bench", "--tower", tower, "--batch", str(batch), "--tokens",
                 str(tokens), "--json", "--model", arguments.model],
                capture_output=True, check=True)
            result = json.loads(run.stdout)
            times["clip"].append((result["median_ms"], result["min_ms"]))
        median, fastest = (min(column) for column in zip(*times["clip"]))
        torch_median, torch_fastest = statistics.median(times["torch"]), min(times["torch"])
        ids = tokens if tower == "text" else ""
        print(f"| {tower} | {batch} | {ids} | {median:.1f} ({fastest:.1f}) | "
              f"{torch_median:.1f} ({torch_fastest:.1f}) | {torch_fastest / fastest:.2f} |", flush=True)
    worker.stdin.close()
    worker.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--image")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--clip", default=str(ROOT / ".build/release/clip"))
    parser.add_argument("--python-zeroshot", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--python-towers", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.python_zeroshot:
        python_zeroshot(arguments.model, arguments.image)
    elif arguments.python_towers:
        python_towers(arguments.model, 10)
    else:
        import torch

        processor = [line.split(":")[1].strip() for line in open("/proc/cpuinfo")
                     if line.startswith("model name")]
        print(f"{processor[0]}, {len(os.sched_getaffinity(0))} cores, Python "
              f"{platform.python_version()}, PyTorch {torch.__version__}")
        print(subprocess.run([arguments.clip, "--version"], capture_output=True, text=True).stdout)
        if arguments.image:
            whole_process(arguments)
        towers(arguments)


if __name__ == "__main__":
    main()
