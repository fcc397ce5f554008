import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from lit_a1.report.rows import read_rows
from lit_a1.runs.finished import Run
from lit_a1.runs.plotting import COLOURS, MARKERS, draw_line, percent_axis
from lit_a1.runs.settings import UsageError
from lit_a1.studies import curves
from lit_a1.studies.curves import conditions, curve, draw, is_training, keep_curves, read, title

Add = Callable[..., Run]


@pytest.fixture
def add(tmp_path: Path) -> Add:
    """Adds a run: what each epoch measured, `train/loss` with it; None where it was not validated."""

    def added(seed: int, errors: Sequence[float | None], settings: dict[str, Any] | None = None, **about: Any) -> Run:
        folder = tmp_path / "logs" / "catsdogs" / f"version_{10 + seed}"
        folder.mkdir(parents=True)
        epochs = [
            {"epoch": k, "step": 7 * (k + 1), "train/loss": 1 / (k + 1), "train/error": 0.4 / (k + 1)}
            | ({} if error is None else {"val/loss": 2 * error, "val/error": error})
            for k, error in enumerate(errors)
        ]
        record = {
            "settings": {"model.class_path": "CatsDogsCNN"} | (settings or {}), "seed": seed, "epochs": epochs,
            "images": {"train": 400, "val": 100}, "seconds": 60.0 * (seed + 1), "machine": "a machine, 2 cores",
            "commit": "abc123",
        }  # fmt: skip
        (folder / "record.json").write_text(json.dumps(record | about))
        return read(folder)

    return added


def test_the_table_has_every_number_of_every_run(add: Add, tmp_path: Path) -> None:
    runs = [add(0, [None, 0.25]), add(3, [0.5, None, 1 / 3])]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "words.md").write_text("")
    keep_curves(tmp_path / "out", runs)
    rows = read_rows(tmp_path / "out" / "curves.csv")
    assert list(rows[0]) == ["run", "seed", "epoch", "step", "train/error", "train/loss", "val/error", "val/loss"]
    assert [tuple(row.values()) for row in rows] == [
        ("version_10", "0", "1", "7", "0.4", "1", "", ""),
        ("version_10", "0", "2", "14", "0.2", "0.5", "0.25", "0.5"),
        ("version_13", "3", "1", "7", "0.4", "1", "0.5", "1"),
        ("version_13", "3", "2", "14", "0.2", "0.5", "", ""),
        ("version_13", "3", "3", "21", "0.133333", "0.333333", "0.333333", "0.666667"),
    ]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"curves.csv", "curves.png", "words.md"}


def test_a_curve_has_the_epochs_that_all_runs_measured(add: Add) -> None:
    run = add(0, [None, 0.3, None, 0.0])
    epochs, values = curve([run], "val/error")
    assert epochs == [2, 4]
    np.testing.assert_array_equal(values, [[0.3, 0.005]])  # none of 100 counts as half an image
    np.testing.assert_array_equal(curve([run], "val/loss")[1], [[0.6, 0.0]])
    assert curve([run], "train/error")[0] == [1, 2, 3, 4]
    assert curve([run], "train_eval/error")[0] == []
    perfect = add(1, [], epochs=[{"epoch": 0, "step": 1, "train_eval/error": 0.0, "train/error": 0.0}])
    for part in ("train", "train_eval"):  # and these count their own images
        assert curve([perfect], f"{part}/error")[1].item() == 0.5 / 400
    runs = [add(2, [0.5, 0.4, 0.3, 0.2]), add(3, [0.7, None, 0.1])]
    epochs, values = curve(runs, "val/error")
    assert epochs == [1, 3]
    np.testing.assert_array_equal(values, [[0.5, 0.3], [0.7, 0.1]])
    assert curve(runs, "train/loss")[0] == [1, 2, 3]


@pytest.mark.usefixtures("full_size")
def test_lines_are_drawn_for_what_was_measured(add: Add, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "draw_line", drawn := Mock(wraps=draw_line))
    draw(tmp_path / "x.png", [add(0, [None, 0.3, None, 0.1])])
    _, labels, _, epochs, values = zip(*(call.args for call in drawn.call_args_list), strict=True)
    assert labels == ("training, as it ran", "validation") * 2
    assert epochs == ([1, 2, 3, 4], [2, 4]) * 2
    assert [values[1].tolist(), values[3].tolist()] == [[[0.6, 0.2]], [[0.3, 0.1]]]
    assert ["marker" in call.kwargs for call in drawn.call_args_list] == [True, False] * 2  # "" takes the marks away
    with Image.open(tmp_path / "x.png") as image:
        assert image.size == (1920, 880)
    drawn.reset_mock()
    row = {f"{part}/{name}": 0.1 for part in ("train", "train_eval", "val") for name in ("loss", "error")}
    draw(tmp_path / "x.png", [add(1, [], epochs=[row | {"epoch": 0, "step": 1}])])
    assert [call.args[1] for call in drawn.call_args_list] == list(curves.PARTS.values()) * 2
    assert not any("marker" in call.kwargs for call in drawn.call_args_list)  # a single point would not be seen without


