"""What could help further: read off the runs, and what was never tried."""

from collections.abc import Sequence

from lit_a1.analysis.comparison_runs import Run
from lit_a1.confidence import wilson
from lit_a1.report.document import Section, Text
from lit_a1.report.gather import Gathered
from lit_a1.report.trials import ENSEMBLE, TRIAL, Compared, Row, compare, parse_changes, settings_of, short
from lit_a1.report.tried import NOT_DONE
from lit_a1.wording import percent

ROOM = 1.5  # times as many errors in validation as in training, from which on regularisation is what is missing


def further(found: Gathered, best: Run | None, rows: Sequence[Row]) -> Section:
    """The section.

    Args:
        found: what has been run.
        best: the best run of a single network.
        rows: of all runs of Cats vs Dogs.
    """
    section = Section("What could help further", "catsdogs-further")
    items = [*_gap(best), *_noise(best), *_ensemble(found), *_ideas(best, rows), *_analysis(found, best)]
    if items:
        section.blocks += [Text("Read off the runs:"), Text("\n".join(f"- {item}" for item in items))]
    section.blocks += [Text("Not done:"), Text("\n".join(f"- {item}" for item in NOT_DONE))]
    return section


def _gap(best: Run | None) -> list[str]:
    """Whether more regularisation or more capacity is missing."""
    last = best.record["last"] if best is not None else {}
    part = "train_eval" if "train_eval/error" in last else "train"
    if "val/error" not in last or f"{part}/error" not in last:
        return []
    train, valid = last[f"{part}/error"], last["val/error"]
    mixed = best is not None and best.augmentation(("mixup", "cutmix"))
    if part == "train" and mixed:
        return [
            f"The training error, {percent(train)}, is that of mixed pictures, and does not say how well the others "
            "are known."
        ]
    if valid > ROOM * train:
        return [
            f"{percent(train)} of the training and {percent(valid)} of the validation pictures are wrong at the end: "
            "the network can learn more than carries over, so that more data, augmentation or regularisation is what "
            "could help, rather than a larger network."
        ]
    return [
        f"{percent(train)} of the training and {percent(valid)} of the validation pictures are wrong at the end: the "
        "network has not learnt the training pictures much better than others, so that a larger network or more epochs "
        "could help."
    ]


def _noise(best: Run | None) -> list[str]:
    """How much of a gain could be seen at all."""
    if best is None or "val/error" not in best.record["last"]:
        return []
    error, count = best.record["last"]["val/error"], best.record["pictures"]["val"]
    low, high = wilson(error, count)
    return [
        f"{count:,} validation pictures tell an error of {percent(error)} to within {percent(low)} to {percent(high)} "
        "(95 %): a gain of a few tenths of a point needs several seeds, or more pictures held out, to be told from "
        "chance."
    ]


def _ensemble(found: Gathered) -> list[str]:
    runs = [run for run in found.trainings(ENSEMBLE) if run.record.get("members")]
    if not runs:
        return []
    record = runs[-1].record
    best, error = min(member["val/error"] for member in record["members"]), record["last"]["val/error"]
    if error >= best:
        return [f"An ensemble of {len(record['members'])} did not help: {percent(error)} against {percent(best)}."]
    return [
        f"An ensemble of {len(record['members'])} has an error of {percent(error)}, its best member {percent(best)}: "
        "networks trained apart make different mistakes. More members could go on there, or one network that learns "
        "from them."
    ]


def _ideas(best: Run | None, rows: Sequence[Row]) -> list[str]:
    """Changes that made the short recipe better and that the best run does not have."""
    ordered = sorted(rows, key=lambda row: row["finished"])
    better = [
        each
        for each in compare(settings_of(ordered))
        if each.setting.runs[0]["config"] == TRIAL and each.verdict == "better" and not _used(each, best)
    ]
    better.sort(key=lambda each: each.difference)
    return [
        f"{short(each.setting.changes)} made the short recipe better by {100 * -each.difference:.2f} points, and the "
        "best network does without."
        for each in better
    ]


def _used(each: Compared, best: Run | None) -> bool:
    """Whether a run has all settings of a trial."""
    settings = {} if best is None else {name.partition(".")[2]: str(value) for name, value in best.settings.items()}
    wanted = parse_changes(each.setting.runs[0]["changes"])
    return all(settings.get(name) == value for name, value in wanted.items())


def _analysis(found: Gathered, best: Run | None) -> list[str]:
    """What the calibration and the suspected labels let one expect."""
    looked = found.looked(best.folder) if best is not None else None
    if looked is None:
        return []
    said = []
    suspects = looked.parts.get("label_errors", {}).get("numbers", {}).get("suspects")
    if suspects:
        said.append(
            f"{suspects} of the validation pictures are suspected to carry a wrong label: no training removes these."
        )
    return said
