"""Chooses pictures to show, always the same ones: rows of a subject, the first in each list the clearest case.

Margins are differences of log-probabilities (`Subject.margins`). Of equal cases the earlier row comes first. Fewer rows
than were asked for come back where there are no more.
"""

import numpy as np
from numpy.typing import NDArray

from lit_a1.analysis.subject import Subject

Rows = NDArray[np.int64]


def surest_right(subject: Subject, class_: int, count: int) -> Rows:
    """Pictures of a class that the network tells well, the largest margin first.

    Args:
        subject: the network and its pictures.
        class_: number of the class.
        count: rows at most.
    """
    return _first(-subject.margins(), subject.right & (subject.labels == class_), count)


def surest_wrong(subject: Subject, count: int) -> Rows:
    """Pictures that it takes for something else, of any class, the largest margin for the wrong class first."""
    return _first(subject.margins(), ~subject.right, count)


def nearest_even(subject: Subject, count: int) -> Rows:
    """Pictures, told well or not, between whose two likeliest classes it is least decided: the smallest margins."""
    return _first(np.abs(subject.margins()), np.ones(len(subject.labels), np.bool_), count)


def typical(subject: Subject, class_: int, count: int) -> Rows:
    """Pictures of a class that it tells well and whose features are the most like those of their class.

    Likeness is the cosine to the mean feature of all the class's pictures; a picture without any active feature comes
    last.

    Args:
        subject: the network and its pictures.
        class_: number of the class.
        count: rows at most.
    """
    of_class = subject.labels == class_
    if not of_class.any():
        return np.empty(0, np.int64)
    mean = subject.features[of_class].mean(0)
    lengths = np.linalg.norm(subject.features, axis=1) * np.linalg.norm(mean)
    cosines = np.divide(subject.features @ mean, lengths, out=np.full_like(lengths, -1), where=lengths > 0)
    return _first(-cosines, subject.right & of_class, count)


def _first(values: NDArray[np.float32], among: NDArray[np.bool_], count: int) -> Rows:
    """The rows of the smallest values, in their order."""
    rows = np.flatnonzero(among)
    return rows[np.argsort(values[rows], kind="stable")][:count].astype(np.int64)
