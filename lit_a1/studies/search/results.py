"""The results of a search: its trials as a table, a figure and text."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.importance import PedAnovaImportanceEvaluator

from lit_a1.data.files import write_csv, write_text
from lit_a1.runs.folders import relative_to_cwd
from lit_a1.runs.statistics import fisher, wilson
from lit_a1.runs.templates import render
from lit_a1.runs.wording import counted
from lit_a1.studies.search.figure import draw
from lit_a1.studies.search.objective import Objective, TrialRecord
from lit_a1.studies.search.space import values_text

TRIALS, FIGURE = "trials.csv", "search.png"
TRIALS_LISTED = 3  # trials in the table of the best trials
IMPORTANCES_LISTED = 5  # hyperparameters in the list of the most important ones
MIN_COMPLETE = 12  # complete trials needed to compute importances
BEST_SHARE = 0.25  # share of the best trials, which are compared with all trials


def write_trials(trials: Sequence[TrialRecord], objective: Objective, folder: Path) -> None:
    """Writes `trials.csv`."""
    columns, rows = objective.columns.split(), []
    for trial in trials:
        cells = trial.cells()
        settings = [str(trial.settings.get(name, "")) for name in objective.names]
        rows.append([*(cells[column] for column in columns), *settings])
    write_csv(folder / TRIALS, [*columns, *objective.names.values()], rows)


def write_results(study: optuna.Study, trials: Sequence[TrialRecord], objective: Objective, folder: Path) -> None:
    """Writes and prints the results so far: other processes may still be searching."""
    images = study.user_attrs.get("images", {}).get("val", 0)
    text, best = conclude(trials, objective, images, importances(study))
    write_text(folder / "summary.md", text)
    paths = [folder / TRIALS]
    if images and any(trial.epoch for trial in trials):
        paths.append(folder / FIGURE)
        title = f"{counted(len(trials), 'trial')} of up to {counted(objective.epochs, 'epoch')}, {objective.words}."
        draw(folder / FIGURE, trials, objective, images, title)
    counts = {state: sum(trial.state == state for trial in trials) for state in ("complete", "pruned", "failed")}
    objective.record(folder, trials, {"trials": counts, "best": best})
    print(f"\n{text}\nEvery trial: {', '.join(str(relative_to_cwd(path)) for path in paths)}")


def importances(study: optuna.Study) -> dict[str, float] | None:
    """How much each hyperparameter distinguishes the best trials, as shares of 1; None if there are too few trials."""
    if sum(trial.state == optuna.trial.TrialState.COMPLETE for trial in study.trials) < MIN_COMPLETE:
        return None
    with warnings.catch_warnings(action="ignore"):  # it is experimental; if most errors are equal, all weights are 0
        weights = PedAnovaImportanceEvaluator(target_quantile=BEST_SHARE).evaluate(study)
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()} if total else {}


def conclude(
    trials: Sequence[TrialRecord], objective: Objective, images: int, importances: dict[str, float] | None
) -> tuple[str, dict[str, Any]]:
    """The results of a search in Markdown, and its best trial for the record (empty if there is none)."""
    complete = sorted((trial for trial in trials if trial.state == "complete"), key=lambda trial: trial.error)
    eligible = [trial for trial in complete if objective.meets_requirement(trial.settings)]
    best = eligible[0] if eligible else None
    others = [trial for trial in complete if trial is not best]
    p_values = {other.number: p_value(best, other, images, len(others)) for other in others if best is not None}
    ranked = sorted((importances or {}).items(), key=lambda item: -item[1])[:IMPORTANCES_LISTED]
    best_record: dict[str, Any] = {}
    if best is not None:
        best_record = {"trial": best.number, "val/error": best.error, "epoch": best.epoch, "setup": best.words}
        best_record |= {"settings": dict(best.settings), "command": objective.command(best.settings)}
    text = render(
        "studies/search/summary.md.j2",
        trials=trials,
        objective=objective,
        images=images,
        complete=complete,
        eligible=eligible,
        best=best,
        interval=wilson(best.error, images) if best else None,
        best_trials=complete[:TRIALS_LISTED],
        start=next((trial for trial in reversed(trials) if trial.start), None),
        p_values=p_values,
        importances=None if importances is None else [(objective.term(name), share) for name, share in ranked],
        ranges={objective.term(name): values_text(values) for name, values in objective.space.items()},
    )
    return text, best_record


def p_value(best: TrialRecord, other: TrialRecord, images: int, comparisons: int) -> float:
    """Fisher's exact test of the errors of two trials, times the number of trials that the best was chosen from.

    It assumes that the trials were measured on different images. On the same images, errors differ less by chance, so
    the test errs on the side of noise.
    """
    return min(1.0, comparisons * fisher([(best.error, images), (other.error, images)]))
