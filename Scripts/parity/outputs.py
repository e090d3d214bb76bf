"""Compares two binaries of `clip`: the same commands on the same files must give the same output.

    python3 Scripts/parity/outputs.py OLD/clip NEW/clip [--stderr]

Each binary runs about ninety commands in its own folder with copies of Tests/Fixtures. The script
compares standard output, the exit status, and the names and bytes of all written files (an index is
compared by the output of the commands that read it). JSON of the new binary may have more keys.
With --stderr, differences of standard error are printed too; they are not failures, since messages
may be improved.

Exits with 1 if anything else differs.
"""

import argparse
import difflib
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ["--model", "tiny"]

# The command lines, run in this order; "<FILE" gives standard input.
COMMANDS = [
    "zeroshot photos/photo.jpg cat dog",
    "zeroshot photos/photo.jpg cat dog --json",
    "zeroshot photos --labels labels.txt",
    "zeroshot photos --labels labels.txt --top 2 --format csv",
    "zeroshot photos --labels labels.txt --format jsonl --templates imagenet",
    "zeroshot photos --labels labels.txt --template {}-like --json",
    "zeroshot samples.tar --labels labels.txt --column txt",
    "zeroshot photos/photo.jpg cat --truncate",
    "zeroshot missing.jpg cat dog",
    "zeroshot photos/photo.jpg",
    "zeroshot photos --labels empty.txt",
    "encode photos/photo.jpg",
    "encode photos",
    "encode photos --format json",
    "encode photos --no-normalize --precision bf16",
    "encode photos --precision int8",
    "encode photos --reference",
    "encode photos --preprocess hf",
    "encode photos --decode fast",
    "encode photos -o all.npy",
    "encode photos -o all.jsonl",
    "encode photos -o shards/ --shard-size 3",
    "encode photos -o all.npy --resume",
    "encode photos --shard 1/2",
    "encode photos --errors errors.jsonl --max-pixels 1000",
    "encode broken photos --strict",
    "encode broken --errors broken.jsonl",
    "encode samples.tar",
    "encode --text hello --text world",
    "encode --text-file labels.txt -o texts.npy",
    "encode --text-file table.csv --text-column caption",
    "encode --text-file - <labels.txt",
    "encode --files-from - <names.txt",
    "encode --files-from names0.txt -0",
    "encode --text hello --hidden-states final",
    "encode photos/photo.jpg --hidden-states final -o hidden.npy",
    "encode photos --image-memory 1",
    "encode photos --resolution 32",
    "encode",
    "encode photos -o all.npy --format json",
    "index photos",
    "index photos --json",
    "index photos --verify --json",
    "index photos --list-errors",
    "index photos --list-errors --json",
    "index broken --json --errors index-errors.jsonl",
    "index broken",
    "index missing",
    "index old",
    "search cat --index photos",
    "search cat --index photos --json --top 3",
    "search photos/photo.jpg --index photos --paths",
    "search cat + photos/photo.jpg - dog --index photos --json",
    "search cat --index photos -0 --threshold -1",
    "search cat --index all.npy --json",
    "search cat --index photos --html search.html",
    "search cat --index missing",
    "search dog - dog --index photos",
    "search cat --index old --json",
    "dedupe photos",
    "dedupe photos --json --threshold 0.5",
    "dedupe photos --paths",
    "dedupe all.npy --json --threshold 0.5",
    "dedupe twins --json",
    "index twins",
    "dedupe twins --json",
    "dedupe twins --delete --yes --log twins.log",
    "dedupe twins",
    "cluster photos -k 3",
    "cluster photos -k 3 --json --labels labels.txt",
    "cluster all.npy -k 2 --json --seed 7",
    "cluster photos -k 3 --html clusters.html",
    "cluster photos -k 3000",
    "map photos -o map.html -k 3",
    "map photos --json --perplexity 2",
    "map all.npy --json --most 5",
    "similarity photos --text cat dog",
    "similarity photos --text cat dog --json",
    "similarity photos --text-file labels.txt --heatmap heat.svg",
    "similarity photos --text cat --sample 3 --seed 5 --json",
    "score photos/photo.jpg --text cat --references tabby --json",
    "score photos --text-file labels.txt --by image --top 2 --json",
    "score photos --text-file labels.txt --by text",
    "score --pairs pairs.csv --json",
    "score --pairs pairs.csv",
    "tokenize hello world",
    "tokenize hello --pad --json",
    "tokenize caf&eacute; --tokenizer open_clip",
    "tokenize --count hello there",
    "tokenize <labels.txt",
    "preprocess photos/photo.jpg -o pixels.npy",
    "preprocess photos/photo.jpg -o hf.npy --preprocess hf",
    "models",
    "models --json",
    "models --installed --json",
    "models vit-b --json",
    "info tiny",
    "info tiny --json",
    "info weights.safetensors --json --activation quickgelu",
    "info missing.safetensors",
    "verify tiny --json",
    "convert tiny converted.safetensors",
    "convert tiny half.safetensors --dtype f16",
    "convert tiny bf16.safetensors --dtype bf16",
    "info half.safetensors --json",
    "pull nonsense",
    "unknown-command",
    "zeroshot photos/photo.jpg cat dog --unknown-option",
    "encode photos --threads 0",
    "encode photos --precision fp7",
]
WITHOUT_MODEL = {"tokenize", "models", "info", "verify", "convert", "pull", "dedupe",
                 "unknown-command"}


