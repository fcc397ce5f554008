"""A study: Optuna's trials in a journal, which can be interrupted, resumed, and shared by processes on one disk."""

import itertools
import json
import math
import os
import shutil
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from filelock import FileLock, Timeout
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import TrialState
from tqdm import tqdm

from lit_a1.data.errors import DataError
from lit_a1.data.files import errors_naming
from lit_a1.runs.folders import new_version, relative_to_cwd, remove_version
from lit_a1.runs.settings import UsageError, first_difference
from lit_a1.runs.wording import counted, typed
from lit_a1.studies.search.objective import Objective, TrialRecord
from lit_a1.studies.search.results import write_results, write_trials

JOURNAL = "study.journal"
LOCKS = ".locks"  # for the journal, for taking a trial, for writing results, and for each running trial
BEFORE_PRUNING = 5  # complete trials before others are compared with their median
TRIES = 3  # tries of settings whose process ends each time, for lack of memory for example
SURPLUS = "surplus"  # marks a trial that was one too many, and was given up before it began
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
STATE_NAMES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}  # in words


def run(objective: Objective, trials: int = 30, folder: Path | None = None) -> Path:
    """Starts or resumes a search, and writes its results; only validation images decide.

    The first trial uses the command's own settings. TPE (Bergstra et al., 2011, Algorithms for hyperparameter
    optimization) proposes the settings of later trials. A trial is stopped early if its loss is not finite, or if its
    best validation error so far is above the median of the complete trials at the same epoch.

    `trials` counts complete and stopped trials, including those of other processes and earlier runs. `folder` is a
    study to resume or join. Returns the study's folder, with `trials.csv` (rewritten after every trial), `search.png`,
    `summary.md` and `record.json`.

    Raises:
        DataError: there are no images, or other images than the study began with.
        UsageError: there is no such study, it has other settings, or the settings of its first trial are refused.
    """
    if folder is not None and not (folder / JOURNAL).is_file():
        raise UsageError(f"study must be the folder of an earlier search; {folder} has no {JOURNAL}")
    is_new = folder is None
    folder = folder or new_version(objective.runs)
    announce(objective, trials, relative_to_cwd(folder))
    try:
        study = Study(objective, folder)
    except OSError:
        if is_new:
            remove_version(folder)
        raise
    study.run(trials)
    return folder


def announce(objective: Objective, trials: int, place: Path | str) -> None:
    """Prints what is searched, and where the study is stored."""
    print(f"{objective.words}: {counted(trials, 'trial')} of up to {counted(objective.epochs, 'epoch')} in {place}")


class Journal(JournalFileBackend):
    """Optuna's journal, with lines written whole or not at all; an OSError names the file."""

    def __init__(self, path: Path, lock: FileLock) -> None:
        super().__init__(str(path), lock)  # type: ignore[arg-type]  # optuna's own lock
        self.path, self.lock = path, lock

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Removes lines that a full disk holds in part: they would corrupt the next ones."""
        with self.lock, errors_naming(self.path):
            length = self.path.stat().st_size
            try:
                super().append_logs(logs)
            except OSError:
                os.truncate(self.path, length)
                raise


def open_study(storage: BaseStorage, name: str) -> optuna.Study:
    """Optuna's study of this name, a new one if there is none."""
    return optuna.create_study(storage=storage, study_name=name, direction="minimize", load_if_exists=True)


class TPE(optuna.samplers.TPESampler):
    """The TPE sampler, which also takes running trials into account."""

    def __init__(self, seed: int) -> None:
        with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):  # for two of the arguments
            super().__init__(multivariate=True, seed=seed, constant_liar=True)


