from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import SequentialSampler

from lit_a1.data.batch import Batch
from lit_a1.data.module import EpochShuffle, ImageDataModule, ImageSet
from tests.data.helpers import trainer


def images(count: int = 10) -> ImageSet:
    array = np.arange(count * 4 * 6 * 3, dtype=np.int64).reshape(count, 4, 6, 3) % 251
    return ImageSet(array.astype(np.uint8), np.arange(count) % 2)


def test_each_epoch_has_its_own_order_of_all_images() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        shuffle = EpochShuffle(20, seed)
        shuffle.set_epoch(epoch)
        return list(shuffle)

    assert sorted(order(0, 0)) == list(range(20))
    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4


def module(**options: Any) -> ImageDataModule:
    data = ImageDataModule(**{"batch_size": 4, "eval_batch_size": 3} | options)
    data.sets = {part: images() for part in ("train", "val", "test", "predict")}
    return data


def test_a_part_is_a_fair_sample() -> None:
    """Classes lie one after another: the first batches are of the first class alone."""
    data = module(eval_batch_size=10, batch_size=10)
    lot = images(100)
    data.sets = dict.fromkeys(("train", "val", "test"), ImageSet(lot.images, np.arange(100) // 50))
    data.trainer = trainer(limit_val_batches=1, limit_test_batches=0.1)
    for make in (lambda: data.val_dataloader()[0], data.test_dataloader):
        first, again = (next(iter(make())) for _ in range(2))
        assert 3 <= first.targets.sum() <= 7
        assert torch.equal(first.indices, again.indices)
    data.trainer = trainer(overfit_batches=2)
    loader = data.train_dataloader()
    epochs = []
    for epoch in (0, 1):
        loader.sampler.set_epoch(epoch)
        data.trainer.global_step = 10 * epoch
        epochs.append(next(iter(loader)))
    assert torch.equal(epochs[0].indices, epochs[1].indices)
    assert 3 <= epochs[0].targets.sum() <= 7
    assert isinstance(loader.sampler, SequentialSampler)  # or Lightning would put one in its place


def test_loaders_fetch_whole_batches() -> None:
    data = module()
    assert [len(batch.indices) for batch in data.train_dataloader()] == [4, 4]
    assert len(set(torch.cat([batch.indices for batch in data.train_dataloader()]).tolist())) == 8
    val_loaders = data.val_dataloader()
    assert len(val_loaders) == 1
    for loader in (*val_loaders, data.test_dataloader(), data.predict_dataloader()):
        assert torch.cat([batch.indices for batch in loader]).tolist() == list(range(10))
    data.sets["train"], data.measure_train = images(7), True
    assert [len(loader.dataset) for loader in data.val_dataloader()] == [10, 7]
    assert torch.cat([batch.indices for batch in data.val_dataloader()[1]]).tolist() == list(range(7))
    data.sets["train"] = ImageSet(images().images, images().labels, np.array([1, 3, 4, 8, 9]))
    for count, expected in ((3, 3), (100, 5)):
        data.measure_train = count
        samples = [torch.cat([batch.indices for batch in data.val_dataloader()[1]]).tolist() for _ in range(2)]
        assert samples[0] == samples[1] == sorted(set(samples[0]))
        assert len(samples[0]) == expected
        assert set(samples[0]) <= {1, 3, 4, 8, 9}
    data.measure_train = 0
    assert len(data.val_dataloader()) == 1
    fewer = module(batch_size=16)
    assert [len(batch.indices) for batch in fewer.train_dataloader()] == [10]

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
        ({"measure_train": -1}, "measure_train must be true, false or a number of training images; got -1"),
        ({"eval_scale": 0.1}, "eval_scale must be between 0.5 and 2; got 0.1"),
        ({"eval_scale": 0.5, "size_schedule": {0: 1}}, "must leave a pixel of the smallest size, 1; got 0.5"),
    ],
)
def test_bad_values_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        module(**options)


def fitted(module: ImageDataModule, epochs: int = 1) -> list[Batch]:
    """The batches that a network would see over a `fit`, in order."""
    seen: list[Batch] = []

    class Watching(L.LightningModule):
        automatic_optimization = False

        def training_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
            seen.append(batch)

        validation_step = training_step

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])

    L.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        num_sanity_val_steps=0,
    ).fit(Watching(), datamodule=module)  # fmt: skip
    return seen


@pytest.mark.parametrize(("measured", "again"), [(True, [3, 3, 2]), (5, [3, 2])])
def test_images_on_the_device_are_the_same_batches(measured: bool | int, again: list[int]) -> None:
    arrays = np.random.default_rng(0).integers(0, 256, (2, 9, 8, 8, 3), dtype=np.uint8)
    train, val = (ImageSet(array, np.arange(9) % 2, np.arange(1, 9)) for array in arrays)

    def batches(**options: bool) -> list[Batch]:
        data = module(size=8, measure_train=measured, **options)
        data.sets = {"train": train, "val": val}
        return fitted(data)

    there, here = batches(keep_on_device=True), batches()
    assert [len(batch.indices) for batch in here] == [4, 4, 3, 3, 2, *again]  # training, validation, training images
    for ours, theirs in zip(there, here, strict=True):
        assert all(map(torch.equal, ours, theirs))
        assert ours.images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("workers", [0, 1])
def test_each_command_finds_its_own_images_on_the_device(workers: int) -> None:
    rng = np.random.default_rng(0)

    class Seeing(L.LightningModule):
        def test_step(self, batch: Batch, batch_idx: int) -> Tensor:
            seen.append(batch)
            return batch.indices

        predict_step = test_step

    data = module(size=8, keep_on_device=True, workers=workers)
    runner = L.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
    for _ in range(2):  # the second time with other images under the same names
        for part in data.sets:
            data.sets[part] = ImageSet(rng.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8), None)
        for part, command in (("test", runner.test), ("predict", runner.predict)):
            seen: list[Batch] = []
            command(Seeing(), datamodule=data)
            expected = torch.from_numpy(data.sets[part].images).permute(0, 3, 1, 2) / 255
            torch.testing.assert_close(torch.cat([batch.images for batch in seen]), expected)


def test_what_learns_from_an_outside_network_is_outside_too() -> None:
    states = {}
    for outside in (False, True):
        data = module(size=8)
        fitted(data, epochs=1)
        data.outside = outside
        states[outside] = data.state_dict()
    later = module(size=8)
    later.check_split(
        {name: value for name, value in states[False].items() if name != "outside"}
    )  # as published weights
    assert not later.outside
    later.check_split(states[True])
    later.check_split(states[False])
    assert later.outside


def test_evaluation_sees_larger_images_where_that_is_asked_for() -> None:
    data = module(size=16, size_schedule={0: 8, 1: 16}, eval_scale=1.25)
    sizes = [batch.images.shape[-1] for batch in fitted(data, epochs=2)]
    assert sizes == [8, 8, *[10] * 4, 16, 16, *[20] * 4]
    assert data.state_dict()["size"] == 20
