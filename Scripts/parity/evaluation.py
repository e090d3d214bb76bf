"""Compares `clip eval` with CLIP_benchmark's own code on the same weights and images.

    python -m venv VENV && VENV/bin/pip install -r Scripts/parity/requirements.txt
    swift build -c release
    VENV/bin/python Scripts/parity/evaluation.py --sets FOLDER [--weights MODEL]

FOLDER keeps the data sets of evaluation_sets.py for a quick second run. MODEL is a folder with the
weights of a larger model and its open_clip_config.json, such as the seeded ViT-B/32 of
full_size.py; it is compared on fewer images.

CLIP_benchmark reads WebDatasets with its own builder and computes the metrics with its own
functions, in float32; only `accuracy`, which NumPy 2.4 stops, is replaced by the same formula.
Prints every metric of both, and fails if they differ by more than 1e-6, unless the ranks differ
only between images, classes or captions whose logits are equal within the noise of float32: then
it names the first. Data sets with something wrong must give a message for each fault, exit status
1, and the metrics of the other images.
"""

import argparse
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import warnings

import numpy
import open_clip
import torch
from clip_benchmark.datasets.builder import build_dataset
from clip_benchmark.metrics import zeroshot_classification, zeroshot_retrieval
from torchvision.datasets import ImageFolder

import evaluation_sets
import goldens_tiny

warnings.filterwarnings("ignore", module="webdataset")

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROMPT = "a photo of a {c}."
RECALL_AT = (1, 5, 10)
LIMIT = 1e-6
# Logits (100 times a cosine) of the two programs may differ by NOISE, because both sum in float32
# in another order. Two logits of CLIP_benchmark that differ by no more than TIE are at a tie: the
# noise may exchange their ranks.
NOISE = 1e-4
TIE = 2 * NOISE


# MARK: CLIP_benchmark


def accuracy(output, target, topk=(1,)):
    hits = output.topk(max(topk), 1, True, True)[1] == target[:, None]
    return [hits[:, :k].any(1).double().mean().item() for k in topk]


class Captured:
    """The targets and scores that CLIP_benchmark computes its metrics from."""

    def __init__(self):
        run, batchify = zeroshot_classification.run_classification, zeroshot_retrieval.batchify

        def run_classification(*arguments, **options):
            self.scores, self.targets = run(*arguments, **options)
            return self.scores, self.targets

        def keeping(function, scores, pairs, *arguments, **options):
            if not hasattr(self, "pairs"):
                self.scores, self.pairs = scores, pairs
            return batchify(function, scores, pairs, *arguments, **options)

        self.restore = run, batchify
        zeroshot_classification.run_classification = run_classification
        zeroshot_retrieval.batchify = keeping

    def __enter__(self):
        return self

    def __exit__(self, *_):
        (zeroshot_classification.run_classification, zeroshot_retrieval.batchify) = self.restore


class Classes(ImageFolder):
    """A folder with one subfolder per class; names that are integers are the labels."""

    def __init__(self, root, transform, classes=None):
        super().__init__(root, transform)
        if classes:
            names, self.classes = self.classes, classes
            self.target_transform = lambda target: int(names[target])
        self.templates = [PROMPT]


def loader(test, transform):
    if test.kind == "folder":
        names = test.classes and test.classes.read_text().splitlines()
        dataset = Classes(test.path, transform, names)
        return dataset, torch.utils.data.DataLoader(dataset, batch_size=64)
    task = "zeroshot_retrieval" if test.kind == "retrieval" else "zeroshot_classification"
    dataset = build_dataset("wds/renders", str(test.path), transform, "test", task=task)
    return dataset, torch.utils.data.DataLoader(dataset.batched(64), batch_size=None)


