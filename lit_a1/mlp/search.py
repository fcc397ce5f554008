"""Hyper-parameter search: Optuna proposes networks, bad ones are stopped early, and a journal lets it go on."""

import json
import math
import sys
import time
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from filelock import FileLock, Timeout
from optuna.exceptions import ExperimentalWarning
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalStorage
from optuna.trial import FrozenTrial, TrialState
from tqdm import tqdm

from lit_a1.data.files import write_csv, write_text
from lit_a1.mlp.network import NN
from lit_a1.mlp.search_figure import draw
from lit_a1.mlp.search_results import HEADER, Tried, conclude, count_states
from lit_a1.mlp.search_space import SETTINGS, SPACE, Span, settings_of, space_of, start_of
from lit_a1.mlp.setup import Digits, Setup, Study, UsageError, describe
from lit_a1.runs import near

BEFORE_PRUNING = 5  # complete trials, whose median the others are compared with
ENOUGH = 12  # complete trials to weigh the hyper-parameters by
TOP = 0.25  # share of them that is set against all
JOURNAL, TRIALS, FIGURE, SUMMARY = "study.journal", "trials.csv", "search.png", "summary.md"


def run(setup: Setup, trials: int = 30, study: Path | None = None) -> Path:
    """Searches, or goes on searching, and writes what was found; only validation pictures decide.

    TPE (Bergstra et al., 2011) proposes the networks, after a first trial of the setup's own. A trial is stopped early
    when its loss is not finite, or when even its best validation error is above the median of those that the complete
    trials had after the same epoch.

    Args:
        setup: what all trials share; of what is searched, it only says what the first trial is.
        trials: complete and stopped ones in the end, those of the study's earlier runs included.
        study: the folder of a study to go on with; a new one by default.

    Returns:
        The study's folder, with its journal, `trials.csv` (written anew after every trial), `search.png`,
        `summary.md` and `record.json`.

    Raises:
        DataError: as `load_mnist`.
        UsageError: there is no such study, it has other data or settings, or another process is at it.
    """
    if trials < 1:
        raise UsageError(f"trials must be 1 or above; got {trials}")
    if study is not None and not (study / JOURNAL).is_file():
        raise UsageError(f"study must be the folder of an earlier search; {study} has no {JOURNAL}")
    net, digits = setup.network(), setup.digits()
    results = Study(setup, net, digits, study)
    folder = results.folder
    with _alone(folder):
        search = _open(setup, net, folder)
        print(f"{digits.origin}; {trials} trials of up to {setup.epochs} epochs, the first of them {results.words}")
        try:
            _search(search, setup, digits, trials, folder)
        except KeyboardInterrupt:
            print(f"\nStopped. Go on with the same command and --study {near(folder)}")
            raise
        tried = tried_of(search, folder)
        text, best = conclude(tried, setup, digits, net, _importances(search))
        write_text(folder / SUMMARY, text)
        if any(math.isfinite(trial.error) for trial in tried):
            title = f"{len(tried)} networks, up to {setup.epochs} epochs each, on {digits.name}. "
            title += f"The first: {results.words}." + (f" The best: {best['setup']}." if best else "")
            draw(folder / FIGURE, tried, space_of(setup), len(digits.valid.labels), title)
        results.record(trials=count_states(tried), best=best)
    print(f"\n{text}\nEvery trial: {near(folder / TRIALS)}, {near(folder / FIGURE)}")
    return folder


# the study


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    try:
        with FileLock(folder / ".search.lock", timeout=0):
            yield
    except Timeout as error:
        raise UsageError(f"another search is running in {folder}: wait for its end, or start a new study") from error


