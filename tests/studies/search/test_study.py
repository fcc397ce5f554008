"""A study: repeated, gone on with, shared by processes, cut off."""

import errno
import itertools
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from lit_a1.data.errors import DataError
from lit_a1.runs.settings import UsageError
from lit_a1.studies.search import results, study
from lit_a1.studies.search.results import MIN_COMPLETE, importances
from lit_a1.studies.search.space import Range
from lit_a1.studies.search.study import BEFORE_PRUNING, Study, run
from tests.studies.search.toy import OWN, cells, falling, rows, toy

FOLDER = Path("logs/toy-search/version_0")


@pytest.fixture
def begun() -> Path:
    """A study with one trial."""
    return run(toy(), 1)


def test_a_study_leaves_everything_behind(capsys: pytest.CaptureFixture[str]) -> None:
    objective = toy(lambda trial, epoch: [0.3, 0.1, 0.2][trial])
    train = Mock(wraps=objective.train)
    folder = run(replace(objective, train=train), 3)
    assert folder == FOLDER
    assert {path.name for path in folder.iterdir()} == {
        ".locks", "study.journal", "trials.csv", "summary.md", "record.json"
    }  # fmt: skip
    trained = [call.args for call in train.call_args_list]
    assert trained[0][0] == OWN  # the command's own
    expected = [("trial_0", False), ("trial_1", True), ("trial_2", True)]
    assert [(folder.name, quiet) for _, folder, _, quiet in trained] == expected
    assert cells(folder, "trial", "lr", "kind of norm", "parameters")[0] == ("0", "0.15", "batch", "1000")
    record = json.loads((folder / "record.json").read_text())
    assert record["trials"] == {"complete": 3, "pruned": 0, "failed": 0}
    assert (record["best"]["trial"], record["best"]["val/error"]) == (1, 0.1)
    shown = capsys.readouterr().out
    assert shown.startswith(f"toy: a network on images, seed 0: 3 trials of up to 6 epochs in {FOLDER}\n")
    assert sum(line.startswith("trial ") for line in shown.splitlines()) == 3
    assert (folder / "summary.md").read_text() in shown