def reference(test, model, transform, tokenizer):
    """Returns CLIP_benchmark's metrics, and what they are computed from."""
    dataset, batches = loader(test, transform)
    with Captured() as captured, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that no image has
        if test.kind == "folder":
            captured.paths = [path for path, _ in dataset.samples]
        if test.kind == "retrieval":
            return zeroshot_retrieval.evaluate(
                model, batches, tokenizer, "cpu", amp=False, recall_k_list=RECALL_AT), captured
        return zeroshot_classification.evaluate(
            model, batches, tokenizer, dataset.classes, dataset.templates, "cpu",
            amp=False), captured  # fmt: skip


# MARK: clip


def evaluate(clip, test, model):
    """Returns the metrics and predictions of `clip eval`, its exit status and its messages."""
    with tempfile.TemporaryDirectory() as temporary:
        output, predictions = (pathlib.Path(temporary) / name for name in ("o.json", "p.jsonl"))
        extra = []
        if test.kind == "folder":
            extra += ["--template", PROMPT]
        if test.classes:
            extra += ["--classes", test.classes]
        run = subprocess.run(
            [clip, "eval", test.path, "--model", model, "--output", output, "--predictions",
             predictions, "--recall_k", *map(str, RECALL_AT), "-q", *extra],
            capture_output=True, text=True)  # fmt: skip
        metrics = json.loads(output.read_text())["metrics"] if output.exists() else None
        lines = predictions.read_text().splitlines() if predictions.exists() else []
        return metrics, [json.loads(line) for line in lines], run.returncode, run.stderr


# MARK: Ties


def explain_classes(scores, targets, lines):
    """Returns, for each metric, the images whose hits differ, each with the gap of the tie."""
    assert [line["label"] for line in lines] == targets.tolist(), "other labels or order"
    found = {"acc1": [], "acc5": [], "mean_per_class_recall": []}
    # The accuracies are computed by `topk`, the recall by `argmax`, which may break ties
    # differently.
    best = scores.topk(5 if scores.shape[1] >= 5 else 1, 1)[1].tolist()
    first = scores.argmax(1).tolist()
    noise = 0.0
    for image, line in enumerate(lines):
        row, label = scores[image], line["label"]
        ours = [one["class"] for one in line["predictions"]]
        noise = max(noise, *(abs(row[one["class"]].item() - one["logit"])
                             for one in line["predictions"]))  # fmt: skip
        for metric, mine, theirs in (
            ("acc1", ours[:1], best[image][:1]), ("acc5", ours[: len(best[image])], best[image]),
            ("mean_per_class_recall", ours[:1], [first[image]])):  # fmt: skip
            if (label in mine) != (label in theirs):
                gap = max((row[a] - row[b]).abs().item() for a, b in zip(mine, theirs))
                found[metric].append((line["path"], gap))
    return found, noise


def explain_ranks(scores, pairs, lines):
    """Returns, for each metric, the captions or images whose hits differ, with the gap."""
    owner = pairs.float().argmax(1)
    own = scores.gather(1, owner[:, None])[:, 0]
    ranks = [rank - 1 for line in lines for rank in line["image_ranks"]]
    assert len(ranks) == len(own), "another number of captions"
    best = torch.where(pairs, scores, -torch.inf).max(0).values
    found = {}
    for k in RECALL_AT:
        for metric, all_scores, hits, limit, ours in (
            ("image", scores, pairs, own, ranks),
            ("text", scores.T, pairs.T, best,
             [math.inf if line["text_rank"] is None else line["text_rank"] - 1
              for line in lines])):  # fmt: skip
            top = torch.topk(all_scores, k, dim=1)
            theirs = hits.gather(1, top.indices).any(1).tolist()
            found[f"{metric}_retrieval_recall@{k}"] = [
                (f"{metric} query {row}", tie(all_scores[row], limit[row], ours[row]))
                for row in range(len(ours)) if (ours[row] < k) != theirs[row]]  # fmt: skip
    return found, None


def tie(row, own, rank):
    """Returns the least tolerance, in logits, that allows this rank."""
    if math.isinf(rank):
        return math.inf
    ordered = row.sort(descending=True).values
    return 100 * abs(ordered[rank] - own).item()


