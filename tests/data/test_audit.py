import itertools
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from lit_a1.data.audit import PROBLEMS, Finding, audit, save_sheet, save_table
from lit_a1.data.contact_sheet import WIDTH, Section, Tile, contact_sheet
from lit_a1.data.sources.layouts import Source, find_test, find_train
from tests.conftest import read_csv


@pytest.fixture
def result(encode, make_files):
    exif, upright = Image.Exif(), Image.Exif()
    exif[0x0112], upright[0x0112] = 6, 9  # there is no 9
    grey = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    blank = np.full((64, 64, 3), 255, dtype=np.uint8)
    cats = {
        1: encode(1),
        2: encode(2),
        3: encode(2),
        4: encode(1)[:400],
        5: encode(blank, quality=50),
        6: encode(grey),
        7: encode(Image.new("CMYK", (64, 64), (0, 9, 200, 9))),
        8: encode(8, size=(64, 300)),
        9: encode(10, exif=upright),
        10: encode(11, "MPO", save_all=True, append_images=[Image.fromarray(grey)]),
    }
    dogs = {
        1: encode(3),
        2: encode(4, "PNG"),
        3: encode(5, exif=exif),
        4: encode(6, size=(30, 40)),
        5: encode(blank, quality=90, comment=b"other bytes, same pixels"),
        6: encode(7, size=(6000, 5000)),
    }
    train = {f"{kind}/{n}.jpg": data for kind, of in (("Cat", cats), ("Dog", dogs)) for n, data in of.items()}
    test = {"1.jpg": encode(3), "2.jpg": encode(9), "10.jpg": encode(9), "11.jpg": b"text"}
    return audit(Source(make_files("train", train), labelled=True), Source(make_files("test", test), labelled=False))


def test_every_problem_is_found_in_order_and_nothing_else(result):
    named = {
        problem: " ".join(f"{f.part}:{f.name.removesuffix('.jpg')}" for f in findings)
        for problem, findings in itertools.groupby(result.findings, lambda f: f.problem)
    }
    assert named == {
        "unreadable": "train:Cat/4 test:11",
        "conflicting labels": "train:Cat/5 train:Dog/5",
        "copies in train and test": "train:Dog/1 test:1",
        "copies in train": "train:Cat/2 train:Cat/3",
        "copies in test": "test:2 test:10",
        "near-constant": "train:Cat/5 train:Cat/7 train:Dog/5",
        "greyscale": "train:Cat/6",
        "mode": "train:Cat/7",
        "format": "train:Dog/2",
        "rotated": "train:Dog/3",
        "small": "train:Dog/4",
        "elongated": "train:Cat/8",
        "enormous": "train:Dog/6",
    }
    assert list(named) == list(PROBLEMS)
    assert result.findings[0] == Finding("unreadable", 0, "Cat/4.jpg", "train", "Cat", "it is truncated")
    details = {f.problem: f.detail for f in result.findings}
    assert details["copies in train and test"] == "2 copies, 1 in train and 1 in test"
    assert [details[problem] for problem in ("mode", "format", "small")] == ["mode CMYK", "PNG", "30 x 40"]
    assert details["rotated"] == "EXIF orientation 6"
    groups = {f.name: f.group for f in result.findings if "copies" in f.problem or "labels" in f.problem}
    assert groups["Cat/2.jpg"] == groups["Cat/3.jpg"] == 1
    assert groups["Cat/5.jpg"] == groups["Dog/5.jpg"] == 2
    assert groups["Dog/1.jpg"] == groups["1.jpg"] == 3
    names = [[f.name.removesuffix(".jpg") for f in group] for group in result.groups]
    assert names == [["Cat/5", "Dog/5"], ["Dog/1", "1"], ["Cat/2", "Cat/3"], ["2", "10"]]


def test_table_and_sheet(result, tmp_path):
    save_table(result, tmp_path / "deep" / "audit.csv")
    rows = read_csv(tmp_path / "deep" / "audit.csv")
    assert [(row["problem"], row["name"]) for row in rows] == [(f.problem, f.name) for f in result.findings]
    assert rows[0]["group"] == ""
    save_sheet(result, tmp_path / "deep" / "audit.png")
    with Image.open(tmp_path / "deep" / "audit.png") as image:
        assert image.width == WIDTH
        assert image.height > 13 * 140  # a heading and a row for each problem
        assert len(image.getcolors(1 << 24) or []) > 1000


def test_a_set_without_a_fault(encode, make_files, tmp_path):
    result = audit(Source(make_files("t", {"Cat/1.jpg": encode(1), "Dog/1.jpg": encode(2)}), labelled=True))
    assert result.findings == []
    assert result.groups == []
    save_table(result, tmp_path / "audit.csv")
    assert (tmp_path / "audit.csv").read_text() == "problem,group,name,part,label,detail\n"
    save_sheet(result, tmp_path / "audit.png")
    assert (tmp_path / "audit.png").exists()


def test_the_sheet_grows_with_its_groups_and_shows_their_pixels():
    red = np.zeros((64, 64, 3), dtype=np.uint8) + np.array([255, 0, 0], dtype=np.uint8)
    tiles = [
        Tile(red, "a name that is much too long to fit below its image.jpg", "note"),
        Tile(None, "\udcff", "lost"),
    ]
    low, high = (contact_sheet("title", [Section("s", "m", [tiles] * count)]) for count in (1, 30))
    assert high.height > low.height + 5 * 100
    for sheet, count in ((low, 1), (high, 30)):
        assert dict(map(reversed, sheet.getcolors(1 << 24)))[255, 0, 0] == count * 94 * 94
    one_long_group = [Tile(None, str(index), "") for index in range(40)]
    assert contact_sheet("title", [Section("s", "m", [one_long_group])]).height > 4 * 140


def test_the_facts_about_the_photos_of_the_course(real_data):
    result = audit(find_train(real_data), find_test(real_data))
    train, test = result.sources.values()
    assert Counter(image.label for image in train.images) == {0: 9999, 1: 9999}
    assert len(test.images) == 4999
    assert Counter((f.problem, f.part) for f in result.findings) == {
        **{("conflicting labels", "train"): 10, ("conflicting labels", "test"): 5},
        **{("copies in train and test", "train"): 9, ("copies in train and test", "test"): 11},
        **{("copies in train", "train"): 34, ("copies in test", "test"): 2},
        **{("near-constant", "train"): 9, ("near-constant", "test"): 5},
        **{("greyscale", "train"): 23, ("greyscale", "test"): 9},
    }
    assert len(result.groups) == 29
    assert sum(len({f.part for f in group}) == 2 for group in result.groups) == 10
    assert sum(group[0].problem == "conflicting labels" for group in result.groups) == 2
    conflicting: dict[int, set[str]] = {}
    for f in result.findings:
        if f.problem == "conflicting labels" and f.part == "train":
            conflicting.setdefault(f.group, set()).add(f.name)
    cats, dogs = (835, 936, 3300, 8470), (5604, 6059, 7459, 7514)
    blank = {f"Cat/{n}.Cat.jpg" for n in cats} | {f"Dog/{n}.Dog.jpg" for n in dogs}
    assert list(conflicting.values()) == [blank, {"Cat/8456.Cat.jpg", "Dog/8736.Dog.jpg"}]
    constant = {f.name for f in result.findings if f.problem == "near-constant" and f.part == "train"}
    assert constant == blank | {"Dog/2384.Dog.jpg"}
