"""Central differences of the loss with respect to first-layer weights, backpropagation, and their comparison."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_a1.mlp.network import NN, Array, Labels

STEPS = np.array([k * 10**i for i in range(6) for k in (1, 5)])  # the assignment's twelve N; epsilon = 1/N
UNIT = 2.0**-53  # largest relative rounding error in float64
MARGIN = 30  # differences above this many times the estimated round-off have another cause
SMALL = 10_000  # from this N on, truncation (epsilon^2) is too small to affect the verdict
TOLERANCE = 1e-4  # relative error that a correct gradient may seem to have for reasons other than round-off
KINKED = ("relu", "leaky_relu")


@dataclass(frozen=True)
class Differences:
    """Derivatives of the loss L with respect to some first-layer weights, by backpropagation and central differences.

    Weights are numbered as in the assignment's matrix W1 (units, pixels), row by row, starting with unit 0, pixel 0.
    """

    index: NDArray[np.integer]  # (p,), the number of each weight
    analytic: Array  # (p,), by backpropagation
    numeric: Array  # (p, 12), (L(w + epsilon) - L(w - epsilon)) / (2 epsilon)
    crossed: NDArray[np.bool_]  # (p, 12), whether a hidden unit crosses its kink between w - epsilon and w + epsilon

    @property
    def absolute(self) -> Array:
        """(p, 12), |numeric - analytic|."""
        return np.abs(self.numeric - self.analytic[:, None])

    @property
    def usable(self) -> NDArray[np.bool_]:
        """(p, 12), whether the difference is finite and no kink is crossed."""
        return ~self.crossed & np.isfinite(self.absolute)

    def largest(self, *, smooth: bool = False) -> Array:
        """(12,), the maximum over the weights, or if `smooth` over those that cross no kink; NaN if there are none."""
        mask = self.usable if smooth else np.isfinite(self.absolute)
        largest = np.where(mask, self.absolute, -1).max(axis=0, initial=-1)
        return np.where(largest >= 0, largest, np.nan)

    def wrong(self, roundoff: float) -> NDArray[np.bool_]:
        """(p,), whether at small epsilon the two derivatives differ by more than round-off and `TOLERANCE` allow."""
        allowed = MARGIN * roundoff * STEPS + TOLERANCE * np.abs(self.analytic)[:, None]
        return np.any(((self.absolute > allowed) & self.usable)[:, STEPS >= SMALL], axis=1)


def backprop(net: NN, x: Array, y: Labels) -> Array:
    """dL/dW1, flat, in the order of `Differences`."""
    net.forward(x)
    return net.backward(y)[: net.weights[0].size].reshape(net.weights[0].shape).T.flatten()


def compare(net: NN, x: Array, y: Labels, index: NDArray[np.integer]) -> Differences:
    """Central differences and backpropagation, without dropout, for one sample: x (1, pixels) and its label y (1,).

    The weights `index` (p,), numbered as in `Differences`, of `net` (float64) are changed and then restored.
    """
    matrix = net.weights[0].T  # (units, pixels), a view
    numeric = np.empty((len(index), len(STEPS)))
    crossed = np.zeros(numeric.shape, dtype=bool)
    signs = _signs(net, x)
    for i, position in enumerate(zip(*np.unravel_index(index, matrix.shape), strict=True)):
        weight = matrix[position]
        for j, epsilon in enumerate(1 / STEPS):
            losses = []
            for moved in (weight + epsilon, weight - epsilon):
                matrix[position] = moved
                losses.append(net.loss(net.forward(x), y))
                # both ends are enough: until a unit crosses its kink, the later layers change linearly
                crossed[i, j] |= net.nonlinearity in KINKED and bool((_signs(net, x) != signs).any())
            numeric[i, j] = (losses[0] - losses[1]) / (2 * epsilon)
        matrix[position] = weight
    return Differences(index, backprop(net, x, y)[index], numeric, crossed)


def _signs(net: NN, x: Array) -> NDArray[np.bool_]:
    """Whether the pre-activation of each hidden unit is above 0."""
    signs = []
    for weights, biases in zip(net.weights[:-1], net.biases[:-1], strict=True):
        z = x @ weights + biases
        signs.append(z[0] > 0)
        x = net.activation(z)
    return np.concatenate(signs)


@dataclass(frozen=True)
class Findings:
    """Findings from the differences; None if they don't show it."""

    loss: float
    roundoff: float  # estimated error e of the computed L: u (max(1, L) + sum_j |dL/dz_j z_j|), logits z, u = 2^-53
    best_n: int | None = None  # the N with the smallest maximum over the weights
    smallest: float | None = None  # that maximum
    fitted: int = 0  # differences without kink dominated by truncation, for weights that have two or more
    fitted_n: tuple[int, int] | None = None  # the first and last N of the fitted differences
    slope: float | None = None  # of log |difference| against log N in the fit, with a constant for each weight
    third: float | None = None  # largest |L'''| = |d^3 L / dw^3|, from |difference| = |L'''| / (6 N^2)
    optimum: float | None = None  # epsilon that minimises epsilon^2 |L'''| / 6 + e / epsilon: (3 e / |L'''|)^(1/3)
    right_slope: float | None = None  # of log max |difference| against log N beyond `best_n`
    right_factor: float | None = None  # geometric mean of max |difference| / N beyond `best_n`
    right_points: int = 0  # number of N beyond `best_n` that were used


def examine(net: NN, x: Array, y: Labels, differences: Differences) -> Findings:
    """Fits the two arms of the differences: truncation to the left of `best_n`, round-off to the right."""
    logits = net.forward(x).copy()
    slopes = net.softmax(logits)
    slopes[0, y[0]] -= 1
    loss = net.loss(logits, y)
    roundoff = UNIT * (max(1.0, loss) + float(np.abs(slopes * logits).sum()))
    largest = differences.largest()
    if not (np.isfinite(roundoff) and np.isfinite(largest).any()):
        return Findings(loss, roundoff)
    best = int(np.nanargmin(largest))
    findings: dict[str, Any] = {"best_n": int(STEPS[best]), "smallest": float(largest[best])}

    left = differences.usable & (differences.absolute > MARGIN * roundoff * STEPS) & (best >= np.arange(len(STEPS)))
    left &= left.sum(axis=1, keepdims=True) > 1
    if left.any():
        rows = [(STEPS[row], errors[row]) for row, errors in zip(left, differences.absolute, strict=True) if row.any()]
        n = STEPS[left.any(axis=0)]
        findings |= {"fitted": int(left.sum()), "fitted_n": (int(n[0]), int(n[-1])), "slope": _slope(rows)}
        if abs(findings["slope"] + 2) < 0.5:  # otherwise it is not truncation
            third = 6 * max(float(np.median(values * n_values**2.0)) for n_values, values in rows)
            findings |= {"third": third, "optimum": (3 * roundoff / third) ** (1 / 3)}
    right = (best < np.arange(len(STEPS))) & (np.nan_to_num(largest) > 0)
    if right.sum() > 1:
        n, arm = STEPS[right], largest[right]
        findings |= {"right_slope": _slope([(n, arm)]), "right_points": len(n)}
        findings["right_factor"] = float(np.exp(np.log(arm / n).mean()))
    return Findings(loss, roundoff, **findings)


def _slope(groups: list[tuple[Array, Array]]) -> float:
    """The slope of the least-squares fit log y = constant of the group + slope log x."""
    x, y = (np.concatenate([np.log(group[i]) - np.log(group[i]).mean() for group in groups]) for i in (0, 1))
    return float(x @ y / (x @ x))
