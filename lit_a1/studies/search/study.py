"""The study of a search, which processes on one machine or many can share: a folder with a journal."""

import json
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from filelock import FileLock, Timeout
from optuna.trial import TrialState
from tqdm import tqdm

from lit_a1.data.errors import DataError
from lit_a1.data.files import write_csv, write_text
from lit_a1.environment import commit, machine, versions
from lit_a1.runs.folders import RECORD_FILE, near, new_version
from lit_a1.runs.settings import UsageError
from lit_a1.runs.wording import counted, typed
from lit_a1.studies.search.figure import Panel, draw
from lit_a1.studies.search.journal import (
    OVER,
    STATES,
    check_study,
    count,
    importances,
    is_bad,
    lacks_start,
    open_study,
    sampler,
)
from lit_a1.studies.search.results import HEADER, Tried, conclude
from lit_a1.studies.search.setup import Setup, in_words, short
from lit_a1.studies.search.space import draw as draw_values
from lit_a1.studies.search.space import flags_of, start_of
from lit_a1.studies.search.span import Span
from lit_a1.studies.search.training import train
from lit_a1.studies.search.trial import count_states

TRIALS, FIGURE, SUMMARY = "trials.csv", "search.png", "summary.md"
LOCKS = ".locks"  # one for the moment in which a trial is taken, and one for as long as each process runs


def run(setup: Setup, trials: int, study: Path | None = None) -> Path:
    """Searches, or goes on searching, and writes what was found; only validation pictures decide.

    TPE (Bergstra et al., 2011) proposes the settings, after a first trial of the command's own. Each trial is a `fit`
    with its own folder and curves. It is stopped early when its loss is not finite, or when even its best validation
    error is above the median of those that the complete trials had after the same epoch.

    Args:
        setup: of the search.
        trials: complete and stopped ones in the end, those of other processes and earlier runs included.
        study: the folder of a study to go on with, or to take part in; a new one by default.

    Returns:
        The study's folder, with its journal, a folder for each trial, `trials.csv` (written anew after every trial),
        `search.png`, `summary.md` and `record.json`.

    Raises:
        DataError: there are no pictures.
        UsageError: there is no such study, it has other settings, or those of a trial are refused.
    """
    check_study(study)
    folder = study or new_version(setup.runs)
    print(f"{setup.words}: {counted(trials, 'trial')} of up to {counted(setup.epochs, 'epoch')} in {near(folder)}")
    with _worker(folder) as worker:
        search = open_study(folder, "cnn", setup.shared, setup.epochs, alone=False)
        try:
            _search(search, setup, trials, folder, worker)
        except BaseException:
            print(f"\nStopped. Go on with the same command and --study {typed(near(folder))}")
            raise
        with FileLock(folder / LOCKS / "write"):
            _conclude(search, setup, folder)
    return folder


# processes


@contextmanager
def _worker(folder: Path) -> Iterator[str]:
    """The name of this process, whose lock tells the others, on other machines too, that it still runs."""
    name = uuid.uuid4().hex
    lock = FileLock(folder / LOCKS / name)
    (folder / LOCKS).mkdir(exist_ok=True)
    try:
        with lock:
            yield name
    finally:
        _remove(Path(lock.lock_file))


def _runs(folder: Path, worker: str) -> bool:
    """Whether a process still runs: of one that was killed the system has freed the lock."""
    path = folder / LOCKS / worker
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            pass
    except Timeout:
        return True
    _remove(path)
    return False


def _remove(lock: Path) -> None:
    with suppress(PermissionError):  # Windows keeps it while another process looks at it, which removes it later
        lock.unlink(missing_ok=True)


# trials


def _search(search: optuna.Study, setup: Setup, trials: int, folder: Path, worker: str) -> None:
    """Runs trials until there are enough, and shows and keeps each."""
    with tqdm(total=trials, initial=count(search), desc="search", unit="trial", leave=False, disable=None) as bar:
        quiet = False
        while (trial := _take(search, setup, trials, folder, worker)) is not None:
            _train(search, trial, setup, folder, partial(_show, bar, trial.number, setup.epochs), quiet=quiet)
            quiet = True
            with FileLock(folder / LOCKS / "write"):
                tried = tried_of(search, setup, folder)
            tqdm.write(next(one.line() for one in tried if one.number == trial.number), file=sys.stdout)
            bar.update(count(search) - bar.n)


def _show(bar: tqdm, number: int, epochs: int, epoch: int, error: float) -> None:
    bar.set_postfix_str(f"trial {number}: epoch {epoch}/{epochs}, error {error:.2%}")


