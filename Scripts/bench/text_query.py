"""Measures the first text query of SigLIP 2 B/16 in bf16 as whole processes, page cache warm.

    swift build -c release
    VENV/bin/python Scripts/bench/text_query.py --folder FOLDER --gemma VOCABULARY.json.gz

FOLDER keeps seeded weights, in float32 and as `clip convert` writes them in bf16, beside Gemma's
vocabulary of 256,000 pieces as tokenizer.model and as tokenizer.json. Without --gemma, a smaller
trained vocabulary stands in.

A query is `clip encode --text` with the precision bf16. With an empty cache, CLIP_HOME is a new
folder for each process; with a warm one, a folder in which an earlier process left the compact form
of the tokenizer. All four run once in every round. Prints the fastest and the median time and the
peak memory, that also as a share of the file of weights, and checks that all give the same numbers.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from engines import ROOT

NAME = "ViT-B-16-SigLIP2-256"
TOKENIZERS = ["tokenizer.model", "tokenizer.json"]


def prepare(arguments):
    """Writes the folder of each tokenizer file, with the same weights; returns the folders."""
    source = arguments.folder / NAME
    folders = [arguments.folder / f"{NAME}-bf16-{name.partition('.')[2]}" for name in TOKENIZERS]
    engines = [sys.executable, ROOT / "Scripts/bench/engines.py"]
    if all((folder / name).exists() for folder, name in zip(folders, TOKENIZERS)):
        return folders
    subprocess.run([*engines, "weights", source], check=True)
    subprocess.run([*engines, "tokenizer", source, *([arguments.gemma] if arguments.gemma else [])],
                   check=True)
    for folder, name in zip(folders, TOKENIZERS):
        folder.mkdir(exist_ok=True)
        weights = folder / "model.safetensors"
        if folder == folders[0]:
            subprocess.run([arguments.clip, "convert", source, weights, "--dtype", "bf16"],
                           check=True)
        elif not weights.exists():
            os.link(folders[0] / weights.name, weights)
        if name == "tokenizer.model":
            shutil.copy(source / name, folder / name)
        else:
            subprocess.run([sys.executable, __file__, "--convert", source / "tokenizer.model",
                            folder / name], check=True)
    return folders


def convert(model, output):
    """Writes the tokenizer.json that transformers makes of a SentencePiece model."""
    sys.path.insert(0, str(ROOT / "Scripts/parity"))
    import sentence_pieces

    with tempfile.TemporaryDirectory() as temporary:
        tokenizer = sentence_pieces.hugging_face(
            pathlib.Path(model).read_bytes(), "gemma", pathlib.Path(temporary))
    tokenizer.save(output)


def query(arguments, folder, home):
    """Returns the seconds and the peak memory in bytes of a query, and its embedding."""
    command = [arguments.clip, "encode", "--text", arguments.text, "--model", str(folder),
               "--precision", "bf16"]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE,
                               env=os.environ | {"CLIP_HOME": str(home)})
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    taken = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command} failed")
    return taken, usage.ru_maxrss * 1024, json.loads(output)["embedding"]


def measure(arguments, folders):
    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(temporary)
        runs, expected = {}, None
        for number in range(-1, arguments.rounds):  # the first round is not counted
            for folder, name in zip(folders, TOKENIZERS):
                for cache in ["warm", "empty"]:
                    home = work / (f"empty-{number}-{name}" if cache == "empty" else f"warm-{name}")
                    found = query(arguments, folder, home)
                    expected = expected or found[2]
                    assert found[2] == expected, f"{name} gives other numbers"
                    if cache == "empty":
                        assert any(home.rglob("*.vocabulary")), "no compact form in the cache"
                        shutil.rmtree(home)
                    if number >= 0:
                        runs.setdefault((name, cache), []).append(found)
    size = (folders[0] / "model.safetensors").stat().st_size
    print(f"{size / 1e6:.0f} MB of weights; {arguments.rounds} rounds\n")
    print("| tokenizer | cache | fastest | median | peak memory | of the weights |")
    print("|---|---|---|---|---|---|")
    for (name, cache), found in runs.items():
        seconds, peak = [one[0] for one in found], max(one[1] for one in found)
        megabytes = (folders[TOKENIZERS.index(name)] / name).stat().st_size / 1e6
        print(f"| {name}, {megabytes:.0f} MB | {cache} | {1000 * min(seconds):.0f} ms | "
              f"{1000 * statistics.median(seconds):.0f} ms | {peak / 1e6:.0f} MB | "
              f"{100 * peak / size:.0f} % |")


def main():
    if sys.argv[1:2] == ["--convert"]:
        return convert(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--gemma", type=pathlib.Path, help="list of Gemma's pieces")
    parser.add_argument("--text", default="a photo of a cat")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--clip", default=str(ROOT / ".build/release/clip"))
    arguments = parser.parse_args()
    measure(arguments, prepare(arguments))


if __name__ == "__main__":
    main()
