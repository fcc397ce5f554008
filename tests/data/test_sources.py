import os
import random
from pathlib import Path

import pytest

from lit_a1.data.errors import DataError
from lit_a1.data.sources.layouts import Source, data_root, find_test, find_train, natural_key

JUNK = {
    "__MACOSX/trainset/Cat/._1.Cat.jpg": b"x",
    ".DS_Store": b"x",
    "trainset/Cat/Thumbs.db": b"x",
    "trainset/.hidden/3.jpg": b"x",
    "trainset/Dog/.1.jpg": b"x",
}
COURSE = {f"trainset/{kind}/{number}.{kind}.jpg": b"%d" % number for kind in ("Cat", "Dog") for number in (1, 10, 2)}
COURSE_NAMES = [f"{kind}/{number}.{kind}.jpg" for kind in ("Cat", "Dog") for number in (1, 2, 10)]
KAGGLE = {f"train/{kind}.{number}.jpg": b"%d" % number for kind in ("cat", "dog") for number in (0, 10, 9)}
PETS = {f"PetImages/{kind}/{number}.jpg": b"%d" % number for kind in ("Cat", "Dog") for number in (0, 11, 5)}
PETS_BESIDE = {"readme[1].txt": b"x", "MSR-LA - 3467.docx": b"x", "PetImages/Cat/Thumbs.db": b"x"}


def labels(source: Source) -> list[int | None]:
    return [picture.label for picture in source.pictures]


def unlabelled(path: Path) -> Source:
    return Source(path, labelled=False)


def names(source: Source) -> list[str]:
    return [picture.name for picture in source.pictures]


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("zipped", [True, False])
def test_the_course_layout(make_zip, make_folder, tmp_path, zipped, wrapped):
    files = {**COURSE, **JUNK}
    if not wrapped:
        files = {name.removeprefix("trainset/"): data for name, data in files.items()}
    if zipped:
        make_zip("catsdogs/trainset.zip", files)
    else:
        make_folder("catsdogs/trainset", files)
    source = find_train(tmp_path)
    assert source is not None
    assert source.classes == ("Cat", "Dog")
    assert names(source) == COURSE_NAMES
    assert labels(source) == [0, 0, 0, 1, 1, 1]
    assert [source.read(picture) for picture in source.pictures] == [b"1", b"2", b"10"] * 2


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("prefix", ["testset/test/", "test/", ""])
def test_the_course_test_set_is_in_numeric_order(make_zip, make_folder, tmp_path, zipped, prefix):
    files = {f"{prefix}{number}.jpg": b"x" for number in random.Random(0).sample(range(1, 121), 120)}
    if zipped:
        make_zip("catsdogs/testset.zip", files)
    else:
        make_folder("catsdogs/testset", files)
    source = find_test(tmp_path)
    assert source is not None
    assert names(source) == [f"{number}.jpg" for number in range(1, 121)]
    assert set(labels(source)) == {None}
    assert source.classes == ()


@pytest.mark.parametrize("zipped", [True, False])
def test_kaggle_layout(make_zip, make_folder, tmp_path, zipped):
    make = make_zip if zipped else make_folder
    suffix = ".zip" if zipped else ""
    make(f"dogs-vs-cats/train{suffix}", KAGGLE if zipped else {Path(k).name: v for k, v in KAGGLE.items()})
    make(f"dogs-vs-cats/test1{suffix}", {f"{'test1/' if zipped else ''}{number}.jpg": b"x" for number in (10, 2, 1)})
    source, test = find_train(tmp_path), find_test(tmp_path)
    assert source is not None
    assert test is not None
    assert source.classes == ("Cat", "Dog")
    assert names(source) == ["cat.0.jpg", "cat.9.jpg", "cat.10.jpg", "dog.0.jpg", "dog.9.jpg", "dog.10.jpg"]
    assert labels(source) == [0, 0, 0, 1, 1, 1]
    assert names(test) == ["1.jpg", "2.jpg", "10.jpg"]


@pytest.mark.parametrize("zipped", [True, False])
def test_microsoft_layout(make_zip, make_folder, tmp_path, zipped):
    if zipped:
        make_zip("catsdogs/kagglecatsanddogs_5340.zip", {**PETS_BESIDE, **PETS})
    else:
        make_folder("", {**PETS_BESIDE, **PETS})
    source = find_train(tmp_path)
    assert source is not None
    assert source.classes == ("Cat", "Dog")
    assert names(source) == [f"{kind}/{number}.jpg" for kind in ("Cat", "Dog") for number in (0, 5, 11)]
    assert find_test(tmp_path) is None