@pytest.mark.parametrize(("by_best", "best"), [(True, (0, 0.1, 4)), (False, (1, 0.25, 6))])
def test_the_best_or_the_last_epoch_counts(by_best: bool, best: tuple[int, float, int]) -> None:
    errors = [[0.3, 0.1, 0.3], [0.3, 0.2, 0.25]]
    objective = toy(lambda trial, epoch: errors[trial][epoch // 2 - 1], every=2, best_epoch_counts=by_best)
    folder = run(objective, 2)
    assert cells(folder, "val_accuracy_last", "val_accuracy_best", "best_epoch", "epochs") == [
        ("0.70000", "0.90000", "4", "6"),
        ("0.75000", "0.80000", "4", "6"),
    ]
    found = json.loads((folder / "record.json").read_text())["best"]
    assert (found["trial"], found["val/error"], found["epoch"]) == best
    assert Study(objective, folder).optuna.best_value == best[1]


@pytest.mark.parametrize("one_sampler", [True, False])
def test_the_seed_repeats_a_search(one_sampler: bool) -> None:
    first, again, other = (rows(run(falling(one_sampler=one_sampler, seed=seed), 14)) for seed in (0, 0, 1))
    assert first == again
    assert first[0] == other[0]
    assert not {row["lr"] for row in first[1:]} & {row["lr"] for row in other[1:]}


def test_a_study_that_goes_on_samples_what_one_that_was_not_stopped_does() -> None:
    whole = rows(run(falling(), 14))
    folder = run(falling(), 3)
    for _ in range(2):  # the second time nothing is left to do
        assert run(falling(), 14, folder) == folder
        assert rows(folder) == whole


def test_a_study_whose_processes_seed_their_samplers_once_goes_on_and_is_shared() -> None:
    folder = run(falling(one_sampler=True), 2)
    before = rows(folder)
    one, other = (Study(falling(one_sampler=True), folder) for _ in range(2))
    assert len({process.next_trial(4).params["lr"] for process in (one, other)} | {row["lr"] for row in before}) == 4
    one.running.release()
    other.running.release()
    assert run(falling(one_sampler=True), 4, folder) == folder
    after = rows(folder)
    assert after[:2] == before
    assert [row["state"] for row in after[2:]] == ["failed", "failed", "complete", "complete"]
    assert len({row["lr"] for row in after}) == 6  # not the first samples again
    assert [path.name for path in folder.parent.iterdir()] == ["version_0"]


def test_bad_trials_are_stopped_early() -> None:
    folder = run(toy(lambda trial, epoch: 0.1 if trial < BEFORE_PRUNING or epoch == 6 else 0.3), 7)
    assert cells(folder, "state", "epochs", "diverged")[BEFORE_PRUNING:] == [("pruned", "2", "no")] * 2
    assert "saved 8 of 42 epochs" in (folder / "summary.md").read_text()
    # but none after its last epoch
    objective = toy(lambda trial, epoch: 0.1 if trial < BEFORE_PRUNING and epoch == 3 else 0.2, epochs=3)
    folder = run(objective, BEFORE_PRUNING + 1)
    assert cells(folder, "state", "val_accuracy_best")[-1] == ("complete", "0.80000")


def test_a_diverged_trial_is_stopped_at_once_and_has_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "draw", lambda *_: pytest.fail("there is nothing to draw"))
    folder = run(toy(lambda trial, epoch: math.nan), 2)
    found = cells(folder, "state", "epochs", "diverged", "val_accuracy_last")
    assert found == [("pruned", "1", "yes", "")] * 2
    assert "No trial was completed" in (folder / "summary.md").read_text()


def test_the_own_settings_are_tried_again_if_that_was_interrupted(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(toy(train=Mock(side_effect=KeyboardInterrupt)), 2)
    assert f"Stopped. Go on with the same command and --study {FOLDER}" in capsys.readouterr().out
    run(toy(), 2, FOLDER)
    assert cells(FOLDER, "state", "lr")[:2] == [("failed", "0.15"), ("complete", "0.15")]
    assert len(rows(FOLDER)) == 3
    assert "interrupted: 1" in (FOLDER / "summary.md").read_text()


def test_what_ended_with_its_process_is_tried_again() -> None:
    """And what comes after it is what would have come."""
    whole = cells(run(falling(), 5), "lr", "kind of norm")
    objective, calls = falling(), itertools.count()
    stopped = replace(objective, train=lambda *of: objective.train(*of) if next(calls) < 2 else pytest.fail("stopped"))
    with pytest.raises(pytest.fail.Exception):
        run(stopped, 5)
    folder = FOLDER.with_name("version_1")
    run(falling(), 5, folder)
    found = cells(folder, "state", "lr", "kind of norm")
    assert [tuple(row) for state, *row in found if state != "failed"] == whole
    assert len(found) == 6


def test_importances_need_enough_complete_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "BEFORE_PRUNING", 100)
    objective = toy(lambda trial, epoch: 0.1 + 0.001 * trial)
    folder = run(objective, MIN_COMPLETE - 1)
    assert "too few" in (folder / "summary.md").read_text()
    run(objective, MIN_COMPLETE, folder)
    assert "PED-ANOVA" in (folder / "summary.md").read_text()
    found = importances(Study(objective, folder).optuna)
    assert found is not None
    assert set(found) == {"lr", "norm"}
    assert math.isclose(sum(found.values()), 1)


def test_processes_share_a_study_and_give_up_the_trial_of_one_that_was_killed(begun: Path) -> None:
    one, other, third, fourth = (Study(toy(), begun) for _ in range(4))
    trials = [process.next_trial(4) for process in (one, other, third)]
    assert [trial.number for trial in trials if trial is not None] == [1, 2, 3]
    assert len({trial.params["lr"] for trial in trials if trial is not None}) == 3
    assert fourth.next_trial(4) is None  # what the others are at counts too
    one.running.release()  # as the system does
    assert fourth.next_trial(4) is not None
    states = [trial.state.name for trial in one.optuna.trials]
    assert states == ["COMPLETE", "FAIL", "RUNNING", "RUNNING", "RUNNING"]
    assert Study(toy(), begun).next_trial(5) is not None


def test_a_line_that_was_half_written_is_left_out_and_a_damaged_journal_refused(begun: Path) -> None:
    journal = begun / "study.journal"
    with journal.open("ab") as file:
        file.write(b'{"op_code":8,"worker_id":"half a li')
    run(toy(), 2, begun)
    assert cells(begun, "state") == [("complete",)] * 2
    journal.write_bytes(b"#" + journal.read_bytes())
    with pytest.raises(UsageError, match="must be the journal of a search; it is damaged"):
        run(toy(), 3, begun)


def test_a_line_that_found_no_room_is_taken_back(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = begun / "study.journal"
    before = journal.read_bytes()

    def half(self: Any, logs: list[Any]) -> None:
        journal.write_bytes(before + b'{"op_code":8,')
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("optuna.storages.journal.JournalFileBackend.append_logs", half)
        with pytest.raises(OSError, match=r"No space left on device: .*study\.journal"):
            run(toy(), 2, begun)
    assert journal.read_bytes() == before
    run(toy(), 2, begun)
    assert cells(begun, "state") == [("complete",)] * 2


def test_a_study_does_not_go_on_with_something_else(begun: Path, tmp_path: Path) -> None:
    before = rows(begun)
    for objective, words in (
        (toy(epochs=3), "started with epochs 6; got 3"),
        (toy(seed=1), "started with seed 0; got 1"),
        (toy(space={"lr": Range(0.1, 1.0, step=0.1)}), r"started with the range of lr 0.02 to 0.6 \(logarithmic\); got "
         "0.1 to 1, in steps of 0.1"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=words):
            run(objective, 2, begun)
    with pytest.raises(DataError, match=r"was started with \{'val': 2000\} images; there are \{'val': 1999\} here"):
        run(toy(images=1999), 2, begun)
    with pytest.raises(UsageError, match=r"study must be the folder of an earlier search; .* has no study.journal"):
        run(toy(), 2, tmp_path)
    run(toy(own=OWN | {"lr": 0.1}), 1, begun)
    assert rows(begun)[:1] == before
    assert "is the command's own settings: the search" in (begun / "summary.md").read_text()  # those of its beginning
    assert [path.name for path in begun.parent.iterdir()] == ["version_0"]


def test_settings_that_are_refused_end_the_search_if_they_are_the_first() -> None:
    def refused(settings: Any, folder: Path, *_: Any) -> Any:
        if folder.name != "trial_0" or everywhere:
            raise UsageError("norm must be another one")
        return toy().train(settings, folder, *_)

    everywhere = True
    with pytest.raises(UsageError, match="norm must be another one"):
        run(toy(train=refused), 2)
    everywhere = False
    folder = run(toy(train=refused), 3)
    assert cells(folder, "state") == [("complete",), ("refused",), ("refused",)]
    assert "was refused: norm must be another one." in (folder / "summary.md").read_text()
