"""MNIST as uint8 arrays in its usual split, or drawn digits if MNIST is unavailable."""

import logging
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from lit_a1.data.errors import DataError
from lit_a1.data.sources.drawn import SIDE, draw_digits
from lit_a1.data.sources.layouts import data_root
from lit_a1.data.sources.mnist import DOWNLOADS, PUBLISHED, Files, fetch_mnist, find_mnist, read_idx

SourceName = Literal["auto", "real", "drawn"]

DRAWN_TRAIN, DRAWN_VALID, DRAWN_TEST = 10_000, 2000, 2000
NO_MNIST = "NO MNIST: THIS RUN USES DRAWN DIGITS. Its figures say nothing about MNIST."

log = logging.getLogger(__name__)


class LabelledSplit(NamedTuple):
    """N labelled images, for training, validation or test."""

    images: NDArray[np.uint8]  # (N,28,28), white on black
    labels: NDArray[np.int64]  # (N,), the digits 0 to 9


class Mnist(NamedTuple):
    """A set of digits in three splits."""

    train: LabelledSplit
    valid: LabelledSplit
    test: LabelledSplit
    drawn: bool  # whether the digits are a stand-in, drawn by this project
    origin: str  # the folder of the files, or what replaces them


def load_mnist(source: SourceName = "auto") -> Mnist:
    """Finds or downloads MNIST, and reads it in its usual split.

    The last 10,000 images of the training file are the validation set, the 50,000 before them the training set; the
    test file is the test set. In a smaller training file, the validation set is the last sixth. Fashion-MNIST and other
    datasets in the same layout can replace MNIST: only downloads are compared with MNIST's checksums.

    The `source` is `auto` (what is on disk, else downloaded, else drawn digits), `real` (never drawn digits: raises a
    DataError if MNIST is unavailable) or `drawn`. The files are looked for in the folder that LIT_A1_DATA names, else
    in `data`, or in its sub-folders `mnist` and `MNIST/raw`.
    """
    files = locate_mnist(source)
    return draw_mnist() if files is None else read_mnist(files)


def locate_mnist(source: SourceName) -> Files | None:
    """Where the four files are, after downloading them if need be; None for drawn digits."""
    check_source(source)
    if source == "drawn":
        return None
    if (files := find_mnist()) is not None:
        return files
    missing = f"No MNIST below {data_root().resolve()}: looked for {', '.join(PUBLISHED)}, .gz or not"
    log.info("%s. Fetching it (11 MB) to %s.", missing, DOWNLOADS)
    try:
        return fetch_mnist()
    except DataError as error:
        if source == "real":
            raise DataError(f"{missing}; and it cannot be fetched: {error}") from error
        log.warning("%s", error)
        return None


def check_source(source: str) -> None:
    """Raises a ValueError for an unknown source."""
    if source not in get_args(SourceName):
        raise ValueError(f"source must be auto, real or drawn; got {source!r}")


def read_mnist(files: Files, n_valid: int | None = None) -> Mnist:
    """Reads the four files, checks that they fit together, and splits the training file.

    Its last `n_valid` images are the validation set; for None, 10,000 or a sixth of the file, whichever is less.
    """
    (images, labels), test = _read_pair(files, "train"), _read_pair(files, "t10k")
    n_valid = n_valid or min(10_000, max(1, len(labels) // 6))
    n_train = len(labels) - n_valid
    if n_train < 1:
        problem = f"has {len(labels):,} labels: n_valid={n_valid} leaves none to train on"
        raise DataError(f"{files['train-labels-idx1-ubyte']} {problem}.")
    train, valid = LabelledSplit(images[:n_train], labels[:n_train]), LabelledSplit(images[n_train:], labels[n_train:])
    origin, counts = str(files["train-images-idx3-ubyte"].parent), [len(part.labels) for part in (train, valid, test)]
    log.info("%s: %d images for training, %d for validation, %d for the test.", origin, *counts)
    return Mnist(train, valid, test, drawn=False, origin=origin)


def draw_mnist() -> Mnist:
    """Draws the stand-in: three splits, each from its own seed."""
    log.warning("%s\n%s\n%s", "=" * 100, NO_MNIST, "=" * 100)
    counts = (DRAWN_TRAIN, DRAWN_VALID, DRAWN_TEST)
    log.info("Drawn digits: %d for training, %d for validation, %d for the test.", *counts)
    train, valid, test = (LabelledSplit(*draw_digits(count, seed)) for seed, count in enumerate(counts))
    return Mnist(train, valid, test, drawn=True, origin="drawn digits")


def _read_pair(files: Files, name: str) -> LabelledSplit:
    images_path, labels_path = files[f"{name}-images-idx3-ubyte"], files[f"{name}-labels-idx1-ubyte"]
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.shape[1:] != (SIDE, SIDE):
        expected = f"images of the shape (N, {SIDE}, {SIDE})"
        raise DataError(f"{images_path} must hold {expected}; its shape is {images.shape}.")
    if labels.ndim != 1:
        raise DataError(f"{labels_path} must hold labels of the shape (N,); its shape is {labels.shape}.")
    if len(images) != len(labels):
        raise DataError(f"{images_path} has {len(images):,} images, but {labels_path} has {len(labels):,} labels.")
    if labels.max() > 9:
        raise DataError(f"{labels_path} has the label {labels.max()}; labels are 0 to 9.")
    return LabelledSplit(images, labels.astype(np.int64))
