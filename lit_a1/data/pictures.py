"""A decoded set of pictures, and what makes two of them the same."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Pictures:
    """A decoded set of N pictures."""

    pictures: NDArray[np.uint8]
    """(N,H,W,3), RGB; a read-only memory map where it comes from the cache."""
    labels: NDArray[np.int64] | None
    """(N,), indices into `classes`; None where the set has no labels."""
    names: tuple[str, ...]
    """N names, as in `sources.Picture.name`."""
    classes: tuple[str, ...]
    """Names of the classes; empty where the set has no labels."""
    skipped: dict[str, str]
    """Why, by name, a file could not be read. It is not among `names` if left out, and grey if kept as a blank."""

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """(N,) numbers of the groups of exact copies, as `copies` of `hashes`."""
        return copies(self.hashes)

    @cached_property
    def hashes(self) -> NDArray[np.str_]:
        """(N,) `pixel_hash` of each picture."""
        return np.array([pixel_hash(picture) for picture in self.pictures])


def pixel_hash(picture: NDArray[np.uint8]) -> str:
    """SHA-256 of the pixels, hexadecimal: equal for two pictures of one size that are the same to the pixel."""
    return hashlib.sha256(picture.tobytes()).hexdigest()


def copies(hashes: NDArray[np.str_]) -> NDArray[np.int64]:
    """(N,) numbers of the groups of equal hashes, 1, 2, ... in order of appearance; 0 for a hash without an equal."""
    _, first, inverse, count = np.unique(hashes, return_index=True, return_inverse=True, return_counts=True)
    numbers = np.zeros(len(first), dtype=np.int64)
    shared = np.flatnonzero(count > 1)
    numbers[shared[np.argsort(first[shared])]] = np.arange(1, len(shared) + 1)
    return numbers[inverse]
