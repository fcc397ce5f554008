"""The search of a CNN: what can be searched, and what a study of it goes on with."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest

from lit_a1.runs.settings import UsageError
from lit_a1.runs.wording import typed
from lit_a1.studies.search import cnn
from lit_a1.studies.search.cnn import check_space, flags_of, objective, own_values, settings_of
from lit_a1.studies.search.objective import Objective
from lit_a1.studies.search.space import Range, distributions, read_space
from lit_a1.studies.search.study import run
from lit_a1.training import parse
from tests.conftest import CONFIGS
from tests.studies.search.toy import cells, rows

CONFIG = str(CONFIGS / "catsdogs_trial.yaml")
TRIAL = ["fit", "--config", CONFIG]
ARGUMENTS = ["--config", CONFIG, "--data.source", "drawn", "--trainer.max_epochs", "6", "--trainer.accelerator", "cpu"]
SPACE = {
    "model.lr": Range(0.02, 0.6, log=True),
    "model.weight_decay": Range(0.0, 0.004, none_below=0.001),
    "model.momentum": Range(0.8, 0.95, step=0.05),
    "data.batch_size": Range(16, 64, step=16, whole=True),
    "model.norm": ["group", "none"],
    "data.augment.crop_scale": [[0.2, 1.0], [0.4, 1.0]],
}


@pytest.fixture(scope="module")
def settings() -> Any:
    return parse(TRIAL)


def searched(tmp_path: Path, *flags: str, lr: str = "{low: 0.02, high: 0.6, log: true}") -> Objective:
    space = tmp_path / "space.yaml"
    space.write_text(f"model.lr: {lr}\nmodel.norm: [batch, group]\ndata.augment.crop_scale: [[0.2, 1.0], [0.4, 1.0]]\n")
    return objective([*ARGUMENTS, *flags], space)


def test_the_shipped_spaces_hold_what_their_recipes_are_set_to() -> None:
    for name, recipe in (("catsdogs", "catsdogs_trial"), ("mnist", "mnist_fast")):
        space = read_space(CONFIGS / "spaces" / f"{name}.yaml")
        settings = parse(["fit", "--config", str(CONFIGS / f"{recipe}.yaml")])
        own = own_values(settings, space)
        check_space(settings, space, own)
        for option, value in own.items():
            values = space[option]
            found = values.nearest(value) == pytest.approx(value) if isinstance(values, Range) else value in values
            assert found, option


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("model.speed", "CatsDogsCNN has no such option"),
        ("data.augment.blur", "CatsDogsDataModule has no such option"),
        ("model.lr.peak", "has no such option"),
        ("data.augment", "stands for several options"),
        ("lr", "must be an option of the model or of the data"),
        ("model", "must be an option of the model or of the data"),
        ("trainer.max_epochs", "must be an option of the model or of the data"),
        ("data.split_seed", "changes which images are measured"),
    ],
)
def test_options_that_can_not_be_searched(settings: Any, name: str, words: str) -> None:
    with pytest.raises(UsageError, match=f"{name} can't be searched: .*{words}"):
        own_values(settings, {name: [1, 2]})


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("model.norm", ["batch", "bacth"], "model.norm can't be bacth beside .*: .*'group'"),
        ("model.label_smoothing", Range(0.0, 1.5), "label_smoothing can't be 1.5 beside .*: label_smoothing must lie"),
        ("data.augment.crop_scale", [[0.4, 1.0], [0.0, 1.0]], "data.augment.crop_scale can't be"),
        ("model.momentum", Range(0.0, 0.9), "momentum can't be 0.0 beside the command's other settings: nesterov"),
        ("model.lr", ["1e-3", "1e-2"], "model.lr must have numbers, 0.001 or 1.0e-3 for example; got '1e-3'"),
        ("model.dropout", Range(0, 1, whole=True), "model.dropout is no whole number: write its ends as 0.0 and 1.0"),
    ],
)
def test_values_that_are_refused_are_told_before_the_first_trial(
    settings: Any, name: str, values: Any, words: str
) -> None:
    own = own_values(settings, {name: values})
    with pytest.raises(UsageError, match=words):
        check_space(settings, {name: values}, own)


def test_samples_are_set_by_flags(settings: Any) -> None:
    assert own_values(settings, SPACE) == {
        "model.lr": 0.15, "model.weight_decay": 5e-4, "model.momentum": 0.9, "data.batch_size": 64,
        "model.norm": "batch", "data.augment.crop_scale": [0.4, 1.0],
    }  # fmt: skip
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(3):
        values = settings_of(study.ask(distributions(SPACE, json.dumps)).params, SPACE)
        assert own_values(parse([*TRIAL, *flags_of(values)]), SPACE) == values


def test_a_trial_is_a_fit_with_its_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[Sequence[str]] = []

    def train(arguments: Sequence[str], folder: Path, report: Any, *, quiet: bool) -> Any:
        trained.append(arguments)
        report(6, 0.5)
        return {"parameters": 1000, "images": {"val": 2000}}

    monkeypatch.setattr(cnn, "train", train)
    monkeypatch.setattr(cnn, "machine", lambda on_cpu: "a CPU" if on_cpu else "a GPU")
    folder = run(searched(tmp_path), 2)
    assert folder == Path("lightning_logs/catsdogs_trial-search-drawn/version_0")
    own = ["--model.lr", "0.15", "--model.norm", "batch", "--data.augment.crop_scale", "[0.4, 1.0]"]
    assert trained[0] == [*ARGUMENTS, *own]
    assert cells(folder, "lr", "norm", "augment.crop_scale", "parameters")[0] == ("0.15", "batch", "[0.4, 1.0]", "1000")
    assert rows(folder)[0]["machine"] == "a CPU"
    text = (folder / "summary.md").read_text()
    assert "on CatsDogsDataModule (DRAWN images), seed 0. The first" in text
    assert f"    {typed('python', 'main.py', 'fit', *trained[0])}\n" in text
    assert "| learning rate | 0.02 to 0.6 (logarithmic) |\n| norm | batch, group |\n| augment.crop scale |" in text


def test_trials_of_a_study_share_all_but_the_machine_and_what_is_searched(tmp_path: Path) -> None:
    shared = searched(tmp_path).shared
    for flag, value in (
        ("--trainer.max_epochs", "3"), ("--seed_everything", "1"), ("--model.dropout", "0.1"),
        ("--trainer.limit_train_batches", "9"),
    ):  # fmt: skip
        assert searched(tmp_path, flag, value).shared != shared
    for lr in ("{low: 0.1, high: 1.0}", "{low: 0.02, high: 0.6, step: 0.02}"):
        assert searched(tmp_path, lr=lr).shared != shared
    assert searched(tmp_path, "--trainer.precision", "32-true", "--model.lr", "0.1").shared == shared
