"""Trials in words and as rows."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lit_a1.runs.wording import typed
from lit_a1.studies.search.figure import draw
from lit_a1.studies.search.results import HEADER, Tried, conclude
from lit_a1.studies.search.setup import Setup
from lit_a1.studies.search.study import panel_of

CONFIG = str(Path(__file__).resolve().parents[3] / "configs" / "catsdogs_trial.yaml")
OWN = {"model.lr": 0.15, "model.norm": "batch", "data.augment.crop_scale": [0.4, 1.0]}


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    space = tmp_path / "space.yaml"
    space.write_text(
        "model.lr: {low: 0.02, high: 0.6, log: true}\nmodel.norm: [batch, group]\n"
        "data.augment.crop_scale: [[0.2, 1.0], [0.4, 1.0]]\n"
    )
    return Setup.of(["--config", CONFIG, "--data.source", "drawn"], space)


def trial(number: int, errors: list[float], state: str = "complete", **about: Any) -> Tried:
    own = {"start": True, "own": OWN} if number == 0 else {"start": False}
    steps = [2 * (place + 1) for place in range(len(errors))]
    words = f"trial {number}'s"
    about = {"settings": OWN, "seconds": 60.0 * len(errors), "machine": "a machine"} | own | about
    return Tried(number, state, words=words, parameters=1000, errors=errors, steps=steps, **about)


def text_of(setup: Setup, *tried: Tried, importances: dict[str, float] | None = None) -> str:
    return conclude(tried, setup, 2000, importances)[0]


def test_a_trial_as_a_row(setup: Setup) -> None:
    names = [*HEADER, *setup.space]
    row = dict(zip(names, trial(3, [0.3, 0.1, 0.2]).row(setup.space), strict=True))
    assert [row[name] for name in ("val_accuracy_last", "val_accuracy_best", "epochs")] == ["0.80000", "0.90000", "6"]
    assert (row["model.norm"], row["data.augment.crop_scale"], row["machine"]) == ("batch", "[0.4, 1.0]", "a machine")
    diverged = dict(zip(names, trial(4, [0.3, math.nan], "pruned").row(setup.space), strict=True))
    assert [diverged[name] for name in ("diverged", "val_accuracy_last", "epochs")] == ["yes", "", "4"]
    killed = Tried(5, "failed", {}, "", 0, [], 0.0, start=False).row(setup.space)
    assert (killed[0], killed[1], killed[-1]) == ("5", "failed", "")


def test_words(setup: Setup) -> None:
    text = text_of(
        setup, trial(0, [0.2, 0.16]), trial(1, [0.1, 0.12], settings=OWN | {"model.norm": "group"}),
        trial(2, [0.4], "pruned"), trial(3, [], "refused", refused="norm must be another one"),
    )  # fmt: skip
    assert "on CatsDogsDataModule (DRAWN pictures), seed 0, 2,000 pictures to choose by; the test pictures were" in text
    assert "Run to the end: 2; stopped early: 1. Stopping early saved 6 of 24 epochs (25%)." in text
    assert "Trial 3 (trial 3's) was refused: norm must be another one." in text
    assert "The best is trial 1: validation accuracy 88.00% after its last epoch (240 of 2,000 wrong; 95%" in text
    assert "Trial 0, the command's own settings, reached 84.00%: the best makes 80 errors fewer." in text
    assert "do not overlap: that is a gain" in text
    assert "| trial 1's | 1 | 88.00% | 1,000 | 2:00 |" in text
    assert "2 complete trials are too few" in text
    command = f"python main.py fit --config {typed(CONFIG)} --data.source drawn --model.lr 0.15 --model.norm group"
    assert f"    {command} --data.augment.crop_scale '[0.4, 1.0]'\n" in text
    assert text.endswith(
        "Searched: lr 0.02 to 0.6 (logarithmic); norm batch, group; augment.crop_scale [0.2, 1.0], [0.4, 1.0].\n"
    )


def test_a_difference_inside_the_noise_is_called_that(setup: Setup) -> None:
    text = text_of(setup, trial(0, [0.16]), trial(1, [0.15]))
    assert "overlap: the gain may be noise" in text
    assert "2,000 pictures don't tell these apart" in text


def test_the_last_epoch_counts_and_not_the_best(setup: Setup) -> None:
    assert "The best is trial 0" in text_of(setup, trial(0, [0.3, 0.2]), trial(1, [0.1, 0.21]))


def test_whose_settings_the_first_are(setup: Setup) -> None:
    text = text_of(setup, trial(0, [0.2], settings=OWN | {"model.lr": 0.02}), trial(1, [0.1]))
    assert "Trial 0, the command's own settings, as far as the space has them, reached 80.00%" in text
    assert "It is the command's own settings: the search has gained nothing." in text_of(setup, trial(0, [0.2]))


def test_without_a_complete_trial(setup: Setup) -> None:
    text, best = conclude([trial(0, [math.nan], "pruned")], setup, 2000, None)
    assert "stopped early: 1 (1 because the loss was no longer finite)" in text
    assert "No trial ran to its end" in text
    assert best == {}


def test_weights_are_told_by_their_short_names(setup: Setup) -> None:
    weights = {"model.lr": 0.7, "data.augment.crop_scale": 0.3}
    assert "lr 70%, augment.crop_scale 30%" in text_of(setup, trial(0, [0.2]), importances=weights)


def test_the_figure_has_a_panel_for_each_option(setup: Setup, tmp_path: Path) -> None:
    tried = [trial(0, [0.2]), trial(1, [0.1]), trial(2, [0.4], "pruned"), trial(3, [math.nan], "pruned")]
    killed = replace(tried[0], number=4, state="failed", errors=[0.3], start=False)
    space = {**setup.space, "model.x": [None, 1], "model.y": [True, False]}
    settings = OWN | {"model.x": None, "model.y": True}
    shown = [replace(one, settings=settings) for one in (*tried, killed)]
    draw(tmp_path / "x.png", shown, [panel_of(*item) for item in space.items()], 2000, "Any " * 80)
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.width == 2200
