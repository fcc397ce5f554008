"""Cats vs Dogs: the course's 64x64 photos, Kaggle's, Microsoft's, any folder of classes, or drawn ones."""

import hashlib
import logging
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lit_a1.data.batch import ImageSet
from lit_a1.data.cache import DecodedImages, cache_root, decode_all, load
from lit_a1.data.errors import DataError
from lit_a1.data.module import MAX_SIZE, ImageDataModule
from lit_a1.data.sources.download import fetch
from lit_a1.data.sources.drawn import draw_cats_and_dogs
from lit_a1.data.sources.layouts import Source, data_root, find_test, find_train
from lit_a1.data.split import fold_numbers, split, write_split_csv

MICROSOFT_URL = (
    "https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/kagglecatsanddogs_5340.zip"
)
MICROSOFT_SHA256 = "b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9"
MICROSOFT_SIZE = 824_887_076
ARCHIVE = MICROSOFT_URL.rpartition("/")[2]
COURSE_TEST_IMAGES = 4999
DRAWN_TRAIN, DRAWN_VALID, DRAWN_TEST = 3000, 500, 500
DOWNLOADS = Path("data", "catsdogs")  # the folder in LIT_A1_DATA is only read
NO_PHOTOS = "NO PHOTOS: THIS RUN USES DRAWN CATS AND DOGS. Its figures say nothing about the photos."

log = logging.getLogger(__name__)


