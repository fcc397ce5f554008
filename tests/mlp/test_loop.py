"""`mlp fit` and `mlp test`, from the command line to the files they leave behind, on few digits."""

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from lit_a1 import environment
from lit_a1.cli import main
from lit_a1.data.mnist import load_mnist
from lit_a1.mlp.files import to_pixels
from lit_a1.mlp.network import NN
from tests.conftest import Background, Capture, Refusal, scalars

SMALL = [
    "--model.hidden_dims", "[16,12]", "--model.parameter_range", "[1,1000000]", "--model.batch_size", "16",
    "--model.momentum", "0.9", "--model.dropout", "0.2", "--model.lr_decay", "linear",
]  # fmt: skip
MEASURED = [f"{part}/{name}" for part in ("train", "train_eval", "val") for name in ("loss", "error")]


@pytest.fixture(autouse=True)
def digits(mnist_files: Callable[..., Path]) -> None:
    mnist_files(Path("data"), train=240, test=30)


def fit(*flags: str, epochs: int = 3) -> Path:
    main(["mlp", "fit", *SMALL, "--trainer.max_epochs", str(epochs), *flags])
    return max(Path("lightning_logs/mlp").iterdir())


def record_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "record.json").read_text())


def weights(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files if name != "run"}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def test_fit_leaves_what_it_promises(capsys: Capture) -> None:
    run = fit()
    assert run.name == "version_0"
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"best.npz", "last.npz"}
    steps = -(-200 // 16)
    logged = scalars(run)
    for tag in (*MEASURED, "train/learning_rate", "epoch"):
        assert [step for step, _ in logged[tag]] == [steps - 1, 2 * steps - 1, 3 * steps - 1], tag
    assert [rate for _, rate in logged["train/learning_rate"]] == pytest.approx([0.1, 0.2 / 3, 0.1 / 3])

    record = record_of(run)
    for tag in MEASURED:
        assert [row[tag] for row in record["epochs"]] == pytest.approx([value for _, value in logged[tag]], rel=1e-6)
    net = NN((16, 12), parameter_range=(1, 10**6))
    net.load(str(run / "checkpoints" / "last.npz"))
    train, last = load_mnist("real").train, record["last"]  # measured when the epoch was over, nothing dropped
    measured = net.test(to_pixels(train.images, net.dtype), train.labels)
    assert (last["train_eval/loss"], last["train_eval/error"]) == measured
    assert record["best"] == min(record["epochs"], key=lambda row: row["val/error"])
    assert logged["result/accuracy"][0][1] == pytest.approx(1 - record["best"]["val/error"])
    assert record["parameters"] == 784 * 16 + 16 + 16 * 12 + 12 + 12 * 10 + 10
    assert record["images"] == {"train": 200, "val": 40}
    assert record["setup"].startswith(
        "784-16-12-10 (12,894 parameters), relu, learning rate 0.1 (linear), mini-batches"
    )

    assert yaml.safe_load((run / "config.yaml").read_text())["model"]["hidden_dims"] == [16, 12]
    output = capsys.readouterr().out
    assert record["setup"] in output
    assert f"{record['best']['val/error']:.2%}" in output
    assert "python main.py mlp test --model.hidden_dims '[16,12]'" in output
    assert "tensorboard --logdir lightning_logs" in output

    main(["mlp", "fit", "--config", str(run / "config.yaml")])  # the same run again
    assert same(weights(run / "checkpoints/last.npz"), weights(run.with_name("version_1") / "checkpoints/last.npz"))


def test_test_measures_the_best_weights_and_logs_beside_the_run(capsys: Capture) -> None:
    """What the weights were trained with is read from their file."""
    run = fit("--model.lr", "0.07", "--model.initialization", "normal", "--seed_everything", "5")
    best = record_of(run)["best"]
    main(["mlp", "test", *SMALL])
    figures = json.loads((run / "test.json").read_text())
    assert figures["checkpoint"] == "best.npz"
    assert figures["val/error"] == pytest.approx(best["val/error"])
    assert figures["val/loss"] == pytest.approx(best["val/loss"], rel=1e-5)
    assert scalars(run)["test/error"] == [(best["step"], pytest.approx(figures["test/error"]))]
    assert len(scalars(run)["val/error"]) == 3
    output = capsys.readouterr().out
    assert "right)" in output
    assert "learning rate 0.07 (linear), mini-batches of 16, momentum 0.9, dropout 0.2, seed 5" in output

    main(["mlp", "gradcheck", *SMALL, "--ckpt_path", "best"])
    study = Path("lightning_logs/mlp-gradcheck/version_0")
    assert json.loads((study / "record.json").read_text())["model"]["initialization"] == "normal"
    conclusion = (study / "conclusion.md").read_text()
    assert "learning rate 0.07" in conclusion
    assert f"mlp/version_0/checkpoints/best.npz, after {best['epoch'] + 1} epoch" in conclusion


def test_the_best_weights_are_those_of_the_best_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = [0.5, 0.2, 0.4]
    monkeypatch.setattr(NN, "test", lambda net, *examples: (1.0, errors[net.epoch - 1]))
    run = fit()
    assert record_of(run)["best"]["epoch"] == 1
    for name, epochs in (("best", 2), ("last", 3)):
        assert weights(run / f"checkpoints/{name}.npz")["done"][0] == epochs


@pytest.mark.usefixtures("few_drawn")
def test_digits_that_are_drawn_have_runs_of_another_name() -> None:
    main(["mlp", "fit", *SMALL, "--trainer.max_epochs", "1", "--data.source", "drawn"])
    assert [path.name for path in Path("lightning_logs").iterdir()] == ["mlp-drawn"]
    main(["mlp", "test", *SMALL, "--data.source", "drawn"])
    assert Path("lightning_logs/mlp-drawn/version_0/test.json").exists()


def test_a_run_that_was_killed_and_resumed_ends_with_the_same_weights(in_background: Background) -> None:
    flags = ["mlp", "fit", *SMALL, "--trainer.max_epochs", "4"]
    uninterrupted = in_background(*flags, "--trainer.name", "whole")
    killed = in_background(*flags, killed_at=("lit_a1.mlp.network:NN", "update", 30))
    output = killed.communicate()[0]
    assert killed.returncode == -signal.SIGKILL, output
    last = Path("lightning_logs/mlp/version_0/checkpoints/last.npz")
    assert int(weights(last)["done"][0]) == 2  # and some of the third
    resumed = in_background(*flags, "--ckpt_path", "last")
    for run in (uninterrupted, resumed):
        output = run.communicate()[0]
        assert run.returncode == 0, output

    for name in ("last.npz", "best.npz"):
        expected = Path("lightning_logs/whole/version_0/checkpoints") / name
        assert same(weights(last.with_name(name)), weights(expected)), name
    assert [path.name for path in Path("lightning_logs/mlp").iterdir()] == ["version_0"]
    ours, theirs = (scalars(Path("lightning_logs") / name / "version_0") for name in ("mlp", "whole"))
    for tag in ("train/loss", "val/loss", "train/learning_rate", "epoch"):
        assert ours[tag] == theirs[tag], tag


def test_a_run_of_a_constant_rate_can_be_prolonged_and_names_all_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "commit", lambda: "a1+")
    fit("--model.lr_decay", "constant", epochs=1)
    monkeypatch.setattr(environment, "commit", lambda: "b2")
    record = record_of(fit("--model.lr_decay", "constant", "--ckpt_path", "last", epochs=2))
    assert (record["commit"], record["machine"]) == ("a1+ and b2", environment.cpu())
    assert len(record["epochs"]) == 2


