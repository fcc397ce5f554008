"""A study: repeated, gone on with, shared by processes, cut off."""

import csv
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import optuna
import pytest

from lit_a1.data.errors import DataError
from lit_a1.runs.settings import UsageError
from lit_a1.studies.search import journal, study
from lit_a1.studies.search.setup import Setup
from lit_a1.studies.search.study import _runs, _take, _worker, run

CONFIG = str(Path(__file__).resolve().parents[3] / "configs" / "catsdogs_trial.yaml")
ARGUMENTS = ["--config", CONFIG, "--data.source", "drawn", "--trainer.max_epochs", "6"]
Error = Callable[[int, int], float]


@pytest.fixture(autouse=True)
def without_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "draw", lambda *_: None)


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return setup_of(tmp_path)


def setup_of(tmp_path: Path, *flags: str, lr: str = "{low: 0.02, high: 0.6, log: true}") -> Setup:
    space = tmp_path / "space.yaml"
    space.write_text(f"model.lr: {lr}\nmodel.norm: [batch, group, none]\n")
    return Setup.of([*ARGUMENTS, *flags], space)


def scripted(
    monkeypatch: pytest.MonkeyPatch, error: Error = lambda trial, epoch: 0.5, every: int = 1, pictures: int = 2000
) -> list[Any]:
    """Lets trial n end its epoch e with the error `error(n, e)`, measured every few epochs; trains nothing."""
    trained: list[tuple[int, Sequence[str]]] = []

    def train(arguments: Sequence[str], folder: Path, tell: Callable[[int, float], bool], *, quiet: bool) -> Any:
        number = int(folder.name.removeprefix("trial_"))
        trained.append((number, arguments))
        assert quiet == (len(trained) > 1)
        any(tell(epoch, error(number, epoch)) for epoch in range(every, 7, every))
        return {"parameters": 1000 + number, "pictures": {"val": pictures}}

    monkeypatch.setattr(study, "train", train)
    return trained


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open(newline="") as file:
        return [row | {"seconds": ""} for row in csv.DictReader(file)]


