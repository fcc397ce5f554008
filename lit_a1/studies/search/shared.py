"""A study in a database, shared by processes without a common disk."""

import json
import platform
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
from lit_a1.studies.search.storage import FAILURES, Storage, open_storage, public_url, quiet_optuna, retry_callback
from lit_a1.studies.search.study import FINISHED, JOURNAL, SURPLUS, TPE, Journal, Study, announce, open_study

RECORD = "record"  # attribute of a trial: the `record.json` of its training


def run(objective: Objective, trials: int, study: Path | None, url: str | None) -> Path:
    """Searches as `study.run`. With a storage `url`, `study` is the study's name there (default: the experiment's).

    Each process has its own folder. At the end it holds the trials of all machines: the usual tables, figure and text,
    each training's `record.json`, and the study as a journal that `--study` can resume.

    Raises:
        ConnectionError: the storage can't be reached, or fails.
        DataError, UsageError: as `study.run`.
    """
    if trials < 1:
        raise UsageError(f"trials must be 1 or above; got {trials}")
    if url is None:
        return journals.run(objective, trials, study)
    name = str(study or objective.runs.name)
    with open_storage(url) as storage:
        folder = new_version(objective.runs)
        try:
            shared = SharedStudy(objective, folder, storage, name, public_url(url))
        except BaseException:
            remove_version(folder)
            raise
        announce(objective, trials, f"{shared}")
        shared.run(trials)
        shared.copy_to_folder()
    return folder


class SharedStudy(Study):
    """One process's view of Optuna's study in a storage."""

    def __init__(self, objective: Objective, folder: Path, storage: Storage, name: str, address: str) -> None:
        self.storage, self.name, self.address = storage, name, address
        super().__init__(objective, folder)
        self.optuna.sampler = NumberedSampler(objective, storage)

    def __str__(self) -> str:
        return f"{self.name} in {self.address}"

    def open_optuna_study(self) -> optuna.Study:
        """Optuna's study."""
        return open_study(self.storage, self.name)

    def how_to_resume(self) -> str:
        """What to type to resume."""
        return "the same command"

    def next_trial(self, trials: int) -> optuna.Trial | None:
        """The next trial, or one whose process was killed; None when the trials of all processes are over.

        It waits while other processes run trials, to retry a trial whose process ends.
        """
        announced = False
        while True:
            with quiet_optuna():
                fail_stale_trials(self.optuna)
            if self.count(TrialState.WAITING) or self.count(*FINISHED, TrialState.RUNNING) < trials:
                if (trial := self._ask(trials)) is not None:
                    return trial
            elif others := self.count(TrialState.RUNNING):
                if not announced:
                    tqdm.write(f"Waiting for {counted(others, 'trial')} of other processes")
                announced = True
                time.sleep(storages.INTERVAL)
            else:
                return None

    def _ask(self, trials: int) -> optuna.Trial | None:
        with quiet_optuna():
            trial = self.optuna.ask(dict(self.objective.distributions))
        not_failed = self.optuna.get_trials(deepcopy=False, states=(*FINISHED, TrialState.RUNNING, TrialState.WAITING))
        earlier = [other for other in not_failed if other.number < trial.number]
        failed_trial = self.optuna.trials[trial.number].system_attrs.get("failed_trial")  # which this one repeats
        if failed_trial is None:
            is_surplus = len(earlier) >= trials
        else:  # two processes may both have seen that it failed
            is_surplus = any(other.system_attrs.get("failed_trial") == failed_trial for other in earlier)
        if is_surplus:  # others were quicker
            trial.set_user_attr(SURPLUS, True)
            self.optuna.tell(trial, state=TrialState.FAIL)
            return None
        self.running = Heartbeat(self.storage, trial._trial_id)
        start = {"start": True, "own": self.objective.own} if trial.number == 0 else {}
        ran_in = f"{platform.node()}:{relative_to_cwd(self.folder)}"
        for key, value in {**self.objective.describe_sample(trial.params), **start, "ran_in": ran_in}.items():
            trial.set_user_attr(key, value)
        return trial

    def train(self, trial: optuna.Trial, show: Callable[[str], None]) -> None:
        """Trains a trial's network, and records the trial's state and the record of the training."""
        try:
            super().train(trial, show)
        except UpdateFinishedTrialError:
            tqdm.write(f"trial {trial.number} was given up: nothing was heard of this process for {storages.GRACE} s")
        except FAILURES:
            raise  # other processes will miss its heartbeat
        except BaseException:
            retry_callback()(self.optuna, self.optuna.trials[trial.number])
            raise

    def save_record(self, trial: optuna.Trial, folder: Path) -> None:
        """Stores the record of a training with its trial."""
        if (path := folder / RECORD_FILE).is_file():
            trial.set_user_attr(RECORD, json.loads(path.read_text(encoding="utf-8")))

    def copy_to_folder(self) -> None:
        """Copies the storage into the folder: each training's record, and the study as a journal."""
        for trial in self.optuna.get_trials(deepcopy=False, states=FINISHED):
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
    """Records heartbeats of a trial's process until it is released."""

    def __init__(self, storage: Storage, trial_id: int) -> None:
        super().__init__(daemon=True)
        self.storage, self.trial_id = storage, trial_id
        self.over = threading.Event()
        self.start()

    def run(self) -> None:
        """Records a heartbeat each interval; if the storage fails for a moment, the next one counts."""
        while not self.over.wait(storages.INTERVAL):
            with suppress(*FAILURES, UpdateFinishedTrialError):
                self.storage.record_heartbeat(self.trial_id)

    def release(self) -> None:
        """Ends the thread."""
        self.over.set()
        self.join()


class NumberedSampler(TPE):
    """TPE, seeded anew for each trial by its number, which no two processes share; the first trial is given."""

    def __init__(self, objective: Objective, storage: Storage) -> None:
        super().__init__(objective.seed)
        self.objective, self.storage = objective, storage

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Seeds the sampler; records the first heartbeat, without which no process would miss the trial."""
        self.storage.record_heartbeat(trial._trial_id)
        (seed,) = np.random.SeedSequence((self.objective.seed, trial.number)).generate_state(1)
        super().__init__(int(seed))  # Optuna has no other way to give a sampler a seed

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Samples one hyperparameter by itself; for the first trial, returns the given value."""
        if trial.number == 0:
            return self.objective.start[param_name]
        return super().sample_independent(study, trial, param_name, param_distribution)
