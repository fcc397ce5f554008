"""Cats vs Dogs: the course's 64x64 photos, Kaggle's, Microsoft's, any folder of classes, or drawn ones."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from lit_a1.data.augment import Augment
from lit_a1.data.cache import cache_root, decode_all, load
from lit_a1.data.download import MICROSOFT_SHA256, MICROSOFT_SIZE, MICROSOFT_URL, fetch
from lit_a1.data.drawn import draw_cats_and_dogs
from lit_a1.data.errors import DataError
from lit_a1.data.module import PictureDataModule, PictureSet
from lit_a1.data.pictures import Pictures
from lit_a1.data.sources import Source, data_root, find_test, find_train, list_folder
from lit_a1.data.split import Split, load_split

COURSE_TEST_PICTURES = 4999
ARCHIVE = MICROSOFT_URL.rpartition("/")[2]
DRAWN_TRAIN, DRAWN_VALID, DRAWN_TEST = 4000, 500, 500

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
        size: height and width of the pictures that the network sees, in pixels.
        size_schedule: other sizes for training, as `{first epoch: size}`.
        augment: what is done to training pictures.
        workers: processes that cut batches.
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
    ) -> None:
        super().__init__(batch_size, eval_batch_size, size, size_schedule, augment, workers)
        if source not in ("auto", "real", "drawn"):
            raise ValueError(f"source must be auto, real or drawn; got {source!r}")
        self.source, self.decode_size = source, decode_size
        self.n_valid, self.split_seed = n_valid, split_seed
        self.predict_dir, self.test_dir = predict_dir, test_dir
        self.classes = ("Cat", "Dog")
        self.drawn = source == "drawn"
        self.predict_names: list[str] = []
        self.predict_count: int | None = None
        self._train: Source | None = None
        self._test: Source | None = None

    # finding

    def prepare_data(self) -> None:
        """Finds the photos or fetches them; says so and turns to drawn ones where neither can be done.

        Raises:
            DataError: there are none and `source` is `real`.
        """
        if self.drawn or self._train is not None:
            return
        roots = [data_root(), _download_root()]
        self._train = next(filter(None, map(find_train, roots)), None)
        self._test = next(filter(None, map(find_test, roots)), None)
        if self._train is None:
            self._fetch(roots[0])

    def _fetch(self, root: Path) -> None:
        looked = (
            f"No photos below {root.resolve()}: looked for the course's trainset.zip, Kaggle's train.zip, Microsoft's "
            f"{ARCHIVE}, their folders, and one sub-folder a class"
        )
        log.info("%s. Fetching Microsoft's archive (825 MB).", looked)
        try:
            archive = fetch(MICROSOFT_URL, _download_root() / ARCHIVE, sha256=MICROSOFT_SHA256, size=MICROSOFT_SIZE)
            self._train = Source(archive, labelled=True)
        except DataError as error:
            if self.source == "real":
                raise DataError(f"{looked}; and they cannot be fetched: {error}") from error
            self.drawn = True
            log.warning("%s\n", error)
            log.warning("=" * 100)
            log.warning("NO PHOTOS: THIS RUN USES DRAWN CATS AND DOGS. Its figures say nothing about the photos.")
            log.warning("=" * 100)

    # loading

    def setup(self, stage: str) -> None:
        """Opens what a stage needs: `fit`, `validate`, `test` or `predict`.

        Raises:
            DataError: the photos can't be read or split, or there are none of the kind that the stage needs.
        """
        self.prepare_data()
        if stage in ("fit", "validate") and "val" not in self.sets:
            self._set_up_training()
        elif stage == "test":
            self._set_up_test()
        elif stage == "predict":
            self._set_up_predict()

    def _set_up_training(self) -> None:
        if self.drawn:
            for part, count, seed in (("train", DRAWN_TRAIN, 0), ("val", DRAWN_VALID, 1)):
                self.sets[part] = self._draw(count, seed)
            log.info("Drawn cats and dogs: %d for training, %d for validation.", DRAWN_TRAIN, DRAWN_VALID)
            return
        assert self._train is not None
        photos, parts = self._photos_and_split()
        if len(photos.classes) != 2:
            raise DataError(
                f"Two classes are needed; {self._train.path} has {len(photos.classes)}: {', '.join(photos.classes)}."
            )
        self.classes = photos.classes
        self.sets["train"] = PictureSet(photos.pictures, photos.labels, parts.train)
        self.sets["val"] = PictureSet(photos.pictures, photos.labels, parts.valid)
        log.info(
            "%s: %d pictures for training, %d for validation.", self._train.path, len(parts.train), len(parts.valid)
        )

    def _photos_and_split(self) -> tuple[Pictures, Split]:
        assert self._train is not None
        photos = load(self._train, self.decode_size)
        test = load(self._test, self.decode_size, broken="blank") if self._test is not None else None
        folder = cache_root() / f"{self._train.path.stem}-split"
        return photos, load_split(folder, photos, self.n_valid, self.split_seed, test=test)

    def _set_up_test(self) -> None:
        if self.test_dir is not None:
            photos = decode_all(Source(self.test_dir, labelled=True), self.decode_size)
            self.sets["test"] = PictureSet(photos.pictures, photos.labels)
        elif self.drawn:
            self.sets["test"] = self._draw(DRAWN_TEST, seed=2)
        else:
            raise DataError(
                "The test pictures have no labels: label them with predict, measure with validate, or name labelled "
                "photos with --data.test_dir DIR, one sub-folder a class."
            )

    def _set_up_predict(self) -> None:
        if self.predict_dir is not None:
            photos = decode_all(list_folder(self.predict_dir), self.decode_size, broken="skip")
            self.predict_names = list(photos.names)
        elif self.drawn:
            self.sets["predict"] = self._draw(DRAWN_TEST, seed=2)
            self.predict_names = [str(number) for number in range(1, DRAWN_TEST + 1)]
            return
        elif self._test is None:
            raise DataError("There are no test pictures beside these photos: name some with --data.predict_dir DIR.")
        else:
            photos = load(self._test, self.decode_size)
            self.predict_names = [Path(name).stem for name in photos.names]
            is_course = self._test.path.stem == "testset"
            self.predict_count = COURSE_TEST_PICTURES if is_course else len(photos)
        self.sets["predict"] = PictureSet(photos.pictures, None)

    def _draw(self, count: int, seed: int) -> PictureSet:
        return PictureSet(*draw_cats_and_dogs(count, seed, self.decode_size))


def _download_root() -> Path:
    """Where fetched archives go: `data/catsdogs`; the folder that LIT_A1_DATA names is only read."""
    return Path("data", "catsdogs")