def test_the_first_trial_is_the_commands_own(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = scripted(monkeypatch)
    folder = run(setup, 2)
    assert folder == Path("lightning_logs/catsdogs_trial-search-drawn/version_0")
    assert trained[0] == (0, [*ARGUMENTS, "--model.lr", "0.15", "--model.norm", "batch"])
    first = rows(folder)[0]
    assert (first["lr"], first["norm"], first["parameters"]) == ("0.15", "batch", "1000")


def test_the_last_epoch_counts(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, lambda trial, epoch: [[0.3, 0.1, 0.3], [0.3, 0.2, 0.25]][trial][epoch // 2 - 1], every=2)
    folder = run(setup, 2)
    figures = ("val_accuracy_last", "val_accuracy_best", "epochs")
    assert [tuple(row[name] for name in figures) for row in rows(folder)] == [
        ("0.70000", "0.90000", "6"),
        ("0.75000", "0.80000", "6"),
    ]
    record = json.loads((folder / "record.json").read_text())
    assert (record["best"]["trial"], record["best"]["val/error"]) == (1, 0.25)
    assert record["trials"] == {"complete": 2, "pruned": 0, "failed": 0}


def test_the_seed_repeats_a_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for flags in ([], [], ["--seed_everything", "1"]):
        scripted(monkeypatch, lambda trial, epoch: 0.3 - 0.01 * trial)
        found.append(rows(run(setup_of(tmp_path, *flags), 14)))
    assert found[0] == found[1]
    assert found[0][0] == found[2][0]
    assert not {row["lr"] for row in found[0][1:]} & {row["lr"] for row in found[2][1:]}


def test_a_study_that_goes_on_draws_what_one_that_was_not_stopped_does(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, lambda trial, epoch: 0.3 - 0.01 * trial)
    whole = rows(run(setup, 14))
    scripted(monkeypatch, lambda trial, epoch: 0.3 - 0.01 * trial)
    folder = run(setup, 3)
    scripted(monkeypatch, lambda trial, epoch: 0.3 - 0.01 * trial)
    assert run(setup, 14, study=folder) == folder
    assert rows(folder) == whole
    run(setup, 14, study=folder)  # nothing is left to do
    assert rows(folder) == whole


def test_bad_trials_are_stopped_early(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, lambda trial, epoch: 0.1 if trial < journal.BEFORE_PRUNING else 0.3)
    folder = run(setup, journal.BEFORE_PRUNING + 1)
    stopped = rows(folder)[-1]
    assert (stopped["state"], stopped["epochs"], stopped["diverged"]) == ("pruned", "2", "no")
    assert "saved 4 of 36 epochs" in (folder / "summary.md").read_text()


def test_a_diverged_trial_is_stopped_at_once(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, lambda trial, epoch: math.nan if trial == 1 else 0.3)
    folder = run(setup, 2)
    diverged = rows(folder)[1]
    assert (diverged["state"], diverged["epochs"], diverged["diverged"]) == ("pruned", "1", "yes")
    assert diverged["val_accuracy_last"] == ""


def test_a_trial_that_fails_is_tried_again_and_kept(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "train", interrupted)
    with suppress(KeyboardInterrupt):
        run(setup, 2)
    folder = Path("lightning_logs/catsdogs_trial-search-drawn/version_0")
    scripted(monkeypatch)
    run(setup, 2, study=folder)
    assert [(row["state"], row["lr"]) for row in rows(folder)][:2] == [("failed", "0.15"), ("complete", "0.15")]
    assert len(rows(folder)) == 3


@pytest.fixture
def begun(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> Path:
    scripted(monkeypatch)
    return run(setup, 1)


@pytest.fixture
def two(setup: Setup, begun: Path) -> Iterator[list[tuple[optuna.Study, str]]]:
    """Two processes at one study."""
    with _worker(begun) as one, _worker(begun) as other:
        yield [
            (journal.open_study(begun, "cnn", setup.shared, setup.epochs, alone=False), name) for name in (one, other)
        ]


def test_processes_share_a_study(setup: Setup, begun: Path, two: list[tuple[optuna.Study, str]]) -> None:
    (one, mine), (other, yours) = two
    trials = [
        _take(one, setup, 4, begun, mine),
        _take(other, setup, 4, begun, yours),
        _take(one, setup, 4, begun, mine),
    ]
    assert [trial.number for trial in trials if trial is not None] == [1, 2, 3]
    assert len({trial.params["model.lr"] for trial in trials if trial is not None}) == 3
    assert _take(other, setup, 4, begun, yours) is None  # what the others are at counts too
    assert _take(other, setup, 5, begun, yours) is not None


def test_the_trial_of_a_process_that_was_killed_is_given_up(
    setup: Setup, begun: Path, two: list[tuple[optuna.Study, str]]
) -> None:
    (one, _), (other, yours) = two
    lost = _take(one, setup, 3, begun, "a process that is gone")
    kept = _take(other, setup, 3, begun, yours)
    assert lost is not None
    assert kept is not None
    assert _take(other, setup, 3, begun, yours) is not None
    states = [trial.state.name for trial in one.trials]
    assert states == ["COMPLETE", "FAIL", "RUNNING", "RUNNING"]


def test_a_process_runs_as_long_as_its_lock_is_held(begun: Path) -> None:
    with _worker(begun) as name:
        assert _runs(begun, name)
    assert not _runs(begun, name)
    (begun / ".locks" / "killed").touch()  # the system frees a lock, and leaves its file
    assert not _runs(begun, "killed")
    assert not (begun / ".locks" / "killed").exists()


def test_a_lock_that_windows_keeps_for_a_moment(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError

    with monkeypatch.context() as patch, _worker(begun) as name:
        patch.setattr(Path, "unlink", refuse)
    assert (begun / ".locks" / name).exists()
    assert not _runs(begun, name)
    assert not (begun / ".locks" / name).exists()


def test_a_line_that_was_half_written_is_left_out(setup: Setup, begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (begun / "study.journal").open("ab") as file:
        file.write(b'{"op_code":8,"worker_id":"half a li')
    scripted(monkeypatch)
    run(setup, 2, study=begun)
    assert [row["state"] for row in rows(begun)] == ["complete", "complete"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--trainer.max_epochs", "3"], "begun with trainer.max_epochs 6; got 3"),
        (["--seed_everything", "1"], "begun with seed 0; got 1"),
        (["--model.dropout", "0.1"], "begun with model.dropout 0.0; got 0.1"),
        (["--trainer.limit_train_batches", "9"], "begun with trainer.limit_train_batches None; got 9"),
    ],
)
def test_a_study_goes_on_with_the_same_settings_only(tmp_path: Path, begun: Path, flags: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        run(setup_of(tmp_path, *flags), 2, study=begun)


def test_a_study_goes_on_with_the_same_ranges_only(tmp_path: Path, begun: Path) -> None:
    with pytest.raises(UsageError, match=r"begun with the range of model.lr 0.02 to 0.6 \(logarithmic\); got 0.1 to 1"):
        run(setup_of(tmp_path, lr="{low: 0.1, high: 1.0}"), 2, study=begun)


def test_machines_and_what_is_searched_may_differ(tmp_path: Path, begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch)
    run(setup_of(tmp_path, "--trainer.precision", "32-true", "--model.lr", "0.1"), 2, study=begun)
    assert len(rows(begun)) == 2
    assert "the command's own settings: the search" in (begun / "summary.md").read_text()  # those of its beginning


def test_a_step_is_part_of_a_range(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch)
    folder = run(setup_of(tmp_path, lr="{low: 0.1, high: 0.2, step: 0.1}"), 1)
    with pytest.raises(UsageError, match=r"got 0\.1 to 0\.2, in steps of 0\.05"):
        run(setup_of(tmp_path, lr="{low: 0.1, high: 0.2, step: 0.05}"), 2, study=folder)


def test_a_study_goes_on_with_as_many_pictures_only(setup: Setup, begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, pictures=1999)
    with pytest.raises(DataError, match=r"was begun with \{'val': 2000\} pictures; there are \{'val': 1999\} here"):
        run(setup, 2, study=begun)


def test_a_first_trial_that_is_refused_ends_the_search(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise UsageError("norm must be another one")

    monkeypatch.setattr(study, "train", refused)
    with pytest.raises(UsageError, match="norm must be another one"):
        run(setup, 2)


def test_a_folder_without_a_study_is_refused(setup: Setup, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"study must be the folder of an earlier search; .* has no study.journal"):
        run(setup, 2, study=tmp_path)
    assert not Path("lightning_logs").exists()
