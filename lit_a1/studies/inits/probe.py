"""What the study of initializations measures in a network: spread of z and delta, dead units, changes of weights."""

import math
from typing import NamedTuple

import numpy as np

from lit_a1.mlp.network import EVAL_BATCH_SIZE, NN, NONLINEARITIES, Array
from lit_a1.mlp.setup import Examples
from lit_a1.runs.records import Metrics

FLAT = 0.01  # |f'| at or below which a unit passes almost no gradient; leaky ReLU's flat side has exactly this
CONFIDENT = 0.99  # probability
BOUNDED = ("tanh", "sigmoid")
Moments = tuple[int, float, float]  # how many numbers, their mean and their variance


class State(NamedTuple):
    """Statistics of a network on the training images; not finite if its parameters are not."""

    z: list[float]  # standard deviation of each layer's pre-activations, over units and images; the last are the logits
    delta: list[float]  # likewise of dL/dz, with L the loss of one image
    slope: list[float]  # root mean square of f'(z) in each hidden layer
    flat: list[float]  # share of each hidden layer's f'(z) with |f'(z)| <= `FLAT`
    stuck: list[float]  # share of dead units (always flat); for a bounded f, of saturated ones (mean |f'| <= `FLAT`)
    confident: float  # share of images for which a class has a probability above `CONFIDENT`


class Trial(NamedTuple):
    """One initialization: its curve, and the measurements that explain it, layer by layer."""

    name: str
    epochs: list[Metrics]  # loss and error before training (epoch 0) and after each epoch
    before: State
    after: State
    first_step: list[float]  # this and the next two: returned by the functions of these names
    moved: list[tuple[float, float]]
    unlike: list[float]

    @property
    def label(self) -> str:
        """The name in words."""
        return "standard normal" if self.name == "normal" else self.name.replace("glorot", "Glorot")

    @property
    def last(self) -> Metrics:
        """The metrics of the last epoch."""
        return self.epochs[-1]

    @property
    def losses(self) -> list[float]:
        """The losses on the training set, from before training on."""
        return [row["train/loss"] for row in self.epochs]

    @property
    def diverged(self) -> int | None:
        """The first epoch that ended with a loss that is not finite, if any."""
        return next((int(row["epoch"]) for row in self.epochs if not math.isfinite(row["train/loss"])), None)


def probe(net: NN, examples: Examples) -> State:
    """Propagates all images forward, and the derivatives of their losses back, without dropout or learning.

    For one image, with delta_k = dL/dz_k::

        delta_last = p - onehot(y)          delta_{k-1} = (delta_k W_k^T) * f'(z_{k-1})
    """
    slope_of = NONLINEARITIES[net.nonlinearity][1]
    z_parts, delta_parts = ([list[Moments]() for _ in net.weights] for _ in range(2))
    units = [np.zeros((4, n)) for n in net.dims[1:-1]]  # sums of |f'|, f'^2 and [|f'| <= FLAT], and the largest |f'|
    count, confident = len(examples.labels), 0
    for start in range(0, count, EVAL_BATCH_SIZE):
        h, labels = examples.images[start : start + EVAL_BATCH_SIZE], examples.labels[start : start + EVAL_BATCH_SIZE]
        slopes = []
        for k, (weights, biases) in enumerate(zip(net.weights, net.biases, strict=True)):
            z = h @ weights + biases
            z_parts[k].append(_moments(z))
            if k < net.n_hidden:
                h = net.activation(z)
                slopes.append(slope_of(z, h).astype(net.dtype))
        delta = net.softmax(z)
        confident += int(np.count_nonzero(delta.max(axis=1) > CONFIDENT))
        delta[np.arange(len(labels)), labels] -= 1
        delta_parts[-1].append(_moments(delta))
        for k in reversed(range(net.n_hidden)):
            delta = (delta @ net.weights[k + 1].T) * slopes[k]
            delta_parts[k].append(_moments(delta))
            size = np.abs(slopes[k])
            units[k][:3] += size.sum(axis=0), (size * size).sum(axis=0), np.count_nonzero(size <= FLAT, axis=0)
            np.maximum(units[k][3], size.max(axis=0), out=units[k][3])
    # comparisons with NaN are false, so shares would be wrong
    unknown = 0.0 if np.isfinite(net.parameters).all() else math.nan
    flattest = [totals[0] / count if net.nonlinearity in BOUNDED else totals[3] for totals in units]
    return State(
        z=list(map(_std, z_parts)),
        delta=list(map(_std, delta_parts)),
        slope=[unknown + math.sqrt(totals[1].mean() / count) for totals in units],
        flat=[unknown + float(totals[2].mean()) / count for totals in units],
        stuck=[unknown + float(np.mean(sizes <= FLAT)) for sizes in flattest],
        confident=unknown + confident / count,
    )


def _moments(values: Array) -> Moments:
    return values.size, float(values.mean(dtype=float)), float(values.var(dtype=float))


def _std(parts: list[Moments]) -> float:
    """Standard deviation of numbers given in parts, from the variance within the parts and between their means."""
    sizes, means, variances = np.array(parts).T
    between = (means - np.average(means, weights=sizes)) ** 2
    return math.sqrt(np.average(variances + between, weights=sizes))


def first_step(net: NN, examples: Examples) -> list[float]:
    """Takes a step on the first mini-batch; returns for each layer |step| / |weights| (NaN if the weights are 0)."""
    start = [weights.copy() for weights in net.weights]
    net.forward(examples.images[: net.batch_size])
    net.update(net.backward(examples.labels[: net.batch_size], net.lr), net.lr)
    pairs = zip(net.weights, start, strict=True)
    sizes = [(np.linalg.norm((new - old).astype(float)), np.linalg.norm(old.astype(float))) for new, old in pairs]
    return [float(step / weights) if weights else math.nan for step, weights in sizes]


def moved(net: NN, start: NN) -> list[tuple[float, float]]:
    """Largest change of a weight and of a bias in each layer since the start."""
    layers = zip(net.weights, start.weights, net.biases, start.biases, strict=True)
    return [(float(np.abs(w - old_w).max()), float(np.abs(b - old_b).max())) for w, old_w, b, old_b in layers]


def unlike(net: NN) -> list[float]:
    """How much the units of each hidden layer differ: the largest difference between two units' weights or biases.

    It covers incoming and outgoing weights, is relative to the largest of all these values, and 0 if all are zero.
    """
    differences = []
    for k in range(net.n_hidden):
        units = np.vstack((net.weights[k], net.biases[k], net.weights[k + 1].T))  # a column a unit
        largest = np.abs(units).max()
        differences.append(float(np.ptp(units, axis=1).max() / largest) if largest != 0 else 0.0)
    return differences
