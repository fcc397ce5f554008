import os
import random
import re
import sys
from pathlib import Path

import pytest

from lit_a1.data.errors import DataError
from lit_a1.data.sources.layouts import Source, find_test, find_train, natural_key

JUNK = {
    "__MACOSX/trainset/Cat/._1.Cat.jpg": b"x",
    ".DS_Store": b"x",
    "trainset/Cat/Thumbs.db": b"x",
    "trainset/.hidden/3.jpg": b"x",
    "trainset/Dog/.1.jpg": b"x",
}
COURSE = {f"trainset/{kind}/{number}.{kind}.jpg": b"%d" % number for kind in ("Cat", "Dog") for number in (1, 10, 2)}
COURSE_NAMES = [f"{kind}/{number}.{kind}.jpg" for kind in ("Cat", "Dog") for number in (1, 2, 10)]
KAGGLE_NAMES = [f"{kind}.{number}.jpg" for kind in ("cat", "dog") for number in (0, 9, 10)]
KAGGLE = {f"train/{kind}.{number}.jpg": b"%d" % number for kind in ("cat", "dog") for number in (0, 10, 9)}
PETS = {f"PetImages/{kind}/{number}.jpg": b"%d" % number for kind in ("Cat", "Dog") for number in (0, 11, 5)}
PETS_BESIDE = {"readme[1].txt": b"x", "MSR-LA - 3467.docx": b"x", "PetImages/Cat/Thumbs.db": b"x"}
CAT_AND_DOG = {"Cat/1.jpg": b"x", "Dog/1.jpg": b"x"}
ZIPPED_OR_NOT = pytest.mark.parametrize("suffix", [".zip", ""], ids=["zip", "folder"])


def without(prefix: str, files: dict[str, bytes]) -> dict[str, bytes]:
    return {name.removeprefix(prefix): data for name, data in files.items()}


def names(source: Source) -> list[str]:
    return [image.name for image in source.images]


def labels(source: Source) -> list[int | None]:
    return [image.label for image in source.images]


def listing_of(path: Path, labelled: bool = True) -> list[str]:
    return names(Source(path, labelled=labelled))


@pytest.mark.parametrize("wrapped", [True, False])
@ZIPPED_OR_NOT
@pytest.mark.parametrize(
    ("place", "files", "expected"),
    [("catsdogs/trainset", {**COURSE, **JUNK}, COURSE_NAMES), ("dogs-vs-cats/train", KAGGLE, KAGGLE_NAMES)],
    ids=["course", "Kaggle"],
)
def test_the_layouts_of_the_course_and_of_kaggle(make_files, tmp_path, place, files, expected, suffix, wrapped):
    make_files(f"{place}{suffix}", files if wrapped else without(f"{Path(place).name}/", files))
    source = find_train(tmp_path)
    assert names(source) == expected
    assert labels(source) == [0, 0, 0, 1, 1, 1]
    assert source.classes == ("Cat", "Dog")
    assert [source.read(image).decode() for image in source.images] == re.findall(r"\d+", " ".join(expected))


@ZIPPED_OR_NOT
@pytest.mark.parametrize(
    ("place", "prefix"),
    [*(("catsdogs/testset", prefix) for prefix in ("testset/test/", "test/", "")), ("dogs-vs-cats/test1", "test1/")],
)
def test_a_test_set_is_in_numeric_order(make_files, tmp_path, suffix, place, prefix):
    order = random.Random(0).sample(range(1, 121), 120)
    make_files(f"{place}{suffix}", {f"{prefix}{number}.jpg": b"x" for number in order})
    source = find_test(tmp_path)
    assert names(source) == [f"{number}.jpg" for number in range(1, 121)]
    assert set(labels(source)) == {None}
    assert source.classes == ()


@ZIPPED_OR_NOT
def test_microsoft_layout(make_files, tmp_path, suffix):
    make_files("catsdogs/kagglecatsanddogs_5340.zip" if suffix else "", {**PETS_BESIDE, **PETS})
    source = find_train(tmp_path)
    assert names(source) == [f"{kind}/{number}.jpg" for kind in ("Cat", "Dog") for number in (0, 5, 11)]
    assert source.classes == ("Cat", "Dog")
    assert find_test(tmp_path) is None
    path = make_files("backslashes.zip", {name.replace("/", "\\"): data for name, data in PETS.items()})
    source = Source(path, labelled=True)
    assert len(source.images) == 6
    assert source.read(source.images[1]) == b"5"


@pytest.mark.parametrize(("first", "second"), [("cats", "dogs"), ("CAT", "dog"), ("Cats", "Dog")])
def test_cats_and_dogs_in_other_words(make_files, tmp_path, first, second):
    make_files("", {f"{second}/1.jpg": b"x", f"{first}/1.jpg": b"x", "cache/images.npy": b"x", "mnist/a.gz": b"x"})
    source = find_train(tmp_path)
    assert names(source) == [f"{first}/1.jpg", f"{second}/1.jpg"]
    assert source.classes == ("Cat", "Dog")


def test_any_folder_of_classes_in_alphabetical_order_regardless_of_case(make_files, tmp_path):
    files = {"Tulip/deep/er/1.jpg": b"x", "aster/1.png": b"x", "Rose/1.gif": b"x", "Rose/n.txt": b"x"}
    source = Source(make_files("flowers", files), labelled=True)
    assert source.classes == ("aster", "Rose", "Tulip")
    assert names(source) == ["aster/1.png", "Rose/1.gif", "Tulip/deep/er/1.jpg"]
    assert labels(source) == [0, 1, 2]
    make_files("root", {"roses/1.jpg": b"x", "tulips/1.jpg": b"x"})
    source = find_train(tmp_path / "root")
    assert source.path == tmp_path / "root"
    assert source.classes == ("roses", "tulips")


