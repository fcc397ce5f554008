import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from lit_a1.mlp.network import NN
from lit_a1.mlp.setup import Setup
from lit_a1.studies.search import journal
from lit_a1.studies.search import mlp as search
from lit_a1.studies.search.mlp import run
from lit_a1.studies.search.mlp_space import SPACE
from lit_a1.studies.search.span import Span

REPOSITORY = Path(__file__).resolve().parents[3]
MODEL = {"parameter_range": [5000, 12_000], "hidden_dims": [10], "lr": 0.2}


@pytest.fixture(autouse=True)
def without_figure(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures take seconds: one test draws its own."""
    if request.function is not test_a_search_leaves_everything_behind:
        monkeypatch.setattr(search, "draw", lambda *_: None)


@pytest.fixture
def setup(mnist_files: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setup:
    monkeypatch.setenv("LIT_A1_DATA", str(mnist_files(tmp_path / "data" / "mnist", train=300)))
    return Setup(MODEL, epochs=2, save_dir=tmp_path / "logs", name="mlp-search")


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def timeless(folder: Path) -> list[dict[str, str]]:
    return [row | {"seconds": ""} for row in rows(folder)]


def scripted(monkeypatch: pytest.MonkeyPatch, error: Callable[[int, int], float]) -> None:
    """Lets trial n end its epoch e with the validation error `error(n, e)`; trains nothing."""
    trials: list[NN] = []

    def train(net: NN, *_: Any) -> tuple[float, float]:
        if not net.epoch:
            trials.append(net)
        net.epoch += 1
        return 1.0, 0.5

    monkeypatch.setattr(NN, "train", train)
    monkeypatch.setattr(NN, "test", lambda net, *_: (1.0, error(len(trials) - 1, net.epoch)))


def test_a_search_leaves_everything_behind(setup: Setup, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run(setup, trials=3)
    assert folder == setup.save_dir / "mlp-search" / "version_0"
    left = {"study.journal", "trials.csv", "search.png", "summary.md", "record.json"}
    assert left <= {path.name for path in folder.iterdir()}
    found = rows(folder)
    assert [row["trial"] for row in found] == ["0", "1", "2"]
    assert (found[0]["architecture"], found[0]["lr"], found[0]["batch_size"]) == ("784-10-10", "0.2", "128")
    assert all(5000 <= int(row["parameters"]) <= 12_000 for row in found)
    record = json.loads((folder / "record.json").read_text())
    assert record["trials"] == {"complete": 3, "pruned": 0, "failed": 0}
    best = max(found, key=lambda row: float(row["val_accuracy_best"]))
    assert (str(record["best"]["trial"]), str(record["best"]["epoch"])) == (best["trial"], best["best_epoch"])
    shown = capsys.readouterr().out
    assert sum(line.startswith("trial ") for line in shown.splitlines()) == 3
    assert (folder / "summary.md").read_text() in shown


def test_a_trials_figures_are_those_of_its_network(setup: Setup) -> None:
    folder = run(setup, trials=2)
    trial = search._open(setup, setup.network(), folder).trials[1]
    net, digits = setup.network(**trial.user_attrs["settings"]), setup.digits()
    errors = []
    for _ in range(setup.epochs):
        net.train(*digits.train)
        errors.append(net.test(*digits.valid)[1])
    row = rows(folder)[1]
    accuracies = (float(row["val_accuracy_best"]), float(row["val_accuracy_last"]))
    assert accuracies == pytest.approx((1 - min(errors), 1 - errors[-1]), abs=1e-5)
    assert trial.value == min(errors)
    assert (row["architecture"], int(row["parameters"])) == (net.architecture, net.n_parameters)


def test_the_test_pictures_decide_nothing(setup: Setup) -> None:
    folder = run(setup, trials=2)
    spoilt = replace(setup)
    test = setup.mnist.test
    spoilt.__dict__["mnist"] = setup.mnist._replace(test=test._replace(pictures=255 - test.pictures))
    assert timeless(run(spoilt, trials=2)) == timeless(folder)


def test_the_seed_repeats_a_search(setup: Setup) -> None:
    first, again, other = run(setup, trials=2), run(setup, trials=2), run(replace(setup, seed=1), trials=2)
    assert first != again
    assert timeless(first) == timeless(again)
    assert timeless(first)[1] != timeless(other)[1]


def test_a_study_goes_on(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, lambda trial, epoch: 0.5)
    folder = run(setup, trials=2)
    before = rows(folder)
    assert run(setup, trials=4, study=folder) == folder
    after = rows(folder)
    assert after[:2] == before
    assert len({row["lr"] for row in after}) == 4  # not the first draws again
    assert run(setup, trials=4, study=folder) == folder  # nothing is left to do
    assert rows(folder) == after
    assert [path.name for path in folder.parent.iterdir()] == ["version_0"]


def test_a_killed_study_goes_on(setup: Setup, tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from lit_a1.mlp.network import NN
from lit_a1.studies.search.mlp import run
from lit_a1.mlp.setup import Setup
train, epochs = NN.train, []
def dying(net, *data):
    epochs.append(net)
    if len(epochs) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return train(net, *data)
NN.train = dying
run(Setup({MODEL}, epochs=2, save_dir=Path({str(setup.save_dir)!r}), name="mlp-search"), trials=4)
"""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == -signal.SIGKILL
    folder = setup.save_dir / "mlp-search" / "version_0"
    before = rows(folder)
    journal = folder / "study.journal"
    with journal.open("ab") as file:
        file.write(b'{"op_code":8,"worker_id":"half a li')  # as a kill in the middle of a write leaves it
    Path(f"{journal}.lock").touch()
    started = time.perf_counter()
    run(setup, trials=4, study=folder)
    assert time.perf_counter() - started < 25  # optuna takes a lock that nobody holds after 30
    after = rows(folder)
    assert [row["state"] for row in after] == ["complete", "failed", "complete", "complete", "complete"]
    assert after[:1] == before
    assert (after[1]["epochs"], float(after[1]["seconds"]) < 60) == ("1", True)
    assert "ended with their process: 1" in (folder / "summary.md").read_text()


def test_the_own_network_is_tried_again_if_it_was_interrupted(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(net: NN, *_: Any) -> tuple[float, float]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):  # noqa: PT012
        patch.setattr(NN, "train", interrupted)
        run(setup, trials=1)
    folder = setup.save_dir / "mlp-search" / "version_0"
    assert f"--study {folder}" in capsys.readouterr().out
    run(setup, trials=1, study=folder)
    assert [(row["state"], row["architecture"]) for row in rows(folder)] == [
        ("failed", "784-10-10"),
        ("complete", "784-10-10"),
    ]


def test_bad_trials_are_stopped_early(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, lambda trial, epoch: 0.1 if trial < journal.BEFORE_PRUNING or epoch == 6 else 0.3)
    folder = run(replace(setup, epochs=6), trials=7)
    stopped = rows(folder)[journal.BEFORE_PRUNING :]
    assert [(row["state"], row["epochs"], row["diverged"]) for row in stopped] == [("pruned", "2", "no")] * 2
    assert "saved 8 of 42 epochs" in (folder / "summary.md").read_text()


def test_a_trial_is_not_stopped_after_its_last_epoch(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, lambda trial, epoch: 0.1 if trial < journal.BEFORE_PRUNING and epoch == 3 else 0.2)
    row = rows(run(replace(setup, epochs=3), trials=journal.BEFORE_PRUNING + 1))[-1]
    assert (row["state"], row["val_accuracy_best"]) == ("complete", "0.80000")


def test_the_best_epoch_counts(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, lambda trial, epoch: [[0.3, 0.1, 0.3], [0.3, 0.2, 0.2]][trial][epoch - 1])
    folder = run(replace(setup, epochs=3), trials=2)
    figures = ("val_accuracy_best", "best_epoch", "val_accuracy_last")
    assert [[row[name] for name in figures] for row in rows(folder)] == [
        ["0.90000", "2", "0.70000"],
        ["0.80000", "2", "0.80000"],
    ]
    assert search._open(replace(setup, epochs=3), setup.network(), folder).best_value == 0.1


def test_a_diverged_trial_is_stopped_and_no_error(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SPACE, "lr", Span(1e30, 1e35))  # type: ignore[arg-type]
    folder = run(setup, trials=2)
    assert [(row["state"], row["diverged"], row["epochs"]) for row in rows(folder)] == [("pruned", "yes", "1")] * 2
    assert "No trial ran to its end" in (folder / "summary.md").read_text()
    assert not (folder / "search.png").exists()


def test_importances_need_enough_complete_trials(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, lambda trial, epoch: 0.1 + 0.001 * trial)
    monkeypatch.setattr(journal, "BEFORE_PRUNING", 100)
    folder = run(setup, trials=journal.ENOUGH - 1)
    assert "too few" in (folder / "summary.md").read_text()
    run(setup, trials=journal.ENOUGH, study=folder)
    assert "PED-ANOVA" in (folder / "summary.md").read_text()
    importances = journal.importances(search._open(setup, setup.network(), folder))
    assert importances is not None
    assert set(importances) == {"parameters", *SPACE}
    assert math.isclose(sum(importances.values()), 1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epochs": 3}, "begun with epochs 2; got 3"),
        ({"seed": 1}, "begun with seed 0; got 1"),
        ({"model": MODEL | {"initialization": "zero"}}, "begun with initialization None; got zero"),
    ],
)
def test_a_study_goes_on_with_the_same_settings_only(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], words: str
) -> None:
    scripted(monkeypatch, lambda trial, epoch: 0.5)
    folder = run(setup, trials=1)
    with pytest.raises(ValueError, match=words):
        run(replace(setup, **changes), trials=2, study=folder)
    run(setup, trials=1, study=folder)
    assert len(rows(folder)) == 1
    assert [path.name for path in folder.parent.iterdir()] == ["version_0"]