def explain_precisions(scores, targets, lines):
    """Returns the pairs of images in a tie whose order changes an average precision.

    The bound of their effects is compared with the difference.
    """
    swaps = []
    for label in range(scores.shape[1]):
        order = scores[:, label].sort(descending=True)
        own = targets[order.indices, label].bool()
        count = max(1, own.sum().item())
        gaps = order.values[:-1] - order.values[1:]
        for place in ((own[:-1] != own[1:]) & (gaps <= TIE)).nonzero()[:, 0].tolist():
            effect = 1 / (place + 1) - 1 / (place + 2)
            hits = own[: place + 2].sum().item()
            change = (hits * effect) / count / scores.shape[1]
            images = [lines[order.indices[place + step]]["path"] for step in (0, 1)]
            swaps.append((change, gaps[place].item(), label, images))
    noise = max(abs(scores[image, one["class"]].item() - one["logit"])
                for image, line in enumerate(lines) for one in line["predictions"])
    return sorted(swaps, reverse=True, key=lambda swap: swap[0]), noise


def remark(metric, difference, explained):
    """Returns words about a difference, and whether it is only of ties."""
    if difference <= LIMIT and not isinstance(explained, dict):
        return "", True
    if isinstance(explained, dict):
        queries = explained[metric]
        if not queries:
            return "", difference <= LIMIT
        widest = max(gap for _, gap in queries)
        return (f"{len(queries)} at a tie within {widest:.0e}, the first {queries[0][0]}",
                widest <= TIE)  # fmt: skip
    bound = sum(swap[0] for swap in explained)
    one = next((swap for swap in explained if abs(swap[0] - difference) <= LIMIT), None)
    words = f"{len(explained)} pairs of images at a tie change it by {bound:.1e} at most"
    if one:
        words = f"one rank: class {one[2]}, {' and '.join(one[3])} differ by {one[1]:.0e}"
    return words, difference <= bound + LIMIT


# MARK: Comparison


class Test:
    def __init__(self, name, path, kind, classes=None):
        self.name, self.path, self.kind, self.classes = name, path, kind, classes


def tests(folder):
    return [
        Test("100 classes", folder / "classes", "classification"),
        Test("many labels", folder / "multilabel", "multilabel"),
        Test("captions", folder / "retrieval", "retrieval"),
        Test("class folder", folder / "folder", "folder"),
        Test("integer folders", folder / "integers", "folder", folder / "integers.txt"),
        Test("3 classes", folder / "three", "classification"),
        Test("classes without images", folder / "missing", "classification"),
        Test("7 classes, 1 template", folder / "few", "classification"),
        Test("equal class names", folder / "twins", "classification"),
        Test("repeated images and captions", folder / "ties", "retrieval"),
    ]


EXPLAIN = {"classification": explain_classes, "folder": explain_classes,
           "multilabel": explain_precisions}  # fmt: skip


def compare(clip, test, name, model):
    """Prints a row per metric; returns whether all are equal but for ties."""
    expected, captured = reference(test, *model)
    found, lines, status, messages = evaluate(clip, test, name)
    if status != 0 or found is None:
        print(f"| {test.name} | status {status}: {messages} | | | | |")
        return False
    if test.kind == "folder":  # clip sorts integers by value
        lines = sorted(lines, key=lambda line: captured.paths.index(line["path"]))
    if test.kind == "retrieval":
        explained, noise = explain_ranks(captured.scores, captured.pairs, lines)
    else:
        explained, noise = EXPLAIN[test.kind](captured.scores, captured.targets, lines)
    is_right = found.keys() == expected.keys()
    for metric, theirs in expected.items():
        ours = found.get(metric, math.inf)
        difference = 0 if math.isnan(ours) and math.isnan(theirs) else abs(ours - theirs)
        words, is_tie = remark(metric, difference, explained)
        is_equal = difference <= LIMIT
        is_right &= is_equal or is_tie
        if not (is_equal or is_tie):
            words = "WRONG " + words
        print(f"| {test.name} | {metric} | {theirs:.7f} | {ours:.7f} | {difference:.0e} | "
              f"{words} |", flush=True)  # fmt: skip
    if noise is not None:
        is_right &= noise <= NOISE
        print(f"| {test.name} | largest difference of a logit | | | {noise:.0e} | "
              f"{'' if noise <= NOISE else 'WRONG'} |", flush=True)  # fmt: skip
    return is_right


