"""Writes Tests/Fixtures/evaluation/evaluation.json: metrics, losses and gradients of small inputs.

    VENV/bin/pip install -r Scripts/parity/requirements.txt
    VENV/bin/python Scripts/parity/goldens_evaluation.py [--check]

    "classification"  accuracies by PyTorch's topk, balanced accuracy by scikit-learn, Wilson
                      intervals by SciPy, and of the balanced accuracy by the formula
    "multilabel"      average precisions by CLIP_benchmark
    "retrieval"       recalls by CLIP_benchmark
    "losses"          open_clip's ClipLoss and SigLipLoss, with gradients by autograd, in float64

CLIP_benchmark's own accuracy function stops with NumPy 2.4, so its formula is repeated here. All
inputs are multiples of powers of two, thus exact in float32. No scores are tied, because PyTorch
leaves the order of ties open. NaN is written as null. With --check the file is compared, not
written.
"""

import argparse
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from clip_benchmark.metrics.zeroshot_classification import average_precision_per_class
from clip_benchmark.metrics.zeroshot_retrieval import batchify, recall_at_k
from open_clip.loss import ClipLoss, SigLipLoss
from scipy.stats import binomtest, norm
from sklearn.metrics import balanced_accuracy_score
from torch.nn.functional import normalize

ROOT = Path(__file__).resolve().parents[2]
FILE = Path("Tests") / "Fixtures" / "evaluation" / "evaluation.json"
Z = norm.ppf(0.975)
warnings.filterwarnings("ignore", message="y_pred contains classes not in y_true")


def without_ties(draw, axis: int) -> np.ndarray:
    """Draws numbers until all those along the axis differ."""
    while True:
        values = draw()
        if np.all(np.diff(np.sort(values, axis=axis), axis=axis) > 1e-4):
            return values


def accuracy(logits: torch.Tensor, labels: torch.Tensor, k: int) -> float:
    return (logits.topk(k).indices == labels[:, None]).any(dim=1).double().mean().item()


def wilson(fraction: float, count: int) -> list:
    interval = binomtest(round(fraction * count), count).proportion_ci(0.95, "wilson")
    return [interval.low, interval.high]


def recall_interval(recall: float, per_class: list) -> list:
    """Returns the Wilson interval for the number of images that gives the variance of the mean."""
    sizes = np.array([n for n in per_class if n], dtype=np.float64)
    count = len(sizes) ** 2 / (1 / sizes).sum()
    centre = (recall + Z**2 / (2 * count)) / (1 + Z**2 / count)
    variance = recall * (1 - recall) / count + Z**2 / (4 * count**2)
    margin = Z / (1 + Z**2 / count) * np.sqrt(variance)
    return [float(max(0, centre - margin)), float(min(1, centre + margin))]


def classification(random, name: str, classes: int, used: list, images: int) -> dict:
    labels = random.choice(used, images)

    def draw():
        logits = 20 + 2 * random.standard_normal((images, classes))
        logits[np.arange(images), labels] += 2
        return np.round(logits * 128) / 128

    values = without_ties(draw, axis=1)
    logits, targets = torch.tensor(values), torch.tensor(labels)
    predictions = logits.argmax(dim=1)
    probabilities = logits.softmax(dim=1)
    confidences = probabilities.max(dim=1).values.numpy()
    is_correct = (predictions == targets).numpy()
    acc1 = accuracy(logits, targets, 1)
    acc5 = accuracy(logits, targets, 5) if classes >= 5 else None
    per_class = [(targets == label).sum().item() for label in range(classes)]
    hits = targets[predictions == targets]
    correct = [(hits == label).sum().item() for label in range(classes)]
    recall = balanced_accuracy_score(targets, predictions)
    bins = np.minimum(9, np.floor(confidences * 10)).astype(int)
    error = 0.0
    for index in set(bins.tolist()):
        some = bins == index
        error += some.mean() * abs(confidences[some].mean() - is_correct[some].mean())
    return {
        "name": name,
        "classes": classes,
        "logits": values.tolist(),
        "labels": labels.tolist(),
        "acc1": acc1,
        "acc5": acc5,
        "mean_per_class_recall": recall,
        "acc1_interval": wilson(acc1, images),
        "acc5_interval": wilson(acc5, images) if acc5 is not None else [0.0, 1.0],
        "mean_per_class_recall_interval": recall_interval(recall, per_class),
        "images_per_class": per_class,
        "correct_per_class": correct,
        "predictions": predictions.tolist(),
        "ranks": (logits > logits.gather(1, targets[:, None])).sum(dim=1).tolist(),
        "confidences": confidences.tolist(),
        "label_probabilities": probabilities.gather(1, targets[:, None])[:, 0].tolist(),
        "images_per_bin": np.bincount(bins, minlength=10).tolist(),
        "expected_calibration_error": error,
    }


