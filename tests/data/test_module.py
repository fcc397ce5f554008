from typing import Any

import numpy as np
import pytest
import torch

from lit_a1.data.module import EpochShuffle, PictureDataModule, PictureSet


def pictures(count: int = 10) -> PictureSet:
    array = np.arange(count * 4 * 6 * 3, dtype=np.int64).reshape(count, 4, 6, 3) % 251
    return PictureSet(array.astype(np.uint8), np.arange(count) % 2)


def test_a_batch_is_cut_by_index_and_lies_channels_last() -> None:
    whole = pictures()
    part = PictureSet(whole.pictures, whole.labels, np.array([7, 2, 5]))
    batch = part.__getitems__([2, 0])
    assert batch.indices.tolist() == [5, 7]
    assert batch.targets.tolist() == [1, 1]
    assert batch.pictures.shape == (2, 3, 4, 6)
    assert batch.pictures.dtype == torch.uint8
    assert batch.pictures.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_array_equal(batch.pictures[0].permute(1, 2, 0).numpy(), whole.pictures[5])
    assert len(part) == 3
    assert part[1].indices.tolist() == [2]


def test_pictures_without_labels_have_target_minus_one() -> None:
    assert PictureSet(pictures().pictures, None).__getitems__([0, 1]).targets.tolist() == [-1, -1]


def test_each_epoch_has_its_own_order_of_all_pictures() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        shuffle = EpochShuffle(20, seed)
        shuffle.set_epoch(epoch)
        return list(shuffle)

    assert sorted(order(0, 0)) == list(range(20))
    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4


def module(**options: Any) -> PictureDataModule:
    data = PictureDataModule(**{"batch_size": 4, "eval_batch_size": 3} | options)
    data.sets = {part: pictures() for part in ("train", "val", "test", "predict")}
    return data


def test_loaders_fetch_whole_batches() -> None:
    data = module()
    assert [len(batch.indices) for batch in data.train_dataloader()] == [4, 4]
    assert len(set(torch.cat([batch.indices for batch in data.train_dataloader()]).tolist())) == 8
    for loader in (*data.val_dataloader(), data.test_dataloader(), data.predict_dataloader()):
        assert torch.cat([batch.indices for batch in loader]).tolist() == list(range(10))
    fewer = module(batch_size=16)
    assert [len(batch.indices) for batch in fewer.train_dataloader()] == [10]


def test_training_pictures_are_measured_where_that_is_asked_for() -> None:
    data = module()
    data.sets["train"] = PictureSet(np.zeros((7, 8, 8, 3), np.uint8), np.zeros(7, np.int64))
    assert [len(loader.dataset) for loader in data.val_dataloader()] == [10]
    data.measure_train = True
    assert [len(loader.dataset) for loader in data.val_dataloader()] == [10, 7]
    assert torch.cat([batch.indices for batch in data.val_dataloader()[1]]).tolist() == list(range(7))


def test_workers_give_the_same_batches() -> None:
    first, second = ([batch.indices.tolist() for batch in module(workers=w).train_dataloader()] for w in (0, 1))
    assert first == second


def test_sizes_follow_the_schedule() -> None:
    data = module(size=64, size_schedule={2: 40, 5: 52})
    assert [data.size_at(epoch) for epoch in range(7)] == [64, 64, 40, 40, 40, 52, 52]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"size": 0}, "size must be at least 1"),
        ({"size_schedule": {-1: 32}}, "size_schedule maps epochs"),
        ({"size_schedule": {0: 0}}, "size_schedule maps epochs"),
    ],
)
def test_bad_values_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        module(**options)
