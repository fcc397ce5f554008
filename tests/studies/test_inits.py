import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lit_a1.mlp.network import EVAL_BATCH_SIZE, INITIALIZATIONS, NN, NONLINEARITIES
from lit_a1.mlp.setup import Digits, Examples, Setup
from lit_a1.studies.inits.conclusions import write
from lit_a1.studies.inits.probe import State, Trial, first_step, probe, unlike
from lit_a1.studies.inits.study import _trial, run
from tests.conftest import Capture, scalars
from tests.mlp.networks import small

Study = Callable[..., Path]
MEASURED = ["train_loss", "train_error", "val_loss", "val_error"]
SMALL = {"hidden_dims": (12, 8), "parameter_range": (1, 10**6), "batch_size": 20}


@pytest.fixture
def study(mnist_files: Callable[..., Path]) -> Study:
    """Runs the study on small files; returns its folder."""
    mnist_files(Path("data"), train=300, test=20)
    return lambda epochs=2, **model: run(Setup(SMALL | model, epochs=epochs, source="real", name="inits"))


def network(hidden_dims: tuple[int, ...] = (7, 5), **changes: Any) -> NN:
    return small(*hidden_dims, input_dim=9, **changes)


def examples(count: int) -> Examples:
    rng = np.random.default_rng(1)
    return Examples(rng.random((count, 9)), rng.integers(0, 4, count))


def digits_like(part: Examples) -> Digits:
    return Digits(part, part, part, drawn=False, origin="a test")


@pytest.mark.usefixtures("full_size")
def test_leaves_measured_losses_in_tensorboard_too_the_figure_and_the_words(study: Study, capsys: Capture) -> None:
    folder = study(epochs=2, dropout=0.5)
    rows = pd.read_csv(folder / "losses.csv")
    expected = [(name, epoch) for name in INITIALIZATIONS for epoch in range(3)]
    assert list(zip(rows.initialization, rows.epoch, strict=True)) == expected
    assert {*MEASURED, "step"} <= set(rows)
    with Image.open(folder / "losses.png") as image:
        assert image.width > 1000
    text, record = (folder / "comparison.md").read_text(), json.loads((folder / "record.json").read_text())
    assert record["setup"].endswith("mini-batches of 20, dropout 0.5, seed 0")
    assert record["setup"] in text
    assert list(record["trials"]) == list(INITIALIZATIONS)
    printed = capsys.readouterr().out
    assert text in printed
    assert f"{folder}" in printed
    assert printed.count("epoch 2/2") == 3
    setup = Setup(SMALL | {"dropout": 0.5}, epochs=2, source="real")
    net, digits = setup.network(initialization="glorot"), setup.digits()
    metrics = [net.test(*digits.train) + net.test(*digits.valid)]  # at the end of an epoch, over the whole sets
    for _ in range(2):
        net.train(*digits.train)
        metrics.append(net.test(*digits.train) + net.test(*digits.valid))
    np.testing.assert_allclose(rows[rows.initialization == "glorot"][MEASURED], metrics, rtol=1e-6)
    for name in INITIALIZATIONS:  # under the tags of the CNNs
        shown = scalars(folder / name)
        assert shown.keys() == {"train/loss", "train/error", "val/loss", "val/error", "epoch"}
        trained = rows[(rows.initialization == name) & (rows.epoch > 0)]
        assert [step for step, _ in shown["train/loss"]] == (trained.step - 1).tolist()
        assert [loss for _, loss in shown["train/loss"]] == pytest.approx(trained.train_loss.tolist())
        assert [epoch for _, epoch in shown["epoch"]] == [0, 1]


def test_a_diverged_run_is_a_result(study: Study) -> None:
    folder = study(epochs=2, lr=1e4, nonlinearity="leaky_relu", initialization="zero")  # the last is not used
    text, record = (folder / "comparison.md").read_text(), json.loads((folder / "record.json").read_text())
    assert "Standard normal diverged: its loss is not finite from epoch 1 on." in text
    assert "nan" not in text
    assert record["trials"]["normal"]["epochs"][-1]["train/loss"] is None
    losses = pd.read_csv(folder / "losses.csv").set_index(["initialization", "epoch"]).train_loss
    assert math.isnan(losses["normal", 2])
    assert math.isfinite(losses["normal", 0])
    with Image.open(folder / "losses.png") as image:
        image.load()


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
@pytest.mark.parametrize("hidden_dims", [(), (6,), (5, 5, 5)])
def test_any_nonlinearity_and_depth(nonlinearity: str, hidden_dims: tuple[int, ...], tmp_path: Path) -> None:
    model = {"input_dim": 9, "n_classes": 4, "parameter_range": (1, 10**6), "dtype": "float64"}
    setup = Setup(model | {"hidden_dims": hidden_dims, "nonlinearity": nonlinearity}, seed=3, epochs=2)
    digits = digits_like(examples(60))
    with np.errstate(invalid="ignore"):
        trials = [_trial(setup, digits, name, tmp_path / name, started=0.0) for name in INITIALIZATIONS]
    text = write(trials, setup.network(), digits, "words")
    assert "nan" not in text
    assert text.count("(logits)") == 3
    zero = text[text.index("**Zero") : text.index("**Standard normal**")]
    assert ("f(0) = 0.5" in zero) == (nonlinearity == "sigmoid" and hidden_dims != ())
    assert ("no other parameter moved" in zero) == (nonlinearity != "sigmoid" and hidden_dims != ())
    kind = "saturated" if nonlinearity in ("tanh", "sigmoid") else "dead"
    assert f"{kind} units" in text