def splitmix64(seed: int):
    """Yields the numbers of Steele, Lea and Flood 2014."""
    mask = (1 << 64) - 1
    while True:
        seed = (seed + 0x9E3779B97F4A7C15) & mask
        z = seed
        z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & mask
        yield z ^ z >> 31


def bootstrap_error(scores: torch.Tensor, labels: torch.Tensor) -> float:
    """Returns the standard deviation of the mean average precision of 100 samples."""
    numbers, means = splitmix64(0), []
    for _ in range(100):
        rows = sorted(next(numbers) % len(scores) for _ in range(len(scores)))
        # Copies of an image have equal scores, and equal labels: their order does not matter.
        means.append(average_precision_per_class(scores[rows], labels[rows]).mean().item())
    return float(np.std(means, ddof=1))


def multilabel(random, name: str, images: int, classes: int) -> dict:
    labels = random.random((images, classes)) < 0.3
    labels[:, 2] = False  # a class without images
    labels[1] = False  # an image without labels

    def draw():
        values = 20 + 2 * random.standard_normal((images, classes)) + 2 * labels
        return np.round(values * 1024) / 1024

    values = without_ties(draw, axis=0)
    scores, targets = torch.tensor(values), torch.tensor(labels)
    precisions = average_precision_per_class(scores, targets)
    mean = precisions.mean().item()
    margin = Z * bootstrap_error(scores, targets)
    return {
        "name": name,
        "classes": classes,
        "logits": values.tolist(),
        "labels": labels.tolist(),
        "average_precisions": precisions.tolist(),
        "mean_average_precision": mean,
        "interval": [max(0, mean - margin), min(1, mean + margin)],
    }


def retrieval(random, name: str, captions: list, dimension: int) -> dict:
    owners = np.repeat(np.arange(len(captions)), captions)
    random.shuffle(owners)

    def draw():
        return np.round(random.standard_normal((len(captions), dimension)) * 64) / 64

    while True:
        images = draw()
        noise = random.standard_normal((len(owners), dimension))
        texts = np.round((images[owners] + noise) * 64) / 64
        scores = normalize(torch.tensor(texts)) @ normalize(torch.tensor(images)).T
        gaps = [scores.sort(dim=axis).values.diff(dim=axis).min() for axis in (0, 1)]
        if min(gaps) > 1e-6:
            break
    positive = torch.zeros_like(scores, dtype=bool)
    positive[torch.arange(len(owners)), torch.tensor(owners)] = True
    recalls = {}
    for direction, s, p in [("image", scores, positive), ("text", scores.T, positive.T)]:
        recalls[direction] = {
            k: (batchify(recall_at_k, s, p, 4, "cpu", k=k) > 0).double().mean().item()
            for k in (1, 2, 5, 10)
        }
    own = scores[torch.arange(len(owners)), torch.tensor(owners)]
    best = scores.masked_fill(~positive, -torch.inf).max(dim=0).values
    text_ranks = (scores > best).sum(dim=0).tolist()
    return {
        "name": name,
        "dimension": dimension,
        "images": images.flatten().tolist(),
        "texts": texts.flatten().tolist(),
        "image_of_text": owners.tolist(),
        "image_ranks": (scores > own[:, None]).sum(dim=1).tolist(),
        "text_ranks": [rank if n else None for rank, n in zip(text_ranks, captions)],
        "image_retrieval_recall": recalls["image"],
        "text_retrieval_recall": recalls["text"],
    }


