"""What the sections say follows from the numbers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lit_a1.report.build import document
from lit_a1.report.document import Block, read_markdown, write_section
from lit_a1.report.gather import gather
from lit_a1.report.learning import gap
from lit_a1.report.problems import catsdogs_rows, interval_of_test_error, problem3, rank
from lit_a1.report.results import crossvals, ensemble, errors_of, results, status
from lit_a1.report.rows import read_rows
from lit_a1.runs.statistics import wilson
from lit_a1.runs.wording import percent
from tests.report.conftest import CROSSVAL, LOGS, Add, csv_row, leave_part, sections_of

Say = Callable[..., str]


@pytest.fixture
def say(macro: Say) -> Say:
    """The words of a macro of `recipe.md.j2`, in a line."""
    return lambda *values: " ".join(macro("recipe", *values).split())


def further(**values: Any) -> str:
    """What could help further, of some readings."""
    nothing = dict.fromkeys(("gap", "noise", "ensemble", "suspects"))
    return write_section("further", **nothing | {"ideas": [], "effects": {}} | values)


def test_the_test_photos_widen_the_interval_of_the_validation_error(add_run: Add) -> None:
    add_run("catsdogs", [0.1])
    (run,) = gather(LOGS, "real").trainings("catsdogs")
    low, high = interval_of_test_error(run)
    alone = wilson(0.1, run.record["images"]["val"])
    assert low < alone[0] < 0.1 < alone[1] < high


def notes(name: str, macro: Say) -> list[Block]:
    return read_markdown(macro("recipe", "status_notes", status(gather(LOGS, "real"), name)))[0]


def test_the_best_network_is_that_of_the_smallest_last_error(add_run: Add) -> None:
    add_run("catsdogs", [0.05, 0.20])  # a better epoch that was chosen on these images does not count
    add_run("catsdogs_best", [0.10])
    add_run("catsdogs_gpu", [None])
    ranked = rank(gather(LOGS, "real"), ("catsdogs", "catsdogs_best", "catsdogs_gpu"))
    assert [run.folder.parent.name for run in ranked] == ["catsdogs_best", "catsdogs"]
    assert rank(gather(LOGS, "real"), ("mnist",)) == []


def test_several_seeds_are_a_mean_and_one_has_the_interval_of_its_images(add_run: Add, say: Say) -> None:
    add_run("catsdogs", [0.10], seed=0)
    one = say("errors_in_words", errors_of(gather(LOGS, "real").runs_with_newest_settings("catsdogs")), "photo")
    assert "**10.00 %**, an accuracy of 90.00 %." in one
    assert "Its 95 % interval for the choice of 2,000 photos is 8.76 % to 11.39 %" in one
    run = add_run("catsdogs", [0.14], seed=1)
    (run / "test.json").write_text(json.dumps({"checkpoint": "last.ckpt", "test/error": 0.11}))
    two = say("errors_in_words", errors_of(gather(LOGS, "real").runs_with_newest_settings("catsdogs")), "photo")
    assert "**12.00 ± 2.83 %** (mean ± standard deviation over 2 seeds)" in two
    assert two.endswith("The test error of the same weights is 11.00 % (1 of 2 runs).")
    add_run("catsdogs_gpu", [None])
    runs = gather(LOGS, "real").runs_with_newest_settings("catsdogs_gpu")
    assert "not measured" in say("errors_in_words", errors_of(runs), "photo")


@pytest.mark.parametrize("gpu", [False, True])
def test_what_asks_for_a_gpu_says_so_where_there_is_none(
    gpu: bool, macro: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: gpu)
    for rows, kind in ((read_rows(), "text"), ([], "missing")):  # recorded runs are no missing result
        monkeypatch.setattr("lit_a1.report.results.read_rows", lambda rows=rows: rows)
        (best, *_), (other, *_) = (notes(name, macro) for name in ("catsdogs_best", "catsdogs"))
        assert best.kind == other.kind == kind
        assert ("it is a recipe for a gpu, which this machine lacks" in best.text.lower()) is not gpu
        assert "GPU" not in other.text


def test_what_a_run_lost_is_told(add_run: Add, macro: Say) -> None:
    run = add_run("catsdogs", [0.1])
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "best.ckpt").write_bytes(b"")
    (run / "test.json").write_text("{")
    weights, test = notes("catsdogs", macro)
    assert weights.kind == test.kind == "missing"
    assert weights.text.endswith("has lost its weights: last in `checkpoints`.")
    assert "test.json` is damaged" in test.text


PLAIN = {"data.augment.flip": "none", "data.augment.crop_scale": "(1.0, 1.0)"}
PLAIN |= {f"data.augment.{name}": 0 for name in ("brightness", "contrast", "saturation", "grayscale")}


@pytest.mark.parametrize(
    ("errors", "settings", "found", "expected", "advice"),
    [  # of the training images 15 % were wrong
        ([0.4, 0.2], {}, {"comparable": False}, "overfits**, by 5.00 points or more", "the network overfits"),
        ([0.4, 0.155], {}, {"comparable": False}, "It therefore overstates the error", "do not show whether"),
        *(
            ([0.4, 0.2], PLAIN | {f"data.augment.{name}": 0.3}, {"comparable": False}, "or more", "overfits")
            for name in ("saturation", "grayscale", "trivial")
        ),
        ([0.1, 0.20], PLAIN, {"comparable": True, "overfits": True}, "gap of +5.00 points", "the network overfits"),
        ([0.1, 0.155], PLAIN, {"comparable": True, "overfits": False}, "gap of +0.50 points", "does not overfit"),
        ([0.1, None], PLAIN, None, "The last epoch was not validated.", "not implemented here"),
    ],
)
def test_a_gap_is_compared_with_the_noise_of_the_images(
    errors: list[float | None], settings: dict, found: dict | None, expected: str, advice: str, add_run: Add, say: Say,
    tmp_path: Path,
) -> None:  # fmt: skip
    add_run("catsdogs", errors, settings=settings)
    runs = gather(LOGS, "real").runs_with_newest_settings("catsdogs")
    measured = gap(runs)
    assert found == (measured and {name: measured[name] for name in found or {}})
    assert expected in say("learning_curves_in_words", results(runs, tmp_path), "photo")
    assert advice in " ".join(further(gap=measured).split())


def test_the_end_of_mixing_explains_the_training_curves(add_run: Add, say: Say, tmp_path: Path) -> None:
    for name, mixing, is_said in (("catsdogs", 1.0, True), ("catsdogs_gpu", 0.0, False)):
        settings = {"data.augment.cutmix": mixing, "data.augment.mix_until": 1}
        add_run(name, [0.4, 0.2], settings=settings)
        text = say("learning_curves_in_words", results(gather(LOGS, "real").trainings(name), tmp_path), "photo")
        assert ("Images are mixed up to epoch 1." in text) == is_said


def test_suspected_labels_and_the_noise_are_named_and_without_runs_nothing_is_concluded() -> None:
    assert "From the runs" not in further()
    assert "not implemented here" in further()
    noise = {"mean": 0.05, "images": 2000, "interval": (0.041, 0.06)}
    text = " ".join(further(noise=noise, suspects=3).split())
    assert "On 2,000 validation images an error of 5.00 % has a 95 % interval of 4.10 % to 6.00 %" in text
    assert "- The labels of 3 validation images are suspected" in text


def test_a_cross_validation_here_takes_the_place_of_the_recorded_one() -> None:
    def write(name: str, **content: object) -> None:
        (LOGS / name).mkdir(parents=True, exist_ok=True)
        (LOGS / name / "crossval.json").write_text(json.dumps(content))

    recorded = crossvals(gather(LOGS, "real"))
    assert {"name", "accuracy", "folds"} <= recorded[0].keys()
    write(f"{recorded[0]['name']}-crossval", begun=CROSSVAL["begun"])  # not finished
    assert crossvals(gather(LOGS, "real")) == recorded
    names = [each["name"] for each in recorded]
    for name in (names[0], "idea"):
        write(f"{name}-crossval", **CROSSVAL)
    found = {each["name"]: each for each in crossvals(gather(LOGS, "real"))}
    assert list(found) == [*names, "idea"]
    for name in (names[0], "idea"):
        assert (found[name]["accuracy"], found[name]["epochs"], found[name]["photos"]) == (0.9, 3, "1,200")
        assert found[name]["source"] == f"lightning_logs/{name}-crossval, commit c0ffee"
    assert crossvals(gather(LOGS, "drawn")) == []
    write("catsdogs-crossval-drawn", **CROSSVAL)
    assert [each["accuracy"] for each in crossvals(gather(LOGS, "drawn"))] == [0.9]


def test_an_ensemble_is_compared_with_the_noise(add_run: Add) -> None:
    members = [{"val/error": 0.05, "checkpoint": "a"}, {"val/error": 0.07, "checkpoint": "b"}]
    assert ensemble(gather(LOGS, "real")) is None
    for error, fewer, beyond_noise, advice in (
        (0.049, 2, False, "the difference is within"),
        (0.02, 60, True, "could help further"),
        (0.09, -80, True, "it does not help"),
    ):
        add_run("catsdogs_ensemble", [error], members=members)
        both = ensemble(gather(LOGS, "real"))
        assert (both["members"], both["fewer_mistakes"], both["beyond_noise"]) == (2, fewer, beyond_noise)
        assert advice in further(ensemble=both)
    add_run("catsdogs_ensemble", [0.01], members=[])
    assert ensemble(gather(LOGS, "real")) == both


def test_problem_3(add_run: Add, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which network is shown, every run behind the tables, ideas that helped and an ensemble, from the records."""
    monkeypatch.setattr("lit_a1.report.problems.published", lambda name: None)
    best = add_run("catsdogs_best", [0.1], settings={"model.transition": "max_pool"})
    add_run("catsdogs", [0.2], settings={"model.class_path": "lit_a1.models.old.Net"})
    other = add_run("catsdogs", [0.2], settings={"model.lr": 0.3})
    add_run("catsdogs_ensemble", [0.09], members=[{"val/error": 0.05}, {"val/error": 0.07}])
    leave_part(other / "analysis", "kernels")
    used, better, same = "transition=max_pool, lr=0.05", "widths=[48, 96, 192, 384]", "dropout=0.2"
    rows = [csv_row(), csv_row(used, 0.11), csv_row(better, 0.10), csv_row(same, 0.158)]
    monkeypatch.setattr("lit_a1.report.problems.read_rows", lambda: rows)

    found = gather(LOGS, "real")
    rows_with_paths, unreadable = catsdogs_rows(found)
    paths = [path for _, path in rows_with_paths]
    runs = ("catsdogs/version_1", "catsdogs_best/version_0", "catsdogs_ensemble/version_0")
    assert set(paths) == {"docs/runs.csv", *(f"lightning_logs/{run}" for run in runs)}
    assert paths.count("docs/runs.csv") == len(rows)
    changed = {path: row["changes"] for row, path in rows_with_paths}
    assert changed["lightning_logs/catsdogs/version_1"] == "lr=0.3"

    sections = sections_of(problem3, found, tmp_path)
    assert "photos" in sections
    damaged = sections["catsdogs-hyperparameters"].blocks[1]
    assert "version_0` can't be compared" in damaged.text
    assert str(unreadable[0]["folder"]) in damaged.text
    (table,) = sections["trials-runs"].blocks
    assert len(table.rows) == len(rows_with_paths)

    text = sections["catsdogs-further"].blocks[-1].text
    assert "`widths=[48,96,192,384]` improved the short recipe by 6.00 points" in text
    assert "max_pool" not in text
    assert "dropout" not in text
    ensembles = " ".join(block.text for block in sections["catsdogs-curves"].blocks if block.kind == "text")
    assert "80 more mistakes, more than noise (Fisher's exact test" in ensembles
    crossval = crossvals(found)[0]
    assert f"{percent(crossval['accuracy'])} of them correctly" in ensembles
    assert f"optimiser `{crossval['optimizer']}`" in ensembles

    shown = sections["catsdogs-analysis"]
    assert shown.title == "What the network of catsdogs sees"
    assert shown.blocks[0].kind == "missing"
    assert "catsdogs_best/version_0`, has not been analysed" in shown.blocks[0].text
    leave_part(best / "analysis", "kernels")
    shown = sections_of(problem3, found, tmp_path)["catsdogs-analysis"]
    assert shown.title == "What the network of catsdogs_best sees"
    assert shown.blocks[0].kind == "text"


def test_drawn_photos_are_told_from_real_ones(add_run: Add, tmp_path: Path) -> None:
    add_run("catsdogs_trial-drawn", [0.2])
    found = gather(LOGS, "drawn")
    assert [row["config"] for row, _ in catsdogs_rows(found)[0]] == ["catsdogs_trial"]
    sections = sections_of(problem3, found, tmp_path)
    assert "photos" not in sections  # they are not audited
    assert not any("fold" in block.text for block in sections["catsdogs-curves"].blocks)


def test_every_figure_and_table_names_its_source(add_run: Add, tmp_path: Path) -> None:
    for name in ("mlp", "mnist_plain", "mnist", "catsdogs", "catsdogs_best"):
        add_run(name, [0.3, 0.2])
    report = document(gather(LOGS, "real"), tmp_path)  # which raises where two anchors are the same
    drawn = [block for block in report.blocks if block.kind in ("figure", "table")]
    assert len(drawn) > 10
    assert all(block.source and block.text for block in drawn)
    assert all(block.alt and not set("*`") & set(block.alt) for block in drawn if block.kind == "figure")
