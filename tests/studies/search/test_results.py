"""Trials in words, as rows and in the figure."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lit_a1.studies.search.figure import draw
from lit_a1.studies.search.objective import TrialRecord
from lit_a1.studies.search.results import conclude, p_value
from lit_a1.studies.search.space import Range, distributions
from tests.studies.search.toy import OWN, toy

IMAGES = 10_000
MLP = toy(study_name="mlp", best_epoch_counts=True, epochs=4)
CNN = toy(epochs=8)


def trial(number: int, errors: list[float], state: str = "complete", every: int = 1, **about: Any) -> TrialRecord:
    """One that is measured every few epochs; where these are 2, its last epoch counts."""
    usual = {"settings": OWN, "sampled": OWN, "words": f"network {number}", "parameters": 8028, "start": number == 0}
    usual |= {"own": OWN if number == 0 else None, "seconds": 60.0 * len(errors), "machine": "a machine"}
    by_epoch = {every * (place + 1): error for place, error in enumerate(errors)}
    return TrialRecord(number, state, by_epoch, every == 1, **usual | about)


def text_of(*trials: TrialRecord, importances: dict[str, float] | None = None) -> str:
    """Of the numpy network if these are its trials."""
    return conclude(trials, MLP if trials[0].best_epoch_counts else CNN, IMAGES, importances)[0]


def test_a_trial_as_a_row() -> None:
    about = {"trial": "3", "state": "complete", "diverged": "no", "seconds": "180.0", "parameters": "8028"}
    accuracies = {"val_accuracy_best": "0.90000", "best_epoch": "2", "val_accuracy_last": "0.80000", "epochs": "3"}
    row = trial(3, [0.3, 0.1, 0.2], architecture="784-10-10").cells()
    assert row == about | accuracies | {"architecture": "784-10-10", "machine": "a machine"}
    assert trial(3, [0.3, 0.1, 0.2], every=2).cells() == row | {"best_epoch": "4", "epochs": "6", "architecture": ""}


@pytest.mark.parametrize(
    ("tried", "expected"),
    [
        (TrialRecord(1, "failed", {}, True), ["no", "0", "", "", ""]),
        (trial(2, [math.nan], "pruned"), ["yes", "1", "", "", ""]),
        (trial(4, [0.3, math.nan], "pruned"), ["yes", "2", "0.70000", "1", ""]),
        (trial(4, [0.3, math.nan], "pruned", every=2), ["yes", "4", "", "", ""]),
    ],
)
def test_what_was_not_measured_has_empty_cells(tried: TrialRecord, expected: list[str]) -> None:
    names = ("diverged", "epochs", "val_accuracy_best", "best_epoch", "val_accuracy_last")
    assert [tried.cells()[name] for name in names] == expected
    assert tried.line().startswith(f"trial  {tried.number}  ")


def test_a_clear_gain_of_the_numpy_network() -> None:
    text = text_of(
        trial(0, [0.3, 0.1, 0.08, 0.06]), trial(1, [0.3, 0.1, 0.02, 0.03]), trial(2, [0.8], "pruned"),
        trial(3, [0.5, math.nan], "pruned"), trial(4, [0.5], "failed"),
    )  # fmt: skip
    assert "**Trial 1 has r(valid) = 98.00 %** in epoch 3 of 4 (200 of 10,000 validation images wrong; 95 %" in text
    assert "the best of 2 completed trials: network 1." in text
    assert "1 of 5 trials reached r(valid) of 97 % or more." in text
    assert "5 trials of up to 4 epochs each: toy: a network on images, seed 0" in text
    counts = "Completed: 2; stopped early: 2 (1 because the loss was no longer finite); interrupted: 1."
    assert f"{counts} Stopping saved 5 of 16 epochs." in text
    own = "Trial 0, the command's own network, reached 94.00 %"
    assert f"{own}. The best trial makes 400 fewer errors, which is a gain" in text
    assert "All other completed trials are worse than the best by more than noise" in text
    assert "| network 1 | 1 * | 98.00 % |\n| network 0 | 0 | 94.00 % |\n" in text
    assert "2 completed trials are too few to say" in text


def test_a_clear_gain_of_a_cnn() -> None:
    text = text_of(
        trial(0, [0.2, 0.16], every=2), trial(1, [0.1, 0.12], every=2), trial(2, [0.4], "pruned", every=2),
        trial(3, [], "refused", every=2, refused="norm must be another one"),
    )  # fmt: skip
    assert "Completed: 2; stopped early: 1. Stopping saved 6 of 24 epochs." in text
    assert "Trial 3 (network 3) was refused: norm must be another one.\n\n" in text
    assert "**Trial 1 has accuracy = 88.00 %** after its last epoch (1,200 of 10,000 validation" in text
    assert "Trial 0, the command's own settings, reached 84.00 %. The best trial makes 400 fewer errors, which" in text
    assert "| settings | trial | accuracy | parameters |" in text
    assert "## How to train the best one\n\n    python main.py fit --model.lr 0.15\n" in text
    assert "| learning rate | 0.02 to 0.6 (logarithmic) |\n| kind of norm | batch, group, none |\n" in text


def test_the_answer_has_what_is_wanted_and_a_better_trial_without_it_is_named() -> None:
    wanted = replace(MLP, requirement="two hidden layers", meets_requirement=lambda values: values["norm"] == "batch")
    deep = {"settings": OWN | {"norm": "group"}, "sampled": OWN | {"norm": "group"}}
    trials = [trial(0, [0.03]), trial(1, [0.01], **deep), trial(2, [0.02])]
    text, best = conclude(trials, wanted, IMAGES, None)
    assert best["trial"] == 2
    assert "**Trial 2 has r(valid) = 98.00 %**" in text
    assert "the best of 2 completed trials with two hidden layers: network 2." in text
    assert "Trial 1 has 99.00 %, but is not the answer" in text
    text, best = conclude(trials[1:2], wanted, IMAGES, None)
    assert (best, "No trial with two hidden layers was completed" in text) == ({}, True)


def test_differences_are_judged_by_how_many_trials_the_best_was_picked_from() -> None:
    text = text_of(trial(0, [0.0205]), trial(1, [0.02]), trial(2, [0.1]))
    noise = "may be noise (Fisher's exact test, corrected for 2 comparisons: p = 1)"
    assert f"The best trial makes 5 fewer errors, which {noise}" in text
    assert "Of the 2 other completed trials, 1 can't be told from the best with 10,000 images" in text
    best, other = trial(1, [0.02]), trial(2, [0.0245])
    assert p_value(best, other, IMAGES, 1) == pytest.approx(0.0348, abs=1e-4)  # scipy.stats.fisher_exact
    assert p_value(best, other, IMAGES, 2) == pytest.approx(0.0696, abs=1e-4)
    assert p_value(best, best, IMAGES, 7) == p_value(trial(1, [0.0]), trial(2, [0.0]), IMAGES, 1) == 1


def test_what_the_first_trial_and_its_settings_are() -> None:
    text = text_of(trial(0, [0.02]), trial(1, [0.1]))
    assert "The best trial is the command's own network: the search has gained nothing." in text
    assert "All other completed trials are worse" in text
    assert "completed trials are worse" not in text_of(trial(0, [0.02]))
    # the last epoch of a CNN counts, and not the best
    assert "**Trial 0 has" in text_of(trial(0, [0.3, 0.2], every=2), trial(1, [0.1, 0.21], every=2))
    near = {"settings": OWN | {"lr": 0.02}}
    text = text_of(trial(0, [0.2], every=2, **near), trial(1, [0.1], every=2))
    assert "Trial 0, the command's own settings, as nearly as the ranges allow, reached 80.00 %" in text
    text = text_of(trial(0, [0.02], **near))
    assert "The best trial is the command's own network, as nearly as the ranges allow" in text
    text = text_of(trial(0, [0.9], "pruned"), trial(1, [0.1]))
    assert "Trial 0, the command's own network, was not completed." in text


def test_importances_are_listed_by_their_short_names_if_there_is_a_complete_trial() -> None:
    text, best = conclude([trial(0, [math.nan], "pruned")], MLP, IMAGES, {})
    assert "stopped early: 1 (1 because the loss was no longer finite)" in text
    assert "No trial was completed" in text
    assert best == {}
    text = text_of(trial(0, [0.02]), importances={"dropout": 0.1, "norm": 0.6, "layers": 0.3})
    assert "kind of norm (60 %), hidden layers (30 %), dropout of hidden units (10 %). " in text
    assert "The percentages are shares of the total importance" in text
    assert "a hint" in text
    assert "No hyperparameter sets the best quarter of the 1" in text_of(trial(0, [0.02]), importances={})


@pytest.mark.usefixtures("full_size")
def test_the_figure_has_a_panel_for_each_hyper_parameter(tmp_path: Path) -> None:
    space = {
        "lr": Range(0.02, 0.6, log=True), "norm": ["batch", "group"], "x": [None, 1], "y": Range(16, 64, whole=True),
        "decay": Range(1e-7, 1e-3, log=True, none_below=1e-6), "momentum": Range(0.4, 0.95, step=0.01, none_below=0.5),
    }  # fmt: skip
    objective = toy(space=space)
    sampled = {"lr": 0.02, "norm": "batch", "x": "None", "y": 20, "decay": 1e-7, "momentum": 0.9}
    states = (0.05, "complete"), (0.0, "complete"), (0.9, "pruned"), (math.nan, "pruned"), (0.3, "failed")
    trials = [
        trial(number, [error], state, sampled=sampled, settings={}) for number, (error, state) in enumerate(states)
    ]
    nothing = TrialRecord(5, "failed", {}, True)
    assert set(distributions(space)) == set(sampled)
    for name, shown in (("all", [*trials, nothing]), ("one", trials[2:3])):
        draw(tmp_path / f"{name}.png", shown, objective, IMAGES, "Any " * 80)
        with Image.open(tmp_path / f"{name}.png") as image:
            assert image.size == pytest.approx((1680, 530), abs=2)
