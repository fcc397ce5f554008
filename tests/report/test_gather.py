import json
from typing import Any

import pytest

from lit_a1.report.gather import RECORDED, RecordedRuns, gather, read_analysis, source_of
from lit_a1.runs.records import RECORD_FILE
from tests.report.conftest import LOGS, PART, Add, leave_part


def test_finished_runs_are_found_oldest_first_and_seeds_by_number(add_run: Add) -> None:
    for seed in reversed(range(11)):
        add_run("catsdogs", [0.2], seed=seed)
    found = gather(LOGS, "auto")
    assert [run.name for run in found.trainings("catsdogs")] == [f"version_{k}" for k in range(11)]
    assert [run.seed for run in found.runs_with_newest_settings("catsdogs")] == list(range(11))
    newest = found.newest("catsdogs")
    assert newest.seed == 0
    assert found.newest("mnist") is None


def test_runs_that_are_alike_have_the_settings_of_the_newest(add_run: Add) -> None:
    add_run("catsdogs", [0.3], seed=0)
    add_run("catsdogs", [0.2], seed=0)
    add_run("catsdogs", [0.1], seed=1, settings={"model.lr": 9.0})
    add_run("catsdogs", [0.25], seed=2)
    runs = gather(LOGS, "real").runs_with_newest_settings("catsdogs")
    assert [(run.seed, run.record["last"]["val/error"]) for run in runs] == [(0, 0.2), (2, 0.25)]


def test_a_run_without_a_record_has_not_ended(add_run: Add) -> None:
    add_run("catsdogs", [0.3, 0.2, 0.1], finished=False)
    found = gather(LOGS, "real")
    assert found.trainings("catsdogs") == []
    reason = "`lightning_logs/catsdogs/version_0` has no record.json: its training has not ended."
    assert found.unfinished("catsdogs") == [reason]


def test_a_study_is_the_newest_that_ended_else_the_one_that_comes_with_the_project() -> None:
    found = RecordedRuns(LOGS)
    study = found.study("mlp-inits")
    assert (study.folder, study.recorded) == (RECORDED / "mlp-inits", True)
    assert RecordedRuns(LOGS, True, True).study("mlp-inits") is None
    for version, text in enumerate(('{"seed": 3, "commit": "c", "machine": "m"}', "{")):
        (LOGS / "mlp-inits" / f"version_{version}").mkdir(parents=True)
        (LOGS / "mlp-inits" / f"version_{version}" / RECORD_FILE).write_text(text)
    study = found.study("mlp-inits")
    assert (study.folder.name, study.recorded) == ("version_0", False)
    assert source_of(study.folder, study.record) == "lightning_logs/mlp-inits/version_0, seed 3, commit c, m"


def test_drawn_runs_are_meant_only_where_there_are_no_others_of_the_kind(add_run: Add) -> None:
    assert gather(LOGS, "auto") == RecordedRuns(LOGS)
    add_run("catsdogs-drawn", [0.3])
    add_run("mlp", [0.3])
    found = gather(LOGS, "auto")
    assert found == RecordedRuns(LOGS, drawn_digits=False, drawn_photos=True)
    assert (len(found.trainings("catsdogs")), len(found.trainings("mlp"))) == (1, 1)
    assert found.study("mlp-inits") is not None  # the one that comes with the project
    add_run("catsdogs", [0.3])
    assert gather(LOGS, "auto") == RecordedRuns(LOGS)
    assert gather(LOGS, "drawn") == RecordedRuns(LOGS, True, True)


def test_an_analysis_is_read_part_by_part(add_run: Add) -> None:
    folder = add_run("catsdogs", [0.3]) / "analysis"
    assert read_analysis(folder) is None
    leave_part(folder, "kernels")
    for name, damaged in (
        ("confusion", '{"title": '), ("mistakes", json.dumps(PART | {"words": None})), ("attention", "[]"),
        ("conditions", json.dumps(PART | {"figures": ["a.png"]})), ("embedding", json.dumps(PART | {"source": 3})),
    ):  # fmt: skip
        (folder / f"{name}.json").write_text(damaged)
    found = read_analysis(folder)
    assert list(found.parts) == ["kernels"]
    assert set(found.unreadable) == {"confusion", "mistakes", "attention", "conditions", "embedding"}
    assert found.index == {}


def test_where_numbers_are_from(add_run: Add) -> None:
    run = add_run("catsdogs", [0.3], seed=7)
    record = json.loads((run / RECORD_FILE).read_text())
    expected = "lightning_logs/catsdogs/version_0, seed 7, commit abc1234567, a machine, 2 cores"
    assert source_of(run, record) == expected
    assert source_of(run, {}) == "lightning_logs/catsdogs/version_0, commit unknown, machine unknown"
    assert "seeds 1, 2" in source_of(run, {"seed": [1, 2]})


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ("{", "is damaged"), ("[]", "not the record of a run"), ('{"seed": 1}', "it lacks settings, images"),
        ({"commit": None}, "lacks commit"), ({"seed": "x"}, "lacks seed"), ({"versions": None}, "lacks versions"),
        ({"last": [1]}, "lacks last"), ({"best": {}}, "lacks whole epochs"), ({"epochs": []}, "lacks whole epochs"),
        ({"images": {"train": 3}}, "lacks how many images"), ({"seconds": "long"}, "lacks seconds"),
    ],
)  # fmt: skip
def test_a_record_that_is_damaged_or_lacks_something_is_told(
    record: str | dict[str, Any], words: str, add_run: Add
) -> None:
    folder = add_run("catsdogs", [0.3], **(record if isinstance(record, dict) else {}))
    if isinstance(record, str):
        (folder / RECORD_FILE).write_text(record)
    found = gather(LOGS, "real")
    assert found.trainings("catsdogs") == []
    assert words in found.unfinished("catsdogs")[0]
