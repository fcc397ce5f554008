"""What could help further: read off the runs, and what was never tried."""

from collections.abc import Sequence

from lit_a1.report.document import Section, Text
from lit_a1.report.gather import Gathered, Looked
from lit_a1.report.outcomes import gap, joint
from lit_a1.report.trials import TRIAL, Compared, Row, compare, parse_changes, settings_of, short
from lit_a1.report.tried import NOT_DONE
from lit_a1.runs.confidence import wilson
from lit_a1.runs.wording import percent
from lit_a1.studies.comparison.runs import Run


def further(found: Gathered, best: Run | None, seen: Looked | None, rows: Sequence[Row]) -> Section:
    """The section.

    Args:
        found: what has been run.
        best: the best run of a single network.
        seen: what `analyze` found in one.
        rows: of all runs of Cats vs Dogs.
    """
    section = Section("What could help further", "catsdogs-further")
    items = [*_gap(best), *_noise(best), *_ensemble(found), *_ideas(best, rows), *_labels(seen)]
    if items:
        section.blocks += [Text("Read off the runs:"), Text("\n".join(f"- {item}" for item in items))]
    section.blocks += [Text("Not done:"), Text("\n".join(f"- {item}" for item in NOT_DONE))]
    return section


def _gap(best: Run | None) -> list[str]:
    """Whether more regularisation or more capacity is missing."""
    between = gap([best]) if best is not None else None
    if between is None:
        return []
    errors = f"{percent(between.train)} of the training and {percent(between.valid)} of the validation pictures"
    if not between.comparable:
        return [
            f"In the last epoch {errors} were wrong, but the former were made harder by augmentation: whether the best "
            "network overfits can't be told from them. `--data.measure_train true` measures both alike."
        ]
    if between.overfits:
        return [
            f"{errors} are wrong at the end: the network can learn more than carries over, so that more data, "
            "augmentation or regularisation is what could help, rather than a larger network."
        ]
    return [
        f"{errors} are wrong at the end: the network has not learnt the training pictures better than others, so that "
        "a larger network or more epochs could help."
    ]


def _noise(best: Run | None) -> list[str]:
    """How much of a gain could be seen at all."""
    if best is None or "val/error" not in best.record["last"]:
        return []
    error, count = best.record["last"]["val/error"], best.record["pictures"]["val"]
    low, high = wilson(error, count)
    return [
        f"{count:,} validation pictures tell an error of {percent(error)} to within {percent(low)} to {percent(high)} "
        "(95 %): a smaller gain needs several seeds, or more pictures held out, to be told from chance."
    ]


def _ensemble(found: Gathered) -> list[str]:
    both = joint(found)
    if both is None:
        return []
    errors = (
        f"An ensemble of {both.members} has an error of {percent(both.error)}, its best member {percent(both.best)}"
    )
    if not both.beyond_noise:
        return [f"{errors}: inside the noise. More members, or members that differ more, would tell."]
    if both.error > both.best:
        return [f"{errors}: it does not help."]
    return [f"{errors}: more members could go on there, or one network that learns from more of them."]


def _ideas(best: Run | None, rows: Sequence[Row]) -> list[str]:
    """Changes that made the short recipe better, also after Holm's correction, and of which the best run has none."""
    if best is None:
        return []
    ordered = sorted(rows, key=lambda row: row["finished"])
    better = [
        each
        for each in compare(settings_of(ordered))
        if each.setting.runs[0]["config"] == TRIAL and each.holds and each.difference < 0 and not _used(each, best)
    ]
    better.sort(key=lambda each: each.difference)
    return [
        f"{short(each.setting.changes)} made the short recipe better by {100 * -each.difference:.2f} points, and the "
        "best network does without."
        for each in better
    ]


def _used(each: Compared, best: Run) -> bool:
    """Whether a run has one of a trial's settings at least."""
    settings = {name.partition(".")[2]: str(value) for name, value in best.settings.items()}
    return any(settings.get(name) == value for name, value in parse_changes(each.setting.runs[0]["changes"]).items())


def _labels(seen: Looked | None) -> list[str]:
    """What suspected labels let one expect."""
    part = seen.parts.get("label_errors") if seen is not None else None
    suspects = part.numbers.get("suspects") if part is not None else None
    if not suspects:
        return []
    return [
        f"{suspects} of the validation pictures carry a label that the network all but rules out: a look at them tells "
        "whether it is the label or the network that is wrong."
    ]
