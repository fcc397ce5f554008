"""`predict PHOTO... | FOLDER`: what is labelled, by which network, and what is left behind."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lit_a1.callbacks.predictions import MAX_SHOWN, print_photos
from lit_a1.cli import main
from lit_a1.commands.fit import PUBLISHED, with_photos
from lit_a1.data.catsdogs import CatsDogsDataModule
from lit_a1.data.errors import DataError
from lit_a1.runs.settings import UsageError
from tests.conftest import read_csv

BEST = ["--config", str(PUBLISHED)]
SMALL = ["--trainer.accelerator", "cpu", "--data.eval_batch_size", "1"]


@pytest.mark.parametrize(
    ("options", "meant"),
    [
        ([], [*BEST, "--ckpt_path", "pretrained"]),
        (["-h"], ["-h"]),
        (["--model.help", "CatsDogsCNN"], ["--model.help", "CatsDogsCNN"]),
        (["--config", "a.yaml", "--trainer.devices=1"], ["--config", "a.yaml", "--trainer.devices=1"]),
        (["--ckpt_path", "x.ckpt"], [*BEST, "--ckpt_path", "x.ckpt"]),
        (
            ["a b.jpg", "--ckpt_path=x.ckpt", "c/"],
            [*BEST, "--ckpt_path=x.ckpt", "--data.predict_dir", '["a b.jpg", "c/"]', "--submission", "predictions.csv"],
        ),
        (
            ["-c", "a.yaml", "c.jpg", "--submission", "x.csv"],
            ["-c", "a.yaml", "--submission", "x.csv", "--data.predict_dir", '["c.jpg"]'],
        ),
    ],
)
def test_what_stands_alone_is_a_photo(options: list[str], meant: list[str]) -> None:
    assert with_photos(options) == meant


def test_photos_are_named_in_one_way() -> None:
    with pytest.raises(UsageError, match=r"either alone, as a\.jpg, or with --data\.predict_dir"):
        with_photos(["a.jpg", "--data.predict_dir", "photos"])


def picture(path: Path, shade: int = 90) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((80, 70, 3), shade, np.uint8)).save(path)
    return path


def test_photos_and_folders_are_labelled_by_the_published_weights(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("submission.csv", "predictions.csv"):
        Path(name).write_text("mine")
    for name in ("[b]1.png", "album/10.gif", "album/below/9.webp"):
        picture(Path(name))
    picture(Path("saved.png")).rename("no suffix")
    Path("phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    Path("album/notes.txt").write_text("left out")
    main(["predict", "[b]1.png", "album", *SMALL, "phone.heic", "no suffix"])
    names = ["[b]1.png", "album/below/9.webp", "album/10.gif", "no suffix"]
    said = capsys.readouterr().out
    assert sorted(row["id"] for row in read_csv("predictions.csv")) == sorted(names)
    assert all(name in said for name in names)
    assert "phone.heic: it is not an image of a format that is read (JPEG" in caplog.text
    assert "notes.txt" in caplog.text
    assert Path("submission.csv").read_text() == "mine"
    assert "Labels: predictions.csv, in place of what it held" in said


@pytest.mark.parametrize(
    ("photos", "sentence"),
    [
        ("torn.jpg", r"No image in torn\.jpg can be read: torn\.jpg: it is not an image"),
        (["torn.jpg", "rex.jpg"], r"There is no photo, folder or zip file rex\.jpg\."),
        (["torn.jpg", "empty"], r"No image in the photos named can be read: torn\.jpg"),
        (["empty"], "There is no image in empty"),
    ],
)
def test_what_can_not_be_labelled_is_refused(photos: list[str] | str, sentence: str) -> None:
    Path("torn.jpg").write_bytes(b"x")
    Path("empty").mkdir()
    with pytest.raises(DataError, match=sentence):
        CatsDogsDataModule(predict_dir=photos).setup("predict")


def test_the_first_photos_of_many_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"{number}.jpg" for number in range(MAX_SHOWN + 1000)]
    print_photos(names, ["Cat"] * len(names), [0.5] * len(names))
    said = capsys.readouterr().out
    assert f"{MAX_SHOWN - 1}.jpg" in said
    assert f"{MAX_SHOWN}.jpg" not in said
    assert said.endswith("... and 1,000 more\n")