# The name of a set with something wrong, its kind, and the number of its good images.
FAULTS = [
    ("truncated", "classification", 40),
    ("outside", "classification", 59),
    ("unreadable", "classification", 58),
    ("latin1", "retrieval", 59),
    ("nameless", "classification", None),
]


def faults(clip, folder, model):
    """Checks the sets with one thing wrong each; returns whether all give what they should."""
    print("\n| set | exit status | message | metrics |\n|---|---|---|---|")
    right = True
    for name, kind, images in FAULTS:
        found, lines, status, messages = evaluate(clip, Test(name, folder / name, kind), "tiny")
        is_right = status == 1
        words = "none" if found is None else "written"
        if images:
            good = Test(name, folder / f"{name}-good", kind)
            expected, _ = reference(good, *model)
            worst = math.inf if found is None else max(
                abs(found[key] - value) for key, value in expected.items())
            words = f"of the other {len(lines)} images, within {worst:.0e}"
            is_right &= worst <= LIMIT and len(lines) == images
        else:
            is_right &= found is None
        right &= is_right
        print(f"| {name} | {status} | {' / '.join(messages.split(chr(10)))} | "
              f"{'' if is_right else 'WRONG '}{words} |", flush=True)
    return right


def load(folder):
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    return model.eval(), transform, open_clip.get_tokenizer(f"local-dir:{folder}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=pathlib.Path, required=True)
    parser.add_argument("--weights", type=pathlib.Path, help="the folder of a larger model")
    parser.add_argument("--count", type=int, default=3000, help="the number of images")
    parser.add_argument("--fewer", type=int, default=600, help="the same for the larger model")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--only", nargs="+", choices=["tiny", "large", "faults"],
                        default=["tiny", "large", "faults"])
    parser.add_argument("--tests", nargs="+", type=int, default=[*range(10)],
                        help="the numbers of the sets to compare, from 0")
    parser.add_argument("--threads", type=int, help="the number of threads of PyTorch")
    parser.add_argument("--clip", default=str(ROOT / ".build/release/clip"))
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    zeroshot_classification.accuracy = accuracy
    for module in (zeroshot_classification, zeroshot_retrieval):
        module.tqdm = iter  # no progress bars
    pixels = goldens_tiny.load(ROOT / "Weights/tiny.safetensors")
    tiny = (*pixels, open_clip.get_tokenizer("ViT-B-32"))
    print(f"CLIP_benchmark, open_clip {open_clip.__version__}, PyTorch {torch.__version__}, NumPy "
          f"{numpy.__version__}, float32")  # fmt: skip
    runs = [("tiny", "tiny", arguments.count)]
    if arguments.weights:
        runs.append(("large", arguments.weights, arguments.fewer))
    right = True
    for key, name, count in runs:
        if key not in arguments.only:
            continue
        folder = arguments.sets / f"{count}-{arguments.seed}"
        evaluation_sets.make(folder, count, arguments.seed)
        print(f"\n{pathlib.Path(name).name}, {count} images\n\n| set | metric | CLIP_benchmark | "
              f"clip | difference | remark |\n|---|---|---|---|---|---|")  # fmt: skip
        model = tiny if key == "tiny" else load(name)
        for number in arguments.tests:
            right &= compare(arguments.clip, tests(folder)[number], name, model)
    if "faults" in arguments.only:
        folder = arguments.sets / f"{arguments.fewer}-{arguments.seed}"
        evaluation_sets.make(folder, arguments.fewer, arguments.seed)
        right &= faults(arguments.clip, folder / "odd", tiny)
    sys.exit(not right)


if __name__ == "__main__":
    main()
