"""The model card says what the record says, and nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest

from lit_a1.export import card as cards
from lit_a1.export.card import WeightsInfo, card, weights_info
from lit_a1.export.graph import exported_cnns, exported_mlp
from lit_a1.mlp.network import NN
from lit_a1.runs.statistics import wilson
from tests.export.conftest import member

ABOUT = {"seed": 3, "seconds": 240.0, "machine": "a machine", "commit": "abc1234567", "finished": "2026-11-29 03:28"}


def run(name: str = "catsdogs", epochs: int = 3, **changes: Any) -> Path:
    """A run with a record, and the path of its best checkpoint."""
    folder = Path("lightning_logs", name, "version_0")
    (folder / "checkpoints").mkdir(parents=True)
    rows = [{"epoch": e, "step": 5 * e, "val/error": 0.1, "train_eval/error": 0.02} for e in range(epochs)]
    record = ABOUT | {"images": {"train": 80, "val": 40}, "epochs": rows, "settings": {"model.lr": 0.3, "seed": 3}}
    (folder / "record.json").write_text(json.dumps(record | changes))
    return folder / "checkpoints" / "best.ckpt"


def text(*sources: WeightsInfo) -> str:
    return card("catsdogs", exported_cnns([member(views="scale")] * len(sources), 20, ["Cat", "Dog"]), sources, 2e-7)


def test_of_a_run_it_says_what_its_record_says() -> None:
    path = run()
    tested = {"checkpoint": "best.ckpt", "images": 50, "test/error": 0.12, "test/loss": 1.0}
    (path.parents[1] / "test.json").write_text(json.dumps(tested))
    said = text(weights_info(path, 3, {}, {}))
    assert said.startswith("---\nlicense: mit\n")
    low, high = wilson(0.1, 40)
    assert f"| validation | 40 | 10.00 % | {100 * low:.2f} to {100 * high:.2f} % |" in said
    assert "| training | 80 | 2.00 % |" in said
    assert "| test | 50 | 12.00 % |" in said
    assert "chosen on the validation images" in said
    assert "3 epochs, seed 3, 4.0 min on a machine, commit abc1234567; finished 2026-11-29 03:28." in said
    assert "| `model.lr` | 0.3 |" in said
    assert "uint8, (N, 20, 20, 3)" in said
    assert "of Cat and Dog in this order" in said
    assert "two sizes and mirror images, four views" in said
    assert "as a stand-in" not in said


def test_figures_are_those_of_the_epoch_and_of_the_checkpoint() -> None:
    path = run(settings={"data.measure_train": 30, "model.lr": 1})
    (path.parents[1] / "test.json").write_text(json.dumps({"checkpoint": "last.ckpt", "test/error": 0.12}))
    found = weights_info(path.with_name("last.ckpt"), 3, {}, {})
    assert not found.is_best
    assert [(error.part, error.images) for error in found.errors] == [
        ("training", 30),
        ("validation", 40),
        ("test", None),
    ]
    assert "chosen on the validation" not in text(found)
    assert weights_info(path, 9, {}, {}).errors == []


def test_what_is_not_known_is_left_out() -> None:
    said = text(weights_info(Path("elsewhere/net.ckpt"), 2, {}, {"widths": [4, 8]}))
    assert "None are recorded for the network as exported." in said
    assert "`net.ckpt`: 2 epochs." in said
    assert "| `model.widths` | [4, 8] |" in said


def test_published_weights_have_their_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "PRETRAINED", tmp_path)
    note = ABOUT | {"command": "python main.py fit x", "val_error": 0.03, "val_images": 2000, "checkpoint": "last.ckpt"}
    (tmp_path / "catsdogs.json").write_text(json.dumps(note | {"test_images": 4999}))
    training = {"seconds": 1, "settings": {"seed": 3}}
    said = text(weights_info(tmp_path / "catsdogs.ckpt", 260, training, {"lr": 0.1}))
    assert "| validation | 2,000 | 3.00 % | 2.34 to 3.84 % |" in said
    assert "Trained by `python main.py fit x`." in said
    assert "| `model.lr` | 0.1 |" in said
    assert "| test |" not in said  # labelled for the competition, and not measured


def test_photos_of_other_classes_are_named() -> None:
    weights = weights_info(run("horses"), 3, {}, {})
    said = card("horses", exported_cnns([member(views="scale")], 20, ["Horse", "Zebra"]), [weights], 0.0)
    assert "Photos of Horse and Zebra, cropped" in said
    assert "and dogs" not in said
    assert "Asirra" in text(weights)


def test_drawn_images_ensembles_and_digits_are_told_apart() -> None:
    assert "as a stand-in" in text(weights_info(run("catsdogs-drawn"), 3, {}, {}))
    both = text(weights_info(run(), 3, {}, {}), weights_info(Path("other.ckpt"), 1, {}, {}))
    assert "The mean of 2 networks' probabilities" in both
    assert "| 0 | validation | 40 |" in both
    assert "- Network 1, `other.ckpt`: 1 epoch." in both
    net = NN((20, 12), 2, parameter_range=(1, 99999))
    digits = card("mlp", exported_mlp(net), [weights_info(Path("x.npz"), 1, {}, {})], 0.0)
    assert "handwritten digits" in digits
    assert "uint8, (N, 28, 28, 1)" in digits
    assert "0 to 9" in digits
    assert "at the edge" not in digits