def _take(search: optuna.Study, setup: Setup, trials: int, folder: Path, worker: str) -> optuna.Trial | None:
    """The next trial, with its values drawn; None where there are enough, those of running processes included.

    One process at a time: no two draw by the same seed, and none takes a trial that is one too many.
    """
    with FileLock(folder / LOCKS / "take"):
        for running in search.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if not _runs(folder, str(running.user_attrs.get("worker"))):
                search.tell(running.number, state=TrialState.FAIL)
        if count(search, (*OVER, TrialState.RUNNING)) >= trials:
            return None
        if lacks_start(search):
            about = {"start": True, "own": setup.own}
            search.enqueue_trial(start_of(setup.own, setup.space), user_attrs=about)
        # by the number of trials, so that a study that goes on draws what one that was not stopped does
        (seed,) = np.random.SeedSequence((setup.seed, len(search.trials))).generate_state(1)
        search.sampler = sampler(int(seed), constant_liar=True)
        trial = search.ask()
        trial.set_user_attr("worker", worker)
        settings = draw_values(trial, setup.space)
        trial.set_user_attr("settings", settings)
        trial.set_user_attr("words", in_words(settings))
        return trial


def _train(
    search: optuna.Study,
    trial: optuna.Trial,
    setup: Setup,
    folder: Path,
    show: Callable[[int, float], None],
    *,
    quiet: bool,
) -> None:
    """Trains a trial's network, and notes what came of it."""
    started, bad = time.perf_counter(), False

    def tell(epoch: int, error: float) -> bool:
        nonlocal bad
        show(epoch, error)
        trial.set_user_attr("seconds", time.perf_counter() - started)
        bad = is_bad(trial, error, epoch, setup.epochs)
        return bad

    trial.set_user_attr("machine", machine())
    arguments = [*setup.arguments, *flags_of(trial.user_attrs["settings"])]
    try:
        record = train(arguments, folder / f"trial_{trial.number}", tell, quiet=quiet)
        trial.set_user_attr("parameters", record["parameters"])
        _check_pictures(search, record["pictures"], folder)
    except UsageError as error:
        if not trial.user_attrs.get("start"):  # the first one can't be used at all; of others some can
            trial.set_user_attr("refused", f"{error}")
            search.tell(trial, state=TrialState.PRUNED)
            return
        search.tell(trial, state=TrialState.FAIL)
        raise
    except BaseException:
        search.tell(trial, state=TrialState.FAIL)
        raise
    if bad:
        search.tell(trial, state=TrialState.PRUNED)
    else:
        search.tell(trial, search.trials[trial.number].intermediate_values[setup.epochs])


def _check_pictures(search: optuna.Study, pictures: dict[str, int], folder: Path) -> None:
    """Refuses another number of pictures than those that the study was begun with."""
    begun = search.user_attrs.get("pictures", pictures)
    if pictures != begun:
        raise DataError(f"the study in {folder} was begun with {begun} pictures; there are {pictures} here.")
    search.set_user_attr("pictures", pictures)


# results


def tried_of(search: optuna.Study, setup: Setup, folder: Path) -> list[Tried]:
    """The trials that are over, which it writes to `trials.csv`."""
    tried = []
    for trial in search.get_trials(deepcopy=False, states=tuple(STATES)):
        about: dict[str, Any] = {"settings": {}, "words": "", "parameters": 0, "seconds": 0.0, "start": False}
        named = (*about, "machine", "own", "refused")
        about |= {name: value for name, value in trial.user_attrs.items() if name in named}
        steps = sorted(trial.intermediate_values)
        errors = [trial.intermediate_values[step] for step in steps]
        state = "refused" if "refused" in about else STATES[trial.state]
        tried.append(Tried(trial.number, state, errors=errors, steps=steps, **about))
    header = [*HEADER, *map(short, setup.space)]
    write_csv(folder / TRIALS, header, [trial.row(setup.space) for trial in tried])
    return tried


def panel_of(name: str, values: Span | Sequence[Any]) -> Panel:
    """How the figure shows an option."""
    if isinstance(values, Span):
        return Panel(short(name), values, lambda trial: trial.settings[name])
    return Panel(short(name), list(map(str, values)), lambda trial: str(trial.settings[name]))


def _conclude(search: optuna.Study, setup: Setup, folder: Path) -> None:
    """Writes what was found so far: other processes may still be at it."""
    tried, pictures = tried_of(search, setup, folder), search.user_attrs.get("pictures", {}).get("val", 0)
    text, best = conclude(tried, setup, pictures, importances(search))
    write_text(folder / SUMMARY, text)
    if pictures and any(trial.measured for trial in tried):
        title = f"{setup.words}: {counted(len(tried), 'trial')} of up to {counted(setup.epochs, 'epoch')}, measured on "
        title += f"{counted(pictures, 'picture')}."
        panels = [panel_of(name, values) for name, values in setup.space.items()]
        draw(folder / FIGURE, tried, panels, pictures, title)
    record = {"search": setup.shared, "trials": count_states(tried), "best": best, "commit": commit()}
    record |= {"machines": sorted({trial.machine for trial in tried}), "versions": versions()}
    record |= {"finished": time.strftime("%Y-%m-%d %H:%M")}
    write_text(folder / RECORD_FILE, json.dumps(record, indent=1) + "\n")
    print(f"\n{text}\nEvery trial: {near(folder / TRIALS)}, {near(folder / FIGURE)}")