def test_other_folders_below_the_root_are_not_taken_for_classes(make_files, tmp_path):
    make_files("", {"mnist/x.gz": b"x", "cache/a.npy": b"x", "photos/1.jpg": b"x", "notes/deep/1.jpg": b"x"})
    assert find_train(tmp_path) is None
    assert find_train(tmp_path / "missing") is None
    assert find_test(tmp_path) is None


def test_cats_and_dogs_beside_other_folders(make_files, tmp_path, caplog):
    beside = {
        "MNIST/raw/x.gz": b"x",
        "test/1.jpg": b"x",
        "docs/a.jpg": b"x",
        "catsdogs/b.txt": b"x",
        "TEST1/c.jpg": b"x",
    }
    make_files("", {**beside, "dogs/1.jpg": b"x", "cats/1.jpg": b"x"})
    caplog.set_level("INFO", "lit_a1")
    source = find_train(tmp_path)
    assert names(source) == ["cats/1.jpg", "dogs/1.jpg"]
    assert source.classes == ("Cat", "Dog")
    assert "beside cats and dogs: docs." in caplog.text


def test_what_is_left_out_is_named(make_files, caplog):
    caplog.set_level("INFO", "lit_a1")
    photos = {f"{number}.heic": b"x" for number in range(1, 9)} | {"deep/b.AVIF": b"x", "c.JPG": b"x", "d": b"x"}
    assert listing_of(make_files("photos", photos | {".e.jpg": b"x"}), labelled=False) == ["c.JPG"]
    assert "photos, because only JPEG, PNG, " in caplog.text
    assert ": 1.heic, 2.heic, 3.heic, 4.heic, 5.heic and 5 more." in caplog.text
    with pytest.raises(DataError, match=r"There is no image in .*heic"):
        listing_of(make_files("heic", {"only.heic": b"x"}), labelled=False)
    assert "only.heic." in caplog.text
    caplog.clear()
    listing_of(make_files("classes", {"a/1.jpg": b"x", "a/2.jp2": b"x", "b/1.jpg": b"x", "README.md": b"x"}))
    assert "a/2.jp2." in caplog.text
    assert "README" not in caplog.text  # which lies beside the classes


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither, or wants a privilege for them")
def test_links_to_nothing_and_pipes_are_left_out(make_files):
    folder = make_files("photos", {"1.jpg": b"x"})
    (folder / "2.jpg").symlink_to("nowhere.jpg")
    os.mkfifo(folder / "3.jpg")
    source = Source(folder, labelled=False)
    assert source.fingerprint()
    found = dict(zip(names(source), source.images, strict=True))
    assert source.read(found["1.jpg"]) == b"x"
    for name, words in {"2.jpg": "No such file", "3.jpg": "not a regular file"}.items():
        with pytest.raises(DataError, match=words):
            source.read(found[name])


def test_numbers_that_are_not_digits_are_text():
    assert sorted(["5²2.jpg", "①1.jpg", "10.jpg", "9.jpg"], key=natural_key) == ["5²2.jpg", "9.jpg", "10.jpg", "①1.jpg"]


@pytest.mark.parametrize(
    ("name", "files", "words"),
    [
        ("a", {"Cat/": b"", "Cat/readme.txt": b"x", "Dog/1.jpg": b"x"}, r"The class Cat of .*a has no image"),
        ("a.zip", {"t/Cat/1.jpg": b"x", "t/Dog/": b""}, r"The class Dog of .*a\.zip has no image"),
        ("a", {"Cat/1.jpg": b"x"}, r"two or more classes.* has only Cat"),
        ("a", {"t/Cat/1.jpg": b"x", "t/Cat/2.jpg": b"x"}, r"two or more classes.* has only Cat"),
        ("train", {"cat.1.jpg": b"x"}, "has only cat"),
        ("a", {"1.jpg": b"x", "2.jpg": b"x"}, r"two or more classes.* has none"),
        ("a", {"a.txt": b"x"}, "There is no image in"),
        *(
            ("a.zip", {**CAT_AND_DOG, entry: b"x"}, "points outside the archive")
            for entry in ("../evil.jpg", "a/../../evil.jpg", "/etc/evil.jpg", "..\\evil.jpg", "C:/evil.jpg")
        ),
    ],
)
def test_what_is_no_training_set_is_refused(make_files, name, files, words):
    source = Source(make_files(name, files), labelled=True)
    with pytest.raises(DataError, match=words):
        _ = source.images


def test_linked_folders_are_followed_but_not_round_and_round(make_files):
    elsewhere, folder = make_files("elsewhere", {"1.jpg": b"x"}), make_files("photos", {"2.jpg": b"x"})
    (folder / "link").symlink_to(elsewhere, target_is_directory=True)
    (elsewhere / "loop").symlink_to(folder, target_is_directory=True)
    assert listing_of(folder, labelled=False) == ["2.jpg", "link/1.jpg"]


@ZIPPED_OR_NOT
def test_the_fingerprint_changes_with_the_files(make_files, suffix):
    path = make_files(f"t{suffix}", COURSE)
    before = Source(path, labelled=True).fingerprint()
    assert Source(path, labelled=True).fingerprint() == before
    os.utime(path if suffix else path / "trainset/Cat/1.Cat.jpg", ns=(1, 1))
    assert Source(path, labelled=True).fingerprint() != before
