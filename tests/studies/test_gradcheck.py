"""Central differences beside backpropagation: what they show, and what is said of it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lit_a1.mlp.network import NN, Array, Labels
from lit_a1.mlp.setup import Setup
from lit_a1.runs.records import CheckpointError
from lit_a1.studies.gradcheck.differences import MARGIN, STEPS, Differences, backprop, compare, examine
from lit_a1.studies.gradcheck.study import run, write
from tests.conftest import Capture
from tests.mlp.networks import small

FILES = {"differences.csv", "differences.png", "conclusion.md", "record.json"}
ABOUT = {"setup": "a network", "origin": "trained here", "image": "an image"}
AGREE = "**Backpropagation and central differences agree**"
SMOOTH = ("tanh", "sigmoid", "gelu")


def network(nonlinearity: str = "tanh", hidden: tuple[int, ...] = (7, 6), **changes: float) -> NN:
    return small(*hidden, nonlinearity=nonlinearity, input_dim=12, **changes)


def sample(black: int = 0) -> tuple[Array, Labels]:
    x = np.random.default_rng(1).uniform(0.3, 1, (1, 12))
    x[:, :black] = 0
    return x, np.array([2])


def checked(net: NN, x: Array, y: Labels) -> tuple[Differences, Differences]:
    """The first ten weights, and the first ten with a gradient."""
    nonzero = np.flatnonzero(backprop(net, x, y))[:10]
    return compare(net, x, y, np.arange(10)), compare(net, x, y, nonzero)


def words(net: NN, x: Array, y: Labels, black: int = 0) -> str:
    first, nonzero = checked(net, x, y)
    return write(first, nonzero, examine(net, x, y, nonzero), net, black=black, **ABOUT)


def made(values: Array, crossed: Array | None = None, analytic: float = 1e-2) -> Differences:
    """Ten weights whose differences from backpropagation are the given ones."""
    values = np.broadcast_to(values, (10, len(STEPS)))
    crossed = np.zeros(values.shape, dtype=bool) if crossed is None else np.broadcast_to(crossed, values.shape)
    return Differences(np.arange(10), np.full(10, analytic), analytic + values, crossed)


def test_both_arms_have_the_slopes_of_theory() -> None:
    """On differences made to be truncation plus round-off of known size: how a processor rounds does not matter."""
    net, (x, y) = network(), sample()
    roundoff = examine(net, x, y, checked(net, x, y)[1]).roundoff
    found = examine(net, x, y, made(1e-3 / STEPS**2.0 + 2 * roundoff * STEPS))
    assert found.slope == pytest.approx(-2, abs=0.01)
    assert found.third == pytest.approx(6e-3, rel=0.01)
    assert found.right_slope == pytest.approx(1, abs=0.01)
    assert found.right_factor == pytest.approx(2 * roundoff, rel=0.01)
    best = STEPS[np.argmin(1e-3 / STEPS**2.0 + 2 * roundoff * STEPS)]
    assert (found.best_n, found.right_points) == (best, int((best < STEPS).sum()))
    assert found.optimum == pytest.approx((3 * roundoff / 6e-3) ** (1 / 3), rel=0.01)


@pytest.mark.parametrize("nonlinearity", SMOOTH)
def test_a_network_shows_truncation_and_no_more_round_off_than_estimated(nonlinearity: str) -> None:
    net, (x, y) = network(nonlinearity), sample()
    nonzero = checked(net, x, y)[1]
    found = examine(net, x, y, nonzero)
    assert found.slope == pytest.approx(-2, abs=0.1)
    assert found.fitted_n is not None
    assert found.fitted_n[0] == 1
    assert found.third is not None
    assert (nonzero.absolute < 2 * found.third / 6 / STEPS**2.0 + MARGIN * found.roundoff * STEPS).all()
    assert found.smallest < 1e-9


def test_the_third_derivative_is_that_of_the_softmax() -> None:
    """Without a bend in the hidden layer, L''' of a weight follows from the probabilities alone."""
    net, (x, y) = network("leaky_relu", (1,)), sample()
    net.biases[0][:] = 5  # far from the kink
    p = net.softmax(net.forward(x))[0]
    direction = net.weights[1][0]  # dz_j / dh
    third_moment = p @ (direction - p @ direction) ** 3  # of log sum exp along a line
    _, nonzero = checked(net, x, y)
    assert not nonzero.crossed[:, 2:].any()
    largest = abs(third_moment) * x[0, nonzero.index].max() ** 3
    assert examine(net, x, y, nonzero).third == pytest.approx(largest, rel=0.02)


def test_weights_are_counted_unit_after_unit_and_put_back_and_dropout_is_off() -> None:
    net, (x, y) = network(), sample()
    before = net.parameters.copy()
    found = compare(net, x, y, np.array([0, 1, 12, 83]))
    gradients = net.gradients[: 12 * 7].reshape(12, 7)
    assert found.analytic.tolist() == [gradients[0, 0], gradients[1, 0], gradients[0, 1], gradients[11, 6]]
    assert np.array_equal(before, net.parameters)
    assert found.absolute[:, 6].max() < 1e-6
    dropping = network(dropout=0.5, input_dropout=0.5)
    assert np.array_equal(checked(net, x, y)[1].numeric, checked(dropping, x, y)[1].numeric)


def test_weights_of_black_pixels_say_nothing() -> None:
    net, (x, y) = network(), sample(black=10)
    first, nonzero = checked(net, x, y)
    assert not first.analytic.any()
    assert not first.absolute.any()
    assert nonzero.index.tolist() == [10, 11, 22, 23, 34, 35, 46, 47, 58, 59]
    assert nonzero.analytic.all()
    text = words(net, x, y, black=10)
    assert "All of these belong to pixels that are black" in text
    assert "can't test backpropagation" in text
    assert AGREE in text
    assert "| nonzero: unit, pixel | 0, 10 | 0, 11 | 1, 10 |" in text


def one_unit(nonlinearity: str, before: float) -> tuple[NN, Array, Labels]:
    """A hidden unit whose pre-activation is `before`, and an image of a single white pixel."""
    net = network(nonlinearity, (1,))
    x = np.zeros((1, 12))
    x[0, 4] = 1
    net.weights[0][4, 0] = before
    return net, x, np.array([2])


@pytest.mark.parametrize(("before", "crossing"), [(0.3, [1]), (-0.03, [1, 5, 10]), (0.15, [1, 5]), (1.5, [])])
def test_a_kink_between_both_ends_is_marked(before: float, crossing: list[int]) -> None:
    net, x, y = one_unit("leaky_relu", before)
    found = compare(net, x, y, np.array([4]))
    assert STEPS[found.crossed[0]].tolist() == crossing
    assert STEPS[np.isnan(found.largest(smooth=True))].tolist() == crossing
    assert np.isfinite(found.largest()).all()  # the maximum is over all weights, kinks or not
    if crossing:
        assert found.largest()[0] > 1e-2
    assert np.nanmax(found.largest(smooth=True)) < 0.1


def test_a_kink_of_a_deeper_layer_is_marked_and_counts_in_the_maximum() -> None:
    net, x, y = one_unit("relu", 5.0)
    deep = network("relu", (1, 1))
    deep.weights[0][:] = net.weights[0]
    deep.weights[1][:], deep.biases[1][:] = 1, -4.95  # the second unit is at 0.05
    assert STEPS[compare(deep, x, y, np.array([4])).crossed[0]].tolist() == [1, 5, 10]
    values, crossed = np.full((10, len(STEPS)), 1e-9), np.zeros((10, len(STEPS)), dtype=bool)
    values[3, 0], crossed[3, 0] = 0.5, True
    found = made(values, crossed)
    assert found.largest() == pytest.approx([0.5, *[1e-9] * 11])
    assert found.largest(smooth=True) == pytest.approx(np.full(12, 1e-9))


@pytest.mark.parametrize("nonlinearity", SMOOTH)
def test_smooth_nonlinearities_have_no_kink(nonlinearity: str) -> None:
    net, x, y = one_unit(nonlinearity, 0.03)
    assert not compare(net, x, y, np.array([4])).crossed.any()
    assert "kink" not in words(net, x, y).lower()


def test_wrong_derivatives_and_gradients_where_there_are_none_are_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    net, (x, y), right = network(), sample(), NN.backward
    assert "wrong" not in words(net, x, y)
    sigmoid = network("sigmoid")
    sigmoid._slope = lambda z, a: a  # not a (1 - a)
    assert "**The backward pass is wrong.**" in words(sigmoid, x, y)
    monkeypatch.setattr(NN, "backward", lambda self, labels, scale=1.0: right(self, labels, scale) * 1.001)
    text = words(net, x, y)
    assert "**The backward pass is wrong.**" in text
    assert "20 of the 20 gradients" in text
    assert "agree" not in text
    assert "Something other than truncation" in text
    monkeypatch.setattr(NN, "backward", lambda self, labels, scale=1.0: right(self, labels, scale) + 0.01)
    assert "**The backward pass is wrong.**" in words(net, *sample(black=10), black=10)


def test_words_change_with_the_numbers() -> None:
    net, (x, y) = network("relu"), sample()

    def said(found: Differences) -> str:
        unused = made(np.zeros(12), analytic=0)
        return write(unused, found, examine(net, x, y, found), net, black=10, **ABOUT)

    truncation, roundoff = 1e-3 / STEPS**2.0, 2e-16 * STEPS
    usual = said(made(truncation + roundoff))
    assert AGREE in usual
    assert "None of the 120 differences crosses it" in usual
    assert "slope is -2.0" in usual
    assert "largest $|L'''|$ of 6.0e-03" in usual
    assert "slope is 1.00 over" in usual
    assert "Of the twelve values" in usual
    everywhere = said(made(truncation, np.ones(12, dtype=bool)))
    assert "10 of the 10 weights at N = 1," in everywhere
    assert "The check is inconclusive" in everywhere
    assert "agree" not in everywhere
    late = said(made(truncation + roundoff, STEPS < 5000))
    assert "of these without kinks | - | - " in late
    assert "No slope can be fitted" in late
    assert "Of the twelve values" not in late
    assert "It is not visible" in said(made(truncation + 1e-30))
    hidden = said(made(roundoff, analytic=1e-12))
    assert "The check is inconclusive: the gradients are lost in round-off" in hidden
    assert "**The backward pass is wrong.**" in said(made(np.full(12, 1e-3)))


