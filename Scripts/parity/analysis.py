"""Compares clusters, maps, duplicates and scores with scikit-learn, NumPy and open_clip.

    VENV/bin/python -m pip install -r Scripts/parity/requirements.txt scikit-learn
    swift build -c release
    VENV/bin/python Scripts/parity/analysis.py
    VENV/bin/python Scripts/parity/analysis.py --renders renders
    VENV/bin/python Scripts/parity/analysis.py --renders renders --classes 100

The images are held-out renders of pictograms, the model is `tiny`. Prints a line per comparison,
and fails if one is wrong. `--renders` only makes a folder of the 300 images that the map of the
README shows, with names.txt and, for `clip eval`, classes.csv in it; `--classes` takes as many
pictograms at random instead of the 20 of the map. Needs the Debian packages of
Scripts/training/train.sh.
"""

import argparse
import csv
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import numpy
import torch
from open_clip.loss import ClipLoss
from PIL import Image
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, trustworthiness
from sklearn.metrics import adjusted_rand_score

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "Scripts/training")]
import pictograms  # noqa: E402
import renderer  # noqa: E402
import scenes  # noqa: E402
from bundled import held_out, normalized  # noqa: E402

NAMES = [
    "dog face", "rocket", "banana", "bicycle", "guitar", "rose", "hammer", "umbrella", "pizza",
    "airplane", "clown face",
    "octopus", "christmas tree", "key", "crown", "alarm clock", "snowman", "lion", "soccer ball",
    "bus"]


def render(folder, each, names=NAMES):
    """Writes images of one pictogram each; returns their paths and the number of the pictogram."""
    found, bitmaps = pictograms.load()
    index = {pictogram.name: number for number, pictogram in enumerate(found)}
    rng = random.Random(7)
    truth = [which for which in range(len(names)) for _ in range(each)]
    specs = [scenes.single(rng, index[names[which]], True) for which in truth]
    paths = []
    for number, image in enumerate(renderer.Renderer(bitmaps, 160, unseen=True)(specs, 7)):
        paths.append(folder / f"{number:04}.png")
        Image.fromarray(renderer.to_bytes(image)).save(paths[-1])
    return paths, truth


