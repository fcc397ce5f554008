"""The runs of a comparison: which have the same settings, which are left out and why."""

from collections.abc import Sequence
from pathlib import Path

from lit_a1.runs.finished import Run
from lit_a1.runs.folders import DRAWN, run_folders
from lit_a1.runs.records import RECORD_FILE, CheckpointError, read_record
from lit_a1.runs.settings import UsageError, first_difference
from lit_a1.runs.wording import listed


def find_experiments(names: Sequence[str], logs: Path, drawn: bool) -> tuple[dict[str, list[Run]], list[str]]:
    """The runs to compare: those of each experiment with the settings of its newest run, in the order of their seeds.

    Also returns a sentence for each run or experiment that is left out. `names` are without `-drawn`. Raises a
    UsageError if fewer than two experiments have runs.
    """
    for name in names:
        if name.endswith(DRAWN):
            raise UsageError(
                f"{name} holds runs on drawn digits, which are never compared with others: --experiments "
                f"{name.removesuffix(DRAWN)} --source drawn compares them with each other."
            )
    if len(names := list(dict.fromkeys(names))) < 2:
        raise UsageError(f"--experiments needs two names at least; got {', '.join(names)}.")
    experiments, left_out = {}, []
    for name in names:
        folder = logs / (name + DRAWN if drawn else name)
        runs, reasons = _runs_with_same_settings(folder)
        left_out += [f"{folder.name}/{reason}" for reason in reasons]
        if runs:
            experiments[name] = runs
        else:
            left_out.append(f"{folder.name}: there is no finished run with its last weights.")
    if len(experiments) < 2:
        runs_found = f"only {next(iter(experiments))} has any" if experiments else "there are none"
        others = listed([name for name in names if name not in experiments])
        raise UsageError(
            f"A comparison needs finished runs of two experiments below {logs}, on {'drawn' if drawn else 'real'} "
            f"digits: {runs_found}. Train {others} first, with fit or mlp fit"
            f"{' and --data.source drawn' if drawn else ''}."
        )
    return experiments, left_out


def _runs_with_same_settings(folder: Path) -> tuple[list[Run], list[str]]:
    """For each seed the newest run with the settings of the newest run; and why the other runs are left out."""
    runs: dict[int, Run] = {}
    newest: Run | None = None
    reasons: list[str] = []
    for path in reversed(run_folders(folder)):
        run = _read(path)
        if isinstance(run, str):
            reasons.append(f"{path.name}: {run}.")
            continue
        newest = newest or run
        settings, newest_settings = run.settings, newest.settings
        if name := first_difference(settings, newest_settings):
            difference = f"{name}={settings.get(name)} instead of {newest_settings.get(name)}"
            reasons.append(f"{path.name}: trained with other settings than {newest.name} ({difference}).")
        elif run.seed in runs:
            reasons.append(f"{path.name}: {runs[run.seed].name} is newer and has the same seed, {run.seed}.")
        else:
            runs[run.seed] = run
    return [runs[seed] for seed in sorted(runs)], reasons[::-1]


def _read(folder: Path) -> Run | str:
    """A run, or why it can't be compared."""
    if not (folder / RECORD_FILE).is_file():
        return f"no {RECORD_FILE}: its training has not ended"
    try:
        record = read_record(folder, needed=())
    except CheckpointError:
        return f"its {RECORD_FILE} is damaged"
    if "diverged" in record:
        return "its training diverged"
    needed = ("settings", "seed", "epochs", "images", "seconds")
    if any(not record.get(name) and record.get(name) != 0 for name in needed) or "train" not in record["images"]:
        return f"its {RECORD_FILE} is not that of a training, with {', '.join(needed)}"
    if any(not isinstance(row, dict) or not isinstance(row.get("val/error"), float | int) for row in record["epochs"]):
        return "it was not validated after each epoch"
    for suffix in (".ckpt", ".npz"):
        if (path := folder / "checkpoints" / f"last{suffix}").is_file():
            return Run(folder, path, record)
    return "no checkpoints/last.ckpt or .npz"
