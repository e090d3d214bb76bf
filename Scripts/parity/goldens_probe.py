"""Writes Tests/Fixtures/analysis/probe.json: probes trained and evaluated by reference programs.

    VENV/bin/pip install scikit-learn==1.9.1 scipy==1.17.1
    VENV/bin/python Scripts/parity/goldens_probe.py [--check]

The examples are seeded and stored as float32. In float64:

    "linear"    scikit-learn's LogisticRegression(C=0.316), iterated until nothing changes:
                weights, biases and C * sum of cross-entropies + 0.5 * |W|^2
    "zeroshot"  SciPy's minimum of mean cross-entropy of 100 W f + penalty * |W - T|^2 for
                normalised examples f and texts T: 100 W and the objective
    "sweep"     accuracies and mean cross-entropies of the first model, trained with the first 60
                examples for each of 96 values of C, on the other ones; and those that a search of
                the best C tries
    "separable" the same objective for the first 40 examples, which can be separated, and a large C
    "tip"       100 T f + alpha * sum of exp(-beta (1 - f k)) over the examples k of each class

With --check the file is compared, not written; numbers may differ in the last digits.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

FIXTURES = Path(__file__).resolve().parents[2] / "Tests" / "Fixtures"
COUNT, DIMENSION, CLASSES, SEED = 120, 16, 5, 20
C, PENALTY, ALPHA, BETA = 0.316, 3.0, 1.0, 5.5
TRAINED, SEPARABLE, LARGE_C = 60, 40, 1e5


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def numbers(values: np.ndarray) -> list[float]:
    return [float(f"{value:.9g}") for value in np.ravel(values)]


def zeroshot(f: np.ndarray, labels: np.ndarray, texts: np.ndarray) -> tuple[np.ndarray, float]:
    rows = np.arange(len(f))

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        weights = x.reshape(texts.shape)
        logs = log_probabilities(100 * f @ weights.T)
        errors = np.exp(logs)
        errors[rows, labels] -= 1
        move = weights - texts
        loss = -logs[rows, labels].mean() + PENALTY * (move**2).sum()
        return loss, (100 / len(f) * errors.T @ f + 2 * PENALTY * move).ravel()

    options = {"maxiter": 10_000, "ftol": 1e-15, "gtol": 1e-10}
    found = minimize(objective, texts.ravel(), jac=True, method="L-BFGS-B", options=options)
    return 100 * found.x, float(found.fun)


def fit(x: np.ndarray, labels: np.ndarray, c: float) -> tuple[LogisticRegression, float]:
    """Returns the model at the optimum, by Newton's method, and the objective."""
    model = LogisticRegression(C=c, solver="newton-cg", max_iter=10_000, tol=1e-9).fit(x, labels)
    logs = log_probabilities(x @ model.coef_.T + model.intercept_)
    return model, -c * logs[np.arange(len(x)), labels].sum() + 0.5 * (model.coef_**2).sum()


def sweep(x: np.ndarray, labels: np.ndarray) -> dict:
    values = np.logspace(-6, 6, 96)
    accuracies, losses = [], []
    for c in values:
        model = fit(x[:TRAINED], labels[:TRAINED], c)[0]
        accuracies.append(model.score(x[TRAINED:], labels[TRAINED:]))
        logs = log_probabilities(x[TRAINED:] @ model.coef_.T + model.intercept_)
        losses.append(-logs[np.arange(len(logs)), labels[TRAINED:]].mean())
    tried = {0, 16, 32, 48, 64, 80, 95}
    for distance in (8, 4, 2, 1):
        best = min(tried, key=lambda place: (-accuracies[place], losses[place]))
        tried |= {best - distance, best + distance} & set(range(96))
    return {"trained": TRAINED, "c": numbers(values), "accuracies": numbers(accuracies),
            "losses": numbers(losses), "tried": sorted(tried)}


def contents() -> dict:
    random = np.random.default_rng(SEED)
    centres = random.normal(size=(CLASSES, DIMENSION))
    labels = np.arange(COUNT) % CLASSES
    mean = 3 * random.normal(size=DIMENSION)
    vectors = mean + centres[labels] + 1.5 * random.normal(size=(COUNT, DIMENSION))
    texts = centres + mean + 0.7 * random.normal(size=(CLASSES, DIMENSION))
    vectors, texts = vectors.round(4).astype(np.float32), texts.round(4).astype(np.float32)
    x, t = vectors.astype(np.float64), texts.astype(np.float64)

    model = LogisticRegression(C=C, max_iter=100_000, tol=1e-10).fit(x, labels)
    logs = log_probabilities(x @ model.coef_.T + model.intercept_)
    loss = -C * logs[np.arange(COUNT), labels].sum() + 0.5 * (model.coef_**2).sum()
    separable_loss = fit(x[:SEPARABLE], labels[:SEPARABLE], LARGE_C)[1]
    weights, zeroshot_loss = zeroshot(unit(x), labels, unit(t))
    keys = unit(x)[:50]
    near = np.exp(-BETA * (1 - unit(x)[50:70] @ keys.T)) @ np.eye(CLASSES)[labels[:50]]
    tip = 100 * unit(x)[50:70] @ unit(t).T + ALPHA * near
    return {
        "dimension": DIMENSION,
        "classes": CLASSES,
        "vectors": numbers(vectors),
        "labels": labels.tolist(),
        "texts": numbers(texts),
        "linear": {
            "c": C,
            "weights": numbers(model.coef_),
            "biases": numbers(model.intercept_),
            "loss": float(f"{loss:.9g}"),
        },
        "zeroshot": {
            "penalty": PENALTY,
            "weights": numbers(weights),
            "loss": float(f"{zeroshot_loss:.9g}"),
        },
        "sweep": sweep(x, labels),
        "separable": {"examples": SEPARABLE, "c": LARGE_C, "loss": float(f"{separable_loss:.9g}")},
        "tip": {"examples": 50, "rows": 20, "alpha": ALPHA, "beta": BETA, "logits": numbers(tip)},
    }


def make(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    (target / "probe.json").write_text(json.dumps(contents()) + "\n", encoding="ascii")


def flat(value: object) -> list[float]:
    if isinstance(value, dict):
        return [number for key in sorted(value) for number in flat(value[key])]
    return [float(number) for number in (value if isinstance(value, list) else [value])]


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Writes or checks Tests/Fixtures/analysis/probe.json.")
    parser.add_argument("--check", action="store_true", help="compare with the existing file")
    if not parser.parse_args().check:
        return make(FIXTURES / "analysis")
    new = flat(contents())
    old = flat(json.loads((FIXTURES / "analysis" / "probe.json").read_text(encoding="ascii")))
    is_equal = len(new) == len(old) and np.allclose(new, old, rtol=1e-5, atol=1e-6)
    print("equal" if is_equal else "Tests/Fixtures/analysis/probe.json differs")
    sys.exit(not is_equal)


if __name__ == "__main__":
    main()
