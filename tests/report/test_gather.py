import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lit_a1.report.gather import RECORDED, Gathered, gather, scalars, source_of
from lit_a1.report.gather import test_figures as figures_of_test
from lit_a1.runs import RECORD_FILE

Add = Callable[..., Path]
LOGS = Path("lightning_logs")


def torn(folder: Path, keep: float) -> None:
    """Cuts an event file off, as a machine does that stops."""
    (events,) = folder.glob("events.out.tfevents.*")
    data = events.read_bytes()
    events.write_bytes(data[: int(keep * len(data))])


def test_finished_runs_are_found_oldest_first(add_run: Add) -> None:
    for number in range(11):
        add_run("catsdogs", [0.2], seed=number)
    assert [run.name for run in gather(LOGS, "auto").trainings("catsdogs")] == [f"version_{k}" for k in range(11)]


def test_runs_that_are_alike_have_the_settings_of_the_newest(add_run: Add) -> None:
    add_run("catsdogs", [0.3], seed=0)
    add_run("catsdogs", [0.2], seed=0)
    add_run("catsdogs", [0.1], seed=1, settings={"model.lr": 9.0})
    add_run("catsdogs", [0.25], seed=2)
    found = gather(LOGS, "real")
    assert [(run.seed, run.record["last"]["val/error"]) for run in found.alike("catsdogs")] == [(0, 0.2), (2, 0.25)]


def test_a_run_killed_in_the_middle_says_how_far_it_came(add_run: Add) -> None:
    add_run("catsdogs", [0.3, 0.2], finished=False)
    found = gather(LOGS, "real")
    assert found.trainings("catsdogs") == []
    (run,) = found.unfinished("catsdogs")
    assert "after epoch 2 of 3; its last validation error is 20.00 %" in run.reason


def test_a_torn_event_file_gives_what_it_still_holds(add_run: Add) -> None:
    folder = add_run("catsdogs", [0.3, 0.2, 0.1], finished=False)
    whole = scalars(folder)
    assert [row["val/error"] for row in whole] == pytest.approx([0.3, 0.2, 0.1])
    torn(folder, 0.7)
    rest = scalars(folder)
    assert 0 < len(rest) <= 3
    assert rest[0] == whole[0]
    assert sum(len(row) for row in rest) < sum(len(row) for row in whole)
    torn(folder, 0.0)
    assert scalars(folder) == []
    assert "before an epoch had ended" in gather(LOGS, "real").unfinished("catsdogs")[0].reason


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "is damaged"), ("[]", "not the record of a run"), ('{"seed": 1}', "it lacks settings, epochs")],
)
def test_a_damaged_record_is_told(text: str, words: str, add_run: Add) -> None:
    (add_run("catsdogs", [0.3]) / RECORD_FILE).write_text(text)
    found = gather(LOGS, "real")
    assert found.trainings("catsdogs") == []
    assert words in found.unfinished("catsdogs")[0].reason


def test_a_study_is_the_newest_that_ended_else_the_one_that_comes_with_the_project() -> None:
    found = Gathered(LOGS, drawn=False)
    study = found.study("mlp-inits")
    assert study is not None
    assert (study.folder, study.recorded) == (RECORDED / "mlp-inits", True)
    assert Gathered(LOGS, drawn=True).study("mlp-inits") is None
    for version, text in enumerate(('{"seed": 3, "commit": "c", "machine": "m"}', "{")):
        (LOGS / "mlp-inits" / f"version_{version}").mkdir(parents=True)
        (LOGS / "mlp-inits" / f"version_{version}" / RECORD_FILE).write_text(text)
    study = found.study("mlp-inits")
    assert study is not None
    assert (study.folder.name, study.recorded) == ("version_0", False)
    assert study.source == "lightning_logs/mlp-inits/version_0, seed 3, commit c, m"
    assert study.words("comparison.md") is None


def test_drawn_runs_are_meant_only_where_there_are_no_others(add_run: Add) -> None:
    assert gather(LOGS, "auto") == Gathered(LOGS, drawn=False)
    add_run("catsdogs-drawn", [0.3])
    assert gather(LOGS, "auto").drawn
    assert len(gather(LOGS, "auto").trainings("catsdogs")) == 1
    add_run("catsdogs", [0.3])
    assert not gather(LOGS, "auto").drawn
    assert gather(LOGS, "drawn").drawn


def test_an_analysis_is_read_part_by_part(add_run: Add) -> None:
    run = add_run("catsdogs", [0.3])
    found = gather(LOGS, "real")
    assert found.looked(run) is None
    (run / "analysis").mkdir()
    part = {"title": "t", "words": [], "numbers": {}, "figures": [], "tables": [], "source": "s"}
    (run / "analysis" / "kernels.json").write_text(json.dumps(part))
    (run / "analysis" / "confusion.json").write_text('{"title": ')
    looked = found.looked(run)
    assert looked is not None
    assert list(looked.parts) == ["kernels"]
    assert "confusion.json` can't be read" in looked.unreadable[0]
    assert looked.index == {}


def test_where_numbers_are_from(add_run: Add) -> None:
    run = add_run("catsdogs", [0.3], seed=7)
    record = json.loads((run / RECORD_FILE).read_text())
    expected = "lightning_logs/catsdogs/version_0, seed 7, commit abc1234567, a machine, 2 cores"
    assert source_of(run, record) == expected
    assert source_of(run, {}) == "lightning_logs/catsdogs/version_0, commit unknown, machine unknown"
    assert "seeds 1, 2" in source_of(run, {"seed": [1, 2]})


def test_a_test_is_read_where_there_was_one(add_run: Add) -> None:
    run = gather(LOGS, "real").trainings("catsdogs") or [None]
    assert run == [None]
    folder = add_run("catsdogs", [0.3])
    (run,) = gather(LOGS, "real").trainings("catsdogs")
    assert figures_of_test(run) == {}
    (folder / "test.json").write_text('{"checkpoint": "last.ckpt", "test/error": 0.1}')
    assert figures_of_test(run)["test/error"] == 0.1
    (folder / "test.json").write_text("{")
    assert figures_of_test(run) == {}