def test_a_run_goes_on_only_as_and_where_it_was_started(tmp_path: Path, refusal: Refusal) -> None:
    last = fit("--model.lr", "0.05", epochs=1) / "checkpoints/last.npz"
    copied = tmp_path / "last.npz"
    copied.write_bytes(last.read_bytes())
    for flags, words in (
        (["2"], "started with model.lr=0.05, not 0.1"),
        (["1", "--model.lr", "0.05"], "over: 1 epochs are done"),
        (["2", "--model.lr", "0.05"], "spans trainer.max_epochs=1, not 2"),
        (["2", "--ckpt_path", str(copied)], "is not in a run's folder, lightning_logs/mlp/version_N/checkpoints"),
    ):
        assert words in refusal("mlp", "fit", *SMALL, "--ckpt_path", "last", "--trainer.max_epochs", *flags)
    assert list(tmp_path.iterdir()) == [copied]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--model.nonlinearity", "swish"], "nonlinearity must be one of relu, .* got 'swish'"),
        (["--model.hidden_dims", "[2000,2000]"], "5,592,010 parameters; parameter_range allows 1 to 1,000,000"),
        (["--model.lr", "fast"], "lr"),
        (["--model.momentum", "1"], r"momentum must be in \[0, 1\); got 1"),
        (["--model.momentun", "0"], "momentun"),
        (["--trainer.max_epochs", "0"], "max_epochs"),
        (["--seed_everything", "-1"], "seed_everything"),
        (["--data.source", "fake"], "source"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (["--ckpt_path", "last"], r"There is no last\.npz in any run under lightning_logs/mlp"),
    ],
)
def test_wrong_settings(flags: list[str], words: str, refusal: Refusal) -> None:
    assert re.search(words, refusal("mlp", "fit", *SMALL, *flags))
    assert not Path("lightning_logs").exists()


def test_other_commands_are_refused(refusal: Refusal) -> None:
    assert "mlp has no command 'predict'" in refusal("mlp", "predict")


def test_weights_of_a_network_that_is_not_allowed_or_damaged_ones(refusal: Refusal) -> None:
    best = fit(epochs=1) / "checkpoints/best.npz"
    output = refusal("mlp", "test", *SMALL, "--model.hidden_dims", "[10,10]", "--model.parameter_range", "[1,9000]")
    assert "the network 784-16-12-10 has 12,894 parameters; parameter_range allows 1 to 9,000" in output
    best.write_bytes(b"not weights")
    assert "best.npz" in refusal("mlp", "test", *SMALL)


def test_a_training_that_diverges_says_so(refusal: Refusal) -> None:
    output = refusal("mlp", "fit", *SMALL, "--model.lr", "1e30")
    assert "the loss is not finite in epoch 1, which ends with step 13, at a learning rate of 1e+30. No" in output
    assert "a smaller --model.lr than 1e+30" in output
    assert json.loads(Path("lightning_logs/mlp/version_0/record.json").read_text())["diverged"] in output
    assert not list(Path("lightning_logs/mlp/version_0/checkpoints").iterdir())


@pytest.mark.parametrize(
    ("stop_at", "words"),
    [(1, "--ckpt_path lightning_logs/mlp/version_0/checkpoints/last.npz"), (0, "There is no checkpoint")],
)
def test_stopped_by_the_keyboard(stop_at: int, words: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    train = NN.train

    def stopping(net: NN, *examples: np.ndarray) -> tuple[float, float]:
        if net.epoch == stop_at:
            raise KeyboardInterrupt
        return train(net, *examples)

    monkeypatch.setattr(NN, "train", stopping)
    with pytest.raises(SystemExit) as leaving:
        fit()
    assert leaving.value.code == 130
    assert words in capsys.readouterr().out