def rows_of(losses: list[float], errors: list[float]) -> list[dict[str, float]]:
    return [
        {"epoch": epoch, "train/loss": loss, "train/error": error, "val/loss": loss, "val/error": error}
        for epoch, (loss, error) in enumerate(zip(losses, errors, strict=True))
    ]


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_probe_measures_what_the_network_computes(nonlinearity: str) -> None:
    part = examples(EVAL_BATCH_SIZE + 37)  # parts of unequal size
    net = network(nonlinearity=nonlinearity, initialization="normal")
    net.biases[0][:], net.biases[1][:] = 0.3, -0.2
    state = probe(net, part)
    z1 = part.images @ net.weights[0] + net.biases[0]
    z2 = net.activation(z1) @ net.weights[1] + net.biases[1]
    logits = net.forward(part.images)
    assert state.z == pytest.approx([z1.std(), z2.std(), logits.std()], rel=1e-10)
    assert state.confident == np.mean(net.softmax(logits).max(axis=1) > 0.99)
    slopes = [NONLINEARITIES[nonlinearity][1](z, net.activation(z)).astype(float) for z in (z1, z2)]
    assert state.slope == pytest.approx([np.sqrt(np.mean(slope**2)) for slope in slopes], rel=1e-10)
    assert state.flat == pytest.approx([np.mean(np.abs(slope) <= 0.01) for slope in slopes])


def test_probe_takes_the_deltas_that_backward_takes_and_no_shares_of_what_is_not_finite() -> None:
    net, part = network(initialization="normal"), examples(1)
    net.forward(part.images)
    _, deltas = net.layer_views(net.backward(part.labels))  # of one image: the gradient of the biases is delta
    assert probe(net, part).delta == pytest.approx([delta.std() for delta in deltas], rel=1e-10)
    net.weights[0][0, 0] = np.nan
    with np.errstate(invalid="ignore"):
        state = probe(net, examples(20))
    assert np.isnan([*state.flat, *state.stuck, *state.slope, state.confident]).all()


def test_dead_and_saturated_units_are_counted() -> None:
    part = examples(50)
    relu = network(initialization="glorot")
    relu.weights[0][:] = np.repeat([-1, 1], [3, 4])  # images are positive: three of seven units are 0 for all of them
    state = probe(relu, part)
    assert state.stuck[0] == pytest.approx(3 / 7)
    assert state.flat[0] == pytest.approx(3 / 7)
    leaky = network(initialization="glorot", nonlinearity="leaky_relu")
    leaky.weights[0][:] = relu.weights[0]
    assert probe(leaky, part).stuck[0] == pytest.approx(3 / 7)
    tanh = network(initialization="glorot", nonlinearity="tanh")
    tanh.weights[0][:, :2] = 100
    part = examples(200)
    part.images[0] = 0  # f'(0) = 1, but on average f' is small
    assert probe(tanh, part).stuck[0] == pytest.approx(2 / 7)


def test_first_step_is_relative_to_the_weights() -> None:
    part = examples(30)
    net, start = (network(initialization="glorot", batch_size=10, lr=0.5) for _ in range(2))
    start.forward(part.images[:10])
    gradients = start.layer_views(start.backward(part.labels[:10]))[0]
    norm = np.linalg.norm
    expected = [0.5 * norm(g) / norm(w) for g, w in zip(gradients, start.weights, strict=True)]
    assert first_step(net, part) == pytest.approx(expected, rel=1e-10)


def test_units_are_told_apart_by_weights_on_both_sides_and_biases() -> None:
    net = network(initialization="zero")
    assert unlike(net) == [0, 0]
    for weights in net.weights:
        weights[:] = 0.5
    assert unlike(net) == [0, 0]
    net.weights[2][1, 0] = 0.4  # a unit of layer 2, by a weight that leaves it
    assert unlike(net) == pytest.approx([0, 0.2])
    net.biases[0][3] = 1.0
    assert unlike(net) == pytest.approx([1, 0.2])


