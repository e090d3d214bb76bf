"""Prints the coefficients in Sources/CKernels/polynomials.h.

With a >= 0, the tail of the normal distribution is
    erfc(a / sqrt(2)) / 2 = exp(-a * a / 2) * t * P(t),   t = 1 / (1 + p a),
and P is the minimax polynomial of the relative error (Remez exchange). The same holds for
    exp(r) = 1 + r + r * r * Q(r),   |r| <= log(2) / 2.
Needs NumPy and SciPy.
"""
import numpy as np
from scipy.special import erfcx


def remez(basis, target, x, rounds=60):
    """Returns the c of the least max |basis(x) @ c - target(x)| on the grid x, and the maximum."""
    count = basis(x[:1]).shape[1] + 1
    nodes = (len(x) - 1) * (1 - np.cos(np.pi * np.arange(count) / (count - 1))) / 2
    nodes = nodes.round().astype(int)
    sign = (-1.0) ** np.arange(count)
    for _ in range(rounds):
        matrix = np.column_stack([basis(x[nodes]), sign])
        c = np.linalg.solve(matrix, target(x[nodes]))[:-1]
        error = basis(x) @ c - target(x)
        # One extremum per interval of equal sign.
        breaks = np.flatnonzero(np.diff(np.sign(error)) != 0) + 1
        stretches = np.split(np.arange(len(x)), breaks)
        peaks = np.array([s[np.argmax(np.abs(error[s]))] for s in stretches])
        if len(peaks) < count or (peaks[:count] == nodes).all():
            break
        nodes = peaks[:count]
    return c, np.abs(error).max()


def fit_tail(p, degree, largest=13.3):
    smallest = 1 / (1 + p * largest)
    t = smallest + (1 - smallest) * (1 - np.cos(np.linspace(0, np.pi, 20001))) / 2
    # erfcx is erfc without the exponential.
    wanted = lambda t: erfcx((1 / t - 1) / p / np.sqrt(2))[:, None] / 2
    basis = lambda t: t[:, None] ** np.arange(1, degree + 2) / wanted(t)
    return remez(basis, np.ones_like, t)


def fit_exp(degree):
    r = np.log(2) / 2 * 1.001 * -np.cos(np.linspace(0, np.pi, 20002))
    basis = lambda r: r[:, None] ** np.arange(2, degree + 1) / np.exp(r)[:, None]
    return remez(basis, lambda r: (np.exp(r) - 1 - r) / np.exp(r), r)


def show(name, coefficients, error):
    print(f"// {name}: relative error {error:.1e}")
    for power, c in enumerate(coefficients):
        print(f"    {np.float32(c):+.9e}f,  // {power}")


if __name__ == "__main__":
    p = 17 / 64
    show(f"P, p = {p}", *fit_tail(p, 8))
    show("Q", *fit_exp(6))
