from pathlib import Path

import numpy as np
import pytest

from lit_a1.demo import learning
from lit_a1.demo.learning import TOYS, examples, train
from lit_a1.demo.photos import has_training_photos


@pytest.fixture(autouse=True)
def few_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "FRAMES", 3)
    monkeypatch.setattr(learning, "PAUSE", 0)


@pytest.mark.parametrize("name", TOYS)
def test_a_toy_set_has_two_classes_within_reach(name: str) -> None:
    x, y = examples(name)
    assert (x.shape, np.bincount(y).tolist()) == ((learning.POINTS, 2), [200, 200])
    assert np.abs(x).max() < learning.REACH


def test_zero_weights_learn_nothing_and_glorots_learn() -> None:
    *_, last = train("circles", lr=0.1, width=16, depth=2, nonlinearity="tanh")
    zero, _, glorot = last.split("data-initialization=")[1:]
    assert "error <b>50.0 %" in zero
    assert "Epoch 12 of 12." in last
    assert float(glorot.split("error <b>")[1].split(" ")[0]) < 25
    assert last.count("<polyline") == 3
    assert last.count("decision regions") == 3


@pytest.mark.filterwarnings("error")
def test_a_network_that_diverges_says_so() -> None:
    *_, last = train("spirals", lr=1e6, width=64, depth=3, nonlinearity="relu")
    assert "diverged" in last


def test_the_data_may_be_incomplete_or_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for path in (photos / "Cat" / "1.jpg", photos / "Dog" / "1.jpg", photos / "train-images-idx3-ubyte"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for folder, has_photos in ((photos, True), (tmp_path / "nowhere", False)):
        monkeypatch.setenv("LIT_A1_DATA", str(folder))
        assert learning.choices() == (*TOYS, "drawn digits")
        assert has_training_photos() is has_photos


def test_digits_show_the_first_layers_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "DIGITS", 64)
    examples.cache_clear()
    assert learning.choices() == (*TOYS, "drawn digits")  # LIT_A1_DATA is not set
    *_, last = train("drawn digits", lr=0.1, width=4, depth=1, nonlinearity="relu")
    examples.cache_clear()
    assert last.count("weights of the first layer") == 3
