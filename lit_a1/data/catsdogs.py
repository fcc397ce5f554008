"""Cats vs Dogs: the course's 64x64 photos, Kaggle's, Microsoft's, any folder of classes, or drawn ones."""

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from lit_a1.data.augment import Augment
from lit_a1.data.cache import cache_root, decode_all, load
from lit_a1.data.download import MICROSOFT_SHA256, MICROSOFT_SIZE, MICROSOFT_URL, fetch
from lit_a1.data.drawn import draw_cats_and_dogs
from lit_a1.data.errors import DataError
from lit_a1.data.module import PictureDataModule
from lit_a1.data.picture_set import PictureSet
from lit_a1.data.pictures import Pictures
from lit_a1.data.sources import Source, data_root, find_test, find_train, list_folder
from lit_a1.data.split import load_split

COURSE_TEST_PICTURES = 4999
ARCHIVE = MICROSOFT_URL.rpartition("/")[2]
DRAWN_TRAIN, DRAWN_VALID, DRAWN_TEST = 3000, 500, 500
DOWNLOADS = Path("data", "catsdogs")  # the folder that LIT_A1_DATA names is only read
NO_PHOTOS = "NO PHOTOS: THIS RUN USES DRAWN CATS AND DOGS. Its figures say nothing about the photos."

log = logging.getLogger(__name__)


