"""The search of the numpy network: what a sample means, and whole searches of small networks."""

import shlex
import signal
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lit_a1.cli import main
from lit_a1.mlp.options import parse, setup_of
from lit_a1.mlp.setup import Setup, describe
from lit_a1.runs.records import read_record
from lit_a1.studies.search import mlp, results
from lit_a1.studies.search.figure import draw
from lit_a1.studies.search.mlp import objective, settings_of, widths
from lit_a1.studies.search.space import Range, read_space, values_text
from lit_a1.studies.search.study import Study, run
from tests.conftest import Background
from tests.studies.search.toy import cells, rows

MODEL = {"parameter_range": [5000, 12_000], "hidden_dims": [10], "lr": 0.2}
RANGE = (500_000, 1_000_000)


@pytest.fixture
def setup(mnist_files: Callable[..., Path]) -> Setup:
    mnist_files(Path("data/mnist"), train=300)
    return Setup(MODEL, epochs=2, name="mlp-search")


def size(hidden: list[int], ends: tuple[int, int] = (784, 10)) -> int:
    return sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise([ends[0], *hidden, ends[1]]))


def test_widths_are_always_in_the_allowed_range_and_give_known_networks_back() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        layers, taper = int(rng.integers(1, 4)), rng.uniform(0.4, 1)
        wanted = rng.choice([*RANGE, rng.uniform(*RANGE)])
        hidden = widths(layers, taper, wanted, (784, 10), RANGE)
        assert len(hidden) == layers
        assert RANGE[0] <= size(hidden) <= RANGE[1]
        assert abs(size(hidden) - wanted) < 4000  # a unit more in every layer is some thousand parameters
    assert widths(2, 1.0, 669_706, (784, 10), RANGE) == [512, 512]
    assert widths(2, 0.5, size([800, 400]), (784, 10), RANGE) == [800, 400]
    with pytest.raises(ValueError, match="parameter_range must leave room for 2 hidden layers"):
        widths(2, 1.0, 669_800, (784, 10), (669_707, 669_900))


@pytest.mark.parametrize(("layers", "taper"), [(1, 1.0), (2, 0.5), (3, 0.7)])
def test_widths_come_nearest_to_the_wanted_size(layers: int, taper: float) -> None:
    def units(first: int) -> list[int]:
        return [max(1, round(first * taper**k)) for k in range(layers)]

    for wanted in range(100, 3000, 37):
        best = min((units(first) for first in range(1, 200)), key=lambda hidden: abs(size(hidden, (20, 3)) - wanted))
        assert size(widths(layers, taper, wanted, (20, 3), (1, 10**6)), (20, 3)) == size(best, (20, 3))


def test_every_sample_is_a_network_and_small_numbers_mean_none(setup: Setup) -> None:
    searched, rng = objective(setup), np.random.default_rng(0)
    for _ in range(50):
        sampled = {
            name: values.nearest(rng.choice([values.low, values.high, rng.uniform(values.low, values.high)]))
            if isinstance(values, Range)
            else str(rng.choice(values))
            for name, values in searched.space.items()
        }
        settings = searched.describe_sample(sampled)["settings"]  # refuses what is not allowed
        assert settings["batch_size"] in (32, 64, 128, 256, 512)
        assert settings["momentum"] == 0 or 0.5 <= settings["momentum"] <= 0.95
        assert settings["weight_decay"] == 0 or 1e-6 <= settings["weight_decay"] <= 1e-3
        assert settings["momentum"] > 0 or not settings["nesterov"]
    for momentum, decay, meant in ((0.49, 9e-7, (0, False, 0)), (0.5, 1.2345e-6, (0.5, True, 1.23e-6))):
        sampled = {**searched.start, "nesterov": "yes", "momentum": momentum, "weight_decay": decay}
        settings = settings_of(sampled, searched.space, (784, 10))
        assert (settings["momentum"], settings["nesterov"], settings["weight_decay"]) == meant


@pytest.mark.parametrize(
    "model",
    [
        {},
        {"hidden_dims": [700, 500], "momentum": 0.9, "nesterov": True, "dropout": 0.3, "lr_decay": "linear"},
        {"hidden_dims": [640], "lr": 0.0123, "weight_decay": 1e-4, "batch_size": 32, "nonlinearity": "gelu"},
    ],
)
def test_the_first_trial_is_the_commands_own_network(setup: Setup, model: dict[str, Any]) -> None:
    searched = objective(replace(setup, model=model))
    assert searched.describe_sample(searched.start)["settings"] == searched.own


def test_the_first_trial_is_the_nearest_where_the_commands_own_is_outside(setup: Setup) -> None:
    far = {"hidden_dims": [300] * 6, "lr": 7.0, "dropout": 0.9, "batch_size": 100, "momentum": 0.3}
    searched = objective(replace(setup, model=far))
    settings = searched.describe_sample(searched.start)["settings"]
    assert len(settings["hidden_dims"]) == 3
    assert [settings[name] for name in ("lr", "dropout", "batch_size", "momentum")] == [1.0, 0.5, 128, 0.0]
    assert [values_text(searched.space[name]) for name in ("parameters", "momentum", "lr")] == [
        "500,000 to 1,000,000", "0.4 to 0.95, in steps of 0.01 (below 0.5 means 0)", "0.005 to 1 (logarithmic)"
    ]  # fmt: skip


