"""A study in a database or behind Optuna's proxy, at which processes work that share no folder."""

import json
import os
import platform
import signal
import socket
import sqlite3
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import optuna
import pytest
from optuna.trial import TrialState

from lit_a1.runs.settings import UsageError
from lit_a1.studies.search import shared, storage, study
from lit_a1.studies.search.shared import SharedStudy, run
from lit_a1.studies.search.storage import open_storage, public_url
from lit_a1.studies.search.study import Study
from tests.conftest import REPOSITORY, Capture, Refusal
from tests.studies.search.toy import OWN, cells, falling, rows, toy

POSTGRESQL = os.environ.get("LIT_A1_POSTGRESQL", "")  # the URL of a server on which databases may be made
NAME = "toy-search"
SERVER = """
import sys
from optuna.storages import get_storage, run_grpc_proxy_server
run_grpc_proxy_server(get_storage(sys.argv[1]), host="localhost", port=int(sys.argv[2]))
"""
WORKER = """
import json, os, signal, sys, time
from dataclasses import replace
from pathlib import Path
from lit_a1.studies.search import results, shared, storage
from tests.studies.search.toy import toy

results.draw = lambda *_: None
storage.INTERVAL, storage.GRACE = 1, 8
url, dies, log = sys.argv[1], sys.argv[2] == "dies", Path(sys.argv[3])
objective, begun = toy(lambda trial, epoch: 0.3 - 0.001 * trial - 0.01 * epoch), []

def train(settings, folder, report, quiet):
    begun.append(settings)
    if dies and len(begun) == 2:
        report(1, 0.3)
        log.with_name("dying").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    while len(begun) == 2 and not log.with_name("dying").exists():
        time.sleep(0.1)
    found = objective.train(settings, folder, report, quiet)
    folder.mkdir()
    (folder / "record.json").write_text(json.dumps({"epochs": [settings["lr"]], "by": os.getpid()}))
    with log.open("a") as file:
        print(json.dumps(settings), file=file)
    return found

shared.run(replace(objective, train=train), 9, None, url)
"""


