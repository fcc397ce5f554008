"""Optuna's study in a folder: a journal that a killed process leaves whole, and that several may write."""

import math
import os
import warnings
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalStorage
from optuna.trial import TrialState

from lit_a1.runs.settings import UsageError

JOURNAL = "study.journal"
BEFORE_PRUNING = 5  # complete trials, whose median the others are compared with
ENOUGH = 12  # complete trials to weigh the hyper-parameters by
TOP = 0.25  # share of them that is set against all
OVER = (TrialState.COMPLETE, TrialState.PRUNED)
STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
"""Of trials that are over, in words."""


def check_study(folder: Path | None) -> None:
    """Refuses a folder that is to be gone on with and has no journal.

    Raises:
        UsageError: says so.
    """
    if folder is not None and not (folder / JOURNAL).is_file():
        raise UsageError(f"study must be the folder of an earlier search; {folder} has no {JOURNAL}")


def open_study(folder: Path, name: str, shared: dict[str, Any], epochs: int, *, alone: bool) -> optuna.Study:
    """The study in a folder: a new one, or as earlier processes left it.

    Args:
        folder: that holds the journal.
        name: of the study.
        shared: what its trials have in common, as JSON has it.
        epochs: of a trial that is not stopped early: the median stops none in the first third of them.
        alone: no other process can be at it.

    Raises:
        UsageError: the journal is damaged, or the study was begun with something else in common.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = folder / JOURNAL
    lock = JournalFileOpenLock(str(path))
    if path.exists():
        if alone:
            Path(f"{path}.lock").unlink(missing_ok=True)  # optuna would wait for its owner
        lock.acquire()
        try:
            lines = path.read_bytes()
            if not lines.endswith(b"\n"):  # a line half written would spoil the next one
                os.truncate(path, lines.rfind(b"\n") + 1)
        finally:
            lock.release()
    try:
        storage = JournalStorage(JournalFileBackend(str(path), lock))
        study = optuna.create_study(storage=storage, study_name=name, direction="minimize", load_if_exists=True)
    except (ValueError, KeyError) as error:
        raise UsageError(f"{path} must be the journal of a search; it is damaged: {error}") from error
    begun = study.user_attrs.get("shared", shared)
    for key in sorted(begun.keys() | shared.keys()):
        if begun.get(key) != shared.get(key):
            raise UsageError(f"the study in {folder} was begun with {key} {begun.get(key)}; got {shared.get(key)}")
    study.set_user_attr("shared", shared)
    study.pruner = optuna.pruners.MedianPruner(BEFORE_PRUNING, n_warmup_steps=max(1, epochs // 3))
    return study


def sampler(seed: int, **options: Any) -> optuna.samplers.BaseSampler:
    """What proposes the next trials: TPE (Bergstra et al., 2011, Algorithms for hyper-parameter optimization).

    Args:
        seed: another one where a study goes on, or it would draw the first trials again.
        options: of `TPESampler`.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Argument ``", ExperimentalWarning)
        return optuna.samplers.TPESampler(multivariate=True, seed=seed, **options)


def count(study: optuna.Study, states: tuple[TrialState, ...] = OVER) -> int:
    """How many of its trials are in one of the states."""
    return len(study.get_trials(deepcopy=False, states=states))


def lacks_start(study: optuna.Study) -> bool:
    """Whether the values that it is to start from are yet to be tried, or were only tried by a process that ended."""
    return all(trial.state == TrialState.FAIL for trial in study.trials if "start" in trial.user_attrs)


def is_bad(study_trial: optuna.Trial, error: float, epoch: int, epochs: int) -> bool:
    """Notes a trial's validation error after an epoch, NaN where it diverged; whether to stop it early."""
    study_trial.report(error, epoch)
    return math.isnan(error) or (epoch < epochs and study_trial.should_prune())


def importances(study: optuna.Study) -> dict[str, float] | None:
    """How much each hyper-parameter sets the best complete trials apart; None where they are too few to say."""
    if count(study, (TrialState.COMPLETE,)) < ENOUGH:
        return None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PedAnovaImportanceEvaluator is experimental", ExperimentalWarning)
        warnings.filterwarnings("ignore", "Target and region quantiles")  # most errors are equal: all weights are 0
        found = PedAnovaImportanceEvaluator(target_quantile=TOP).evaluate(study)
    total = sum(found.values())
    return {name: weight / total for name, weight in found.items()} if total else {}