class Study:
    """One process's view of Optuna's study in a folder; a new study if there is no journal.

    Raises a UsageError if the journal is damaged, or the study began with other shared settings.
    """

    running: Any  # shows that this process is alive; released after each trial

    def __init__(self, objective: Objective, folder: Path) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.objective, self.folder = objective, folder
        self.quiet = False  # until this process's first trial
        (folder / LOCKS).mkdir(exist_ok=True)
        self.optuna = self.open_optuna_study()
        self.optuna.pruner = optuna.pruners.MedianPruner(BEFORE_PRUNING, n_warmup_steps=max(1, objective.epochs // 3))
        shared = json.loads(json.dumps(objective.shared))
        started_with = self.optuna.user_attrs.get("shared", shared)
        if key := first_difference(started_with, shared):
            raise UsageError(f"the study {self} was started with {key} {started_with.get(key)}; got {shared.get(key)}")
        self.optuna.set_user_attr("shared", shared)

    def __str__(self) -> str:
        return f"in {self.folder}"

    def open_optuna_study(self) -> optuna.Study:
        """Optuna's study, repaired if a process was killed while writing."""
        path, lock = self.folder / JOURNAL, self.lock("journal")
        with lock:
            if path.exists() and not (lines := path.read_bytes()).endswith(b"\n"):
                os.truncate(path, lines.rfind(b"\n") + 1)  # a half-written line would corrupt the next one
        try:
            return open_study(JournalStorage(Journal(path, lock)), self.objective.study_name)
        except (ValueError, KeyError) as error:
            raise UsageError(f"{path} must be the journal of a search; it is damaged: {error}") from error

    def how_to_resume(self) -> str:
        """What to type to resume."""
        return f"the same command and --study {typed(relative_to_cwd(self.folder))}"

    def lock(self, name: str, timeout: float = -1) -> FileLock:
        """A lock shared by processes, on other machines too; the system frees the lock of a killed process."""
        return FileLock(self.folder / LOCKS / name, timeout)

    def count(self, *states: TrialState) -> int:
        """The number of trials in these states."""
        return len(self.optuna.get_trials(deepcopy=False, states=states))

    def run(self, trials: int) -> None:
        """Searches, and writes the results."""
        try:
            self.search(trials)
        except BaseException:
            print(f"\nStopped. Go on with {self.how_to_resume()}")
            raise
        with self.lock("write"):
            write_results(self.optuna, self.records(), self.objective, self.folder)

    def search(self, trials: int) -> None:
        """Runs trials until there are enough; prints and records each."""
        done = self.count(*FINISHED)
        with tqdm(total=trials, initial=done, desc="search", unit="trial", leave=False, disable=None) as bar:
            while (trial := self.next_trial(trials)) is not None:
                try:
                    self.train(trial, bar.set_postfix_str)
                finally:
                    self.running.release()
                with self.lock("write"):
                    records = self.records()
                tqdm.write(next(record.line() for record in records if record.number == trial.number))
                bar.update(self.count(*FINISHED) - bar.n)

    def next_trial(self, trials: int) -> optuna.Trial | None:
        """The next trial, with sampled settings; None if there are enough, including running ones.

        Only one process at a time is here, so no two sample with the same seed, and none takes one trial too many.
        """
        with self.lock("take"):
            for running in self.optuna.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                with suppress(Timeout), self.lock(f"trial_{running.number}", timeout=0):
                    shutil.rmtree(self.folder / f"trial_{running.number}", ignore_errors=True)
                    self.optuna.tell(running.number, state=TrialState.FAIL)  # its process was killed
            if self.count(*FINISHED, TrialState.RUNNING) >= trials:
                return None
            place, tries = self._next_place()
            starts = [trial for trial in self.optuna.trials if "start" in trial.user_attrs]
            if all(trial.state == TrialState.FAIL for trial in starts):  # there is none yet, or their processes ended
                about = {"start": True, "own": self.objective.own}
                self.optuna.enqueue_trial(dict(self.objective.start), user_attrs=about)
            self._set_sampler(place, tries)
            trial = self.optuna.ask(dict(self.objective.distributions))
            for key, value in (self.objective.describe_sample(trial.params) | {"place": place}).items():
                trial.set_user_attr(key, value)
            self.running = self.lock(f"trial_{trial.number}")
            self.running.acquire()
            return trial

    def _next_place(self) -> tuple[int, int]:
        """The number that the next trial would have if no trial had failed, and how many trials have failed at it."""
        places = [(trial.user_attrs.get("place", trial.number), trial.state) for trial in self.optuna.trials]
        taken = {place for place, state in places if state in (*FINISHED, TrialState.RUNNING)}
        free = next(place for place in itertools.count() if place not in taken)
        return free, places.count((free, TrialState.FAIL))

    def _set_sampler(self, place: int, tries: int) -> None:
        """Seeds the sampler by the place: with one seed, a resumed study would sample its first trials again."""
        seed = self.objective.seed + len(self.optuna.trials)
        if not self.objective.one_sampler:  # samples do not depend on where the study was stopped
            failures = (tries,) if tries >= TRIES else ()
            (seed,) = np.random.SeedSequence((self.objective.seed, place, *failures)).generate_state(1)
        elif self.quiet:  # already seeded
            return
        self.optuna.sampler = TPE(int(seed))

    def train(self, trial: optuna.Trial, show: Callable[[str], None]) -> None:
        """Trains a trial's network, and records the trial's state; `show` gets a line after each epoch."""
        objective, started, is_pruned = self.objective, time.perf_counter(), False

        def report(epoch: int, error: float) -> bool:
            nonlocal is_pruned
            show(f"trial {trial.number}: epoch {epoch}/{objective.epochs}, error {error:.2%}")
            trial.set_user_attr("seconds", time.perf_counter() - started)
            trial.report(error, epoch)
            is_pruned = math.isnan(error) or (epoch < objective.epochs and trial.should_prune())
            return is_pruned

        try:
            folder, settings = self.folder / f"trial_{trial.number}", trial.user_attrs["settings"]
            quiet, self.quiet = self.quiet, True
            parameters, images = objective.train(settings, folder, report, quiet)
            trial.set_user_attr("parameters", parameters)
            self.save_record(trial, folder)
            images_at_start = self.optuna.user_attrs.get("images", images)
            if images != images_at_start:
                raise DataError(f"the study {self} was started with {images_at_start} images; there are {images} here.")
            self.optuna.set_user_attr("images", images)
        except BaseException as error:
            refused = isinstance(error, UsageError) and not trial.user_attrs.get("start")
            if not refused:  # if the first trial is refused, the command's settings are wrong
                self.optuna.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
                raise
            trial.set_user_attr("refused", f"{error}")
            is_pruned = True
        if is_pruned:
            self.optuna.tell(trial, state=TrialState.PRUNED)
        else:
            self.optuna.tell(trial, self._record(self.optuna.trials[trial.number]).error)

    def save_record(self, trial: optuna.Trial, folder: Path) -> None:
        """Stores what training left in its folder; nothing to do here, as the processes share the folder."""

    def _record(self, trial: optuna.trial.FrozenTrial) -> TrialRecord:
        names = TrialRecord.__dataclass_fields__.keys() & trial.user_attrs.keys()
        fields: dict[str, Any] = {name: trial.user_attrs[name] for name in names}
        state = "refused" if "refused" in fields else STATE_NAMES.get(trial.state, "running")
        errors, by_best = trial.intermediate_values, self.objective.best_epoch_counts
        return TrialRecord(trial.number, state, errors, by_best, trial.params, **fields)

    def records(self) -> list[TrialRecord]:
        """The trials that are over; also writes them to `trials.csv`."""
        trials = self.optuna.get_trials(deepcopy=False, states=tuple(STATE_NAMES))
        records = [self._record(trial) for trial in trials if SURPLUS not in trial.user_attrs]
        write_trials(records, self.objective, self.folder)
        return records