class CatsDogsDataModule(PictureDataModule):
    """Finds the photos, decodes them once, splits them once, and serves batches.

    Args:
        source: `auto` (what is on disk, else Microsoft's archive, else drawn pictures), `real` (never drawn ones) or
            `drawn`. Photos are looked for below the folder that LIT_A1_DATA names, else below `data`.
        decode_size: height and width that photos are decoded to, in pixels; others are scaled and centre-cropped.
        n_valid: validation pictures, held out of training.
        split_seed: chooses which; it has nothing to do with the seed of the run.
        predict_dir: a folder of photos for `predict` to label, instead of the test pictures.
        test_dir: labelled photos for `test`, one sub-folder a class (the course's test pictures have no labels).
        batch_size: as `PictureDataModule`, like all that follow.
        eval_batch_size: pictures a batch outside training.
        size: height and width of the pictures that the network is trained on, in pixels.
        size_schedule: other sizes for training, as `{first epoch: size}`.
        augment: what is done to training pictures.
        workers: processes that cut batches.
        measure_train: whether to measure the training pictures too when an epoch is over, without augmentation.
        eval_scale: size of the pictures in evaluation, as a multiple of that in training.
        keep_on_device: whether the device that trains holds all pictures.
    """

    def __init__(
        self,
        *,
        source: Literal["auto", "real", "drawn"] = "auto",
        decode_size: int = 64,
        n_valid: int = 2000,
        split_seed: int = 6135,
        predict_dir: str | None = None,
        test_dir: str | None = None,
        batch_size: int = 64,
        eval_batch_size: int = 250,
        size: int = 64,
        size_schedule: Mapping[int, int] | None = None,
        augment: Augment | None = None,
        workers: int = 0,
        measure_train: bool = False,
        eval_scale: float = 1.0,
        keep_on_device: bool = False,
    ) -> None:
        super().__init__(
            batch_size,
            eval_batch_size,
            size,
            size_schedule,
            augment,
            workers,
            measure_train,
            eval_scale,
            keep_on_device,
        )
        if source not in ("auto", "real", "drawn"):
            raise ValueError(f"source must be auto, real or drawn; got {source!r}")
        if decode_size < 8:
            raise ValueError(f"decode_size must be at least 8 pixels; got {decode_size}")
        if n_valid < 2:
            raise ValueError(f"n_valid must be at least 2, a picture of each class; got {n_valid}")
        if self.augment.shift > decode_size:
            raise ValueError(f"augment.shift must be at most decode_size, {decode_size}; got {self.augment.shift}")
        self.source, self.decode_size = source, decode_size
        self.n_valid, self.split_seed = n_valid, split_seed
        self.predict_dir, self.test_dir = predict_dir, test_dir
        self.classes = ("Cat", "Dog")
        self.drawn = source == "drawn"
        self._told = False
        self.predict_names: list[str] = []
        self.predict_count: int | None = None
        self._train: Source | None = None
        self._test: Source | None = None

    # finding

    def locate(self, stage: str) -> None:
        """Finds what a stage (`fit`, `validate`, `test`, `predict`) needs, and nothing more.

        Where photos to train on are missing they are fetched; where that can't be done it says so and turns to drawn
        ones, or refuses if `source` is `real`.

        Raises:
            DataError: there is nothing of the kind that the stage needs.
        """
        if self.drawn or self._named(stage) is not None:
            return
        if self._train is None:
            self._find(stage)
        if stage == "test" and not self.drawn:
            raise DataError(
                "The test pictures have no labels: label them with predict, measure with validate, or name labelled "
                "photos with --data.test_dir DIR, one sub-folder a class."
            )
        if stage == "predict" and not self.drawn and self._test is None:
            raise DataError("There are no test pictures beside these photos: name some with --data.predict_dir DIR.")

    def _named(self, stage: str) -> str | None:
        """The folder that the user named for a stage."""
        return {"test": self.test_dir, "predict": self.predict_dir}.get(stage)

    def _find(self, stage: str) -> None:
        for root in (data_root(), DOWNLOADS):  # both sets from one root: those of another may overlap
            self._train, self._test = find_train(root), find_test(root)
            if self._train is not None or (stage == "predict" and self._test is not None):
                return
        self._fetch()

    def _fetch(self) -> None:
        looked = (
            f"No photos below {data_root().resolve()}: looked for the course's trainset.zip, Kaggle's train.zip, "
            f"Microsoft's {ARCHIVE}, their folders, and one sub-folder a class"
        )
        log.info("%s. Fetching Microsoft's archive (825 MB).", looked)
        try:
            archive = fetch(MICROSOFT_URL, DOWNLOADS / ARCHIVE, sha256=MICROSOFT_SHA256, size=MICROSOFT_SIZE)
            self._train = Source(archive, labelled=True)
        except DataError as error:
            if self.source == "real":
                raise DataError(f"{looked}; and they cannot be fetched: {error}") from error
            self.drawn = True
            log.warning("%s", error)

    def prepare_data(self) -> None:
        """Finds and decodes the pictures; Lightning calls it on the first device only, so that they are decoded once.

        Raises:
            DataError: as `locate`, or the pictures can't be read.
        """
        stage = str(self.trainer.state.fn.value) if self.trainer is not None and self.trainer.state.fn else "fit"
        self.locate(stage)
        if stage in ("fit", "validate") and not self.drawn:
            self._load_photos()

    # loading

    def setup(self, stage: str) -> None:
        """Opens what a stage needs: `fit`, `validate`, `test` or `predict`.

        Raises:
            DataError: the photos can't be read or split, or there are none of the kind that the stage needs.
        """
        self.locate(stage)
        if self.drawn and self._named(stage) is None and not self._told:
            self._told = True
            log.warning("%s\n%s\n%s", "=" * 100, NO_PHOTOS, "=" * 100)
        if stage in ("fit", "validate") and "val" not in self.sets:
            self._set_up_training()
        elif stage == "test":
            self._set_up_test()
        elif stage == "predict":
            self._set_up_predict()

    def _load_photos(self) -> tuple[Pictures, Pictures | None]:
        assert self._train is not None
        test = load(self._test, self.decode_size, broken="blank") if self._test is not None else None
        return load(self._train, self.decode_size), test

    def _set_up_training(self) -> None:
        if self.drawn:
            for part, count, seed in (("train", DRAWN_TRAIN, 0), ("val", DRAWN_VALID, 1)):
                self.sets[part] = self._draw(count, seed)
            log.info("Drawn cats and dogs: %d for training, %d for validation.", DRAWN_TRAIN, DRAWN_VALID)
            return
        assert self._train is not None
        photos, test = self._load_photos()
        if len(photos.classes) != 2:
            raise DataError(
                f"Two classes are needed; {self._train.path} has {len(photos.classes)}: {', '.join(photos.classes)}."
            )
        self.classes = photos.classes
        key = hashlib.sha256(str(self._train.path.resolve()).encode()).hexdigest()[:8]
        folder = cache_root() / f"{self._train.path.stem}-split-{key}"
        parts = load_split(folder, photos, self.n_valid, self.split_seed, test=test)
        self.sets["train"] = PictureSet(photos.pictures, photos.labels, parts.train)
        self.sets["val"] = PictureSet(photos.pictures, photos.labels, parts.valid)
        log.info(
            "%s: %d pictures for training, %d for validation.", self._train.path, len(parts.train), len(parts.valid)
        )

    def _set_up_test(self) -> None:
        if self.test_dir is None:
            self.sets["test"] = self._draw(DRAWN_TEST, seed=2)
            return
        photos = decode_all(Source(self.test_dir, labelled=True), self.decode_size)
        self.classes = photos.classes
        self.sets["test"] = PictureSet(photos.pictures, photos.labels)

    def _set_up_predict(self) -> None:
        if self.predict_dir is not None:
            photos = decode_all(list_folder(self.predict_dir), self.decode_size, broken="skip")
            self.predict_names = list(photos.names)
        elif self._test is not None:
            photos = load(self._test, self.decode_size, broken="blank")
            self.predict_names = list(photos.names)
            numbers = [Path(name).stem for name in photos.names]
            if self._test.path.stem == "testset":
                self.predict_names, self.predict_count = numbers, COURSE_TEST_PICTURES
            elif all(number.isdecimal() for number in numbers):
                self.predict_names, self.predict_count = numbers, len(numbers)
        else:
            self.sets["predict"] = self._draw(DRAWN_TEST, seed=2)
            self.predict_names = [str(number) for number in range(1, DRAWN_TEST + 1)]
            return
        self.sets["predict"] = PictureSet(photos.pictures, None)

    def _draw(self, count: int, seed: int) -> PictureSet:
        return PictureSet(*draw_cats_and_dogs(count, seed, self.decode_size))
