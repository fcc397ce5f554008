"""The LightningDataModule of every dataset: batches cut by index, augmented or resized on the device."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, SequentialSampler
from torch.utils.data.distributed import DistributedSampler

from lit_a1.data.augment import Augment, resize, to_float
from lit_a1.data.batch import Batch, ImageSet, UnrepeatedSampler, identity_collate
from lit_a1.data.errors import DataError

MAX_SIZE = 1024  # pixels: larger batches would not fit in memory
MAX_WORKERS = 256  # processes
SAMPLE_BATCH = 100  # batch statistics are averaged over batches of this size, so they do not depend on eval_batch_size


class EpochShuffle(DistributedSampler[int]):
    """A new order each epoch, drawn from (seed, epoch) alone, and equal on all devices.

    `position` tells a new iterator the epoch and how many of its images are done. `set_epoch` would be too late:
    Lightning calls it after it has made the iterator, when workers have started.
    """

    def __init__(self, count: int, seed: int, position: Callable[[], tuple[int, int]] | None = None) -> None:
        super().__init__(range(count), 1, 0, seed=seed)  # type: ignore[arg-type]
        self.count, self.position = count, position
        self.announced_epoch: int | None = None

    def set_epoch(self, epoch: int) -> None:  # noqa: D102 (Lightning's hook)
        self.announced_epoch = self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        epoch, done = (self.epoch, 0) if self.position is None else self.position()
        if self.announced_epoch not in (None, epoch):
            epoch, done = self.epoch, 0
        order = np.random.default_rng([self.seed, 0 if isinstance(self, SequentialSampler) else epoch]).permutation(
            self.count
        )
        return iter(order[done:].tolist())


class SameShuffle(EpochShuffle, SequentialSampler):
    """The same order each epoch, for `overfit_batches`; a SequentialSampler, or Lightning would replace it by one."""


class ImageDataModule(L.LightningDataModule):
    """Loads batches of uint8 images; on the device, augments those of training and resizes all others.

    A subclass's `setup` fills `sets` with `ImageSet`s under `train`, `val`, `test` and `predict`, and `predict_names`
    with the names of the images to predict. If all of these need an answer, `predict_count` is their number.

    Args:
        batch_size: images per training step. Several devices share them equally; the number of devices does not change
            what is learnt.
        eval_batch_size: images per batch outside training.
        size: height and width of the training images, in pixels.
        size_schedule: other sizes for training, as `{first epoch: size}`; smaller images early cost less time.
            Validation during training follows the training size; the checkpoint keeps the size for evaluation.
        augment: augmentation of the training images.
        workers: processes that prepare batches; 0 is best for images that are already in memory.
        measure_train: also measures training images, without augmentation: all of them, or, given a number, a fixed
            random subset of that size.
        eval_scale: evaluates on images this many times as large as the training size of the same epoch. Random
            crops make things look larger in training; larger images make up for it (Touvron et al. 2019, "Fixing
            the train-test resolution discrepancy", arXiv:1906.06423). Running statistics learnt at one size do not
            suit another: the model should recompute them (`precise_bn`). The checkpoint keeps its size: `validate` and
            `predict` ignore another scale.
        keep_on_device: keeps all images, as bytes, on the training device, so no images are sent to it later.
    """

    classes: tuple[str, ...] = ()
    drawn = False  # whether the images are a stand-in, drawn by this project
    outside = False  # whether a network learnt from photos that a submission to the course may not use
    next_commands: tuple[str, ...] = ("validate", "predict")  # what a user might do next with a trained network

    def __init__(
        self,
        batch_size: int = 64,
        eval_batch_size: int = 250,
        size: int = 64,
        size_schedule: Mapping[int, int] | None = None,
        augment: Augment | None = None,
        workers: int = 0,
        measure_train: bool | int = False,
        eval_scale: float = 1.0,
        keep_on_device: bool = False,
    ) -> None:
        super().__init__()
        if not 0.5 <= eval_scale <= 2:
            raise ValueError(f"eval_scale must be between 0.5 and 2; got {eval_scale}")
        for name, value in (("batch_size", batch_size), ("eval_batch_size", eval_batch_size), ("size", size)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1; got {value}")
        if measure_train < 0:
            raise ValueError(f"measure_train must be true, false or a number of training images; got {measure_train}")
        schedule = dict(size_schedule or {})
        if size > MAX_SIZE:
            raise ValueError(f"size must be at most {MAX_SIZE} pixels; got {size}")
        if any(epoch < 0 or not 1 <= pixels <= MAX_SIZE for epoch, pixels in schedule.items()):
            raise ValueError(
                f"size_schedule maps epochs, from 0 on, to sizes of 1 to {MAX_SIZE} pixels; got {schedule}"
            )
        smallest = min([size, *schedule.values()])
        if round(smallest * eval_scale) < 1:
            raise ValueError(f"eval_scale must leave a pixel of the smallest size, {smallest}; got {eval_scale}")
        if not 0 <= workers <= MAX_WORKERS:
            raise ValueError(f"workers must be between 0 and {MAX_WORKERS}; got {workers}")
        self.batch_size, self.eval_batch_size, self.size = batch_size, eval_batch_size, size
        self.size_schedule, self.augment = schedule, augment or Augment()
        self.workers, self.measure_train = workers, measure_train
        self.eval_scale, self.keep_on_device = eval_scale, keep_on_device
        self._device_images: dict[str, tuple[np.ndarray, Tensor]] = {}
        self.sets: dict[str, ImageSet] = {}
        self.predict_names: list[str] = []
        self.predict_count: int | None = None
        self.run_seed = torch.initial_seed()
        self._checkpoint_size: int | None = None

    def locate(self, stage: str) -> None:
        """Finds what a stage needs, before anything is built on it, and settles `drawn`."""

    def size_at(self, epoch: int) -> int:
        """Size of the training images in an epoch, in pixels."""
        started = [first for first in self.size_schedule if first <= epoch]
        return self.size_schedule[max(started)] if started else self.size

    def _eval_loader(self, name: str, limit: int | float = 1.0) -> DataLoader[Batch]:
        """Every image of a set, in order, each on one of the devices."""
        count, size, sampler, trainer = len(self.sets[name]), self.eval_batch_size, None, self.trainer
        if trainer is not None and trainer.world_size > 1:
            sampler = UnrepeatedSampler(count, size, trainer.world_size, trainer.global_rank)
        return self._loader(name, size, limit, sampler=sampler)

    def _loader(self, name: str, batch_size: int, limit: int | float = 1.0, **options: Any) -> DataLoader[Batch]:
        """Batches of a set; a `limit` takes a fixed random subset, as the images are sorted by class."""
        images = self.sets[name]
        if isinstance(limit, int) or limit < 1:
            order = np.random.default_rng(0).permutation(images.index)
            images = ImageSet(images.images, images.labels, order)
        images.is_on_device = self.keep_on_device
        return DataLoader(
            images,
            batch_size=batch_size,
            collate_fn=identity_collate,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            pin_memory=torch.cuda.is_available(),
            **options,
        )

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled, in full batches (unless there are fewer images than a batch holds).

        Each device cuts whole batches, and keeps its share of them after augmentation.

        Raises:
            DataError: the devices can't share a batch equally.
        """
        trainer, count = self.trainer, len(self.sets["train"])
        shuffle = EpochShuffle(count, self.run_seed)
        if trainer is not None:
            sampler_class = SameShuffle if getattr(trainer, "overfit_batches", 0) else EpochShuffle
            shuffle = sampler_class(count, self.run_seed, self._position)
            if (images := min(count, self.batch_size)) % trainer.world_size:
                problem = f"{trainer.world_size} devices can't share the {images} images of a step equally"
                raise DataError(f"{problem}: --data.batch_size must be a multiple of {trainer.world_size}.")
        return self._loader("train", self.batch_size, sampler=shuffle, drop_last=count >= self.batch_size)

    @property
    def steps_per_epoch(self) -> int:
        """Training batches in an epoch."""
        limit = 1.0 if self.trainer is None else self.trainer.limit_train_batches
        batches = max(1, len(self.sets["train"]) // self.batch_size)
        return max(1, min(limit, batches) if isinstance(limit, int) else int(batches * limit))

    def _position(self) -> tuple[int, int]:
        """The current epoch, and how many of its images were seen, computed from the step."""
        assert self.trainer is not None
        loaded = self.trainer._checkpoint_connector._loaded_checkpoint  # the trainer takes over its step a little later
        epoch, done = divmod(loaded.get("global_step", self.trainer.global_step), self.steps_per_epoch)
        return epoch, done * self.batch_size

    def val_dataloader(self) -> list[DataLoader[Batch]]:
        """Every validation image, in order; with `measure_train`, training images in a second loader."""
        names = ["val"]
        if self.measure_train:
            train = self.sets["train"]
            index = train.index if self.measure_train is True else np.sort(self._sample(self.measure_train, seed=1))
            self.sets["train_eval"] = ImageSet(train.images, train.labels, index)
            names.append("train_eval")
        return [self._eval_loader(name, getattr(self.trainer, "limit_val_batches", 1.0)) for name in names]

    def test_dataloader(self) -> DataLoader[Batch]:
        """Every labelled test image, in order."""
        return self._eval_loader("test", getattr(self.trainer, "limit_test_batches", 1.0))

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Every image to label, in order."""
        return self._eval_loader("predict")

    def training_sample(self, count: int, device: torch.device) -> Iterator[Tensor]:
        """Batches (N,C,H,W) of at most `count` fixed random training images, as evaluation sees them."""
        images, index = self.sets["train"], self._sample(count, seed=0)
        for rows in np.array_split(index, -(-len(index) // SAMPLE_BATCH)):
            batch = torch.from_numpy(images.images[rows]).to(device).permute(0, 3, 1, 2)
            yield resize(to_float(batch), self._eval_size())

    def _sample(self, count: int, seed: int) -> np.ndarray:
        """Indices of at most `count` training images, drawn from `seed`."""
        return np.random.default_rng(seed).permutation(self.sets["train"].index)[:count]

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Augments a training batch, with draws that depend on (seed, step) alone; resizes any other.

        The whole batch is augmented, since mixup and CutMix may mix images of different devices.
        """
        assert self.trainer is not None
        epoch = self.trainer.current_epoch
        if self.keep_on_device:
            batch = batch._replace(images=self._on_device(dataloader_idx, batch.indices))
        if not self.trainer.training:
            batch = batch._replace(images=resize(to_float(batch.images), self._eval_size()))
            return batch if self.trainer.world_size == 1 else Batch(*(part[batch.indices >= 0] for part in batch))
        generator = torch.Generator(batch.images.device)
        # one number more than in the network's own seed: another random stream
        generator.manual_seed(hash((self.run_seed, self.trainer.global_step, 0, 1)))
        images, targets = self.augment(
            batch.images,
            batch.targets,
            batch.indices,
            size=self.size_at(epoch),
            epoch=epoch,
            generator=generator,
            num_classes=len(self.classes),
        )
        count = len(images) // self.trainer.world_size
        share = slice(self.trainer.global_rank * count, (self.trainer.global_rank + 1) * count)
        return Batch(images[share], targets[share], batch.indices[share])

    def _on_device(self, dataloader_idx: int, indices: Tensor) -> Tensor:
        """Cuts a batch (N,C,H,W) from the images on the device, which are copied there at the first call."""
        assert self.trainer is not None
        if self.trainer.training or dataloader_idx:
            name = "train"
        else:
            name = "test" if self.trainer.testing else "predict" if self.trainer.predicting else "val"
        array = self.sets[name].images
        on_device = next((images for source, images in self._device_images.values() if source is array), None)
        if on_device is None or on_device.device != indices.device:
            on_device = torch.from_numpy(np.array(array)).to(indices.device)
        self._device_images[name] = (array, on_device)
        return on_device[indices].permute(0, 3, 1, 2)

    def _eval_size(self) -> int:
        assert self.trainer is not None
        if self.trainer.state.fn == "fit":
            return round(self.size_at(self.trainer.current_epoch) * self.eval_scale)
        return self._checkpoint_size or round(self.size * self.eval_scale)

    def state_dict(self) -> dict[str, Any]:
        """The image size to evaluate the checkpoint's weights at, its classes, and its images."""
        about = {"size": self._eval_size(), "classes": list(self.classes)}
        return about | {"validation": self._validation(), "outside": self.outside}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Evaluates at the image size of the checkpoint's weights; raises a DataError as `check_split`."""
        self.check_split(state_dict)
        self._checkpoint_size, self.classes = state_dict["size"], tuple(state_dict["classes"])

    def check_split(self, state_dict: dict[str, Any]) -> None:
        """Raises a DataError if a checkpoint has other classes, or another split of the images."""
        classes, size = tuple(state_dict["classes"]), state_dict["size"]
        if type(size) is not int or not 1 <= size <= 2 * MAX_SIZE or not all(isinstance(name, str) for name in classes):
            raise DataError("The checkpoint is damaged: it does not say what size and classes its images have.")
        is_labelled, others = {"val", "test"} & self.sets.keys(), len(classes) != len(self.classes or classes)
        if others or (is_labelled and self.classes != classes):
            raise DataError(f"The checkpoint knows {' and '.join(classes)}; the data are {' and '.join(self.classes)}.")
        if "val" in self.sets and state_dict["validation"] != self._validation():
            raise DataError(
                "The checkpoint was trained with another split of the images (other photos, n_valid or split_seed): "
                "validating on this one would count images that it has learnt."
            )
        self.outside |= bool(state_dict.get("outside"))  # published weights and older checkpoints lack it

    def _validation(self) -> str:
        """A hash of the indices of the validation images."""
        return hashlib.sha256(self.sets["val"].index.astype(np.int64).tobytes()).hexdigest()[:16]
