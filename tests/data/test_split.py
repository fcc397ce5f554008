import logging
from dataclasses import replace

import numpy as np
import pytest

from lit_a1.data.cache import groups_of_copies, load
from lit_a1.data.errors import DataError
from lit_a1.data.sources.layouts import find_test, find_train
from lit_a1.data.split import CONFLICT, IN_TEST, fold_numbers, split, write_split_csv
from tests.conftest import read_csv


def same(a, b) -> bool:
    return np.array_equal(a.train, b.train) and np.array_equal(a.valid, b.valid) and a.left_out == b.left_out


@pytest.fixture
def photos(images_of):
    """300 cats, then 500 dogs; 60 pairs and 10 triples of copies among them."""
    rng = np.random.default_rng(0)
    contents: list[int] = []
    for count in (300, 500):
        first = max(contents, default=-1) + 1
        kinds = np.repeat(np.arange(count - 40), [3] * 5 + [2] * 30 + [1] * (count - 75))
        contents += (first + rng.permutation(kinds)).tolist()
    return images_of(contents, [0] * 300 + [1] * 500)


def shuffled(photos):
    """The photos in another order, and this order."""
    order = np.random.default_rng(1).permutation(len(photos))
    names = tuple(photos.names[i] for i in order)
    return replace(photos, images=photos.images[order], labels=photos.labels[order], names=names), order


@pytest.mark.parametrize("n_valid", [0, 1, 7, 33, 160, 161, 399])
def test_the_parts_cover_everything_once_and_are_stratified_exactly(photos, n_valid):
    parts = split(photos, n_valid, seed=3)
    assert len(parts.valid) == n_valid
    assert sorted([*parts.train, *parts.valid]) == list(range(800))
    assert parts.left_out == {}
    assert abs((photos.labels[parts.valid] == 0).sum() - n_valid * 3 / 8) < 1
    for part in (parts.train, parts.valid):
        assert part.dtype == np.int64
        assert (np.diff(part) > 0).all()


def test_copies_never_straddle(photos):
    for seed in range(8):
        parts = split(photos, 300, seed)
        assert not set(photos.hashes[parts.train]) & set(photos.hashes[parts.valid])
        assert (photos.groups[parts.valid] > 0).any()  # or the test would prove nothing


def test_the_seed_decides_and_the_order_of_the_images_does_not(photos):
    assert same(split(photos, 100, seed=5), split(photos, 100, seed=5))
    assert not same(split(photos, 100, seed=5), split(photos, 100, seed=6))
    others, _ = shuffled(photos)
    one, other = split(photos, 100, seed=0), split(others, 100, seed=0)
    assert {photos.names[i] for i in one.valid} == {others.names[i] for i in other.valid}


def test_a_known_split(images_of):
    """Pins the order of SHA-256(seed:name): the same on every machine, now and later."""
    assert split(images_of(range(10), [0] * 5 + [1] * 5), 4, seed=7).valid.tolist() == [0, 4, 5, 8]


def test_conflicting_labels_and_copies_of_test_images_are_in_neither_part(images_of, caplog):
    data = images_of([0, 1, 2, 3, 1, 5, 6, 7, 0], [0, 0, 0, 0, 0, 1, 1, 1, 1])
    assert split(data, 2, seed=0).left_out == {0: CONFLICT, 8: CONFLICT}
    with caplog.at_level(logging.INFO):
        parts = split(data, 2, seed=0, test=images_of([1, 9, 7, 0]))
    assert parts.left_out == {0: CONFLICT, 1: IN_TEST, 4: IN_TEST, 7: IN_TEST, 8: CONFLICT}
    assert sorted([*parts.train, *parts.valid]) == [2, 3, 5, 6]
    assert "2 images with conflicting labels, 3 that are also in the test set" in caplog.text


