import math
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lit_a1.commands.mlp import parse, setup_of
from lit_a1.mlp.setup import Digits, Examples, Setup, describe
from lit_a1.studies.search.figure import draw
from lit_a1.studies.search.mlp_figure import panels_of
from lit_a1.studies.search.mlp_results import HEADER, Tried, command_of, conclude
from lit_a1.studies.search.mlp_space import settings_of, space_of, start_of

SETUP = Setup({"parameter_range": [5000, 20_000], "hidden_dims": [10, 8], "lr": 0.05}, epochs=4)


def digits(valid: int = 10_000) -> Digits:
    none = Examples(np.empty((0, 784), np.float32), np.empty(0, np.int64))
    return Digits(none, Examples(none.pictures, np.zeros(valid, np.int64)), none, drawn=False, origin="data/mnist")


def trial(number: int, errors: list[float], state: str = "complete", **changes: Any) -> Tried:
    settings = settings_of(start_of(SETUP.network(), space_of(SETUP)) | changes, SETUP)
    net = SETUP.network(**settings)
    about = (settings, describe(net), net.n_parameters, errors, 1.5 * len(errors), number == 0, net.architecture)
    return Tried(number, state, *about)


def words(*tried: Tried, importances: dict[str, float] | None = None, valid: int = 10_000) -> str:
    return conclude(tried, SETUP, digits(valid), SETUP.network(), importances)[0]


def test_a_trial_as_a_row() -> None:
    row = dict(zip(HEADER, trial(3, [0.3, 0.1, 0.2]).row(), strict=True))
    found = [row[name] for name in ("trial", "state", "diverged", "val_accuracy_best", "best_epoch")]
    assert found == ["3", "complete", "no", "0.90000", "2"]
    assert [row[name] for name in ("val_accuracy_last", "epochs", "seconds")] == ["0.80000", "3", "4.5"]
    assert (row["architecture"], row["parameters"], row["lr"]) == ("784-10-8-10", "8028", "0.05")


def test_trials_without_an_accuracy_have_empty_cells() -> None:
    nothing = Tried(1, "failed", {}, "", 0, [], 0.0, start=False)
    at_once = trial(2, [math.nan], "pruned")
    for tried, diverged, epochs in ((nothing, "no", "0"), (at_once, "yes", "1")):
        row = dict(zip(HEADER, tried.row(), strict=True))
        assert [row[name] for name in ("val_accuracy_best", "best_epoch", "val_accuracy_last")] == ["", "", ""]
        assert (row["diverged"], row["epochs"]) == (diverged, epochs)
        tried.line()


def test_words_for_a_clear_gain() -> None:
    text = words(
        trial(0, [0.3, 0.1, 0.08, 0.06]),
        trial(1, [0.3, 0.1, 0.02, 0.03], lr=0.1),
        trial(2, [0.8], "pruned"),
        trial(3, [0.5, math.nan], "pruned"),
        trial(4, [0.5], "failed"),
    )
    assert "on the digits of mnist/: " in text
    assert "data/mnist" not in text  # the summary is passed on: it does not tell where the digits lie
    assert "The best is trial 1: validation accuracy 98.00% in epoch 3 of 4 (200 of 10,000 wrong" in text
    assert "95% interval 97.71% to 98.26%, Wilson" in text
    assert "Trial 0, the command's own network, reached 94.00%: the best makes 400 errors fewer" in text
    assert "do not overlap: that is a gain" in text
    assert "Run to the end: 2; stopped early: 2 (1 because the loss was no longer finite); ended with" in text
    assert "saved 5 of 16 epochs (31%)" in text
    assert "97% or more was reached by 1 of 5" in text
    assert "2 complete trials are too few" in text


def test_a_difference_inside_the_noise_is_called_that() -> None:
    text = words(trial(0, [0.0205]), trial(1, [0.02], lr=0.1), trial(2, [0.1], lr=0.2))
    assert "overlap: the gain may be noise" in text
    assert "The second best, trial 0, makes 5 errors more. The intervals of 1 of the 2 other complete" in text


def test_words_where_the_search_found_nothing_better() -> None:
    text = words(trial(0, [0.02]), trial(1, [0.1], lr=0.1))
    assert "It is the command's own network: the search has gained nothing." in text
    assert "lie apart" in text
    assert "The second best" not in words(trial(0, [0.02]))


def test_words_where_the_first_is_not_quite_the_own_or_did_not_end() -> None:
    near = replace(trial(1, [0.02], lr=0.1), start=True)
    assert "It is the command's own network as nearly as the ranges allow" in words(near)
    assert "Trial 0, the command's own network, did not run to its end." in words(
        trial(0, [0.9], "pruned"), trial(1, [0.1])
    )


def test_words_without_a_complete_trial() -> None:
    text, best = conclude([trial(0, [math.nan], "pruned")], SETUP, digits(), SETUP.network(), {})
    assert "No trial ran to its end" in text
    assert best == {}


def test_weights_in_words() -> None:
    text = words(trial(0, [0.02]), importances={"dropout": 0.1, "lr": 0.6, "layers": 0.3})
    assert "lr 60%, layers 30%, dropout 10%" in text
    assert "a hint" in text


def test_the_command_trains_the_same_network() -> None:
    setup = replace(SETUP, model={**SETUP.model, "initialization": "normal"}, seed=3, source="drawn")
    tried = trial(1, [0.1], lr=0.0123, momentum=0.9, weight_decay=1.5e-6, layers=3.0, nesterov="yes", dropout=0.25)
    typed = command_of(tried, setup)
    assert typed.startswith("python main.py mlp fit --model.hidden_dims '[")
    config = parse(shlex.split(typed)[3:])
    found, wanted = setup_of(config, "fit").network(), setup.network(**tried.settings)
    assert config.data.source == "drawn"
    assert describe(found) == describe(wanted)
    assert (found.nesterov, found.epochs) == (True, 4)
    np.testing.assert_array_equal(found.parameters, wanted.parameters)


def test_the_figure_shows_any_trials(tmp_path: Path) -> None:
    tried = [
        trial(0, [0.05]),
        trial(1, [0.0], layers=1.0, momentum=0.9, weight_decay=1e-4),  # no error at all, on a logarithmic axis
        trial(2, [0.9], "pruned", layers=3.0, lr_decay="cosine", nonlinearity="gelu"),
        trial(3, [math.nan], "pruned"),
        Tried(4, "failed", {}, "", 0, [], 0.0, start=False),
    ]
    for name, shown in (("all", tried), ("one", tried[2:3])):
        draw(tmp_path / f"{name}.png", shown, panels_of(space_of(SETUP)), 10_000, "Any " * 80)
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert picture.size == pytest.approx((2200, 1640), abs=2)