def render_classes(folder, count):
    """Writes 15 images per class, the names of the classes, and a table of images and classes."""
    names = NAMES
    if count:
        bases = sorted({pictogram.name for pictogram in pictograms.load()[0] if pictogram.base})
        names = sorted(random.Random(7).sample(bases, count))
    paths, truth = render(folder, 15, names)
    (folder / "names.txt").write_text("\n".join(names) + "\n")
    with open(folder / "classes.csv", "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["path", "label"])
        table.writerows([path.name, names[which]] for path, which in zip(paths, truth))


def check(name, is_right, words):
    print(f"{'right' if is_right else 'WRONG'}: {name}: {words}", flush=True)
    return is_right


def lines(clip, *arguments):
    output = subprocess.run([clip, *map(str, arguments)], stdout=subprocess.PIPE, check=True).stdout
    return [json.loads(line) for line in output.splitlines()]


def encode(clip, folder, *arguments):
    subprocess.run([clip, "encode", *map(str, arguments), "--model", "tiny", "-o",
                    folder / "rows.npy"], check=True)
    return normalized(numpy.load(folder / "rows.npy").astype("float64"))


def clusters(clip, folder):
    paths, truth = render(folder / "renders", 15)
    subprocess.run([clip, "index", folder / "renders", "--model", "tiny", "-q"], check=True)
    (folder / "labels").write_text("\n".join(NAMES) + "\n")
    number = {str(path): place for place, path in enumerate(paths)}
    assignment, named = numpy.zeros(len(paths), int), 0
    runs = [lines(clip, "cluster", folder / "renders", "-k", len(NAMES), "--labels",
                  folder / "labels", "--json", *extra)
            for extra in [[], ["--threads", 1]]]
    for cluster in runs[0]:
        for member in cluster["members"]:
            assignment[number[member["path"]]] = cluster["cluster"]
            named += NAMES[truth[number[member["path"]]]] == cluster["label"]
    rows = encode(clip, folder, *paths)
    theirs = KMeans(len(NAMES), n_init=10, random_state=0).fit(rows)
    score, reference = adjusted_rand_score(truth, assignment), adjusted_rand_score(truth,
            theirs.labels_)
    return check("clusters", score >= 0.9 and runs[0] == runs[1],
                 f"adjusted Rand index {score:.3f}, scikit-learn's k-means {reference:.3f}; "
                 f"{named} of {len(paths)} images in "
                 f"a cluster of their name; the same again on one thread: {runs[0] == runs[1]}")


def layout(clip, folder, count):
    (folder / "scenes").mkdir()
    paths, _ = held_out(count, folder / "scenes")
    rows = encode(clip, folder, *paths)
    rows32 = rows.astype("float32")
    numpy.save(folder / "rows.npy", rows32)
    runs = []
    for extra in [[], ["--threads", "1"]]:
        output = subprocess.run([clip, "map", folder / "rows.npy", "--json", *extra],
                                capture_output=True, check=True)
        runs.append([json.loads(line) for line in output.stdout.splitlines()])
        divergence = float(output.stderr.decode().split("divergence")[1])
    points = numpy.array([[row["x"], row["y"]] for row in runs[0]])
    reference = TSNE(init="pca", random_state=0)
    theirs = reference.fit_transform(rows32)
    trust = [trustworthiness(rows32, result, n_neighbors=10) for result in (points, theirs)]
    is_right = check(
        "t-SNE", divergence < 1.02 * reference.kl_divergence_ and trust[0] > trust[1] - 0.01
        and runs[0] == runs[1],
        f"divergence {divergence:.4f}, scikit-learn {reference.kl_divergence_:.4f}; "
        f"trustworthiness {trust[0]:.4f}, "
        f"{trust[1]:.4f}; the same again on one thread: {runs[0] == runs[1]}")
    return is_right


def duplicates(clip, folder):
    rows = numpy.load(folder / "rows.npy").astype("float64")
    threshold = 0.8
    kept, expected = [], {}
    for row, vector in enumerate(rows):
        cosines = rows[kept] @ vector if kept else numpy.zeros(0)
        if len(kept) and cosines.max() >= threshold:
            expected.setdefault(kept[cosines.argmax()], []).append(row)
        else:
            kept.append(row)
    names = [json.loads(line)["image"] for line in (
        folder / "rows.names.jsonl").read_text().splitlines()]
    found = {names.index(group["kept"]["path"]): sorted(names.index(member["path"])
                                                        for member in group["duplicates"])
             for group in lines(clip, "dedupe", folder / "rows.npy", "--threshold", threshold,
                                "--json", "-q")}
    return check("duplicates", found == expected,
                 f"{sum(map(len, expected.values()))} of {len(rows)} images, {len(expected)} groups")


def scores(clip, folder, count=60):
    (folder / "pairs").mkdir()
    paths, captions = held_out(count, folder / "pairs")
    references = [[captions[(row + 1) % count], caption.upper() + "!"]
                  for row, caption in enumerate(captions)]
    with open(folder / "pairs.jsonl", "w") as file:
        for path, caption, others in zip(paths, captions, references):
            print(json.dumps({"image": str(path), "text": caption, "references": others}),
                  file=file)
    *found, summary = lines(clip, "score", "--pairs", folder / "pairs.jsonl", "--model", "tiny",
                            "--json")
    prefix = "A photo depicts "
    images = encode(clip, folder, *paths)
    texts = {}
    every = sorted({text for row in references for text in row} | set(captions))
    (folder / "texts").write_text("\n".join(prefix + text for text in every) + "\n")
    for text, row in zip(every, encode(clip, folder, "--text-file", folder / "texts")):
        texts[text] = row
    worst = 0
    for pair, image, caption, others in zip(found, images, captions, references):
        score = 2.5 * max(image @ texts[caption], 0)
        reference = max(max(texts[caption] @ texts[other] for other in others), 0)
        harmonic = 2 * score * reference / (score + reference)
        worst = max(worst, abs(pair["clip_score"] - score), abs(pair["ref_clip_score"] - harmonic))
    scale = json.loads(subprocess.run([clip, "info", "tiny", "--json"], stdout=subprocess.PIPE,
                                      check=True).stdout)
    scale = scale.get("logit_scale") or scale["model"]["logit_scale"]
    rows = numpy.stack([texts[caption] for caption in captions])
    loss = ClipLoss()(torch.from_numpy(images), torch.from_numpy(rows),
                      torch.tensor(scale, dtype=torch.float64)).item()
    cosines = images @ rows.T
    recall = (cosines.argmax(1) == numpy.arange(count)).mean()
    return check("scores", worst < 2e-6 and abs(summary["loss"] - loss) < 1e-4
                 and summary["image_to_text_recall"]["1"] == recall,
                 f"CLIPScore and RefCLIPScore of {count} pairs within {worst:.1e}; InfoNCE "
                 f"{summary['loss']:.6f}, open_clip's "
                 f"ClipLoss {loss:.6f}; recall at 1 {recall:.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1500, help="the number of scenes in the map")
    parser.add_argument("--renders", type=pathlib.Path, metavar="FOLDER",
                        help="make FOLDER with the images of the README's map, and end")
    parser.add_argument("--classes", type=int, metavar="N",
                        help="render N pictograms instead of the 20 of the map")
    parser.add_argument("--clip", default=str(ROOT / ".build/release/clip"))
    arguments = parser.parse_args()
    if arguments.renders:
        arguments.renders.mkdir()
        render_classes(arguments.renders, arguments.classes)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        (folder / "renders").mkdir()
        results = [clusters(arguments.clip, folder),
                   layout(arguments.clip, folder, arguments.count),
                   duplicates(arguments.clip, folder), scores(arguments.clip, folder)]
    sys.exit(not all(results))


main()