@pytest.fixture
def setup(few_drawn: int) -> Setup:
    """Few digits, black along the border, and a small network."""
    model = {"hidden_dims": (8, 6), "parameter_range": (1, 10**6), "nonlinearity": "tanh", "batch_size": 10}
    return Setup(model, epochs=2, source="drawn", name="gradcheck")


def test_run_leaves_numbers_figure_and_words(setup: Setup, capsys: Capture) -> None:
    folder = run(setup)
    assert {path.name for path in folder.iterdir()} == FILES
    exact = dict.fromkeys(("epsilon", "analytic", "numeric", "absolute_difference"), float)
    rows = pd.read_csv(folder / "differences.csv", converters=exact)
    first, nonzero = rows[rows.weights == "first"], rows[rows.weights == "nonzero"]
    assert len(rows) == 2 * 10 * 12
    assert rows.N[:12].tolist() == STEPS.tolist()
    assert set(zip(first["index"], first.row, first.column, strict=True)) == {(i, 0, i) for i in range(10)}
    assert not first.absolute_difference.any()
    assert nonzero.analytic.all()
    assert (nonzero.epsilon == 1 / nonzero.N).all()
    assert (nonzero["index"] == 784 * nonzero.row + nonzero.column).all()
    assert not nonzero.kink_crossed.any()
    assert (nonzero.absolute_difference == (nonzero.numeric - nonzero.analytic).abs()).all()
    text, record = (folder / "conclusion.md").read_text(), json.loads((folder / "record.json").read_text())
    out = capsys.readouterr().out
    assert text in out
    assert len(re.findall(r"^epoch \d/2  train loss", out, flags=re.M)) == 2
    assert "784-8-6-10 (6,404 parameters), tanh, learning rate 0.1 (constant), mini-batches of 10, seed 0" in text
    assert "All of these belong to pixels that are black in every training image" in text
    assert AGREE in text
    assert (record["epochs_done"], "run" in record) == (2, False)
    assert record["setup"] in text
    assert record["slope"] == pytest.approx(-2, abs=0.1)
    assert f"slope is {record['slope']:.2f}" in text
    assert record["largest_nonzero"][0] == nonzero[nonzero.N == 1].absolute_difference.max()


