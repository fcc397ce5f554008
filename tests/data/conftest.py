"""Small files that the tests of the data make for themselves."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lit_a1.data.cache import Pictures

Encode = Callable[..., bytes]


@pytest.fixture(scope="session")
def encode() -> Encode:
    """encode(7): the bytes of a random JPEG, the same for the same number; also of an array or a Pillow picture."""

    def encode(what: int | np.ndarray | Image.Image, form: str = "JPEG", size: tuple[int, int] = (64, 64), **options):
        if isinstance(what, int):
            small = np.random.default_rng(what).integers(0, 256, (4, 4, 3), dtype=np.uint8)
            what = Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)
        elif isinstance(what, np.ndarray):
            what = Image.fromarray(what)
        file = io.BytesIO()
        what.save(file, form, **options)
        return file.getvalue()

    return encode


@pytest.fixture
def make_zip(tmp_path: Path) -> Callable[[str, dict[str, bytes]], Path]:
    def make(name: str, files: dict[str, bytes]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            for entry, data in files.items():
                archive.writestr(entry, data)
        return path

    return make


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[[str, dict[str, bytes]], Path]:
    def make(name: str, files: dict[str, bytes]) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True, exist_ok=True)
        for entry, data in files.items():
            path = folder / entry
            if entry.endswith("/"):
                path.mkdir(parents=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        return folder

    return make


@pytest.fixture(scope="session")
def pictures_of() -> Callable[..., Pictures]:
    """pictures_of([3, 4, 3], [0, 1, 0]): a decoded set; equal numbers are equal pictures."""

    def make(contents: list[int], labels: list[int] | None = None, names: list[str] | None = None) -> Pictures:
        kinds = np.random.default_rng(0).integers(0, 256, (max(contents) + 1, 4, 4, 3), dtype=np.uint8)
        if names is None:
            names = [f"{index}.jpg" for index in range(len(contents))]
        return Pictures(
            kinds[contents],
            None if labels is None else np.array(labels, dtype=np.int64),
            tuple(names),
            () if labels is None else ("Cat", "Dog", "Fox")[: max(labels) + 1],
            {},
        )

    return make
