"""How true probabilities are: expected calibration error, Brier score, log-likelihood, and the temperature."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

Floats = NDArray[np.float64]

BINS = 15  # as Guo et al. 2017
DRAWS = 1000  # of labels, and of the bootstrap
COLDEST, HOTTEST = 0.05, 20.0  # temperatures that are searched
_AT_ONCE = 100  # draws


class Bin(NamedTuple):
    """Pictures whose answers have a probability in (low, high]."""

    low: float
    high: float
    pictures: int
    probability: float
    """Mean of the answers'."""
    right: float
    """Share."""


class Score(NamedTuple):
    """How good log-probabilities are."""

    nll: float
    """Mean negative log-likelihood of the true class, nats."""
    brier: float
    """Mean over pictures of the squared distance to the truth, summed over classes: 0 to 2 (Brier 1950)."""
    ece: float
    """Expected calibration error, a share."""


class Chance(NamedTuple):
    """What is measured on labels that are drawn from the stated probabilities."""

    ece: Floats
    """(draws,)."""
    right: Floats
    """(draws,) share of the pictures."""


def places(probability: Floats) -> NDArray[np.int64]:
    """The bin (N,) of each answer's probability: `BINS` of equal width, closed above."""
    return np.clip(np.ceil(probability * BINS).astype(np.int64) - 1, 0, BINS - 1)


def reliability(probability: Floats, right: NDArray[np.bool_]) -> list[Bin]:
    """The bins that have pictures, the lowest first.

    Args:
        probability: (N,) of the answer.
        right: (N,).
    """
    place = places(probability)
    return [
        Bin(k / BINS, (k + 1) / BINS, int((inside := place == k).sum()), float(probability[inside].mean()),
            float(right[inside].mean()))
        for k in np.unique(place).tolist()
    ]  # fmt: skip


def calibration_error(probability: Floats, right: NDArray[np.bool_]) -> float:
    """Expected calibration error: sum over bins of |bin| / N |share right - mean probability|.

    Source: Guo et al. 2017 ("On calibration of modern neural networks", arXiv:1706.04599), equation 3.

    Args:
        probability: (N,) of the answer.
        right: (N,).
    """
    return sum(
        each.pictures / len(right) * abs(each.right - each.probability) for each in reliability(probability, right)
    )


def by_chance(probability: Floats, seed: int = 0) -> Chance:
    """What perfectly calibrated answers show: each is right with its probability, `DRAWS` times over all pictures.

    Args:
        probability: (N,) of the answer.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    inside = np.eye(BINS)[places(probability)]  # (N,BINS)
    stated = probability @ inside
    errors, shares = [], []
    for _ in range(0, DRAWS, _AT_ONCE):
        right = rng.random((_AT_ONCE, len(probability))) < probability
        errors.append(np.abs(right @ inside - stated).sum(1) / len(probability))
        shares.append(right.mean(1))
    return Chance(np.concatenate(errors), np.concatenate(shares))


def score(log_probabilities: Floats, labels: NDArray[np.int64]) -> Score:
    """Scores log-probabilities (N,K) against labels (N,)."""
    probabilities = np.exp(log_probabilities)
    truth = np.eye(probabilities.shape[1])[labels]
    answers = log_probabilities.argmax(1)
    ece = calibration_error(probabilities.max(1), answers == labels)
    brier = float(((probabilities - truth) ** 2).sum(1).mean())
    return Score(float(likelihoods(log_probabilities, labels).mean()), brier, ece)


def likelihoods(log_probabilities: Floats, labels: NDArray[np.int64]) -> Floats:
    """Negative log-likelihood (N,) of the true class, nats."""
    return -log_probabilities[np.arange(len(labels)), labels]


def scaled(log_probabilities: Floats, temperature: float) -> Floats:
    """Log-probabilities (N,K) divided by a temperature and normalised again (Guo et al. 2017, equation 9)."""
    return log_softmax(log_probabilities / temperature, axis=1)


def fit_temperature(log_probabilities: Floats, labels: NDArray[np.int64]) -> float:
    """The temperature in [COLDEST, HOTTEST] at which the negative log-likelihood is least, either end included.

    Args:
        log_probabilities: (N,K).
        labels: (N,).
    """

    def loss(temperature: float) -> float:
        return float(likelihoods(scaled(log_probabilities, temperature), labels).mean())

    found = minimize_scalar(
        lambda log_temperature: loss(np.exp(log_temperature)),
        bounds=(np.log(COLDEST), np.log(HOTTEST)),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return min((COLDEST, HOTTEST, float(np.exp(found.x))), key=loss)  # the search stops short of a flat end


def halves(labels: NDArray[np.int64], seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divides pictures at random into two halves, with as many of each class in either (but for one).

    Args:
        labels: (N,).
        seed: of the division.

    Returns:
        Rows of either half, in ascending order.
    """
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(np.flatnonzero(labels == k)) for k in np.unique(labels)])
    return np.sort(order[::2]), np.sort(order[1::2])


def mean_interval(values: Floats, seed: int = 0) -> tuple[float, float]:
    """95 % interval of a mean by the bootstrap's percentiles (Efron 1979), pictures drawn with replacement.

    Args:
        values: (N,), one a picture.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    means = [values[rng.integers(len(values), size=len(values))].mean() for _ in range(DRAWS)]
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)
