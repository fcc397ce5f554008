import multiprocessing.resource_sharer
from collections.abc import Iterator
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lit_a1.data.batch import ImageSet, SharedArray

FEW = 100_000  # bytes: for labels and indices, while the images have 360,000


@pytest.fixture(autouse=True)
def without_the_thread_that_hands_out_memory() -> Iterator[None]:
    yield
    multiprocessing.resource_sharer.stop(timeout=5)


def sent(value: Any) -> tuple[Any, int]:
    """What a spawned process gets, and of how many bytes."""
    data = ForkingPickler.dumps(value)
    return ForkingPickler.loads(data), len(data)


def images(count: int, path: Path | None = None) -> np.ndarray:
    array = np.random.default_rng(0).integers(0, 256, (count, 4, 6, 3), dtype=np.uint8)
    if path is None:
        return array
    np.save(path, array)
    return np.load(path, mmap_mode="r")


def test_a_batch_is_cut_by_index_and_lies_channels_last() -> None:
    array = images(10)
    part = ImageSet(array, np.arange(10) % 2, np.array([7, 2, 5]))
    batch = part.__getitems__([2, 0])
    assert batch.indices.tolist() == [5, 7]
    assert batch.targets.tolist() == [1, 1]
    assert batch.images.shape == (2, 3, 4, 6)
    assert batch.images.dtype == torch.uint8
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_array_equal(batch.images[0].permute(1, 2, 0).numpy(), array[5])
    assert len(part) == 3
    assert ImageSet(array, None).__getitems__([0, 1]).targets.tolist() == [-1, -1]


@pytest.mark.parametrize("mapped", [True, False], ids=["memory-mapped", "in memory"])
def test_workers_that_are_spawned_share_the_images(mapped: bool, tmp_path: Path) -> None:
    count = 5000
    array = images(count, tmp_path / "x.npy" if mapped else None)
    image_set = ImageSet(array, np.arange(count) % 3, np.arange(count)[::-1])
    theirs, size = sent(image_set)
    assert size < FEW
    assert isinstance(theirs.images, np.memmap) == mapped
    rows = [0, 7, count - 1]
    assert all(map(torch.equal, theirs.__getitems__(rows), image_set.__getitems__(rows)))
    assert not theirs.is_on_device
    image_set.is_on_device = True
    assert sent(image_set)[0].__getitems__(rows).images.shape[0] == 0


def test_a_part_of_a_memory_map_is_that_part_and_values_are_copied_once(tmp_path: Path) -> None:
    array = images(10, tmp_path / "x.npy")
    for values in (array[3:], array[..., :1]):
        np.testing.assert_array_equal(sent(SharedArray(values))[0].values, values)
    shared = SharedArray(np.zeros(3))
    theirs, others = sent(shared)[0], sent(shared)[0]
    theirs.values[1] = 5
    assert others.values.tolist() == [0, 5, 0]
