"""MNIST as batches for the LightningModules, with the arrays and the split of the numpy network."""

from collections.abc import Mapping

import numpy as np

from lit_a1.data.augment import Augment
from lit_a1.data.batch import ImageSet
from lit_a1.data.mnist import Files, Mnist, SourceName, check_source, draw_mnist, locate_mnist, read_mnist
from lit_a1.data.module import ImageDataModule
from lit_a1.data.sources.drawn import SIDE


class MNISTDataModule(ImageDataModule):
    """Finds or downloads MNIST, and serves it in batches (N,1,28,28) before any resizing.

    Without `n_valid`, the split is the usual one: 50,000 images for training, 10,000 for validation, 10,000 for test.
    `predict` labels the test images, named by their numbers from 1 on.

    Args:
        source: `auto` (what is on disk, else downloaded, else drawn digits), `real` (never drawn ones) or `drawn`; see
            `load_mnist`.
        n_valid: images of the validation set, the last of the training file; for None, 10,000 or a sixth of the file,
            whichever is less. Drawn digits always have 2,000.
        batch_size: as in `ImageDataModule`, like all that follow.
        eval_batch_size: images per batch outside training.
        size: height and width of the images that the network sees, in pixels.
        size_schedule: other sizes for training, as `{first epoch: size}`.
        augment: augmentation of the training images; colours can't be changed.
        workers: processes that prepare batches.
        measure_train: also measures training images, without augmentation: all, or that many.
        keep_on_device: keeps all images, as bytes, on the training device.

    Raises:
        ValueError: a value is out of its range.
    """

    next_commands = ("validate", "test")

    def __init__(
        self,
        *,
        source: SourceName = "auto",
        n_valid: int | None = None,
        batch_size: int = 64,
        eval_batch_size: int = 250,
        size: int = SIDE,
        size_schedule: Mapping[int, int] | None = None,
        augment: Augment | None = None,
        workers: int = 0,
        measure_train: bool | int = True,
        keep_on_device: bool = False,
    ) -> None:
        arguments = (batch_size, eval_batch_size, size, size_schedule, augment, workers, measure_train)
        super().__init__(*arguments, keep_on_device=keep_on_device)
        check_source(source)
        if n_valid is not None and n_valid < 1:
            raise ValueError(f"n_valid must be at least 1; got {n_valid}")
        if self.augment.shift > SIDE:
            raise ValueError(f"augment.shift must be at most {SIDE}; got {self.augment.shift}")
        for name in ("brightness", "contrast", "saturation", "grayscale", "trivial"):
            if (value := getattr(self.augment, name)) > 0:
                raise ValueError(f"augment.{name} must be 0, since MNIST's images are grey; got {value}")
        self.source: SourceName = source
        self.n_valid = n_valid
        self.classes = tuple(str(digit) for digit in range(10))
        self.drawn = source == "drawn"
        self._files: Files | None = None
        self._mnist: Mnist | None = None

    def locate(self, stage: str) -> None:
        """Finds or downloads the four files, which every stage needs, as `load_mnist` does."""
        if not self.drawn and self._files is None:
            self._files = locate_mnist(self.source)
            self.drawn = self._files is None

    def prepare_data(self) -> None:
        """Lightning calls it on the first device only, so the files are downloaded once."""
        self.locate("fit")

    def setup(self, stage: str) -> None:
        """Opens what a stage needs: `fit`, `validate`, `test` or `predict`."""
        self.locate(stage)
        if self._mnist is None:
            self._mnist = draw_mnist() if self._files is None else read_mnist(self._files, self.n_valid)
        train, valid, test = (ImageSet(part.images[..., np.newaxis], part.labels) for part in self._mnist[:3])
        if stage in ("fit", "validate"):
            self.sets |= {"train": train, "val": valid}
        elif stage == "test":
            self.sets["test"] = test
        elif stage == "predict":
            self.sets["predict"] = ImageSet(test.images, None)
            self.predict_count = len(test)
            self.predict_names = [str(number) for number in range(1, len(test) + 1)]
