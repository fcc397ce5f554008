"""A YAML of ranges and choices: read, refused, drawn from, and turned into flags."""

from pathlib import Path
from typing import Any

import optuna
import pytest

from lit_a1.runs.settings import UsageError
from lit_a1.studies.search.space import check_space, draw, flags_of, own_values, read_space, start_of
from lit_a1.studies.search.span import Span
from lit_a1.training import parse

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
TRIAL = ["fit", "--config", str(CONFIGS / "catsdogs_trial.yaml")]
SPACE = {
    "model.lr": Span(0.02, 0.6, log=True),
    "model.weight_decay": Span(0.0, 0.004, none_below=0.001),
    "model.momentum": Span(0.8, 0.95, step=0.05),
    "data.batch_size": Span(16, 64, step=16, whole=True),
    "model.norm": ["group", "none"],
    "data.augment.crop_scale": [[0.2, 1.0], [0.4, 1.0]],
}


def read(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "space.yaml"
    path.write_text(text)
    return read_space(path)


def test_ranges_and_choices_are_read(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "model.lr: {low: 0.02, high: 0.6, log: true}\nmodel.weight_decay: {low: 0.0, high: 0.004, none_below: 0.001}\n"
        "model.momentum: {low: 0.8, high: 0.95, step: 0.05}\ndata.batch_size: {low: 16, high: 64, step: 16}\n"
        "model.norm: [group, none]\ndata.augment.crop_scale: [[0.2, 1.0], [0.4, 1.0]]\n",
    )
    assert found == SPACE
    assert list(found) == list(SPACE)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must hold lines such as"),
        ("- model.lr", "must hold lines such as"),
        ("model.lr: {low: [", "is no YAML"),
        ("model.lr: 0.1", "must be a list of values, or have low and high"),
        ("model.lr: {low: 0.1}", "must be a list of values, or have low and high"),
        ("model.lr: {low: 0.1, high: 1, base: 2}", "must be a list of values, or have low and high"),
        ("model.norm: [batch]", "two different values or more; got ['batch']"),
        ("model.norm: [batch, batch]", "two different values or more"),
        ("model.lr: {low: 1e-5, high: 1.0}", "low of model.lr in .* must be a number .*; got '1e-5'"),
        ("model.lr: {low: 0.1, high: 1.0, log: 1}", "log of model.lr in .* must be true or false; got 1"),
        ("model.lr: {low: true, high: 1.0}", "low of model.lr in .* must be a number"),
        ("model.lr: {low: 0.2, high: 0.1}", "must go up from low to high"),
        ("model.lr: {low: 0.0, high: 0.1, log: true}", "with log from above 0; got 0.0 to 0.1"),
        ("model.lr: {low: 0.1, high: 0.2, log: true, step: 0.1}", "step of model.lr"),
        ("model.lr: {low: 0.1, high: 0.2, step: 0.0}", "step of model.lr .* must be above 0"),
        (
            "data.batch_size: {low: 16, high: 60, step: 16}",
            "low to high in whole steps; got 2.75 of them",
        ),
        ("model.lr: {low: 0.1, high: .inf}", "must go up from low to high"),
        (
            "model.lr: {low: 0.0, high: 0.1, none_below: 0.1}",
            "none_below of .* must lie between 0 and high",
        ),
        ("data.size_schedule: [{0: 32}, {0: 48}]", "must have numbers, words or lists to choose from"),
    ],
)
def test_what_is_no_space_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words.replace("[", r"\[").replace("]", r"\]")):
        read(tmp_path, text)


def test_the_shipped_spaces_hold_what_their_recipes_are_set_to() -> None:
    for name, recipe in (("catsdogs", "catsdogs_trial"), ("mnist", "mnist_fast")):
        space = read_space(CONFIGS / "spaces" / f"{name}.yaml")
        settings = parse(["fit", "--config", str(CONFIGS / f"{recipe}.yaml")])
        own = own_values(settings, space)
        check_space(settings, space, own)
        for option, value in own.items():
            span = space[option]
            assert span.nearest(value) == pytest.approx(value) if isinstance(span, Span) else value in span, option


