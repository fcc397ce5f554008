"""Training set, validation set and folds: seeded, stratified, and with all copies of an image on one side."""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lit_a1.data.cache import DecodedImages
from lit_a1.data.errors import DataError
from lit_a1.data.files import write_csv
from lit_a1.data.near_copies import near_copies

COLUMNS = ["name", "label", "part", "group", "reason"]
CONFLICT = "its copies carry different labels"
IN_TEST = "a copy of it is in the test set"
COURSE_TEST = (  # pixel hashes of the course's training photos that are in its test set too, which may be absent
    *("d0940614c2c61338", "782cff4c0baaa429", "7ccdee706dd89b98", "b58caf86ffe6ed55", "b3b8cc74eed5ece8"),
    *("4189ab5d620f66cc", "a9a8d64feef6dc44", "c9d64477cfbcdf59", "cf6bada1170f7824"),
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Split:
    """Which image goes where. Values are indices into a `DecodedImages`; each image is in exactly one of the three."""

    train: NDArray[np.int64]  # ascending
    valid: NDArray[np.int64]  # ascending
    left_out: dict[int, str]  # why an image is in neither part


def split(
    images: DecodedImages, n_valid: int, seed: int, *, test: DecodedImages | None = None, near: bool = False
) -> Split:
    """Splits a labelled set into a training set and a validation set.

    Exact copies (of the decoded pixels) form a group, which is never divided. Both sets leave out groups with several
    labels, and images with a copy in `test` or in the course's test set, whose hashes at 64x64 pixels are known. With
    `near`, copies of `test` in another size or compression count too. Groups enter the validation set in the order of
    SHA-256(seed, first name), class by class. The same images, names and seed therefore give the same split on any
    machine and with any version of NumPy.

    Each class has a share of the `n_valid` in proportion to its size, exact to the image. A class falls short only if
    it lacks images without a copy, and by less than its largest group.

    Raises:
        DataError: `n_valid` is negative or leaves a class without training images, or every image of some
            class is left out.
    """
    assert images.labels is not None
    labels, left_out = images.labels, _left_out(images, images.labels, test, near)
    sizes = np.bincount(np.delete(labels, list(left_out)), minlength=len(images.classes))
    if not sizes.all():
        raise DataError(f"Every image of the class {images.classes[int(sizes.argmin())]} is left out of the split.")
    quotas = _quotas(sizes, max(n_valid, 0))
    if n_valid < 0 or (quotas >= sizes).any():
        counts = ", ".join(f"{count} {name}" for count, name in zip(sizes, images.classes, strict=True))
        raise DataError(f"n_valid must be 0 or more and leave training images of each class ({counts}), got {n_valid}.")
    valid: list[int] = []
    for block in _blocks(images, left_out, seed):
        label = labels[block[0]]
        if len(block) <= quotas[label]:
            quotas[label] -= len(block)
            valid += block
    is_not_train = np.zeros(len(images), dtype=bool)
    is_not_train[[*valid, *left_out]] = True
    return Split(np.flatnonzero(~is_not_train), np.array(sorted(valid), dtype=np.int64), left_out)


def fold_numbers(
    images: DecodedImages, folds: int, seed: int, *, test: DecodedImages | None = None, near: bool = False
) -> NDArray[np.int64]:
    """The fold of each image (N,) in a cross-validation, from 1 on; 0 for an image that `split` would leave out.

    A group of copies is in one fold. The largest groups come first; groups of one size are in the order of `split`.
    Each goes to the fold with the fewest images of its class; among equals, to the one with the fewest images in all.
    So folds differ by at most one image of a class, unless a class has too few images without a copy.

    Raises:
        DataError: a class has fewer groups (single images count) than there are folds.
    """
    assert images.labels is not None
    blocks = _blocks(images, _left_out(images, images.labels, test, near), seed)
    label_of = images.labels.tolist()
    groups = np.bincount([label_of[block[0]] for block in blocks], minlength=len(images.classes))
    if groups.min() < folds:
        photo_counts = ", ".join(f"{count} {name}" for count, name in zip(groups, images.classes, strict=True))
        raise DataError(f"{folds} folds need as many different photos of each class; there are {photo_counts}.")
    counts = np.zeros((len(images.classes), folds), dtype=np.int64)
    numbers = np.zeros(len(images), dtype=np.int64)
    for block in sorted(blocks, key=len, reverse=True):
        label = label_of[block[0]]
        fold = np.lexsort((counts.sum(0), counts[label]))[0]  # the last key counts first
        counts[label, fold] += len(block)
        numbers[block] = fold + 1
    return numbers


def write_split_csv(path: Path, images: DecodedImages, parts: Split) -> None:
    """Writes one line per image: name, class, part (train, valid, left_out), group of copies (if any), reason."""
    assert images.labels is not None
    part_of = dict.fromkeys(parts.valid.tolist(), "valid") | dict.fromkeys(parts.left_out, "left_out")
    rows = [
        [name, images.classes[label], part_of.get(index, "train"), group or "", parts.left_out.get(index, "")]
        for index, (name, label, group) in enumerate(zip(images.names, images.labels, images.groups, strict=True))
    ]
    try:
        write_csv(path, COLUMNS, rows)
    except OSError as error:
        raise DataError(f"The split {path} cannot be written: {error.strerror}.") from error


def _blocks(images: DecodedImages, left_out: dict[int, str], seed: int) -> list[list[int]]:
    """Groups of copies, single images included, in the order of SHA-256(seed, first name)."""
    blocks: dict[int, list[int]] = {}
    for index in sorted(set(range(len(images))) - left_out.keys(), key=images.names.__getitem__):
        blocks.setdefault(int(images.groups[index]) or -1 - index, []).append(index)

    def order(block: list[int]) -> bytes:
        return hashlib.sha256(f"{seed}:{images.names[block[0]]}".encode(errors="surrogateescape")).digest()

    return sorted(blocks.values(), key=order)


def _left_out(
    images: DecodedImages, labels: NDArray[np.int64], test: DecodedImages | None, near: bool
) -> dict[int, str]:
    """Index of each image that neither set may have, in ascending order, and why."""
    labels_of: dict[int, set[int]] = {}
    for group, label in zip(images.groups.tolist(), labels.tolist(), strict=True):
        labels_of.setdefault(group, set()).add(label)
    in_test = np.isin(images.hashes.astype("<U16"), COURSE_TEST)
    if test is not None:
        in_test |= np.isin(images.hashes, test.hashes)
        if near:
            in_test |= near_copies(images.images, test.images)
    reasons = {}
    for index, group in enumerate(images.groups.tolist()):
        if group and len(labels_of[group]) > 1:
            reasons[index] = CONFLICT
        elif in_test[index]:
            reasons[index] = IN_TEST
    log.info(
        "Left out of training and validation: %d images with conflicting labels, %d that are also in the test set.",
        *(list(reasons.values()).count(reason) for reason in (CONFLICT, IN_TEST)),
    )
    return reasons


def _quotas(sizes: NDArray[np.int64], n_valid: int) -> NDArray[np.int64]:
    """Shares `n_valid` in proportion to `sizes`, in whole numbers: the largest remainders are rounded up."""
    quotas, remainders = np.divmod(n_valid * sizes, sizes.sum())
    quotas[np.argsort(-remainders, kind="stable")[: n_valid - quotas.sum()]] += 1
    return quotas
