"""The functions of the numpy network: nonlinearities, initial weights, learning rate decay."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Labels = NDArray[np.integer]
DECAYS = ("constant", "linear", "cosine", "exponential")
LEAK = 0.01
GELU_C, GELU_K = (2 / np.pi) ** 0.5, 0.044715


# nonlinearities


def _relu(z: Array, out: Array) -> None:  # max(z, 0)
    np.maximum(z, np.zeros_like(z[0]), out=out)  # a row of zeros is three times as fast as the number 0


def _leaky_relu_slope(z: Array, a: Array) -> np.ndarray:  # 1 where z > 0, else LEAK
    return np.where(a > 0, a.dtype.type(1), a.dtype.type(LEAK))


def _sigmoid(z: Array, out: Array) -> None:  # 1 / (1 + exp(-z)) = (1 + tanh(z / 2)) / 2, which can't overflow
    np.multiply(z, 0.5, out=out)
    np.tanh(out, out=out)
    out += 1
    out *= 0.5


def _gelu(z: Array, out: Array) -> None:  # z (1 + t) / 2 with t = tanh(c (z + k z^3)) (Hendrycks & Gimpel, 2016)
    np.multiply(z, z, out=out)
    out *= GELU_C * GELU_K
    out += GELU_C
    out *= z
    np.tanh(out, out=out)
    out += 1
    out *= z
    out *= 0.5


def _gelu_slope(z: Array, a: Array) -> np.ndarray:  # (1 + t) / 2 + z (1 - t^2) c (1 + 3 k z^2) / 2
    square = z * z
    t = np.tanh(z * (GELU_C + GELU_C * GELU_K * square))
    return 0.5 * (1 + t) + 0.5 * z * (1 - t * t) * (GELU_C + 3 * GELU_C * GELU_K * square)


NONLINEARITIES: dict[str, tuple[Callable[[Array, Array], object], Callable[[Array, Array], np.ndarray]]] = {
    "relu": (_relu, lambda z, a: a > 0),  # f' is 0 at the kink
    "leaky_relu": (lambda z, out: np.maximum(z, LEAK * z, out=out), _leaky_relu_slope),  # (Maas et al., 2013)
    "tanh": (lambda z, out: np.tanh(z, out=out), lambda z, a: 1 - a * a),
    "sigmoid": (_sigmoid, lambda z, a: a * (1 - a)),
    "gelu": (_gelu, _gelu_slope),
}
"""f and f' by name. `f(z, out)` writes f(z) into `out`; `f'(z, a)` returns the slope, where a = f(z).

All but GELU work in place: `out` may be z itself, and f' needs only a.
"""


# initial weights


def _glorot(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    d = np.sqrt(6 / sum(shape))
    return rng.uniform(-d, d, shape)


INITIALIZATIONS: dict[str, Callable[[tuple[int, ...], np.random.Generator], Array]] = {
    "zero": lambda shape, rng: np.zeros(shape),
    "normal": lambda shape, rng: rng.standard_normal(shape),
    "glorot": _glorot,
}
"""Draws the weights of one layer, of shape (fan_in, fan_out)."""


# loss and learning rate


def maxima(rows: Array) -> Array:
    """The largest number of each row, (N, 1), found by its index, which numpy finds faster than the number itself."""
    return rows[np.arange(len(rows)), rows.argmax(axis=1)][:, None]


def decay_factor(decay: str, done: float, epoch: int, rate: float) -> float:
    """The factor on the initial learning rate after `epoch` epochs, a share `done` of all steps.

    Linear and cosine decay reach zero at the end; exponential decay multiplies by `rate` each epoch.
    """
    if decay == "linear":
        return max(0.0, 1 - done)
    if decay == "cosine":
        return float(1 + np.cos(np.pi * min(1.0, done))) / 2
    return rate**epoch if decay == "exponential" else 1.0