def test_a_commands_own_values() -> None:
    own = own_values(parse([*TRIAL, "--model.lr", "0.05"]), SPACE)
    assert own == {
        "model.lr": 0.05, "model.weight_decay": 5e-4, "model.momentum": 0.9, "data.batch_size": 64,
        "model.norm": "batch", "data.augment.crop_scale": [0.4, 1.0],
    }  # fmt: skip


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
        ("data.split_seed", "changes which pictures are measured"),
    ],
)
def test_options_that_can_not_be_searched(name: str, words: str) -> None:
    with pytest.raises(UsageError, match=f"{name} can't be searched: .*{words}"):
        own_values(parse(TRIAL), {name: [1, 2]})


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("model.norm", ["batch", "bacth"], "model.norm can't be bacth beside .*: .*'group'"),
        (
            "model.label_smoothing",
            Span(0.0, 1.5),
            "label_smoothing can't be 1.5 beside .*: label_smoothing must lie",
        ),
        ("data.augment.crop_scale", [[0.4, 1.0], [0.0, 1.0]], "data.augment.crop_scale can't be"),
        ("model.momentum", Span(0.0, 0.9), "model.momentum can't be 0.0 beside the command's other settings: nesterov"),
        ("model.lr", ["1e-3", "1e-2"], "model.lr must have numbers, 0.001 or 1.0e-3 for example; got '1e-3'"),
        ("model.dropout", Span(0, 1, whole=True), "model.dropout is no whole number: write its ends as 0.0 and 1.0"),
    ],
)
def test_values_that_are_refused_are_told_before_the_first_trial(name: str, values: Any, words: str) -> None:
    settings = parse(TRIAL)
    own = own_values(settings, {name: values})
    with pytest.raises(UsageError, match=words):
        check_space(settings, {name: values}, own)


def test_draws_are_inside_and_set_by_flags() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [draw(study.ask(), SPACE) for _ in range(40)]
    assert all(0.02 <= values["model.lr"] <= 0.6 for values in drawn)
    assert {values["data.batch_size"] for values in drawn} == {16, 32, 48, 64}
    assert {values["model.norm"] for values in drawn} == {"group", "none"}
    decays = {values["model.weight_decay"] for values in drawn}
    assert min(decays) == 0.0
    assert min(decays - {0.0}) >= 0.001
    for values in drawn[:3]:
        assert own_values(parse([*TRIAL, *flags_of(values)]), SPACE) == values


@pytest.mark.parametrize(
    ("own", "values", "first"),
    [
        (0.0, [0, 0.1], 0), ([0.4, 1.0], [[0.2, 1], [0.4, 1]], [0.4, 1]), (0.05, [0.5, 0.06], 0.06),
        ("batch", ["none", "group"], "none"), (0.95, Span(0.8, 0.95, step=0.05), 0.95),
        (12.5, Span(8, 16, whole=True), 12), (100, Span(16, 64, step=16, whole=True), 64),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("error")
def test_what_the_first_trial_makes_of_ones_own_value(own: Any, values: Any, first: Any) -> None:
    study = optuna.create_study()
    study.enqueue_trial(start_of({"model.option": own}, {"model.option": values}))
    assert draw(study.ask(), {"model.option": values}) == {"model.option": first}


def test_the_first_trial_is_the_nearest_draw() -> None:
    study = optuna.create_study()
    own = {
        "model.lr": 0.05, "model.weight_decay": 0.002, "model.momentum": 0.9, "data.batch_size": 100,
        "model.norm": "batch", "data.augment.crop_scale": [0.4, 1.0],
    }  # fmt: skip
    study.enqueue_trial(start_of(own, SPACE))
    assert draw(study.ask(), SPACE) == own | {"data.batch_size": 64, "model.norm": "group"}