def test_the_line_of_several_runs_is_their_mean_in_a_band_of_all() -> None:
    axes = Figure().subplots()
    draw_line(axes, "x", 1, [2, 4], np.array([[0.1, 0.3], [0.2, 0.3], [0.6, 0.3]]), linestyle="--")
    (line,), (band,) = axes.lines, axes.collections
    assert (line.get_color(), line.get_marker(), line.get_linestyle()) == (COLOURS[1], MARKERS[1], "--")
    np.testing.assert_allclose(line.get_xydata(), [[2, 0.3], [4, 0.3]])
    corners = band.get_paths()[0].vertices
    assert {tuple(corner) for corner in corners.round(6)} == {(2, 0.1), (2, 0.6), (4, 0.3)}


@pytest.mark.parametrize(
    ("low", "high", "some"), [(0.04, 0.4, ["5 %", "10 %", "20 %"]), (0.031, 0.045, ["3.2 %", "4 %", "4.4 %"])]
)
def test_errors_are_read_in_percent(low: float, high: float, some: list[str]) -> None:
    drawing = Figure()
    axes = drawing.subplots()
    axes.plot([1, 2], [high, low])
    percent_axis(axes)
    drawing.draw_without_rendering()
    shown = axes.yaxis.get_major_ticks()
    labels = [tick.label1.get_text() for tick in shown if axes.viewLim.y0 <= tick.get_loc() <= axes.viewLim.y1]
    assert set(some) <= set(labels)
    assert len(labels) < 12
    assert not any(label.get_text() for label in axes.get_yticklabels(minor=True))


def test_a_run_that_failed_or_was_not_validated_is_drawn(add: Add, tmp_path: Path) -> None:
    keep_curves(tmp_path, [add(0, [None, None]), add(1, [math.nan, math.nan])])
    assert read_rows(tmp_path / "curves.csv")[-1]["val/loss"] == "nan"


def test_the_title_says_where_the_run_comes_from(add: Add) -> None:
    assert title([add(0, [0.9, 0.1234, None])]).splitlines() == [
        "catsdogs, seed 0: final validation error 12.34 % (epoch 2)",
        "Commit abc123; a machine, 2 cores; trained in 1.0 minutes",
    ]
    assert title([add(5, [None])]).startswith("catsdogs, seed 5: not validated\n")
    runs = [add(1, [0.9, 0.1]), add(2, [0.9, 0.2], commit="def"), add(3, [0.3], commit="")]
    assert title(runs).splitlines() == [
        "catsdogs, seeds 1, 2 and 3: final validation error 20.00 ± 10.00 % (mean ± standard deviation; "
        "epochs 1 and 2)",
        "Commit abc123, def and unknown; a machine, 2 cores; trained in 3.0 minutes (median)",
        "Lines are means over seeds, bands go from the smallest to the largest.",
    ]
    assert "seeds 1 and 4: validated in 1 of 2 runs\n" in title([runs[0], add(4, [None])])


def test_the_legend_says_what_training_was_made_harder_with(add: Add) -> None:
    everything = {"data.augment.mixup": 0.2, "model.label_smoothing": 0.1, "model.dropout": 0.5}
    taught = {"model.teachers": "['a.ckpt']", "model.teacher_share": 0.75}
    for seed, (settings, words) in enumerate([
        ({}, ""), ({"data.augment.flip": "alternating"}, " (augmented)"), (taught, " (teachers' predictions)"),
        (everything | {"model.stochastic_depth": 0.1},
         " (augmented, mixed, smoothed labels, dropout, stochastic depth)"),
        (taught | {"model.teacher_share": 0.0}, ""),
    ]):  # fmt: skip
        assert conditions(add(seed, [0.1], settings)) == words


def test_runs_are_read_from_inside_and_told_from_studies(add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_training(add(1, [0.1], members=[{}]))
    monkeypatch.chdir(add(0, [0.1]).folder)
    run = read(Path())
    assert (run.name, run.folder.parent.name) == ("version_10", "catsdogs")
    assert is_training(run)
    run.record["settings"] = {"model.lr": 0.1}  # of the numpy network
    assert is_training(run)
    del run.record["settings"]
    assert not is_training(run)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, r"version_0 has no record.json: name the folder of a run that has ended\."),
        ('{"epochs": [', r"version_0/record.json is damaged: it is not the record of a run\."),
        ("[]", r"version_0/record.json is damaged: it is not the record of a run\."),
    ],
)
def test_what_is_no_record_is_refused(text: str | None, said: str, tmp_path: Path) -> None:
    (tmp_path / "version_0").mkdir()
    if text is not None:
        (tmp_path / "version_0" / "record.json").write_text(text)
    with pytest.raises(UsageError, match=f"^{tmp_path}/{said}$"):
        read(tmp_path / "version_0")


def test_runs_without_an_epoch_and_seeds_given_twice_are_refused(add: Add, tmp_path: Path) -> None:
    run, twin = add(0, [0.1]), add(1, [0.1])
    twin.record["seed"] = 0
    for runs, said in (
        ([], "There is no run"),
        ([run, add(2, [])], "version_12/record.json has no epoch"),
        ([run, add(3, [], epochs=20)], "version_13/record.json has no epoch"),
        ([run, twin], "version_10 and .*version_11 have the same seed, 0: give one run of each seed"),
        ([run, run], "have the same seed"),
    ):
        with pytest.raises(UsageError, match=said):
            keep_curves(tmp_path / "out", runs)
    assert not (tmp_path / "out").exists()