def test_an_archive_with_backslashes(make_zip):
    path = make_zip("pets.zip", {name.replace("/", "\\"): data for name, data in PETS.items()})
    source = Source(path, labelled=True)
    assert len(source.pictures) == 6
    assert source.read(source.pictures[1]) == b"5"


@pytest.mark.parametrize(("first", "second"), [("cats", "dogs"), ("CAT", "dog"), ("Cats", "Dog")])
def test_cats_and_dogs_in_other_words(make_folder, tmp_path, first, second):
    make_folder("", {f"{second}/1.jpg": b"x", f"{first}/1.jpg": b"x", "cache/pictures.npy": b"x", "mnist/a.gz": b"x"})
    source = find_train(tmp_path)
    assert source is not None
    assert source.classes == ("Cat", "Dog")
    assert names(source) == [f"{first}/1.jpg", f"{second}/1.jpg"]


def test_any_folder_of_classes_in_alphabetical_order_regardless_of_case(make_folder, tmp_path):
    make_folder("flowers", {"Tulip/deep/er/1.jpg": b"x", "aster/1.png": b"x", "Rose/1.gif": b"x", "Rose/n.txt": b"x"})
    source = Source(tmp_path / "flowers", labelled=True)
    assert source.classes == ("aster", "Rose", "Tulip")
    assert names(source) == ["aster/1.png", "Rose/1.gif", "Tulip/deep/er/1.jpg"]
    assert labels(source) == [0, 1, 2]


def test_a_root_that_is_itself_a_folder_of_classes(make_folder, tmp_path):
    make_folder("", {"roses/1.jpg": b"x", "tulips/1.jpg": b"x"})
    source = find_train(tmp_path)
    assert source is not None
    assert source.path == tmp_path
    assert source.classes == ("roses", "tulips")


def test_other_folders_below_the_root_are_not_taken_for_classes(make_folder, tmp_path):
    make_folder("", {"mnist/x.gz": b"x", "cache/a.npy": b"x", "photos/1.jpg": b"x", "notes/deep/1.jpg": b"x"})
    assert find_train(tmp_path) is None
    assert find_train(tmp_path / "missing") is None
    assert find_test(tmp_path) is None


def test_the_same_names_and_order_from_zip_and_folder(make_zip, make_folder):
    zipped, folder = make_zip("a/trainset.zip", COURSE), make_folder("b", COURSE)
    assert names(Source(zipped, labelled=True)) == names(Source(folder / "trainset", labelled=True))
    assert names(Source(zipped, labelled=True)) == names(Source(folder, labelled=True))


def test_an_empty_class_is_named(make_folder, make_zip):
    with pytest.raises(DataError, match=r"The class Cat of .*trainset has no picture"):
        _ = Source(
            make_folder("trainset", {"Cat/": b"", "Cat/readme.txt": b"x", "Dog/1.jpg": b"x"}), labelled=True
        ).pictures
    with pytest.raises(DataError, match=r"The class Dog of .*trainset.zip has no picture"):
        _ = Source(make_zip("trainset.zip", {"t/Cat/1.jpg": b"x", "t/Dog/": b""}), labelled=True).classes


@pytest.mark.parametrize("files", [{"Cat/1.jpg": b"x"}, {"t/Cat/1.jpg": b"x", "t/Cat/2.jpg": b"x"}])
def test_one_class_is_not_enough(make_folder, files):
    with pytest.raises(DataError, match=r"two or more classes.* has only Cat"):
        _ = Source(make_folder("set", files), labelled=True).pictures


def test_kaggle_layout_with_one_class(make_folder):
    with pytest.raises(DataError, match="has only cat"):
        _ = Source(make_folder("train", {"cat.1.jpg": b"x"}), labelled=True).pictures


def test_no_classes_and_no_pictures(make_folder):
    with pytest.raises(DataError, match=r"two or more classes.* has none"):
        _ = Source(make_folder("flat", {"1.jpg": b"x", "2.jpg": b"x"}), labelled=True).pictures
    with pytest.raises(DataError, match="There is no picture in"):
        _ = Source(make_folder("empty", {"a.txt": b"x"}), labelled=True).pictures


