"""A YAML of ranges and choices: read, refused, and sampled from."""

import json
from pathlib import Path
from typing import Any

import optuna
import pytest

from lit_a1.runs.settings import UsageError
from lit_a1.studies.search.space import Range, distributions, nearest_sample, read_space, values_text


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
    assert list(found.items()) == [
        ("model.lr", Range(0.02, 0.6, log=True)),
        ("model.weight_decay", Range(0.0, 0.004, none_below=0.001)),
        ("model.momentum", Range(0.8, 0.95, step=0.05)),
        ("data.batch_size", Range(16, 64, step=16, whole=True)),
        ("model.norm", ["group", "none"]),
        ("data.augment.crop_scale", [[0.2, 1.0], [0.4, 1.0]]),
    ]


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
        ("data.batch_size: {low: 16, high: 60, step: 16}", "low to high in whole steps; got 2.75 of them"),
        ("model.lr: {low: 0.1, high: .inf}", "must go up from low to high"),
        ("model.lr: {low: 0.0, high: 0.1, none_below: 0.1}", "none_below of .* must lie between 0 and high"),
        ("data.size_schedule: [{0: 32}, {0: 48}]", "must have numbers, words or lists to choose from"),
    ],
)
def test_what_is_no_space_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words.replace("[", r"\[").replace("]", r"\]")):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("values", "sampled", "meaning"),
    [
        (Range(0.005, 1.0, log=True), 0.0123456, 0.0123),
        (Range(1e-5, 1e-2, log=True), 1.23456e-5, 1.23e-5),
        (Range(0.02345, 1.0, log=True), 0.02345, 0.02345),  # 0.0234 is below
        (Range(0.9, 0.9999), 0.99876, 0.9988),  # three digits of what the range spans
        (Range(0.9, 0.9999), 0.99989, 0.9999),
        (Range(0.8, 0.95, step=0.05), 0.8 + 3 * 0.05, 0.95),
        (Range(0.0, 0.5, step=0.0005), 0.1005, 0.1005),
        (Range(0.0, 0.5, none_below=0.1), 0.0989, 0.0),
        (Range(1, 4096, whole=True), 1234.0, 1234),
        (Range(-1.0, 1.0), -0.25, -0.25),
    ],
)
def test_what_a_sampled_number_stands_for(values: Range, sampled: float, meaning: float) -> None:
    assert values.meaning(sampled) == meaning
    assert isinstance(values.meaning(sampled), int) == values.whole


def test_all_that_tells_ranges_apart() -> None:
    ranges = [
        Range(1, 2), Range(1, 2, whole=True), Range(1, 2, log=True), Range(1, 2, step=0.5), Range(1, 2, step=0.25),
        Range(0, 2), Range(0, 2, none_below=1), Range(0.5, 2, none_below=1), Range(0, 3), Range(0, 2.000000001),
        Range(0, 3, step=1), Range(0, 3, step=1.000000001),
    ]  # fmt: skip
    assert len({values_text(values) for values in ranges}) == len(ranges)


@pytest.mark.parametrize(
    ("own", "values", "first"),
    [
        (0.0, [0, 0.1], 0), ([0.4, 1.0], [[0.2, 1], [0.4, 1]], [0.4, 1]), (0.05, [0.5, 0.06], 0.06),
        ("batch", ["none", "group"], "none"), (0.95, Range(0.8, 0.95, step=0.05), 0.95),
        (12.5, Range(8, 16, whole=True), 12), (100, Range(16, 64, step=16, whole=True), 64),
        (0.87, Range(0.8, 0.95, step=0.05), 0.85), (0.05, Range(0.02, 0.6, log=True), 0.05),
        (7.0, Range(0.02, 0.6, log=True), 0.6), (3, Range(8, 16, whole=True), 8),
        (0.002, Range(0.0, 0.004, none_below=0.001), 0.002),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("error")
def test_what_the_first_trial_makes_of_ones_own_value(own: Any, values: Any, first: Any) -> None:
    study, space = optuna.create_study(), {"model.option": values}
    study.enqueue_trial(nearest_sample({"model.option": own}, space, json.dumps))
    sampled = study.ask(distributions(space, json.dumps)).params["model.option"]
    assert (values.meaning(sampled) if isinstance(values, Range) else json.loads(sampled)) == first
