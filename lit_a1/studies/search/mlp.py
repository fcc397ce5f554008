"""Hyper-parameter search: Optuna proposes networks, bad ones are stopped early, and a journal lets it go on."""

import json
import math
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from filelock import FileLock, Timeout
from optuna.trial import FrozenTrial, TrialState
from tqdm import tqdm

from lit_a1.data.files import write_csv, write_text
from lit_a1.mlp.network import NN
from lit_a1.mlp.setup import Digits, Setup, Study, describe
from lit_a1.runs.folders import near
from lit_a1.runs.settings import UsageError
from lit_a1.runs.wording import typed
from lit_a1.studies.search.figure import draw
from lit_a1.studies.search.journal import (
    STATES,
    check_study,
    count,
    importances,
    is_bad,
    lacks_start,
    open_study,
    sampler,
)
from lit_a1.studies.search.mlp_figure import panels_of
from lit_a1.studies.search.mlp_results import HEADER, Tried, conclude
from lit_a1.studies.search.mlp_space import SETTINGS, SPACE, settings_of, space_of, start_of
from lit_a1.studies.search.span import Span
from lit_a1.studies.search.trial import count_states

TRIALS, FIGURE, SUMMARY = "trials.csv", "search.png", "summary.md"


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
    check_study(study)
    net, digits = setup.network(), setup.digits()
    results = Study(setup, net, digits, study)
    folder = results.folder
    with _alone(folder):
        search = _open(setup, net, folder)
        print(f"{digits.origin}; {trials} trials of up to {setup.epochs} epochs, the first of them {results.words}")
        try:
            _search(search, setup, digits, trials, folder)
        except KeyboardInterrupt:
            print(f"\nStopped. Go on with the same command and --study {typed(near(folder))}")
            raise
        tried = tried_of(search, folder)
        text, best = conclude(tried, setup, digits, net, importances(search))
        write_text(folder / SUMMARY, text)
        if any(math.isfinite(trial.error) for trial in tried):
            title = f"{len(tried)} networks, up to {setup.epochs} epochs each, on {digits.name}. "
            title += f"The first: {results.words}." + (f" The best: {best['setup']}." if best else "")
            draw(folder / FIGURE, tried, panels_of(space_of(setup)), len(digits.valid.labels), title)
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
    search = open_study(folder, "mlp", _shared(setup), setup.epochs, alone=True)
    for trial in search.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        search.tell(trial.number, state=TrialState.FAIL)  # its process was killed
    if lacks_start(search):
        search.enqueue_trial(start_of(net, space_of(setup)), user_attrs={"start": True})
    # with the number of trials, or a study that goes on would draw the first ones again
    search.sampler = sampler(setup.seed + len(search.trials))
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
    done = count(search)
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
        errors.append(error if math.isfinite(loss + val_loss) else math.nan)
        if is_bad(trial, errors[-1], epoch, setup.epochs):
            raise optuna.TrialPruned
    return min(errors)


def tried_of(search: optuna.Study, folder: Path) -> list[Tried]:
    """The trials that are over, which it writes to `trials.csv`."""
    tried = []
    for trial in search.get_trials(deepcopy=False, states=tuple(STATES)):
        about: dict[str, Any] = {"settings": {}, "words": "", "architecture": "", "parameters": 0}
        about |= {"seconds": 0.0, "start": False, **trial.user_attrs}  # of a killed one some may be missing
        errors = [error for _, error in sorted(trial.intermediate_values.items())]
        tried.append(Tried(trial.number, STATES[trial.state], errors=errors, **about))
    write_csv(folder / TRIALS, HEADER, [trial.row() for trial in tried])
    return tried