def test_a_study_goes_on_with_the_same_pictures_only(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, lambda trial, epoch: 0.5)
    folder = run(setup, trials=1)
    other, valid = replace(setup), setup.mnist.valid
    other.__dict__["mnist"] = setup.mnist._replace(valid=valid._replace(labels=valid.labels[::-1]))
    with pytest.raises(ValueError, match=r"begun with data 250 [+] 50 pictures"):
        run(other, trials=2, study=folder)


def test_what_is_searched_may_differ(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, lambda trial, epoch: 0.5)
    folder = run(setup, trials=1)
    run(replace(setup, model=MODEL | {"lr": 0.5}), trials=2, study=folder)
    assert len(rows(folder)) == 2


def test_bad_arguments_are_refused(setup: Setup, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="trials must be 1 or above; got 0"):
        run(setup, trials=0)
    with pytest.raises(ValueError, match=r"study must be the folder of an earlier search; .* has no study.journal"):
        run(setup, study=tmp_path)
    assert not setup.save_dir.exists()


def test_a_damaged_journal_is_refused(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, lambda trial, epoch: 0.5)
    folder = run(setup, trials=1)
    journal = folder / "study.journal"
    journal.write_bytes(b"#" + journal.read_bytes())
    with pytest.raises(ValueError, match="must be the journal of a search; it is damaged"):
        run(setup, trials=2, study=folder)


def test_other_ranges_are_refused(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, lambda trial, epoch: 0.5)
    folder = run(setup, trials=1)
    monkeypatch.setitem(SPACE, "dropout", Span(0, 0.8, step=0.01))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"begun with the range of dropout 0 to 0.5; got 0 to 0.8"):
        run(setup, trials=2, study=folder)


def test_two_searches_in_one_study_are_refused(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, lambda trial, epoch: 0.5)
    folder = run(setup, trials=1)
    with FileLock(folder / ".search.lock"), pytest.raises(ValueError, match="another search is running in"):
        run(setup, trials=2, study=folder)
