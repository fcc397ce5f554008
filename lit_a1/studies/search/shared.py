"""A study in a database, which processes share that have no disk in common."""

import json
import platform
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.samplers import BaseSampler
from optuna.storages import JournalStorage, fail_stale_trials
from optuna.trial import FrozenTrial, TrialState
from tqdm import tqdm

from lit_a1.data.files import replacing
from lit_a1.runs.folders import new_version, relative_to_cwd, remove_version
from lit_a1.runs.records import RECORD_FILE, write_json
from lit_a1.runs.settings import UsageError
from lit_a1.runs.wording import counted
from lit_a1.studies.search import storage as storages
from lit_a1.studies.search import study as journals
from lit_a1.studies.search.objective import Objective
from lit_a1.studies.search.storage import FAILURES, Storage, connected, experimental, named, retry
from lit_a1.studies.search.study import JOURNAL, OVER, SURPLUS, Journal, Study, announce, open_study, tpe

RECORD = "record"  # attribute of a trial: what its training left as `record.json`


def run(objective: Objective, trials: int, study: Path | None, url: str | None) -> Path:
    """Searches as `study.run`; with the URL of a storage, in the study of that name there (default: the experiment's).

    Each process has a folder of its own. At its end it holds all trials, whichever machine ran them: tables, figure and
    words as always, each training's `record.json`, and the study as a journal, which `--study` goes on with.

    Raises:
        ConnectionError: the storage can't be reached, or fails.
        DataError, UsageError: as `study.run`.
    """
    if url is None:
        return journals.run(objective, trials, study)
    if trials < 1:
        raise UsageError(f"trials must be 1 or above; got {trials}")
    name = str(study or objective.runs.name)
    with connected(url) as storage:
        folder = new_version(objective.runs)
        try:
            shared = SharedStudy(objective, folder, storage, name, named(url))
        except BaseException:
            remove_version(folder)
            raise
        announce(objective, trials, f"{shared}")
        shared.run(trials)
        shared.bring_home()
    return folder


class SharedStudy(Study):
    """Optuna's study in a storage, as one process works at it."""

    def __init__(self, objective: Objective, folder: Path, storage: Storage, name: str, place: str) -> None:
        self.storage, self.name, self.place = storage, name, place
        super().__init__(objective, folder)
        self.optuna.sampler = NumberedSampler(objective, storage)

    def __str__(self) -> str:
        return f"{self.name} in {self.place}"

    def opened(self) -> optuna.Study:
        """Optuna's study."""
        return open_study(self.storage, self.name)

    def how_to_go_on(self) -> str:
        """What to type once more."""
        return "the same command"

    def take(self, trials: int) -> optuna.Trial | None:
        """The next trial, or one whose process was killed; None once all are over, those of other processes too.

        While others are running it waits: who else would try again what they may leave?
        """
        told = False
        while True:
            with experimental():
                fail_stale_trials(self.optuna)
            if self.count(TrialState.WAITING) or self.count(*OVER, TrialState.RUNNING) < trials:
                if (trial := self._ask(trials)) is not None:
                    return trial
            elif others := self.count(TrialState.RUNNING):
                if not told:
                    tqdm.write(f"Waiting for {counted(others, 'trial')} of other processes", file=sys.stdout)
                told = True
                time.sleep(storages.INTERVAL)
            else:
                return None

    def _ask(self, trials: int) -> optuna.Trial | None:
        with experimental():
            trial = self.optuna.ask(dict(self.objective.sampled))
        taken = self.optuna.get_trials(deepcopy=False, states=(*OVER, TrialState.RUNNING, TrialState.WAITING))
        again = self.optuna.trials[trial.number].system_attrs.get("failed_trial") is not None
        if not again and sum(other.number < trial.number for other in taken) >= trials:  # another one was quicker
            trial.set_user_attr(SURPLUS, True)
            self.optuna.tell(trial, state=TrialState.FAIL)
            return None
        self.running = Heartbeat(self.storage, trial._trial_id)
        start = {"start": True, "own": self.objective.own} if trial.number == 0 else {}
        ran_in = f"{platform.node()}:{relative_to_cwd(self.folder)}"
        for key, value in {**self.objective.about(trial.params), **start, "ran_in": ran_in}.items():
            trial.set_user_attr(key, value)
        return trial

    def train(self, trial: optuna.Trial, show: Callable[[str], None]) -> None:
        """Trains a trial's network, and records its state and what the training recorded."""
        try:
            super().train(trial, show)
        except UpdateFinishedTrialError:
            tqdm.write(f"trial {trial.number} was given up: nothing was heard of this process for {storages.GRACE} s")
        except FAILURES:
            raise  # others will miss its sign of life
        except BaseException:
            retry()(self.optuna, self.optuna.trials[trial.number])
            raise

    def note(self, trial: optuna.Trial, folder: Path) -> None:
        """Keeps what a training recorded with its trial."""
        if (path := folder / RECORD_FILE).is_file():
            trial.set_user_attr(RECORD, json.loads(path.read_text(encoding="utf-8")))

    def bring_home(self) -> None:
        """Writes what the storage holds into the folder: each training's record, and the study as a journal."""
        for trial in self.optuna.get_trials(deepcopy=False, states=OVER):
            folder = self.folder / f"trial_{trial.number}"
            if RECORD in trial.user_attrs and not folder.exists():
                folder.mkdir()
                write_json(folder / RECORD_FILE, trial.user_attrs[RECORD])
        with replacing(self.folder / JOURNAL) as unfinished:
            optuna.copy_study(
                from_study_name=self.name,
                from_storage=self.storage,
                to_storage=JournalStorage(Journal(unfinished, self.lock("journal"))),
                to_study_name=self.objective.study_name,
            )


class Heartbeat(threading.Thread):
    """Signs of life of a trial's process, until it is released."""

    def __init__(self, storage: Storage, trial_id: int) -> None:
        super().__init__(daemon=True)
        self.storage, self.trial_id = storage, trial_id
        self.over = threading.Event()
        self.start()

    def run(self) -> None:
        """Notes one each interval; where the storage fails for a moment, the next one counts."""
        while not self.over.wait(storages.INTERVAL):
            with suppress(*FAILURES, UpdateFinishedTrialError):
                self.storage.record_heartbeat(self.trial_id)

    def release(self) -> None:
        """Ends it."""
        self.over.set()
        self.join()


class NumberedSampler(BaseSampler):
    """TPE, seeded anew by the number of each trial, which no two processes have; the first is given."""

    def __init__(self, objective: Objective, storage: Storage) -> None:
        self.objective, self.storage = objective, storage

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Seeds it; notes the first sign of life, without which nobody would miss the trial."""
        self.storage.record_heartbeat(trial._trial_id)
        (seed,) = np.random.SeedSequence((self.objective.seed, trial.number)).generate_state(1)
        self._tpe = tpe(int(seed))

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """What is sampled jointly."""
        return self._tpe.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Samples jointly."""
        return self._tpe.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Samples one by itself: all of the first trial."""
        if trial.number == 0:
            return self.objective.start[param_name]
        return self._tpe.sample_independent(study, trial, param_name, param_distribution)
