"""Batches of images, and the sets they are cut from, which worker processes share."""

import itertools
import mmap
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torch.utils.data.distributed import DistributedSampler


class Batch(NamedTuple):
    """A batch of images."""

    images: Tensor  # (N,C,H,W); uint8 as read from disk, float32 in [0,1] once augmented or resized on the device
    targets: Tensor  # (N,) int64, -1 for no label; or (N,K) float32 soft targets after mixup or cutmix
    indices: Tensor  # (N,) int64, each image's place in its dataset; -1 for the padding of `UnrepeatedSampler`


class SharedArray:
    """An array that spawned processes (as on Windows and Mac) share: it is pickled as the place of its values.

    That place is the file of a memory map, which is opened again, or else shared memory, into which the values are
    copied the first time.
    """

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        self._copy: Tensor | None = None

    def __getstate__(self) -> Tensor | tuple[Any, ...]:
        values = self.values
        if isinstance(values, np.memmap) and isinstance(values.base, mmap.mmap):  # a whole map, not a slice
            return values.filename, values.dtype, "r", values.offset, values.shape
        if self._copy is None:
            self._copy = torch.from_numpy(np.array(values)).share_memory_()
        return self._copy

    def __setstate__(self, place: Tensor | tuple[Any, ...]) -> None:
        self._copy = place if isinstance(place, Tensor) else None
        self.values = place.numpy() if isinstance(place, Tensor) else np.memmap(*place)


class ImageSet(Dataset[Batch]):
    """The images `index` (all by default) out of M in one array, cut a whole batch at a time.

    `images` are (M,H,W,C) uint8, memory-mapped or not; `labels` are (M,) int64, or None.
    """

    is_on_device = False  # the device holds the images and cuts the batches; those made here have no images

    def __init__(self, images: np.ndarray, labels: np.ndarray | None, index: np.ndarray | None = None) -> None:
        self._images = SharedArray(images)
        self.labels = np.full(len(images), -1) if labels is None else labels
        self.index = np.arange(len(images)) if index is None else index

    @property
    def images(self) -> np.ndarray:
        """All M images."""
        return self._images.values

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, item: int) -> Batch:
        return self.__getitems__([item])

    def __getitems__(self, items: Sequence[int]) -> Batch:
        """The batch at these positions: images (N,C,H,W) uint8, channels-last in memory as on disk."""
        positions = np.asarray(items)
        index = self.index[positions]
        labels = self.labels[index]
        images = torch.from_numpy(self.images[index[:0] if self.is_on_device else index]).permute(0, 3, 1, 2)
        indices = np.where(positions < 0, -1, index)  # -1 stands for no image
        return Batch(images, torch.from_numpy(labels.astype(np.int64)), torch.from_numpy(indices))


class UnrepeatedSampler(DistributedSampler[int]):
    """Shares among several devices the batches that one would have, since rounding may depend on the batch.

    Devices wait for each other, so each gets the same number of batches, if need be one of -1 (no image). Torch's own
    sampler repeats images instead, which would then count twice.
    """

    def __init__(self, count: int, batch_size: int, devices: int, rank: int) -> None:
        super().__init__(range(count), devices, rank)  # type: ignore[arg-type]
        starts = range(rank * batch_size, count, devices * batch_size)
        batches = [range(start, min(start + batch_size, count)) for start in starts]
        missing = -(-count // (devices * batch_size)) - len(starts)
        self.positions = [*itertools.chain(*batches), *[-1] * missing]
        self.num_samples = len(self.positions)

    def __iter__(self) -> Iterator[int]:
        return iter(self.positions)


def identity_collate(batch: Any) -> Any:
    """The collate function: `__getitems__` already returns a batch."""
    return batch