def prepare(folder):
    fixtures = ROOT / "Tests/Fixtures"
    photos = folder / "photos"
    shutil.copytree(fixtures / "images", photos / "some")
    names = sorted(path for path in (photos / "some").iterdir() if path.suffix == ".jpg")
    shutil.copy(names[0], photos / "photo.jpg")
    (folder / "twins").mkdir()
    for name in ["a.jpg", "b.jpg"]:
        shutil.copy(names[0], folder / "twins" / name)
    shutil.copy(names[-1], folder / "twins/c.jpg")
    (folder / "broken").mkdir()
    (folder / "broken/cut.jpg").write_bytes(names[0].read_bytes()[:400])
    (folder / "broken/text.jpg").write_bytes(b"this is no image")
    (folder / "broken/empty.png").write_bytes(b"")
    shutil.copy(names[0], folder / "broken/good.jpg")
    shutil.copytree(fixtures / "images", folder / "old", ignore=shutil.ignore_patterns("*.png"))
    (folder / "old/sub").mkdir()
    for path in (fixtures / "images").glob("*.png"):
        shutil.copy(path, folder / "old/sub")
    shutil.copytree(fixtures / "versions/0.1.0/tiny", folder / "old/.clip-index")
    (folder / "labels.txt").write_text("cat\ndog\na man riding a bicycle\ncaf\u00e9\n")
    (folder / "empty.txt").write_text("")
    (folder / "names.txt").write_text("photos/photo.jpg\nmissing.jpg\n")
    (folder / "names0.txt").write_bytes(b"photos/photo.jpg\0twins/c.jpg\0")
    (folder / "table.csv").write_text('id,caption\n1,"a cat, asleep"\n2,dog\n')
    (folder / "pairs.csv").write_text("image,text\nphotos/photo.jpg,a cat\ntwins/c.jpg,a dog\n")
    shutil.copy(ROOT / "Weights/tiny.safetensors", folder / "weights.safetensors")
    subprocess.run(
        ["tar", "-C", folder / "twins", "--sort=name", "-cf", folder / "samples.tar", "a.jpg",
         "c.jpg"], check=True)
    for path in sorted(folder.rglob("*")):
        os.utime(path, (1_700_000_000, 1_700_000_000))


def files(folder):
    """Returns the hash of every file except those of indexes, which contain times."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".clip-index" not in path.parts and path.suffix != ".log"
        and path.parts[-2] != "verified"
    }


def run(clip, folder, line):
    words, _, given = line.partition(" <")
    words = words.split()
    if words and words[0] not in WITHOUT_MODEL:
        words += MODEL
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder / "home"), "CLIP_THREADS": "2",
                   "LC_ALL": "C.UTF-8",
                   "CLIP_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}
    with open(folder / given if given else os.devnull, "rb") as stdin:
        done = subprocess.run([clip, *words], cwd=folder, stdin=stdin, capture_output=True,
                              env=environment, timeout=120)
    return done.returncode, done.stdout, done.stderr


def has_all_of(new, old):
    """True if a JSON value contains another one; objects may have more keys."""
    if isinstance(old, dict):
        return isinstance(new, dict) and all(key in new and has_all_of(new[key], value)
                                             for key, value in old.items())
    if isinstance(old, list):
        return isinstance(new, list) and len(new) == len(old) and all(map(has_all_of, new, old))
    return new == old and type(new) is type(old)


def is_same(new, old):
    if new == old:
        return True
    try:
        pairs = [(json.loads(a), json.loads(b))
                 for a, b in zip(new.splitlines(), old.splitlines(), strict=True)]
    except ValueError:
        return False
    return all(has_all_of(a, b) for a, b in pairs)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=pathlib.Path)
    parser.add_argument("new", type=pathlib.Path)
    parser.add_argument("--stderr", action="store_true", help="print differences of standard error")
    options = parser.parse_args()
    differences = other_messages = 0
    with tempfile.TemporaryDirectory() as temporary:
        folders = []
        for name in ["old", "new"]:
            # Paths of the same length, so that messages with them are alike.
            folder = pathlib.Path(temporary) / name
            folder.mkdir()
            prepare(folder)
            folders.append(folder)
        for line in COMMANDS:
            old = run(options.old.resolve(), folders[0], line)
            new = run(options.new.resolve(), folders[1], line)
            old, new = ([status, out.replace(str(folder).encode(), b"FOLDER"),
                         errors.replace(str(folder).encode(), b"FOLDER")]
                        for (status, out, errors), folder in zip([old, new], folders))
            if old[0] != new[0] or not is_same(new[1], old[1]):
                differences += 1
                print(f"{line}\n    status {old[0]}, now {new[0]}")
                sys.stdout.writelines(f"    {text[:200]}\n" for text in difflib.unified_diff(
                    old[1].decode(errors="replace").splitlines(),
                    new[1].decode(errors="replace").splitlines(),
                    "old", "new", lineterm="", n=0))
            if old[2] != new[2]:
                other_messages += 1
                if options.stderr:
                    print(f"{line}\n    - {old[2].decode(errors='replace')}    + "
                          f"{new[2].decode(errors='replace')}")
        old, new = map(files, folders)
        for name in sorted(old.keys() | new.keys()):
            if old.get(name) != new.get(name):
                differences += 1
                print(f"file {name}: {old.get(name)}, now {new.get(name)}")
    print(f"{len(COMMANDS)} commands, {len(old)} files: {differences} differ; "
          f"{other_messages} say something else on standard error")
    sys.exit(1 if differences else 0)


if __name__ == "__main__":
    main()