def postgresql() -> str:
    """A new database on the server."""
    if not POSTGRESQL:
        pytest.skip("needs a PostgreSQL server, whose URL LIT_A1_POSTGRESQL names: .ci/run starts one")
    psycopg = pytest.importorskip("psycopg", reason="needs psycopg, of the extra postgresql")
    name = f"lit_a1_{uuid.uuid4().hex}"
    with psycopg.connect(POSTGRESQL, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    return f"{POSTGRESQL.rpartition('/')[0]}/{name}"


@contextmanager
def served(url: str) -> Iterator[str]:
    """Optuna's proxy of a storage."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    with subprocess.Popen([sys.executable, "-W", "ignore", "-c", SERVER, url, str(port)]) as server:
        yield f"grpc://localhost:{port}"
        server.kill()


@pytest.fixture
def file(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/study.db"


@pytest.fixture(params=["sqlite", "postgresql", "grpc"])
def url(request: pytest.FixtureRequest, file: str) -> Iterator[str]:
    """An empty storage of each kind."""
    if request.param == "grpc":
        with served(file) as proxy:
            yield proxy
    else:
        yield postgresql() if request.param == "postgresql" else file


def trials_of(url: str) -> list[optuna.trial.FrozenTrial]:
    with open_storage(url) as kept:
        return optuna.load_study(study_name=NAME, storage=kept).trials


def worker(url: str, folder: Path, log: Path, *, dies: bool = False) -> subprocess.Popen[str]:
    folder.mkdir()
    words = [sys.executable, "-c", WORKER, url, "dies" if dies else "lives", str(log)]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(
        words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.long
def test_three_processes_share_a_study_and_one_is_killed(url: str, tmp_path: Path) -> None:
    """No trial is lost, none is done twice, and that of the killed process is tried again; all find all of them."""
    log, folders = tmp_path / "log", [tmp_path / f"machine{number}" for number in range(3)]
    workers = [worker(url, folder, log, dies=folder is folders[0]) for folder in folders]
    said = [process.communicate(timeout=300)[0] for process in workers]
    assert [process.returncode for process in workers] == [-signal.SIGKILL, 0, 0], said
    assert not any("Traceback" in words or "Warning" in words for words in said), said

    trials = trials_of(url)
    done = [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    assert len(done) == 9
    assert {trial.state for trial in trials} <= {TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL}
    (killed,) = (trial for trial in trials if trial.state == TrialState.FAIL and shared.SURPLUS not in trial.user_attrs)
    (again,) = (trial for trial in done if trial.params == killed.params)
    assert again.system_attrs["failed_trial"] == killed.number
    trained = Counter(json.loads(line)["lr"] for line in log.read_text().splitlines())
    assert trained == Counter(trial.params["lr"] for trial in done)
    assert set(trained.values()) == {1}
    assert trials[0].params == OWN

    for folder in folders[1:]:
        version = folder / "logs" / NAME / "version_0"
        found = rows(version)
        assert len(found) == 10
        assert {row["state"] for row in found} <= {"complete", "pruned", "failed"}
        for trial in done:
            record = json.loads((version / f"trial_{trial.number}" / "record.json").read_text())
            assert record["epochs"] == [trial.params["lr"]]
        summary = (version / "summary.md").read_text()
        assert f"| {platform.node()}:logs/{NAME}/version_0 |" in summary
        copy = Study(toy(), version).optuna.trials
        assert [trial.intermediate_values for trial in copy] == [trial.intermediate_values for trial in trials]


@pytest.fixture
def pair(file: str) -> Iterator[list[SharedStudy]]:
    """Two processes at one study."""
    Path("one").mkdir()
    with open_storage(file) as kept:
        yield [SharedStudy(falling(), Path("one"), kept, NAME, public_url(file)) for _ in range(2)]


def test_one_process_repeats_a_search_goes_on_with_it_and_takes_it_home(file: str, tmp_path: Path) -> None:
    whole = run(falling(), 8, None, file)
    assert len(set(cells(whole, "lr"))) == 8  # each trial has a seed of its own
    run(falling(), 3, Path("another"), file)
    folder = run(falling(), 8, Path("another"), file)
    assert rows(folder) == rows(whole)
    assert [path.name for path in sorted(folder.parent.iterdir())] == ["version_0", "version_1", "version_2"]
    study.run(falling(), 10, folder)  # without the storage
    assert rows(folder)[:8] == rows(whole)
    assert len(rows(folder)) == 10


def test_a_trial_that_two_processes_give_up_is_tried_again_once(file: str) -> None:
    """Both may see that its process ended, where the database locks no rows, as SQLite does."""
    with pytest.raises(KeyboardInterrupt):
        run(falling(train=Mock(side_effect=KeyboardInterrupt)), 3, None, file)
    with open_storage(file) as opened:
        study_there = optuna.load_study(study_name=NAME, storage=opened)
        storage.retry_callback()(study_there, study_there.trials[0])
    run(falling(), 3, None, file)
    trials = trials_of(file)
    assert sum(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in trials) == 3
    repeats = [trial for trial in trials if trial.system_attrs.get("failed_trial") == 0]
    assert [trial.state for trial in repeats] == [TrialState.COMPLETE, TrialState.FAIL]


def test_what_a_user_stopped_is_tried_again(file: str, capsys: Capture) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(falling(train=Mock(side_effect=KeyboardInterrupt)), 2, None, file)
    assert "Stopped. Go on with the same command\n" in capsys.readouterr().out
    folder = run(falling(), 2, None, file)
    assert cells(folder, "state", "lr")[:2] == [("failed", "0.15"), ("complete", "0.15")]
    assert "Trial 1, the command's own settings" in (folder / "summary.md").read_text()


def test_a_process_that_was_given_up_goes_on_with_another_trial(file: str, capsys: Capture) -> None:
    """As one is that was asleep: what it measures of its trial, which others try again, does not count."""
    objective = falling()

    def train(settings: Any, folder: Path, report: Any, quiet: bool) -> Any:
        if folder.name == "trial_0":
            with open_storage(file) as kept:
                asleep = optuna.load_study(study_name=NAME, storage=kept)
                asleep.tell(0, state=TrialState.FAIL)
                storage.retry_callback()(asleep, asleep.trials[0])
        return objective.train(settings, folder, report, quiet)

    folder = run(replace(objective, train=train), 3, None, file)
    assert "trial 0 was given up" in capsys.readouterr().out
    assert [trial.state.name for trial in trials_of(file)] == ["FAIL", "COMPLETE", "COMPLETE", "COMPLETE"]
    assert cells(folder, "state", "lr")[:2] == [("failed", "0.15"), ("complete", "0.15")]


def test_a_process_stays_for_the_trials_of_others(
    pair: list[SharedStudy], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    one, other = pair
    trial = one.next_trial(1)
    assert trial is not None
    monkeypatch.setattr(shared.time, "sleep", lambda seconds: one.optuna.tell(trial, 0.1))
    assert other.next_trial(1) is None
    one.running.release()
    assert capsys.readouterr().out == "Waiting for 1 trial of other processes\n"


def test_a_trial_that_is_one_too_many_is_given_back(pair: list[SharedStudy]) -> None:
    one, other = pair
    assert one.next_trial(1) is not None
    assert other._ask(1) is None  # it was between its look and its question
    one.running.release()
    other.running = one.running
    assert [trial.number for trial in (one._ask(2), other._ask(2)) if trial is not None] == [2]
    assert [record.number for record in one.records()] == []


def test_a_study_does_not_go_on_with_something_else(file: str) -> None:
    run(falling(), 1, None, file)
    with pytest.raises(UsageError, match=rf"the study {NAME} in sqlite:.* was started with epochs 6; got 3"):
        run(falling(epochs=3), 2, None, file)
    with pytest.raises(UsageError, match="trials must be 1 or above; got 0"):
        run(falling(), 0, None, file)
    assert [path.name for path in Path("logs", NAME).iterdir()] == ["version_0"]


def test_a_storage_that_fails_in_the_middle_ends_in_a_sentence(file: str) -> None:
    def drop(*_: Any) -> Any:
        with sqlite3.connect(file.removeprefix("sqlite:///")) as database:
            database.execute("drop table trial_user_attributes")
        return 1, {"val": 2000}

    with pytest.raises(ConnectionError, match=r"the storage sqlite:.* fails: no such table: trial_user_attributes"):
        run(falling(train=drop), 2, None, file)


def test_what_can_not_be_reached_is_told_without_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: Refusal
) -> None:
    monkeypatch.setattr(storage, "PATIENCE", 0.2)
    monkeypatch.setitem(sys.modules, "pymysql", None)
    old = tmp_path / "old.db"
    run(falling(), 1, None, f"sqlite:///{old}")
    with sqlite3.connect(old) as database:
        database.execute("update alembic_version set version_num = 'v2.6.0.a'")
        database.execute("update version_info set library_version = '2.6.0'")
    before = list(Path("logs").rglob("*"))
    for url, words in {
        "mysql+pymysql://user:hidden@host/study": "which mysql+pymysql needs, is not installed: pip install pymysql",
        "sqlite:////nowhere/study.db": "the storage sqlite:////nowhere/study.db fails: unable to open database file",
        f"sqlite:///{old}": "is no longer compatible with the table schema (set up by optuna 2.6.0)",
        "grpc://user:hidden@localhost:9": "the storage grpc://localhost:9 does not answer",
        "grpc://localhost": "storage must be a URL such as",
        "hidden": "storage must be a URL such as",
        "redis://user:hidden@host/study": "storage must be a URL such as",
        "postgresql://user:hidden@host:port/study": "storage must be a URL such as",
    }.items():
        with pytest.raises((ConnectionError, UsageError)) as error:
            run(falling(), 2, None, url)
        assert words in str(error.value)
        assert "hidden" not in str(error.value)
    assert list(Path("logs").rglob("*")) == before
    said = refusal("mlp", "search", "--data.source", "drawn", "--storage", "sqlite:////nowhere/study.db")
    assert said == "error: the storage sqlite:////nowhere/study.db fails: unable to open database file"


def test_postgresql_refuses_a_wrong_password() -> None:
    url = postgresql()
    user, _, server = url.rpartition("@")
    with pytest.raises(ConnectionError, match="password authentication failed for user") as error:
        run(falling(), 1, None, f"{user.rpartition(':')[0]}:hidden@{server}")
    assert "hidden" not in str(error.value)
    with pytest.raises(ConnectionError, match=r"the storage postgresql://.* fails: .* does not exist"):
        run(falling(), 1, None, f"{url}_not")
    assert not Path("logs").exists()
