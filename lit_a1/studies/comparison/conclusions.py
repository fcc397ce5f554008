"""Conclusions from the measurements of a comparison: numbers and verdicts for the template `comparison.md.j2`."""

from itertools import combinations
from math import isfinite
from typing import Any, NamedTuple

import numpy as np

from lit_a1.runs.finished import MOVING
from lit_a1.runs.statistics import ALPHA, difference_interval, mcnemar, mean_interval, wilson
from lit_a1.runs.templates import render
from lit_a1.studies.comparison.changes import KINDS, SHIFTS, UNITS
from lit_a1.studies.comparison.measures import GOAL, Measurements
from lit_a1.studies.comparison.recipes import differences


def compare_pair(measurements: Measurements, first: str, second: str) -> dict[str, Any]:
    """Compares two experiments by pairs of runs with the same seed, or in the order of seeds if they share none."""
    a, b = measurements.rows(first), measurements.rows(second)
    pairs = a.reset_index().merge(b.reset_index(), on="seed")[["index_x", "index_y"]].to_numpy().tolist()
    tests = []  # McNemar's, for each pair: both seeds, images only the first gets right, only the second, p
    for i, j in pairs or zip(a.index, b.index, strict=False):
        result = mcnemar(*((measurements.predictions[k] == measurements.digits).tolist() for k in (i, j)))
        tests.append((measurements.runs.seed[i], measurements.runs.seed[j], *result))
    second_is_better = b.test_error.mean() <= a.test_error.mean()
    better, worse = (b, a) if second_is_better else (a, b)
    # for pairs of runs that differ by more than the choice of test images explains
    second_wins = [only_second > only_first for *_, only_first, only_second, p in tests if p < ALPHA]
    return {
        "first": first,
        "second": second,
        "better": better.label.iloc[0],  # the one with the smaller mean error
        "worse": worse.label.iloc[0],
        "low": better.test_error.mean(),
        "high": worse.test_error.mean(),
        # of high - low over seeds; None if the noise of training is not known
        "interval": difference_interval(better.test_error.tolist(), worse.test_error.tolist()),
        "tests": tests,
        "significant": second_wins.count(second_is_better),  # pairs of runs in which the better experiment wins
        "against": second_wins.count(not second_is_better),
        "largest_p": max(test[-1] for test in tests),
    }


def like_for_like(measurements: Measurements) -> tuple[str, str]:
    """The first MLP and the first CNN (if possible, one without augmentation); else the first two experiments."""
    firsts = measurements.runs.drop_duplicates("label")
    runs = dict(zip(firsts.label, firsts.run, strict=True))
    mlps = [label for label, run in runs.items() if run.kind == "MLP"]
    cnns = sorted((label for label in runs if label not in mlps), key=lambda label: runs[label].augmented)
    return (mlps[0], cnns[0]) if mlps and cnns else (measurements.experiments[0], measurements.experiments[1])


class Disagreements(NamedTuple):
    """Test images that one experiment gets right and another wrong, the clearest first."""

    right: str
    wrong: str
    unanimous: list[int]  # right in all runs of one, wrong in all runs of the other
    majority: list[int]  # likewise in more than half of the runs of each, but not in all


def disagreements(measurements: Measurements, right: str, wrong: str) -> Disagreements:
    """The images that `right` gets right and `wrong` wrong."""
    shares = measurements.correct(right).mean(axis=0), 1 - measurements.correct(wrong).mean(axis=0)
    clear = np.minimum(*shares)
    order = np.argsort(-np.round(shares[0] + shares[1], 9), kind="stable")  # ties stay in the order of the images
    unanimous, majority = order[clear[order] == 1], order[(clear[order] > 0.5) & (clear[order] < 1)]
    return Disagreements(right, wrong, unanimous.tolist(), majority.tolist())


def write(measurements: Measurements, **about: object) -> str:
    """The comparison in Markdown; `about` has further values for the template."""
    labels = measurements.experiments
    first, second = like_for_like(measurements)
    experiments = {label: _experiment(measurements, label) for label in labels}
    machines = {run.record.get("machine", "unknown") for run in measurements.runs.run}
    gaps = experiments[first]["gaps"], experiments[second]["gaps"]  # between training and validation error
    gaps_known = all(isfinite(gap) for values in gaps for gap in values)
    return render(
        "studies/comparison/comparison.md.j2",
        experiments=list(experiments.values()),
        mlp=next((experiment for experiment in experiments.values() if experiment["run"].kind == "MLP"), None),
        comparisons=[
            compare_pair(measurements, *pair) | {"is_main": {*pair} == {first, second}}
            for pair in combinations(labels, 2)
        ],
        alpha=ALPHA,
        goal=GOAL,
        machines=sorted({machine for name in machines for machine in name.split(" and ")}),  # of resumed runs
        gap_interval=difference_interval(*gaps) if gaps_known else None,
        pair=(experiments[first], experiments[second]),
        different=differences(experiments[first]["run"], experiments[second]["run"]),
        errors=measurements.errors_by_level(),
        units=UNITS,
        moving=MOVING,
        changes=KINDS,
        wins=_shift_wins(measurements, first, second),
        disagreements=[disagreements(measurements, second, first), disagreements(measurements, first, second)],
        wrong_in_all=int((~measurements.correct(first).any(axis=0) & ~measurements.correct(second).any(axis=0)).sum()),
        **about,
    )


def _experiment(measurements: Measurements, label: str) -> dict[str, Any]:
    rows = measurements.rows(label)
    epochs_to_goal = rows[f"epochs_to_{GOAL}"].dropna().astype(int)
    return rows.iloc[0].to_dict() | {  # label, experiment, run, parameters, multiply_adds of the first run
        "rows": rows,
        "seconds": rows.seconds_per_epoch.median(),
        "training_seconds": rows.training_seconds_per_epoch.median(skipna=False),  # NaN if not recorded
        "epochs_to_goal": epochs_to_goal,  # of the runs that reached it
        "reached_in": float((epochs_to_goal * rows.seconds_per_epoch).median()),  # seconds to the goal; NaN if never
        "val_interval": mean_interval(rows.val_error.tolist()),
        "test_interval": mean_interval(rows.test_error.tolist()),
        "wilson": wilson(rows.test_error.mean(), len(measurements.digits)),
        "gaps": (rows.val_error - rows.train_error).tolist(),
        "gap": (rows.val_error - rows.train_error).mean(skipna=False),
    }


def _shift_wins(measurements: Measurements, first: str, second: str) -> dict[str, int]:
    """By experiment, the number of shifts that add fewer errors to each of its runs than to any run of the other."""
    wins, errors = {first: 0, second: 0}, measurements.errors_by_level()
    for pixels in SHIFTS:
        a, b = (errors[label, "shift", pixels] - errors[label, "none", 0] for label in (first, second))
        wins[first] += int(a.max() < b.min())
        wins[second] += int(b.max() < a.min())
    return wins