def losses(random, name: str, count: int, dimension: int, scale: float, bias: float, norm: float):
    def draw():
        values = random.standard_normal((count, dimension))
        values *= norm / np.linalg.norm(values, axis=1, keepdims=True)
        return torch.tensor(np.round(values * 1024) / 1024)

    def gradients(function, with_bias: bool) -> dict:
        inputs = [images, texts, torch.tensor(scale).double()]
        inputs += [torch.tensor(bias).double()] if with_bias else []
        inputs = [value.clone().requires_grad_() for value in inputs]
        loss = function(*inputs)
        loss.backward()
        names = ["images", "texts", "logit_scale", "logit_bias"]
        found = {name: value.grad.flatten().tolist() for name, value in zip(names, inputs)}
        return {"loss": loss.item()} | found

    images, texts = draw(), draw()
    return {
        "name": name,
        "dimension": dimension,
        "logit_scale": scale,
        "logit_bias": bias,
        "images": images.flatten().tolist(),
        "texts": texts.flatten().tolist(),
        "contrastive": gradients(ClipLoss(), False),
        "sigmoid": gradients(SigLipLoss(), True),
    }


def rounded(value):
    """Rounds the numbers in a value, so that the last bits of a CPU do not change the file."""
    if isinstance(value, float):
        return round(value, 9)
    if isinstance(value, dict):
        return {str(key): rounded(element) for key, element in value.items()}
    return [rounded(element) for element in value] if isinstance(value, list) else value


def contents() -> str:
    random = np.random.default_rng(20240607)
    groups = {
        "classification": [
            classification(random, "ten classes", 10, list(range(10)), 40),
            classification(random, "three classes", 3, [0, 1, 2], 20),
            classification(random, "five classes", 5, [0, 1, 2, 3, 4], 12),
            classification(random, "missing classes", 8, [1, 4, 6], 25),
            classification(random, "one image", 6, [3], 1),
        ],
        "multilabel": [
            multilabel(random, "six classes", 40, 6),
            multilabel(random, "three images", 3, 4),
        ],
        "retrieval": [
            retrieval(random, "one caption each", [1] * 12, 6),
            retrieval(random, "several captions", [3, 0, 1, 5, 2, 0, 4, 1, 3, 2, 6, 3], 6),
        ],
        "losses": [
            losses(random, "trained scale", 9, 6, 100.0, -12.5, 1),
            losses(random, "initial scale", 8, 5, 14.25, -10.0, 1),
            losses(random, "other norms", 5, 3, 1.5, 0.25, 2.5),
            losses(random, "one pair", 1, 4, 10.0, -10.0, 1),
        ],
    }  # fmt: skip
    parts = []
    for name, cases in groups.items():
        lines = ",\n".join(json.dumps(rounded(case), allow_nan=False) for case in cases)
        parts.append(f'"{name}": [\n{lines}\n]')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE.name).write_text(contents(), encoding="ascii")


def main() -> None:
    parser = argparse.ArgumentParser(description=f"Writes or checks {FILE}.")
    parser.add_argument("--check", action="store_true", help="compare with the existing file")
    if not parser.parse_args().check:
        return make((ROOT / FILE).parent)
    is_equal = contents() == (ROOT / FILE).read_text(encoding="ascii")
    print("identical" if is_equal else f"{FILE} differs")
    sys.exit(not is_equal)


if __name__ == "__main__":
    main()
