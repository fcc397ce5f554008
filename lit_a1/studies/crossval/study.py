"""A cross-validation in a folder: one run for each fold, by one process at a time, then their joint results."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from jsonargparse import Namespace

from lit_a1.data.catsdogs import CatsDogsDataModule
from lit_a1.data.module import ImageDataModule
from lit_a1.flags import experiment_of
from lit_a1.runs.folders import DRAWN, relative_to_cwd
from lit_a1.runs.records import write_json
from lit_a1.runs.settings import UsageError, build, first_difference, recipe_of, without_machine_options
from lit_a1.runs.wording import listed
from lit_a1.studies.crossval.fold import OUT_OF_FOLD, is_finished, settings_of, train
from lit_a1.studies.crossval.results import CROSSVAL, fingerprint, photo_table, read_settings, read_table, write_results
from lit_a1.studies.fits import check_settings
from lit_a1.training import parse

LOCKS = ".locks"  # one for the folder, and one for each fold while it is trained


def run(arguments: Sequence[str], folds: int = 5, against: Path | None = None) -> Path:
    """Starts or resumes the cross-validation of a `fit` with these arguments; writes the results after the last fold.

    Several processes, on machines that share a disk, can take part: each takes folds that no other process is training.
    `against` is the folder of a finished cross-validation on the same folds, to compare with.

    Returns its folder, `lightning_logs/NAME-crossval`, with a run for each fold, `out_of_fold.csv`, `summary.md`,
    `crossval.json` and, if there are suspected labels, `suspects.png`.

    Raises:
        DataError: there are too few photos, or a fold was trained with other photos held out.
        UsageError: the settings can't be cross-validated, or differ from those that the folder or a fold began with.
    """
    settings = parse(["fit", *arguments])
    _check(settings, folds)
    settings.data.init_args.folds, settings.data.init_args.fold = folds, 1
    data = build(ImageDataModule, settings.data)
    assert isinstance(data, CatsDogsDataModule)
    data.locate("fit")
    logging.getLogger("lit_a1").setLevel(logging.ERROR)  # the first fold prints which data were found
    data.prepare_data()
    data.setup("fit")
    photos = photo_table(data)
    logs, name = experiment_of(settings, drawn=False)
    folder = logs / f"{name}-crossval{DRAWN if data.drawn else ''}"
    # machines may differ, in `data.source` too: the names of the photos show whether they are the same
    shared = without_machine_options(recipe_of(settings)) | {"seed": int(settings.seed_everything)}
    del shared["data.fold"]
    if against is not None:
        read_settings(against)
        if against.resolve() == folder.resolve():
            raise UsageError(f"--against must name another crossval; {against} is this one")
        read_table(against / OUT_OF_FOLD, photos, data.classes)
    print(f"{name}: {folds} folds of {len(photos):,} photos in {relative_to_cwd(folder)}")
    is_new = not (folder / CROSSVAL).exists()
    (folder / LOCKS).mkdir(parents=True, exist_ok=True)
    try:
        current_settings = shared | {"photos": fingerprint(photos)}
        with FileLock(folder / LOCKS / "folder"):
            if not (folder / CROSSVAL).exists():
                write_json(folder / CROSSVAL, {"begun": current_settings})
        begun = without_machine_options(read_settings(folder))
        advice = "name another with --trainer.logger.init_args.name"
        _check_same_settings(begun, current_settings, f"the crossval in {folder} was started", advice)
        runs = {fold: folder / f"version_{fold}" for fold in range(1, folds + 1)}
        while _train_available_folds(runs, arguments, shared):  # another process may have given up a fold meanwhile
            pass
    except BaseException:
        if is_new and not any(folder.glob("version_*")):
            shutil.rmtree(folder)
            with suppress(OSError):  # if it has other runs
                logs.rmdir()
        raise
    if unfinished := [f"{fold}" for fold, run in runs.items() if not is_finished(run)]:
        print(f"Other processes are training these folds: {listed(unfinished)}. The last to finish writes the summary.")
        return folder
    with FileLock(folder / LOCKS / "folder"):
        write_results(folder, data, against)
    return folder


def _check(settings: Namespace, folds: int) -> None:
    """Refuses data without folds, and settings that measure part of a fold or choose an epoch by its photos."""
    data, kind = settings.data.init_args, str(settings.data.class_path).rpartition(".")[2]
    if folds < 2:
        raise UsageError(f"folds must be 2 or above, one to hold out and one to train on; got {folds}")
    if "folds" not in data:
        raise UsageError(f"crossval divides photos of cats and dogs; {kind} has no folds")
    if data.get("folds") or data.get("fold"):
        raise UsageError("data.folds and data.fold are set by crossval: say --folds 5")
    logger_reason, how_to_resume = "each fold is a run in a folder", "by typing the same command again"
    check_settings(settings, "crossval", logger_reason, how_to_resume, enable_checkpointing=True, barebones=False)


def _check_same_settings(started: Mapping[str, Any], settings: Mapping[str, Any], what: str, advice: str) -> None:
    if key := first_difference(started, settings):
        raise UsageError(f"{what} with {key} {started.get(key)}; got {settings.get(key)}: {advice}")


def _train_available_folds(runs: Mapping[int, Path], arguments: Sequence[str], shared: Mapping[str, Any]) -> int:
    """Trains the folds that are neither finished nor in another process; returns how many."""
    trained = 0
    for fold, run in runs.items():
        try:
            lock = FileLock(run.parent / LOCKS / f"fold_{fold}").acquire(timeout=0)
        except Timeout:
            continue
        with lock:
            if (run_settings := settings_of(run)) is not None:
                advice = "remove it, and the fold is trained again"
                _check_same_settings(
                    without_machine_options(run_settings), {**shared, "data.fold": fold}, f"{run} was trained", advice
                )
            if is_finished(run):
                continue
            print(f"Fold {fold} of {len(runs)}:")
            train([*arguments, "--data.folds", f"{len(runs)}", "--data.fold", f"{fold}"], run, quiet=trained > 0)
            trained += 1
    return trained