def test_three_classes_and_copies_of_every_image(images_of):
    data = images_of(list(range(60)), [0] * 10 + [1] * 20 + [2] * 30)
    assert np.bincount(data.labels[split(data, 12, seed=0).valid]).tolist() == [2, 4, 6]
    data = images_of([i // 2 for i in range(40)], [0] * 20 + [1] * 20)
    assert len(split(data, 10, seed=0).valid) == 8  # less than a group of copies is missing
    assert len(split(data, 12, seed=0).valid) == 12


def test_what_cannot_be_split_is_refused(photos, images_of):
    for n_valid in (-1, 800, 10_000):
        with pytest.raises(DataError, match=rf"n_valid must .*\(300 Cat, 500 Dog\), got {n_valid}"):
            split(photos, n_valid, seed=0)
    with pytest.raises(DataError, match="class Dog is left out"):
        split(images_of([0, 1, 0], [0, 0, 1]), 1, seed=0)


def test_what_the_courses_test_set_has_is_known_where_it_is_absent(real_data, decoded_photos, monkeypatch):
    monkeypatch.setenv("LIT_A1_CACHE", str(decoded_photos))
    photos, test = (load(find(real_data)) for find in (find_train, find_test))
    assert split(photos, 2000, seed=0).left_out == split(photos, 2000, seed=0, test=test).left_out


def test_groups_are_numbered_by_appearance():
    hashes = np.array(["z", "b", "a", "b", "q", "a", "b"])
    assert groups_of_copies(hashes).tolist() == [0, 1, 2, 1, 0, 2, 1]
    assert groups_of_copies(np.array([], dtype=str)).tolist() == []


# folds


@pytest.mark.parametrize("folds", [2, 3, 5, 7, 30])
def test_folds_cover_everything_once_and_are_stratified(photos, folds):
    numbers = fold_numbers(photos, folds, seed=3)
    assert sorted(set(numbers)) == list(range(1, folds + 1))
    for group in range(1, photos.groups.max() + 1):
        assert len(set(numbers[photos.groups == group])) == 1
    for rows in (photos.labels == 0, photos.labels == 1, photos.labels >= 0):
        counts = np.bincount(numbers[rows])[1:]
        assert counts.max() - counts.min() <= 1


def test_the_seed_decides_the_folds_and_the_order_of_the_images_does_not(photos):
    numbers = fold_numbers(photos, 5, seed=1)
    assert not np.array_equal(numbers, fold_numbers(photos, 5, seed=2))
    others, order = shuffled(photos)
    assert np.array_equal(numbers[order], fold_numbers(others, 5, seed=1))


def test_known_folds(images_of):
    """Pins them: copies first, then single images in the order of SHA-256(seed:name)."""
    few = images_of([0, 0, *range(2, 10)], [0] * 5 + [1] * 5)
    assert fold_numbers(few, 2, seed=7).tolist() == [1, 1, 2, 2, 2, 1, 1, 1, 2, 2]


def test_what_the_split_leaves_out_is_in_no_fold(images_of):
    data = images_of([0, 1, 2, 3, 1, 5, 6, 7, 0], [0, 0, 0, 0, 0, 1, 1, 1, 1])
    numbers = fold_numbers(data, 2, seed=0, test=images_of([9, 7, 0]))
    assert np.flatnonzero(numbers == 0).tolist() == [0, 7, 8]
    assert numbers[1] == numbers[4]


@pytest.mark.parametrize(("folds", "words"), [(4, "4 folds .*3 Cat, 5 Dog"), (800, "800 folds")])
def test_too_many_folds_are_refused(images_of, folds, words):
    copies_count_once = images_of([0, 1, 1, 2, 3, 4, 5, 6, 7], [0] * 4 + [1] * 5)
    with pytest.raises(DataError, match=words):
        fold_numbers(copies_count_once, folds, seed=0)
    assert fold_numbers(copies_count_once, 3, seed=0).all()


def test_the_larger_remainder_is_rounded_up(images_of):
    labels = [0] * 14 + [1] * 6  # of one image in 20 classes get 0.7 and 0.3; of three, 2.1 and 0.9
    for n_valid, dogs in ((1, 0), (3, 1)):
        images = images_of(range(20), labels)
        assert images.labels[split(images, n_valid, seed=0).valid].sum() == dogs


def test_a_photo_of_the_courses_test_set_is_known_by_its_pixels(images_of, monkeypatch):
    images = images_of(range(20), [0] * 10 + [1] * 10)
    monkeypatch.setattr("lit_a1.data.split.COURSE_TEST", [str(images.hashes[4])[:16]])
    assert list(split(images, 4, seed=0).left_out) == [4]


# the CSV


def test_the_csv_of_a_split(images_of, tmp_path):
    names = [f"Cat/{i}, {'ü' * (i == 1)}\n.jpg" for i in range(6)] + [f'Dog/"{i}".jpg' for i in range(6)]
    data = images_of([0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9, 0], [0] * 6 + [1] * 6, names)
    parts = split(data, 4, seed=0)
    write_split_csv(tmp_path / "deep" / "split.csv", data, parts)
    rows = read_csv(tmp_path / "deep" / "split.csv")
    assert [row["name"] for row in rows] == list(data.names)
    for part, indices in {"train": parts.train, "valid": parts.valid, "left_out": parts.left_out}.items():
        assert [i for i, row in enumerate(rows) if row["part"] == part] == sorted(indices) != []
    assert rows[0] == {"name": "Cat/0, \n.jpg", "label": "Cat", "part": "left_out", "group": "1", "reason": CONFLICT}
    assert {row["reason"] for row in rows if row["part"] != "left_out"} == {""}
    assert rows[3]["group"] == rows[4]["group"] == "2"
    assert rows[3]["part"] == rows[4]["part"]
    assert list((tmp_path / "deep").iterdir()) == [tmp_path / "deep" / "split.csv"]


def test_a_place_that_cannot_be_written(photos, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        write_split_csv(tmp_path / "file" / "split.csv", photos, split(photos, 100, 0))