FINE = State([1.0, 1.0, 1.0], [0.1, 0.1, 0.3], [0.7, 0.7], [0.5, 0.5], [0.0, 0.0], 0.0)


def trial(name: str, losses: list[float], errors: list[float], **changes: Any) -> Trial:
    rows = rows_of(losses, errors)
    return Trial(name, rows, FINE, FINE, [0.01] * 3, [(0.1, 0.1)] * 3, [1.0, 1.0])._replace(**changes)


def words_of(*trials: Trial, **changes: Any) -> str:
    return write(trials, network(**changes), digits_like(examples(400)), "the words")


def test_the_words_change_with_the_numbers() -> None:
    zero = trial("zero", [math.log(4)] * 3, [0.75] * 3, unlike=[0.0, 0.0], moved=[(0, 0), (0, 0), (0, 0.2)])
    normal = trial("normal", [50.0, 3.0, 0.1], [0.7, 0.2, 0.1])
    glorot = trial("glorot", [1.4, 0.5, 0.2], [0.7, 0.2, 0.11])
    text = words_of(zero, normal, glorot)
    assert "**Standard normal has the smallest training loss** after 2 epochs, 0.1000 against 0.2000 with" in text
    assert "lower training error" not in text
    assert "Glorot has 11.00 %: the difference is no more than the choice of validation images explains" in text
    assert "Zero has 75.00 %: the difference is more than the choice of validation images explains" in text
    assert "they moved by up to 0.2, and no other parameter moved" in text
    assert "near the loss of a guess, ln 4 = 1.3863" in text
    assert "standard deviations change by a factor of at most 1 between" in text
    assert "| zero | 1.3863 | 1.3863 | 1.3863 |" in text

    left = trial("zero", [math.log(4), 1.0, 0.3], [0.75, 0.5, 0.1], unlike=[0.5, 0.1])
    bold = trial("normal", [50.0, 60.0, 70.0], [0.7, 0.7, 0.7], first_step=[0.1, 0.1, 3.0])
    faded = glorot._replace(before=FINE._replace(delta=[0.001, 0.1, 0.3]))
    text = words_of(left, bold, faded, nonlinearity="sigmoid")
    assert "The loss goes from 1.3863 before training to 1.0000 after epoch 1 and 0.3000 after epoch 2." in text
    assert "times the largest weight, because rounding errors have grown" in text
    assert "standard deviations change by a factor of at most 100 between" in text
    assert "Zero has a lower training error (10.00 % against 11.00 %)" in text
    assert "because of dropout" in words_of(left, bold, faded, nonlinearity="sigmoid", dropout=0.5)


def test_losses_within_two_percent_are_called_equal_and_lost_runs_lost() -> None:
    lost = [trial(name, [math.log(4), math.nan, math.nan], [0.75] * 3) for name in ("zero", "normal")]
    text = words_of(*lost, trial("glorot", [1.4, 0.5, 0.2], [0.7, 0.2, 0.11]))
    assert "**Glorot has the smallest training loss** after 2 epochs, 0.2000. " in text
    assert "Zero diverged: its loss is not finite from epoch 1 on." in text
    assert "| standard normal | 1.3863 | not finite | not finite |" in text
    text = words_of(*lost, trial("glorot", [math.inf, math.nan, math.nan], [0.7] * 3))
    assert "Glorot diverged: its loss is not finite from epoch 0 on." in text
    close = [trial(name, [1.4, 0.5, loss], [0.7] * 3) for name, loss in (("zero", 0.2), ("normal", 0.203))]
    assert "0.2030 with standard normal (about equal)" in words_of(*close, trial("glorot", [1.4, 0.5, 0.4], [0.7] * 3))
    perfect = trial("glorot", [1.4, 0.5, 0.0], [0.7, 0.1, 0.0])
    assert "after 2 epochs, 0 against 0.2000 with zero and" in words_of(*close, perfect)
    long = trial("glorot", [2.0] * 14, [0.7] * 14)
    assert "| 13 | 2.0000 | 2.0000 | 2.0000 |" in words_of(*(long._replace(name=name) for name in INITIALIZATIONS))


def test_bad_settings_are_refused(study: Study) -> None:
    with pytest.raises(ValueError, match=r"epochs must be in \[1, inf\); got 0"):
        study(epochs=0)
    with pytest.raises(ValueError, match="parameter_range allows"):
        study(parameter_range=(500_000, 1_000_000))
    assert not Path("lightning_logs").exists()