@pytest.mark.usefixtures("few_drawn")
def test_the_command_trains_the_same_network(setup: Setup) -> None:
    setup = replace(setup, model={**MODEL, "initialization": "normal"}, seed=3, source="drawn")
    searched = objective(setup)
    changes = {"lr": 0.0123, "momentum": 0.9, "weight_decay": 1.5e-6, "layers": 3.0, "nesterov": "yes", "dropout": 0.25}
    settings = searched.describe_sample({**searched.start, **changes})["settings"]
    typed = searched.command(settings)
    assert typed.startswith("python main.py mlp fit --model.hidden_dims '[")
    config = parse(shlex.split(typed)[3:])
    found, wanted = setup_of(config, "fit").network(), setup.network(**settings)
    assert config.data.source == "drawn"
    assert describe(found) == describe(wanted)
    assert (found.nesterov, found.epochs) == (True, 2)
    np.testing.assert_array_equal(found.parameters, wanted.parameters)


def test_a_search_measures_its_networks_and_draws_them(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "draw", draw)
    setup = replace(setup, model=MODEL | {"hidden_dims": [10, 6]})
    searched = objective(setup)
    folder = run(searched, 3)
    assert folder == Path("lightning_logs/mlp-search/version_0")
    assert (folder / "search.png").exists()
    found = rows(folder)
    assert (found[0]["architecture"], found[0]["lr"], found[0]["batch_size"]) == ("784-10-6-10", "0.2", "128")
    assert all(5000 <= int(row["parameters"]) <= 12_000 for row in found)
    answers = [row for row in found if row["architecture"].count("-") == 3]  # two hidden layers
    best = max(answers, key=lambda row: float(row["val_accuracy_best"]))
    assert read_record(folder, needed=())["best"]["trial"] == int(best["trial"])
    summary = (folder / "summary.md").read_text()
    assert "on the digits of mnist/, 250 images to learn from" in summary
    assert str(setup.mnist.origin) not in summary  # it is passed on: it does not tell where the digits lie
    trial = Study(searched, folder).optuna.trials[1]
    net, digits = setup.network(**trial.user_attrs["settings"]), setup.digits()
    errors = []
    for _ in range(setup.epochs):
        net.train(*digits.train)
        errors.append(net.test(*digits.valid)[1])
    row = rows(folder)[1]
    accuracies = (float(row["val_accuracy_best"]), float(row["val_accuracy_last"]))
    assert accuracies == pytest.approx((1 - min(errors), 1 - errors[-1]), abs=1e-5)
    assert trial.value == min(errors)
    assert (row["architecture"], int(row["parameters"])) == (net.architecture, net.n_parameters)


def test_the_seed_repeats_a_search_and_the_test_images_decide_nothing(setup: Setup) -> None:
    spoilt, test = replace(setup), setup.mnist.test
    spoilt.__dict__["mnist"] = setup.mnist._replace(test=test._replace(images=255 - test.images))
    first, again, other = (run(objective(each), 2) for each in (setup, spoilt, replace(setup, seed=1)))
    assert first != again
    assert rows(first) == rows(again)
    assert rows(first)[1] != rows(other)[1]


def searched_with(monkeypatch: pytest.MonkeyPatch, **ranges: Range) -> None:
    monkeypatch.setattr(mlp, "read_space", lambda path: read_space(path) | ranges)


def test_a_network_that_diverges_is_stopped(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    searched_with(monkeypatch, lr=Range(1e30, 1e35))
    assert cells(run(objective(setup), 2), "state", "diverged", "epochs") == [("pruned", "yes", "1")] * 2


@pytest.mark.usefixtures("setup")
def test_a_killed_study_goes_on(in_background: Background) -> None:
    command = ["mlp", "search", "--model.parameter_range", "[5000,12000]", "--model.hidden_dims", "[10]"]
    command += ["--trainer.max_epochs", "2", "--trials", "4"]
    killed = in_background(*command, killed_at=("lit_a1.mlp.network:NN", "train", 4))
    said = killed.communicate()[0]
    assert killed.returncode == -signal.SIGKILL, said
    folder = Path("lightning_logs/mlp-search/version_0")
    before = rows(folder)
    main([*command, "--study", str(folder)])
    assert [row["state"] for row in rows(folder)] == ["complete", "failed", "complete", "complete", "complete"]
    assert rows(folder)[:1] == before
    assert rows(folder)[1]["epochs"] == "1"
    assert "interrupted: 1" in (folder / "summary.md").read_text()


def test_trials_of_a_study_share_digits_ranges_and_all_that_is_not_searched(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shared(labels: Any = setup.mnist.valid.labels, **changes: Any) -> Any:
        other = replace(setup, **changes)
        other.__dict__["mnist"] = setup.mnist._replace(valid=setup.mnist.valid._replace(labels=labels))
        return objective(other).shared

    usual = shared()
    assert usual["data"].startswith("250 + 50 images (")
    assert shared(model=MODEL | {"lr": 0.5}) == usual
    assert shared(epochs=3) != usual
    assert shared(seed=1) != usual
    assert shared(model=MODEL | {"initialization": "zero"}) != usual
    assert shared(np.zeros(50, np.int64)) != usual
    for ranges in ({"dropout": Range(0, 0.5, step=0.05)}, {"momentum": Range(0.1, 0.95, step=0.01, none_below=0.5)}):
        searched_with(monkeypatch, **ranges)
        assert shared() != usual
