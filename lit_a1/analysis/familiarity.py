"""How far an image lies from the training images: images of neither cat nor dog get a prediction all the same."""

import base64
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from lit_a1.analysis.calibration import fit_temperature
from lit_a1.analysis.network import Flags, Floats, Ints, TrainedNetwork

DIRECTIONS = 4  # with a variance of their own; chosen on digits and noise, which should be far
FLAGGED_SHARE = 0.05  # share of the validation images that count as unlike the training images
HALF = np.dtype("<f2")
VECTORS = ("means", "directions")


@dataclass(frozen=True)
class Familiarity:
    """Where the features of training images lie, by class, and which distance from there is unusual.

    Features x (F,) of the last layer are scaled to length one. With the means m_k (K,F) of the classes, their common
    principal directions v_r (R,F) with variances s_r, and the mean variance s in all other directions, the distance is

        d(x) = min_k  sum_r (v_r . (x - m_k))^2 / s_r  +  |rest of x - m_k|^2 / s

    This is Mahalanobis' distance to the nearest class (Lee et al. 2018, "A simple unified framework for detecting
    out-of-distribution samples", arXiv:1807.03888) with the covariance of a probabilistic PCA (Tipping & Bishop 1999).
    """

    means: Floats
    directions: Floats
    variances: Floats  # (R + 1,), the last one the mean in all other directions
    threshold: float  # of the distance: `FLAGGED_SHARE` of the validation images lie farther away

    @classmethod
    def fit(cls, features: NDArray[Any], labels: Ints, held_out: NDArray[Any]) -> Self:
        """From features (N,F) and labels (N,) (from 0) of training images, and features (M,F) of validation images."""
        scaled = unit(features)
        means = np.stack([scaled[labels == k].mean(0) for k in range(labels.max() + 1)])
        centred = scaled - means[labels]
        eigenvalues, eigenvectors = np.linalg.eigh(centred.T @ centred / len(centred))
        count = min(DIRECTIONS, len(eigenvalues) - 1)
        eigenvalues = np.maximum(eigenvalues, 1e-12)  # a few images do not vary in all directions
        directions = eigenvectors[:, ::-1][:, :count].T
        variances = np.append(eigenvalues[::-1][:count], eigenvalues[: len(eigenvalues) - count].mean())
        rounded = cls.from_note(cls(means, directions, variances, np.inf).note())  # as stored
        threshold = float(np.quantile(rounded.distances(held_out), 1 - FLAGGED_SHARE))
        return replace(rounded, threshold=threshold)

    def distances(self, features: NDArray[Any]) -> Floats:
        """d(x) (n,) of features (n,F)."""
        from_mean = unit(features) - self.means[:, None]  # (K,n,F)
        along = (from_mean @ self.directions.T) ** 2
        rest = (from_mean**2).sum(-1) - along.sum(-1)
        return (along @ (1 / self.variances[:-1]) + rest / self.variances[-1]).min(0)

    def unlike(self, features: NDArray[Any]) -> Flags:
        """Which (n,) of the images with features (n,F) are unlike the training images."""
        return self.distances(features) > self.threshold

    def note(self) -> dict[str, Any]:
        """The values for JSON, with vectors in half precision."""
        vectors = {name: base64.b64encode(getattr(self, name).astype(HALF).tobytes()).decode() for name in VECTORS}
        return vectors | {"variances": self.variances.tolist(), "threshold": self.threshold}

    @classmethod
    def from_note(cls, note: dict[str, Any]) -> Self:
        """Reads what `note` wrote."""
        variances = np.array(note["variances"])
        means, directions = (np.frombuffer(base64.b64decode(note[name]), HALF).astype(float) for name in VECTORS)
        directions = directions.reshape(len(variances) - 1, -1)
        return cls(means.reshape(-1, directions.shape[1]), directions, variances, note["threshold"])


def unit(features: NDArray[Any]) -> Floats:
    """Features (n,F) scaled to length one; zeros stay."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return np.divide(features, lengths, out=np.zeros(features.shape), where=lengths > 0)


def note_of(network: TrainedNetwork, images: NDArray[np.uint8], labels: Ints) -> dict[str, Any]:
    """What is published beside weights, so that they can judge images of any kind without a dataset.

    The temperature, fitted on the network's validation images, and the `Familiarity`, from these and from training
    images (N,H,W,C) with their labels (N,).
    """
    temperature = fit_temperature(network.log_probabilities.astype(np.float64), network.labels)
    familiarity = Familiarity.fit(network.with_images(images).features, labels, network.features)
    return {"temperature": round(temperature, 4), "familiarity": familiarity.note()}