def _open(setup: Setup, net: NN, folder: Path) -> optuna.Study:
    """The study in a folder, a new one or as a killed process left it; the caller has the folder's lock."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = folder / JOURNAL
    if path.exists():
        lines = path.read_bytes()
        if not lines.endswith(b"\n"):  # a line half written would spoil the next one
            write_text(path, lines[: lines.rfind(b"\n") + 1].decode())
        Path(f"{path}.lock").unlink(missing_ok=True)  # optuna would wait for its owner
    try:
        storage = JournalStorage(JournalFileBackend(str(path), JournalFileOpenLock(str(path))))
        search = optuna.create_study(storage=storage, study_name="mlp", direction="minimize", load_if_exists=True)
    except (ValueError, KeyError) as error:
        raise UsageError(f"{path} must be the journal of a search; it is damaged: {error}") from error
    shared = _shared(setup)
    begun = search.user_attrs.get("shared", shared)
    for name in sorted(begun.keys() | shared.keys()):
        if begun.get(name) != shared.get(name):
            raise UsageError(f"the study in {folder} was begun with {name} {begun.get(name)}; got {shared.get(name)}")
    search.set_user_attr("shared", shared)
    for trial in search.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        search.tell(trial.number, state=TrialState.FAIL)  # its process was killed
    if all(trial.state == TrialState.FAIL for trial in search.trials if "start" in trial.user_attrs):
        search.enqueue_trial(start_of(net, space_of(setup)), user_attrs={"start": True})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Argument ``multivariate``", ExperimentalWarning)
        # with the number of trials, or a study that goes on would draw the first ones again
        search.sampler = optuna.samplers.TPESampler(multivariate=True, seed=setup.seed + len(search.trials))
    search.pruner = optuna.pruners.MedianPruner(BEFORE_PRUNING, n_warmup_steps=max(1, setup.epochs // 3))
    return search


def _shared(setup: Setup) -> dict[str, Any]:
    """What the trials of a study have in common, as JSON has it."""
    checksum, counts = 0, []
    for part in (setup.mnist.train, setup.mnist.valid):
        counts.append(f"{len(part.labels):,}")
        for array in part:
            checksum = zlib.crc32(np.ascontiguousarray(array).data, checksum)
    shared = {"data": f"{' + '.join(counts)} pictures ({checksum:08x})", "epochs": setup.epochs, "seed": setup.seed}
    shared |= {name: value for name, value in setup.model.items() if name not in (*SETTINGS, "hidden_dims", "n_hidden")}
    shared |= {f"the range of {name}": str(span) for name, span in SPACE.items()}
    return json.loads(json.dumps(shared))


def _search(search: optuna.Study, setup: Setup, digits: Digits, trials: int, folder: Path) -> None:
    """Runs the trials that are missing, and shows and keeps each."""
    over = (TrialState.COMPLETE, TrialState.PRUNED)
    done = len(search.get_trials(deepcopy=False, states=over))
    with tqdm(total=trials, initial=done, desc="search", unit="trial", leave=False, disable=None) as bar:

        def keep(search: optuna.Study, last: FrozenTrial) -> None:
            tried = tried_of(search, folder)
            tqdm.write(next(trial.line() for trial in tried if trial.number == last.number), file=sys.stdout)
            bar.update()

        if done < trials:
            search.optimize(lambda trial: _error(trial, setup, digits), n_trials=trials - done, callbacks=[keep])


def _error(trial: optuna.Trial, setup: Setup, digits: Digits) -> float:
    """Trains one network; its smallest validation error.

    Raises:
        optuna.TrialPruned: it was stopped early.
    """
    drawn: dict[str, Any] = {}
    for name, span in space_of(setup).items():
        if isinstance(span, Span):
            drawn[name] = trial.suggest_float(name, span.low, span.high, log=span.log, step=span.step)
        else:
            drawn[name] = trial.suggest_categorical(name, span)
    settings = settings_of(drawn, setup)
    net = setup.network(**settings)
    about = {"settings": settings, "parameters": net.n_parameters, "architecture": net.architecture}
    for name, value in (about | {"words": describe(net)}).items():
        trial.set_user_attr(name, value)
    started, errors = time.perf_counter(), []
    for epoch in range(1, setup.epochs + 1):
        with np.errstate(over="ignore", invalid="ignore"):  # where the learning rate is far too large
            loss, _ = net.train(*digits.train)
            val_loss, error = net.test(*digits.valid)
        trial.set_user_attr("seconds", time.perf_counter() - started)
        diverged = not math.isfinite(loss + val_loss)
        trial.report(math.nan if diverged else error, epoch)
        if diverged or (epoch < setup.epochs and trial.should_prune()):
            raise optuna.TrialPruned
        errors.append(error)
    return min(errors)


def tried_of(search: optuna.Study, folder: Path) -> list[Tried]:
    """The trials that are over, which it writes to `trials.csv`."""
    states = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
    tried = []
    for trial in search.get_trials(deepcopy=False, states=tuple(states)):
        about: dict[str, Any] = {"settings": {}, "words": "", "architecture": "", "parameters": 0}
        about |= {"seconds": 0.0, "start": False, **trial.user_attrs}  # of a killed one some may be missing
        errors = [error for _, error in sorted(trial.intermediate_values.items())]
        tried.append(Tried(trial.number, states[trial.state], errors=errors, **about))
    write_csv(folder / TRIALS, HEADER, [trial.row() for trial in tried])
    return tried


def _importances(search: optuna.Study) -> dict[str, float] | None:
    """How much each hyper-parameter sets the best complete trials apart; None where they are too few to say."""
    if len(search.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))) < ENOUGH:
        return None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PedAnovaImportanceEvaluator is experimental", ExperimentalWarning)
        warnings.filterwarnings("ignore", "Target and region quantiles")  # most errors are equal: all weights are 0
        found = PedAnovaImportanceEvaluator(target_quantile=TOP).evaluate(search)
    total = sum(found.values())
    return {name: weight / total for name, weight in found.items()} if total else {}
