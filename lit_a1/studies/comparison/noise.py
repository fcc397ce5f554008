"""Why noise makes a network fail: remedies for trained networks, in the images or in the batch norms."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from lit_a1.studies.comparison.changes import noisy
from lit_a1.studies.comparison.networks import Network

REMEDY_LEVELS = (0.1, 0.3)  # standard deviations of the noise that remedies are tried on, as shares of white


def try_remedies(
    networks: Sequence[Network],
    valid: Tensor,
    test: Tensor,
    digits: NDArray[np.int64],
    predictions: Mapping[float, NDArray[np.int64]],
) -> pd.DataFrame:
    """The errors of networks, one a run, on noisy test images, with and without remedies.

    `valid` and `test` are images (N,1,28,28) in [0,1], and `digits` (N,) the test labels. `predictions` (runs, N) for
    noisy test images are given by the standard deviation of the noise.

    Returns a row for each run `k`, noise level and remedy `tried`: the `error`, the digit predicted most often
    (`commonest`) and the `share` of images with that prediction. Remedies: `nothing`; `brightness`, which gives noisy
    images the mean and standard deviation of the others; `batch norm`, which uses the statistics of noisy images.
    """
    rows = [(k, level, "nothing", pred) for level, preds in predictions.items() for k, pred in enumerate(preds)]
    for level in REMEDY_LEVELS:
        noisy_test, noisy_valid = noisy(test, level), noisy(valid, level)
        restored = (noisy_test - noisy_test.mean()) / noisy_test.std() * test.std() + test.mean()
        for k, network in enumerate(networks):
            rows.append((k, level, "brightness", network.predict(restored)))
            if (adapted := network.with_statistics_of(noisy_valid)) is not None:
                rows.append((k, level, "batch norm", adapted.predict(noisy_test)))
    return pd.DataFrame([
        {"k": k, "level": level, "tried": remedy, "error": float((pred != digits).mean()), **commonest(pred)}
        for k, level, remedy, pred in rows
    ])  # fmt: skip


def commonest(predictions: NDArray[np.int64]) -> dict[str, float]:
    """The digit predicted most often, and the share of images with that prediction."""
    counts = np.bincount(predictions, minlength=10)
    return {"commonest": int(counts.argmax()), "share": float(counts.max() / counts.sum())}
