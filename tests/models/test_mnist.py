"""The CNN on MNIST: as large as the numpy network; what its commands leave behind."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lit_a1.cli import main
from lit_a1.mlp.network import NN
from lit_a1.models import MNISTCNN
from tests.conftest import CONFIGS, scalars

SMALL = [
    "--config", str(CONFIGS / "mnist.yaml"), "--trainer.accelerator", "cpu", "--data.batch_size", "10",
    "--model.widths", "[4,8]", "--model.blocks", "[1]",
]  # fmt: skip


def shipped(name: str) -> dict[str, Any]:
    return yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())


def parameters(model: MNISTCNN) -> int:
    return sum(parameter.numel() for parameter in model.net.parameters())


@pytest.mark.parametrize("name", ["mnist", "mnist_plain"])
def test_the_shipped_cnn_is_within_two_percent_of_the_mlp(name: str) -> None:
    model = {key: value for key, value in shipped("mlp")["model"].items() if key != "parameter_range"}
    mlp = NN(**model, n_hidden=len(model["hidden_dims"])).n_parameters
    cnn = parameters(MNISTCNN(**shipped(name)["model"]["init_args"]))
    assert 500_000 <= cnn <= 1_000_000
    assert cnn == pytest.approx(mlp, rel=0.02)
    assert name != "mnist" or cnn == parameters(MNISTCNN())


def test_the_best_recipe_has_fewer_than_a_million_parameters_and_mirrors_no_digit() -> None:
    model = MNISTCNN(**shipped("mnist_best")["model"]["init_args"])
    assert 500_000 <= parameters(model) < 1_000_000
    assert model.views == "shift"
    stages = [type(layer).__name__ for stage in model.net[1].stages for layer in stage]
    assert stages == ["NormedConvolution", "ReLU", "MaxPool2d", "ResidualBlock"] * 3


def test_the_plain_recipe_is_the_other_without_augmentation() -> None:
    plain, light = shipped("mnist_plain"), shipped("mnist")
    assert light["data"]["init_args"].pop("augment")
    for recipe in (plain, light):
        recipe["trainer"]["logger"]["init_args"].pop("name")
    assert plain == light
    assert plain["trainer"]["max_epochs"] == 10


@pytest.fixture
def few_digits(mnist_files: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty to train on, ten to validate and twenty to test on, in files."""
    monkeypatch.setenv("LIT_A1_DATA", str(mnist_files(tmp_path / "digits", train=60, test=20)))


@pytest.mark.usefixtures("few_digits")
def test_the_commands_leave_what_they_promise_and_a_run_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    steady = ["fit", *SMALL, "--model.schedule", "constant", "--model.warmup", "0", "--trainer.max_epochs"]
    main([*steady, "2"])
    assert "python main.py test" in capsys.readouterr().out
    run = Path("lightning_logs/mnist/version_0")
    record, logged = json.loads((run / "record.json").read_text()), scalars(run)
    for tag in ("train/error", "train_eval/loss", "train_eval/error", "val/loss", "val/error"):
        assert [row[tag] for row in record["epochs"]] == pytest.approx([value for _, value in logged[tag]], rel=1e-6)
        assert [step for step, _ in logged[tag]] == [4, 9]
    assert record["images"] == {"train": 50, "val": 10}

    main(["validate", *SMALL, "--ckpt_path", "last"])
    figures = json.loads((run / "validate.json").read_text())
    assert figures["train_eval/error"] == pytest.approx(record["last"]["train_eval/error"])
    main(["test", *SMALL, "--ckpt_path", "last"])
    assert json.loads((run / "test.json").read_text())["checkpoint"] == "last.ckpt"
    main(["predict", *SMALL])
    assert Path("submission.csv").read_text().splitlines()[20].startswith("20,")

    main([*steady, "3", "--ckpt_path", "last"])
    main([*steady, "3"])
    parts, together = (
        json.loads((run.with_name(name) / "record.json").read_text())["epochs"] for name in ("version_0", "version_1")
    )
    for row in (*together, *parts):
        row.pop("train/images_per_second")
    assert together == parts


@pytest.mark.usefixtures("few_digits")
@pytest.mark.filterwarnings("ignore:.*could not find the monitored key.*")  # Lightning's, in the first epoch
def test_epochs_without_validation_have_no_figures_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    main(["fit", *SMALL, "--trainer.max_epochs", "4", "--trainer.check_val_every_n_epoch", "2"])
    epochs = json.loads(Path("lightning_logs/mnist/version_0/record.json").read_text())["epochs"]
    assert [sum(tag.startswith(("val/", "train_eval/")) for tag in row) for row in epochs] == [0, 4, 0, 4]
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch ")]
    assert ["val loss" in line for line in lines] == [False, True, False, True]
