"""`predict` from an ONNX file: the files that a checkpoint's predictions go to."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from lit_a1.cli import main
from lit_a1.data.errors import DataError
from lit_a1.environment import REPOSITORY
from lit_a1.export.predict import OnnxNetwork, predict
from lit_a1.runs.records import CheckpointError
from lit_a1.runs.settings import UsageError
from lit_a1.training import parse
from tests.conftest import read_csv
from tests.export.conftest import images

CATSDOGS = ["predict", "--config", str(REPOSITORY / "configs" / "catsdogs.yaml"), "--ckpt_path"]
Write = Callable[..., Path]


def test_many_images_are_shown_in_parts(brightness: Write) -> None:
    network = OnnxNetwork(brightness())
    seen = images(120, 64, 64, 3)
    assert (network.shape, network.classes) == ((64, 64, 3), ("Cat", "Dog"))
    assert network(seen)[:, 1] == pytest.approx(seen.mean((1, 2, 3)) / 255, abs=1e-5)


def test_it_labels_the_test_photos_without_the_network(
    brightness: Write, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lit_a1.data.catsdogs.COURSE_TEST_IMAGES", 12)
    main([*CATSDOGS, str(brightness())])
    labels, shares = read_csv("submission.csv"), read_csv("submission_probabilities.csv")
    assert [row["id"] for row in labels] == [str(number) for number in range(1, 13)]
    assert all(
        row["label"] == ("Dog" if float(share["Dog"]) > 0.5 else "Cat")
        for row, share in zip(labels, shares, strict=True)
    )
    assert "Labels: submission.csv" in capsys.readouterr().out


def test_a_network_that_learnt_from_outside_photos_marks_its_submission(
    brightness: Write, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("data.catsdogs", "callbacks.predictions"):
        monkeypatch.setattr(f"lit_a1.{module}.COURSE_TEST_IMAGES", 12)
    for outside, name in ((False, "submission.csv"), (True, "submission-outside.csv")):
        main([*CATSDOGS, str(brightness(outside=outside))])
        assert len(read_csv(name)) == 12
        Path(name).unlink()
    assert not Path("submission.csv").exists()


def test_its_classes_are_those_it_learnt(brightness: Write) -> None:
    Image.new("RGB", (64, 64), "white").save("x.jpg")
    main([*CATSDOGS, str(brightness(classes=["Lion", "Tiger"])), "--data.predict_dir", "[x.jpg]"])
    assert [(row["id"], row["label"]) for row in read_csv("submission.csv")] == [("x.jpg", "Tiger")]


@pytest.mark.usefixtures("photos")
def test_what_does_not_fit_is_refused(brightness: Write) -> None:
    onnx = brightness()
    settings = parse([*CATSDOGS, str(onnx), "--data.decode_size", "32"])

    def refused(words: str, kind: type[Exception] = DataError) -> None:
        with pytest.raises(kind, match=words):
            predict(settings)

    refused("bright.onnx takes images of 64 x 64 x 3; these are 32 x 32 x 3")
    settings.data.init_args.decode_size = 2
    refused("decode_size must be between", UsageError)
    settings.data.init_args.decode_size = 64
    settings.ckpt_path = str(brightness("birds.onnx", classes=["Bird", "Cat", "Dog"]))
    refused("birds.onnx knows Bird, Cat and Dog; the data are Cat and Dog")
    settings.ckpt_path = "nowhere.onnx"
    refused("There is no checkpoint nowhere.onnx", CheckpointError)
    Path("damaged.onnx").write_bytes(onnx.read_bytes()[:-40])
    for path in (Path("damaged.onnx"), brightness("other.onnx", classes=None)):
        with pytest.raises(CheckpointError, match="is damaged, or was not written by export"):
            OnnxNetwork(path)
    assert not list(Path.cwd().glob("submission*"))
