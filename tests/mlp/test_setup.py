"""The settings of the numpy network's commands, in words and in records."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lit_a1.data.sources.mnist import read_idx
from lit_a1.mlp.setup import Digits, Examples, Setup, Study, describe

SMALL: dict[str, Any] = {"hidden_dims": [16, 8], "parameter_range": (1, 10**6), "batch_size": 10, "momentum": 0.9}


@pytest.fixture
def mnist(mnist_files: Callable[..., Path]) -> Path:
    """The folder of four small files, 60 and 20 images."""
    return mnist_files(Path("data/mnist"))


# the network


def test_the_network_is_what_the_settings_say_and_changes_win() -> None:
    setup = Setup(SMALL, seed=7, epochs=3)
    net = setup.network()
    assert (net.dims, net.n_hidden, net.seed, net.epochs, net.momentum) == ((784, 16, 8, 10), 2, 7, 3, 0.9)
    net = setup.network(hidden_dims=(9,), seed=8, epochs=1, momentum=0.0, dtype="float64")
    assert (net.dims, net.n_hidden, net.seed, net.epochs, net.momentum) == ((784, 9, 10), 1, 8, 1, 0.0)
    assert net.parameters.dtype == np.float64
    assert setup.network().momentum == 0.9
    assert setup.network().parameters.tobytes() == setup.network().parameters.tobytes()
    with pytest.raises(ValueError, match="n_hidden must be the length of hidden_dims, 2; got 3"):
        Setup(SMALL | {"n_hidden": 3}).network()
    with pytest.raises(ValueError, match=r"784-512-10 has 407,050 parameters; .* 500,000 to 1,000,000$"):
        Setup({"hidden_dims": [512]}).network()


# the data


def test_digits_are_the_files_images_as_pixels_from_0_to_1(mnist: Path) -> None:
    digits = Setup(SMALL).digits()
    images, labels = (read_idx(mnist / f"train-{name}.gz") for name in ("images-idx3-ubyte", "labels-idx1-ubyte"))
    assert [part.images.shape for part in digits[:3]] == [(50, 784), (10, 784), (20, 784)]
    assert {part.images.dtype for part in digits[:3]} == {np.dtype("float32")}
    read = np.concatenate([digits.train.images, digits.valid.images])
    np.testing.assert_allclose(read, images.reshape(60, 784) / 255, rtol=1e-6)
    assert np.array_equal(np.concatenate([digits.train.labels, digits.valid.labels]), labels)
    assert np.array_equal(digits.test.labels, read_idx(mnist / "t10k-labels-idx1-ubyte.gz"))
    assert (digits.drawn, digits.origin) == (False, str(mnist))


def test_the_source_is_asked_for_and_drawn_digits_are_called_that(few_drawn: int) -> None:
    digits = Setup(SMALL, source="drawn").digits()
    assert (digits.drawn, digits.origin, len(digits.train.labels)) == (True, "drawn digits", few_drawn)


# words and records


def test_describe_says_what_every_study_has_to() -> None:
    assert describe(Setup({}).network()) == (
        "784-512-512-10 (669,706 parameters), relu, learning rate 0.1 (constant), mini-batches of 128, seed 0"
    )
    model = {"nonlinearity": "leaky_relu", "lr": 1e-3, "lr_decay": "cosine", "momentum": 0.95, "weight_decay": 5e-4}
    model |= {"dropout": 0.25, "input_dropout": 0.1, "batch_size": 64}
    assert describe(Setup(SMALL | model, seed=12).network()) == (
        "784-16-8-10 (12,786 parameters), leaky relu, learning rate 0.001 (cosine), mini-batches of 64, momentum 0.95, "
        "weight decay 0.0005, dropout 0.25, dropout of pixels 0.1, seed 12"
    )


def test_a_study_records_its_settings_and_results_in_a_new_folder(tmp_path: Path) -> None:
    part = Examples(np.zeros((3, 784), np.float32), np.arange(3))
    digits = Digits(part, part, part, drawn=False, origin="somewhere/mnist")
    setup = Setup(SMALL, seed=5, epochs=4, save_dir=tmp_path / "logs", name="mlp-inits")
    first, second = (Study(setup, setup.network(lr=0.5), digits) for _ in range(2))
    assert [study.folder for study in (first, second)] == [tmp_path / f"logs/mlp-inits/version_{n}" for n in (0, 1)]
    assert first.words == describe(setup.network(lr=0.5))
    second.record(losses={"zero": [2.3, math.nan]}, digits=Examples([1], [-math.inf]), seconds_per_epoch=1.5)
    assert list(first.folder.iterdir()) == []
    assert [path.name for path in second.folder.iterdir()] == ["record.json"]
    record = json.loads((second.folder / "record.json").read_text())
    expected = {"setup": first.words, "parameters": 12_786, "seed": 5, "model": SMALL | {"parameter_range": [1, 10**6]}}
    expected |= {"epochs": 4, "data": "the digits of mnist/", "losses": {"zero": [2.3, None]}, "seconds_per_epoch": 1.5}
    expected |= {"digits": {"images": [1], "labels": [None]}}
    assert {name: record[name] for name in expected} == expected
    assert set(record) - set(expected) == {"machine", "versions", "commit", "seconds", "finished"}
    assert record["versions"]["numpy"] == np.__version__
    assert 0 <= record["seconds"] < 60

    study = Study(setup, setup.network(), digits._replace(drawn=True))
    assert study.folder == tmp_path / "logs/mlp-inits-drawn/version_0"
    assert study.words == describe(setup.network()) + " (drawn digits, not MNIST)"