def test_run_takes_the_network_of_a_file_and_names_its_run(setup: Setup, tmp_path: Path) -> None:
    net = setup.network(seed=5, hidden_dims=(5, 7), nonlinearity="gelu")
    path = tmp_path / "mlp" / "version_3" / "checkpoints" / "last.npz"
    path.parent.mkdir(parents=True)
    net.save(str(path))
    folder = run(setup, path, sample=7)
    text, record = (folder / "conclusion.md").read_text(), json.loads((folder / "record.json").read_text())
    assert "mlp/version_3/checkpoints/last.npz, after 0 epochs" in text
    assert "does not say" in text
    assert "784-5-7-10" in record["setup"]
    assert (record["run"], record["checkpoint"], record["epochs_done"]) == ("mlp/version_3", "last", 0)
    x, y = (part[7:8] for part in setup.digits().train)
    assert record["loss"] == pytest.approx(net.loss(net.forward(x), y))


@pytest.mark.parametrize(
    ("pretrained", "origin"), [(True, "the published weights of mlp.npz,"), (False, "the weights of mlp.npz,")]
)
def test_weights_outside_a_run_name_none(
    pretrained: bool, origin: str, setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if pretrained:
        monkeypatch.setattr("lit_a1.studies.gradcheck.study.PRETRAINED", tmp_path)
    setup.network().save(str(tmp_path / "mlp.npz"))
    folder = run(setup, tmp_path / "mlp.npz")
    record = json.loads((folder / "record.json").read_text())
    assert record["weights"].startswith(origin)
    assert not {"run", "checkpoint"} & record.keys()
    assert origin in (folder / "conclusion.md").read_text()


def test_samples_that_are_not_there_and_damaged_weights_are_refused(setup: Setup, tmp_path: Path) -> None:
    for wanted in (-1, 40):
        with pytest.raises(ValueError, match=rf"^sample must be from 0 to 39, a training image; got {wanted}$"):
            run(setup, sample=wanted)
    (tmp_path / "other.npz").write_bytes(b"not weights")
    with pytest.raises(CheckpointError, match=r"other\.npz"):
        run(setup, tmp_path / "other.npz")
    assert not setup.save_dir.exists()


@pytest.mark.parametrize("changes", [{"lr": 1e38, "nonlinearity": "relu"}, {"initialization": "zero"}])
def test_run_survives_what_cannot_be_compared(setup: Setup, changes: dict[str, object]) -> None:
    folder = run(replace(setup, model=setup.model | changes))
    assert {path.name for path in folder.iterdir()} == FILES
    said = "Nothing can be checked" if "initialization" in changes else "the training diverged"
    assert said in (folder / "conclusion.md").read_text()
    assert "NaN" not in (folder / "record.json").read_text()
