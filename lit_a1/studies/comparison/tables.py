"""The tables of a comparison, and how their numbers are written."""

from collections.abc import Callable, Sequence
from statistics import mean, median, stdev

from lit_a1.runs.statistics import mean_interval, wilson
from lit_a1.runs.wording import number, percent, table
from lit_a1.studies.comparison.changes import KINDS
from lit_a1.studies.comparison.measures import (
    Measured,
    Versus,
    epochs_to,
    seconds_an_epoch,
)
from lit_a1.studies.comparison.runs import Weights

GOALS = (0.98, 0.99)  # validation accuracies
UNITS = {"shift": " px", "rotation": "°", "noise": " std"}

# numbers in words


def span(low: float, high: float) -> str:
    """An interval of errors, which are never negative: `0.49 to 0.61 %`."""
    return f"{100 * max(low, 0.0):.2f} to {percent(high)}"


def probability(p: float) -> str:
    """A p value, with an exponent where it is small."""
    return f"{p:.3f}" if p >= 0.001 else f"{p:.0e}" if p > 1e-99 else "below 1e-99"


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation of errors; of a single run its error."""
    if len(values) == 1:
        return f"{percent(values[0])} (one run)"
    return f"{100 * mean(values):.2f} ± {percent(stdev(values))}"


# what the cells hold


def errors_of(each: Measured, part: str) -> list[float] | None:
    """Each run's `train_eval` or `val` error in the epoch that the weights are of; None where a run lacks it."""
    rows = [run.measured for run in each.runs]
    return [row[f"{part}/error"] for row in rows] if all(f"{part}/error" in row for row in rows) else None


def baseline(measured: Sequence[Measured]) -> Measured | None:
    """The first MLP, which the CNNs are compared with."""
    return next((each for each in measured if each.runs[0].kind == "MLP"), None)


def seconds_of(each: Measured) -> tuple[float | None, float]:
    """Seconds an epoch, training alone (None where a run lacks it) and of the whole run: medians over runs."""
    pairs = [seconds_an_epoch(run) for run in each.runs]
    training = [seconds for seconds, _ in pairs if seconds is not None]
    return median(training) if len(training) == len(pairs) else None, median(whole for _, whole in pairs)


def reached(each: Measured, accuracy: float) -> str:
    """Epochs until that validation accuracy: `2`, `2 to 4`, `2 to 4 (3 of 5 runs)`, or `not in 10`."""
    found = [epochs_to(run, accuracy) for run in each.runs]
    there = [epochs for epochs in found if epochs is not None]
    if not there:
        return f"not in {max(len(run.epochs) for run in each.runs)}"
    words = f"{min(there)}" if min(there) == max(there) else f"{min(there)} to {max(there)}"
    return words + f" ({len(there)} of {len(found)} runs)" * (len(there) < len(found))


# the tables


def summary(measured: Sequence[Measured], weights: Weights) -> str:
    """One column an experiment: size, cost, speed and errors."""
    base, networks = baseline(measured), {each.label: each.runs[0].network for each in measured}

    def against(each: Measured, name: str, words: Callable[[float], str]) -> str:
        """Its parameters or multiply-adds, and how they compare with the MLP's."""
        value = getattr(networks[each.label], name)
        if base is None or each.runs[0].kind == "MLP":
            return f"{value:,}"
        return f"{value:,} ({words(value / getattr(networks[base.label], name))})"

    def seconds(value: float | None) -> str:
        return "not recorded" if value is None else number(value)

    def optional(values: Sequence[float] | None) -> str:
        return "not recorded" if values is None else spread(values)

    def over_seeds(values: Sequence[float] | None) -> str:
        found = mean_interval(values or ())
        return "none" if found is None else span(*found)

    def over_pictures(each: Measured) -> str:
        return span(*wilson(mean(each.errors), each.right.shape[1]))

    when = "last epoch" if weights == "last" else "best epoch"
    lines: list[tuple[str, Callable[[Measured], str]]] = [
        ("experiment", lambda each: f"`{each.experiment.name}`"),
        ("seeds", lambda each: ", ".join(str(run.seed) for run in each.runs)),
        ("epochs", lambda each: ", ".join(map(str, sorted({len(run.epochs) for run in each.runs})))),
        ("parameters", lambda each: against(each, "parameters", lambda ratio: f"{100 * (ratio - 1):+.2f} %")),
        (
            "multiply-adds a picture",
            lambda each: against(each, "multiply_adds", lambda ratio: f"{number(ratio)} times"),
        ),
        ("seconds an epoch, training alone (median)", lambda each: seconds(seconds_of(each)[0])),
        ("seconds an epoch, whole run (median)", lambda each: seconds(seconds_of(each)[1])),
        *(
            (f"epochs to {100 * goal:g} % validation accuracy", lambda each, goal=goal: reached(each, goal))
            for goal in GOALS
        ),
        (f"training error, {when}", lambda each: optional(errors_of(each, "train_eval"))),
        (f"validation error, {when}", lambda each: optional(errors_of(each, "val"))),
        ("its 95 % interval over seeds (t)", lambda each: over_seeds(errors_of(each, "val"))),
        (f"test error, {when}", lambda each: spread(each.errors)),
        ("its 95 % interval over seeds (t)", lambda each: over_seeds(each.errors)),
        ("its 95 % interval over test pictures (Wilson)", over_pictures),
    ]
    heads = ["", *(each.label for each in measured)]
    return table([heads, *([name, *map(cell, measured)] for name, cell in lines)])


def mcnemar_table(found: Sequence[Versus]) -> str:
    """A row for each pair of runs."""
    rows = [["first", "second", "seeds", "only the first right (b)", "only the second right (c)", "p"]]
    rows += [
        [
            each.first.label,
            each.second.label,
            f"{pair.first.seed}, {pair.second.seed}",
            *map(str, pair.test[:2]),
            probability(pair.test.p),
        ]
        for each in found
        for pair in each.pairs
    ]
    return table(rows)


def robustness_table(measured: Sequence[Measured]) -> str:
    """A row for each change and level; the mean error over runs, and the smallest and the largest."""
    rows = [["change", *(each.label for each in measured)]]
    for kind, levels in ({"none": (0,)} | KINDS).items():
        for level in levels:
            name = f"{kind}, {level:g}{UNITS[kind]}" if level else "none"
            rows.append([name, *(_range(each.errors_at(kind, level)) for each in measured)])
    return table(rows)


def _range(errors: Sequence[float]) -> str:
    return percent(mean(errors)) + (f" ({span(min(errors), max(errors))})" if len(errors) > 1 else "")
