import logging
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lit_a1.data import catsdogs
from lit_a1.data.catsdogs import CatsDogsDataModule
from lit_a1.data.errors import DataError
from lit_a1.data.near_copies import near_copies
from lit_a1.data.sources.drawn import draw_cats_and_dogs

Photos = Callable[..., Path]


def photo(file: Path) -> Path:
    """Makes an image in a folder, and returns the folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (80, 80)).save(file)
    return file.parent


def ready(stage: str, **options: object) -> CatsDogsDataModule:
    data = CatsDogsDataModule(**{"n_valid": 10} | options)
    data.setup(stage)
    return data


def test_the_courses_zips_are_found_split_and_served(course_photos: Photos, caplog: pytest.LogCaptureFixture) -> None:
    course_photos(per_class=20)
    data = ready("fit")
    assert not data.outside
    assert "measures nothing" not in caplog.text
    train, val = data.sets["train"], data.sets["val"]
    assert not data.drawn
    assert data.classes == ("Cat", "Dog")
    assert (len(train), len(val)) == (30, 10)
    assert not set(train.index) & set(val.index)
    assert val.labels[val.index].tolist().count(0) == 5
    for index in val.index:  # the label is that of the image: cats are reddish above
        top = train.images[index][:32].reshape(-1, 3).mean(0)
        assert int(top[2] > top[0]) == val.labels[index]


def test_test_images_keep_their_numbers_and_an_unreadable_one_is_answered(course_photos, caplog) -> None:
    root = course_photos(per_class=4, test=12)
    with zipfile.ZipFile(root / "catsdogs" / "testset.zip", "a") as archive:
        archive.writestr("testset/test/13.jpg", b"torn")
    data = ready("predict")
    assert data.predict_names == [str(number) for number in range(1, 14)]
    assert data.predict_count == 4999
    assert "13.jpg" in caplog.text
    blue = data.sets["predict"].images[:12, :32].reshape(12, -1, 3).mean(1)
    assert (blue[:, 2] > blue[:, 0]).astype(int).tolist() == [number % 2 for number in range(1, 13)]


def test_a_folder_to_label(course_photos: Photos, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    course_photos(per_class=4)
    folder = photo(tmp_path / "holiday" / "cat.png")
    for number in range(20):
        (folder / f"rex{number}.jpg").write_bytes(b"not a photo")
    data = ready("predict", predict_dir=str(folder))
    assert data.predict_names == ["cat.png"]
    assert data.predict_count is None
    assert all(f"rex{number}.jpg" in caplog.text for number in range(20))  # each file, not the first few


def test_after_training_there_are_no_other_test_images_than_before(course_photos: Photos) -> None:
    """A data module that has found the photos for one stage must not draw cats and dogs for another."""
    root = course_photos(per_class=20)
    data = ready("validate")
    for module in (data, CatsDogsDataModule()):
        with pytest.raises(DataError, match="have no labels"):
            module.setup("test")
    data.setup("predict")
    assert len(data.sets["predict"]) == 12
    (root / "catsdogs" / "testset.zip").unlink()
    data = ready("validate")
    with pytest.raises(DataError, match="no test images"):
        data.setup("predict")


def test_a_labelled_folder_can_be_tested_on(course_photos: Photos, tmp_path: Path) -> None:
    course_photos(per_class=4)
    folders = [photo(tmp_path / "mine" / name / "1.png") for name in ("cats", "dogs")]
    assert ready("test", test_dir=str(folders[0].parent)).sets["test"].labels.tolist() == [0, 1]


@pytest.mark.usefixtures("no_network")
def test_without_photos_or_network_it_says_so_and_draws(few_drawn: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        data = ready("fit")
    assert data.drawn
    for words in ("trainset.zip", "kagglecatsanddogs_5340.zip", "cannot be reached", "DRAWN CATS AND DOGS"):
        assert words in caplog.text
    assert len(data.sets["train"]) == few_drawn
    assert np.bincount(data.sets["val"].labels).tolist() == [few_drawn / 2] * 2
    with pytest.raises(DataError, match=r"trainset\.zip.*cannot be fetched"):
        ready("fit", source="real")
    photo(Path("data", "catsdogs", "testset", "test", "1.png"))
    data = ready("fit")
    data.setup("predict")
    assert len(data.sets["predict"]) == few_drawn  # and not the photo, of which a network of drawn ones knows nothing


@pytest.mark.parametrize("stage", ["test", "predict"])
def test_nothing_is_downloaded_to_test_or_label(stage: str, few_drawn: int, monkeypatch, caplog) -> None:
    monkeypatch.setattr(catsdogs, "fetch", lambda *_, **__: pytest.fail("fetched"))
    assert ready(stage).drawn
    assert "No test photos below" in caplog.text
    with pytest.raises(DataError, match=r"looked for the course's testset.zip.* Name photos: predict PHOTO"):
        ready(stage, source="real")
    photo(Path("data", "catsdogs", "testset", "test", "1.png"))
    if stage == "predict":
        assert ready(stage).predict_names == ["1"]
    else:
        with pytest.raises(DataError, match="The test images have no labels"):
            ready(stage)


def test_drawn_never_looks_and_says_so(course_photos, monkeypatch, caplog) -> None:
    course_photos(per_class=4)
    monkeypatch.setattr(catsdogs, "find_train", None)
    assert len(ready("test", source="drawn").sets["test"]) == 500
    assert "THIS RUN USES DRAWN CATS AND DOGS" in caplog.text


@pytest.mark.usefixtures("no_network")
def test_a_folder_of_ones_own_needs_no_other_photos(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = str(photo(tmp_path / "rex.png"))
    data = ready("predict", predict_dir=folder)
    assert not data.drawn
    assert data.predict_names == ["rex.png"]
    data = ready("predict", predict_dir=folder, source="drawn")
    assert len(data.sets["predict"]) == 1
    assert "DRAWN" not in caplog.text


def test_missing_folders_and_other_sources_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIT_A1_DATA", "nowhere")
    with pytest.raises(DataError, match="nowhere"):
        ready("fit")
    with pytest.raises(DataError, match="There is no photo, folder or zip file no-such-folder"):
        ready("predict", source="drawn", predict_dir="no-such-folder")
    with pytest.raises(ValueError, match="auto, real or drawn"):
        ready("fit", source="fake")


def test_numbers_are_ids_only_where_all_names_are_numbers(course_photos: Photos) -> None:
    root = course_photos(per_class=4)
    (root / "catsdogs" / "testset.zip").unlink()
    for added, expected in (  # a submission has all of the ids from 1 on
        (["1.png", "2.png"], (["1", "2"], 2)),
        (["10.png"], (["1", "2", "10"], None)),
        (["0.png"], (["0", "1", "2", "10"], None)),
        (["2.gif"], (["0.png", "1.png", "2.gif", "2.png", "10.png"], None)),
    ):
        for name in added:
            photo(root / "catsdogs" / "test" / name)
        data = ready("predict")
        assert (data.predict_names, data.predict_count) == expected
    photo(root / "catsdogs" / "test" / "rex.png")
    assert ready("predict").predict_names[-1] == "rex.png"


def test_an_archive_that_holds_the_test_photos_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    images, labels = draw_cats_and_dogs(30, 0, 64)
    monkeypatch.setenv("LIT_A1_DATA", str(root := tmp_path / "photos"))
    monkeypatch.setenv("LIT_A1_CACHE", str(tmp_path / "cache"))
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        file = root / "catsdogs" / "PetImages" / ("Cat", "Dog")[label] / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).resize((200, 200)).save(file)
    (root / "catsdogs" / "testset" / "test").mkdir(parents=True)
    for number in range(1, 5):
        Image.fromarray(images[number - 1]).save(root / "catsdogs" / "testset" / "test" / f"{number}.jpg")
    for options in ({"n_valid": 4}, {"folds": 2, "fold": 1}):
        data = ready("fit", **options)
        assert data.outside
        assert len(data.sets["train"]) + len(data.sets["val"]) == 26
        assert "PetImages may hold the course's test photos" in caplog.text
        caplog.clear()

    monkeypatch.setattr(catsdogs, "DOWNLOADS", downloads := tmp_path / "downloads")
    for elsewhere in ("PetImages", "testset"):
        (downloads / "catsdogs").mkdir(parents=True, exist_ok=True)
        shutil.move(root / "catsdogs" / elsewhere, downloads / "catsdogs")
        data = ready("fit", n_valid=4)
        assert len(data.sets["train"]) + len(data.sets["val"]) == 26
        shutil.move(downloads / "catsdogs" / elsewhere, root / "catsdogs")


def test_the_courses_photos(real_data: Path, monkeypatch: pytest.MonkeyPatch, decoded_photos: Path) -> None:
    monkeypatch.setenv("LIT_A1_DATA", str(real_data))
    monkeypatch.setenv("LIT_A1_CACHE", str(decoded_photos))
    data = ready("fit", n_valid=2000)
    data.setup("predict")
    train, val = data.sets["train"], data.sets["val"]
    assert len(val) == 2000
    assert np.bincount(val.labels[val.index]).tolist() == [1000, 1000]
    assert len(train) + len(val) == 19_998 - 10 - 9  # contradictory labels; copies of test images
    hashes = [{train.images[i].tobytes() for i in part.index} for part in (train, val)]
    test = {image.tobytes() for image in data.sets["predict"].images}
    assert not hashes[0] & hashes[1]
    assert not (hashes[0] | hashes[1]) & test
    assert data.predict_names == [str(number) for number in range(1, 5000)]
    known = np.array([image.tobytes() in test for image in train.images])
    found = near_copies(train.images, data.sets["predict"].images)
    blank = train.images.reshape(len(known), -1).std(1) == 0
    assert found[known & ~blank].all()
    assert found[~known].sum() <= 2  # alike by chance