class CatsDogsDataModule(ImageDataModule):
    """Finds the photos, decodes them once, splits them once, and serves batches.

    Args:
        source: `auto` (what is on disk, else Microsoft's archive, else drawn images), `real` (never drawn ones) or
            `drawn`. Photos are looked for below the folder that LIT_A1_DATA names, else below `data`.
        decode_size: height and width, in pixels, to decode photos to; other sizes are scaled and centre-cropped.
        n_valid: images of the validation set.
        split_seed: chooses these images; independent of the run's seed.
        folds: number of folds for cross-validation; one fold is then held out instead of `n_valid` photos.
        fold: the fold to hold out, from 1 on.
        predict_dir: photos for `predict` to label instead of the test images: a folder, a zip file, or one
            or more photos and folders.
        test_dir: labelled photos for `test`, one sub-folder a class (the course's test images have no labels).
        **options: options of `ImageDataModule`.
    """

    def __init__(
        self,
        *,
        source: Literal["auto", "real", "drawn"] = "auto",
        decode_size: int = 64,
        n_valid: int = 2000,
        split_seed: int = 6135,
        folds: int | None = None,
        fold: int | None = None,
        predict_dir: list[str] | str | None = None,
        test_dir: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if source not in ("auto", "real", "drawn"):
            raise ValueError(f"source must be auto, real or drawn; got {source!r}")
        if not 8 <= decode_size <= MAX_SIZE:
            raise ValueError(f"decode_size must be between 8 and {MAX_SIZE} pixels; got {decode_size}")
        if n_valid < 2:
            raise ValueError(f"n_valid must be at least 2; got {n_valid}")
        if folds is not None and folds < 2:
            raise ValueError(f"folds must be at least 2, one to hold out and one to train on; got {folds}")
        if (folds is None) != (fold is None) or (fold is not None and folds is not None and not 1 <= fold <= folds):
            raise ValueError(f"fold must be between 1 and folds, and neither without the other; got {fold} of {folds}")
        if self.augment.shift > decode_size:
            raise ValueError(f"augment.shift must be at most decode_size, {decode_size}; got {self.augment.shift}")
        self.source, self.decode_size = source, decode_size
        self.n_valid, self.split_seed = n_valid, split_seed
        self.folds, self.fold = folds, fold
        self.names: tuple[str, ...] = ()  # of the photos, if they are in folds
        self.fold_of = np.zeros(0, np.int64)  # `fold_numbers` of these photos
        self.predict_dir, self.test_dir = predict_dir, test_dir
        self.classes = ("Cat", "Dog")
        self.drawn = source == "drawn"
        self._warned = False
        self._train: Source | None = None
        self._test: Source | None = None

    def locate(self, stage: str) -> None:
        """Finds only what a stage (`fit`, `validate`, `test`, `predict`) needs, or raises a DataError.

        Photos to train on or validate are downloaded if missing. If that fails, or no photos at all are found to test
        or label, it says so and uses drawn ones, or raises if `source` is `real`.
        """
        if self.drawn or self._folder_for(stage) is not None:
            return
        if self._train is None:
            self._find(stage)
        if stage == "test" and not self.drawn:
            raise DataError(
                "The test images have no labels: label them with predict, measure with validate, or name labelled "
                "photos with --data.test_dir DIR, one sub-folder a class."
            )
        if stage == "predict" and not self.drawn and self._test is None:
            raise DataError("There are no test images beside these photos. Name some: predict PHOTO... or FOLDER.")

    def _folder_for(self, stage: str) -> list[str] | str | None:
        return {"test": self.test_dir, "predict": self.predict_dir}.get(stage)

    def _find(self, stage: str) -> None:
        roots = (data_root(), DOWNLOADS)
        self._train, self._test = (next(filter(None, map(find, roots)), None) for find in (find_train, find_test))
        if self._train is not None or (stage in ("test", "predict") and self._test is not None):
            return
        try:
            if stage in ("test", "predict"):  # no download has test photos
                raise DataError(
                    f"No test photos below {roots[0].resolve()}: looked for the course's testset.zip, Kaggle's "
                    "test1.zip, and their folders. Name photos: predict PHOTO..., or --data.test_dir DIR."
                )
            self._fetch(roots[0])
        except DataError as error:
            if self.source == "real":
                raise
            self.drawn, self._test = True, None
            log.warning("%s", error)

    def _fetch(self, root: Path) -> None:
        missing = (
            f"No photos below {root.resolve()}: looked for the course's trainset.zip, Kaggle's train.zip, "
            f"Microsoft's {ARCHIVE}, their folders, and one sub-folder a class"
        )
        log.info("There are no photos below %s. Fetching Microsoft's archive (825 MB).", root.resolve())
        try:
            archive = fetch(MICROSOFT_URL, DOWNLOADS / ARCHIVE, sha256=MICROSOFT_SHA256, size=MICROSOFT_SIZE)
        except DataError as error:
            raise DataError(f"{missing}; and they cannot be fetched: {error}") from error
        self._train = Source(archive, labelled=True)

    def prepare_data(self) -> None:
        """Finds and decodes the images; Lightning calls it on the first device only."""
        stage = str(self.trainer.state.fn.value) if self.trainer is not None and self.trainer.state.fn else "fit"
        self.locate(stage)
        if stage in ("fit", "validate") and not self.drawn:
            self._load_photos()

    def setup(self, stage: str) -> None:
        """Opens what a stage needs: `fit`, `validate`, `test` or `predict`."""
        self.locate(stage)
        if self.drawn and self._folder_for(stage) is None and not self._warned:
            self._warned = True
            log.warning("%s\n%s\n%s", "=" * 100, NO_PHOTOS, "=" * 100)
        if stage in ("fit", "validate") and "val" not in self.sets:
            self._set_up_training()
        elif stage == "test":
            self._set_up_test()
        elif stage == "predict":
            self._set_up_predict()

    def _load_photos(self) -> tuple[DecodedImages, DecodedImages | None]:
        assert self._train is not None
        test = load(self._test, self.decode_size, broken="blank") if self._test is not None else None
        return load(self._train, self.decode_size), test

    def _set_up_training(self) -> None:
        if self.drawn and self.folds:
            names = tuple(f"drawn {number}" for number in range(1, DRAWN_TRAIN + 1))
            drawn = draw_cats_and_dogs(DRAWN_TRAIN, 0, self.decode_size)
            self._set_up_folds(DecodedImages(*drawn, names, self.classes, {}), None)
            return
        if self.drawn:
            self.sets |= {"train": self._draw(DRAWN_TRAIN, seed=0), "val": self._draw(DRAWN_VALID, seed=1)}
            log.info("Drawn cats and dogs: %d for training, %d for validation.", DRAWN_TRAIN, DRAWN_VALID)
            return
        assert self._train is not None
        photos, test = self._load_photos()
        path, self.classes = self._train.path, photos.classes
        if len(self.classes) != 2:
            raise DataError(f"Two classes are needed; {path} has {len(self.classes)}: {', '.join(self.classes)}.")
        self.outside |= path.stem != "trainset"
        if path.stem in (Path(ARCHIVE).stem, "PetImages", "train"):
            log.warning(
                "%s may hold the course's test photos with labels: a submission of a network trained on it measures "
                "nothing, and is named submission-outside.csv. Photos of an available test set are left out.",
                path,
            )
        if self.folds:
            self._set_up_folds(photos, test)
            return
        folder = cache_root() / f"{path.stem}-split-{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
        parts = split(photos, self.n_valid, self.split_seed, test=test, near=self.outside)
        suffix = "" if test is None else "-without-test-copies"
        write_split_csv(folder / f"split-valid{self.n_valid}-seed{self.split_seed}{suffix}.csv", photos, parts)
        self.sets["train"] = ImageSet(photos.images, photos.labels, parts.train)
        self.sets["val"] = ImageSet(photos.images, photos.labels, parts.valid)
        log.info("%s: %d images for training, %d for validation.", path, len(parts.train), len(parts.valid))

    def _set_up_folds(self, photos: DecodedImages, test: DecodedImages | None) -> None:
        assert self.folds is not None
        self.names = photos.names
        self.fold_of = fold_numbers(photos, self.folds, self.split_seed, test=test, near=self.outside)
        for part, is_in_part in (("val", self.fold_of == self.fold), ("train", self.fold_of != self.fold)):
            index = np.flatnonzero(is_in_part & (self.fold_of > 0))
            self.sets[part] = ImageSet(photos.images, photos.labels, index)
        counts = (len(self.sets[part]) for part in ("train", "val"))
        log.info("Fold %d of %d: %d images for training, %d for validation.", self.fold, self.folds, *counts)

    def _set_up_test(self) -> None:
        if self.test_dir is None:
            self.sets["test"] = self._draw(DRAWN_TEST, seed=2)
            return
        photos = decode_all(Source(self.test_dir, labelled=True), self.decode_size)
        self.classes = photos.classes
        self.sets["test"] = ImageSet(photos.images, photos.labels)

    def _set_up_predict(self) -> None:
        if self.predict_dir is not None:
            photos = decode_all(Source(self.predict_dir, labelled=False), self.decode_size)
            self.predict_names = list(photos.names)
        elif self._test is not None:
            photos = load(self._test, self.decode_size, broken="blank")
            self.predict_names = [Path(name).stem for name in photos.names]
            if self._test.path.stem == "testset":
                self.predict_count = COURSE_TEST_IMAGES
            elif self.predict_names == [str(number) for number in range(1, len(photos) + 1)]:
                self.predict_count = len(photos)
            elif not all(map(str.isdecimal, names := set(self.predict_names))) or len(names) < len(photos):
                self.predict_names = list(photos.names)  # stems alone say less
        else:
            self.sets["predict"] = self._draw(DRAWN_TEST, seed=2)
            self.predict_names = [str(number) for number in range(1, DRAWN_TEST + 1)]
            return
        self.sets["predict"] = ImageSet(photos.images, None)

    def _draw(self, count: int, seed: int) -> ImageSet:
        return ImageSet(*draw_cats_and_dogs(count, seed, self.decode_size))