def test_a_missing_source(tmp_path):
    with pytest.raises(DataError, match="There is no folder or zip file"):
        Source(tmp_path / "nowhere", labelled=True)


@pytest.mark.parametrize("entry", ["../evil.jpg", "a/../../evil.jpg", "/etc/evil.jpg", "..\\evil.jpg", "C:/evil.jpg"])
def test_a_zip_that_points_outside_itself_is_refused(make_zip, entry):
    source = Source(make_zip("x.zip", {"Cat/1.jpg": b"x", "Dog/1.jpg": b"x", entry: b"x"}), labelled=True)
    with pytest.raises(DataError, match="points outside the archive"):
        _ = source.pictures


@pytest.mark.parametrize("kept", [0, 10, -30])
def test_a_broken_zip(make_zip, kept):
    path = make_zip("trainset.zip", COURSE)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match="is not a zip file, or is damaged or cut short"):
        _ = Source(path, labelled=True).pictures


def test_a_damaged_entry_is_told_when_it_is_read(make_zip):
    path = make_zip("trainset.zip", {"Cat/1.jpg": b"abcdefgh", "Dog/1.jpg": b"stuvwxyz"})
    path.write_bytes(path.read_bytes().replace(b"stuvwxyz", b"stuvwxyZ"))
    source = Source(path, labelled=True)
    assert source.read(source.pictures[0]) == b"abcdefgh"
    with pytest.raises(DataError, match="it cannot be read from the zip file"):
        source.read(source.pictures[1])


def test_a_file_that_vanished(make_folder):
    folder = make_folder("set", COURSE)
    source = Source(folder, labelled=True)
    (folder / source.pictures[0].entry).unlink()
    with pytest.raises(DataError, match="it cannot be read"):
        source.read(source.pictures[0])


def test_a_folder_of_photos_is_listed_in_natural_order_with_the_rest_apart(make_folder):
    files = {"b/10.JPG": b"x", "b/9.jpeg": b"x", "a.png": b"x", "notes.txt": b"x", "b/Thumbs.db": b"x", ".a.jpg": b"x"}
    source = unlabelled(make_folder("photos", files))
    assert names(source) == ["a.png", "b/9.jpeg", "b/10.JPG"]


def test_a_folder_without_photos_is_refused(make_folder):
    with pytest.raises(DataError, match="There is no picture in"):
        _ = unlabelled(make_folder("photos", {"notes.txt": b"x"})).pictures


def test_links_that_go_round_end(make_folder):
    folder = make_folder("photos", {"a/1.jpg": b"x"})
    (folder / "a" / "loop").symlink_to(folder, target_is_directory=True)
    assert names(unlabelled(folder)) == ["a/1.jpg"]


def test_linked_folders_are_followed(make_folder, tmp_path):
    elsewhere = make_folder("elsewhere", {"1.jpg": b"x"})
    folder = make_folder("photos", {"2.jpg": b"x"})
    (folder / "link").symlink_to(elsewhere, target_is_directory=True)
    assert names(unlabelled(folder)) == ["2.jpg", "link/1.jpg"]


@pytest.mark.parametrize("zipped", [True, False])
def test_the_fingerprint_changes_with_the_files(make_zip, make_folder, zipped):
    path = (make_zip("t.zip", COURSE)) if zipped else make_folder("t", COURSE)
    before = Source(path, labelled=True).fingerprint()
    assert Source(path, labelled=True).fingerprint() == before
    target = path if zipped else path / "trainset/Cat/1.Cat.jpg"
    os.utime(target, ns=(1, 1))
    assert Source(path, labelled=True).fingerprint() != before


def test_natural_order():
    wanted = ["1.jpg", "2.jpg", "10.jpg", "100.jpg", "A2.jpg", "a10.jpg", "b1.jpg"]
    shuffled = random.Random(1).sample(wanted, len(wanted))
    assert sorted(shuffled, key=natural_key) == wanted


def test_the_root_is_named_by_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("LIT_A1_DATA", str(tmp_path))
    assert data_root() == tmp_path
    monkeypatch.setenv("LIT_A1_DATA", str(tmp_path / "missing"))
    with pytest.raises(DataError, match="LIT_A1_DATA names"):
        data_root()
    monkeypatch.delenv("LIT_A1_DATA")
    assert data_root() == Path("data")
