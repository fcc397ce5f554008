"""Comparisons that a report draws from records: training against validation, an ensemble against its members."""

from collections.abc import Sequence
from statistics import mean
from typing import NamedTuple

from scipy import stats

from lit_a1.report.gather import Gathered, source_of
from lit_a1.report.trials import ENSEMBLE
from lit_a1.runs.confidence import wilson
from lit_a1.runs.significance import ALPHA
from lit_a1.runs.wording import counted, percent
from lit_a1.studies.comparison.runs import Run
from lit_a1.studies.comparison.tables import probability


class Gap(NamedTuple):
    """Errors of the last epoch, means over runs."""

    train: float
    valid: float
    comparable: bool
    """The training pictures were measured as those of validation are, and are not harder."""
    overfits: bool
    """Fewer training pictures are wrong than the choice of validation pictures explains."""


def gap(runs: Sequence[Run]) -> Gap | None:
    """Training against validation; None where the last epoch was not measured.

    Args:
        runs: of one recipe.
    """
    ends = [run.record["last"] for run in runs]
    exact = bool(ends) and all("train_eval/error" in row for row in ends)
    part = "train_eval/error" if exact else "train/error"
    if not ends or any(name not in row for row in ends for name in (part, "val/error")):
        return None
    train, valid = (mean(row[name] for row in ends) for name in (part, "val/error"))
    harder = any(run.augmented or run.augmentation(("mixup", "cutmix")) or _dropped(run) for run in runs)
    low, _ = wilson(valid, runs[0].record["pictures"]["val"])
    return Gap(train, valid, exact or not harder, train < low)


def _dropped(run: Run) -> bool:
    """Whether training left parts of the network out."""
    return any(run.settings.get(f"model.{name}") for name in ("dropout", "input_dropout", "stochastic_depth"))


def gap_in_words(runs: Sequence[Run]) -> str:
    """Whether the networks know the training pictures better than others, and whether the loss still falls."""
    found = gap(runs)
    if found is None:
        return "The last epoch was not validated."
    errors = f"{percent(found.train)} of the training and {percent(found.valid)} of the validation pictures"
    if not found.comparable:
        said = [
            f"In the last epoch {errors} were wrong. The former were measured as training ran, on pictures that "
            "augmentation makes harder or with parts of the network left out: the two can't be compared."
        ]
    else:
        verdict = (
            "the network overfits by more than the choice of validation pictures explains"
            if found.overfits
            else "no more than the choice of validation pictures explains"
        )
        points = 100 * (found.valid - found.train)
        said = [f"At the end {errors} are wrong, a gap of {points:+.2f} points: {verdict}."]
    measured = [row for row in runs[0].epochs if "val/loss" in row and "val/error" in row] if len(runs) == 1 else []
    if len(measured) > 1:
        low, last = min(measured, key=lambda row: row["val/loss"]), measured[-1]
        if low is last:
            said.append("The validation loss is smallest in the last epoch that was measured.")
        else:
            said.append(
                f"The validation loss is smallest after epoch {int(low['epoch']) + 1}, {low['val/loss']:.4f}, and "
                f"{last['val/loss']:.4f} at the end, while the validation error goes from {percent(low['val/error'])} "
                f"to {percent(last['val/error'])}."
            )
    return " ".join(said)


class Joint(NamedTuple):
    """An ensemble against the best of its members, on the same pictures."""

    run: Run
    members: int
    error: float
    best: float
    """Error of the best member."""
    p: float
    """Two-sided, by Fisher's exact test: the errors are of the same pictures, so that it overstates the noise."""

    @property
    def beyond_noise(self) -> bool:
        """Whether the difference is more than noise."""
        return self.p < ALPHA


def joint(found: Gathered) -> Joint | None:
    """The newest ensemble that was measured; None where there is none."""
    for run in reversed(found.trainings(ENSEMBLE)):
        members = run.record.get("members")
        members = [each for each in members if isinstance(each, dict)] if isinstance(members, list) else []
        errors = [error for each in members if isinstance(error := each.get("val/error"), float)]
        if not errors or "val/error" not in run.record["last"]:
            continue
        error, best, count = run.record["last"]["val/error"], min(errors), run.record["pictures"]["val"]
        wrong = [round(share * count) for share in (error, best)]
        p = float(stats.fisher_exact([[each, count - each] for each in wrong]).pvalue)
        return Joint(run, len(errors), error, best, p)
    return None


def joint_in_words(found: Joint) -> str:
    """How many mistakes fewer it makes, and whether that is noise."""
    pictures = found.run.record["pictures"]["val"]
    difference = round((found.best - found.error) * pictures)
    side = "fewer" if difference > 0 else "more"
    verdict = "more than noise" if found.beyond_noise else "a difference inside the noise"
    fewer = f"{counted(abs(difference), 'mistake')} {side}"
    return (
        f"The mean of {counted(found.members, 'network')} gets {percent(found.error)} of {pictures:,} validation "
        f"photos wrong; the best of them alone, {percent(found.best)}: {fewer}, {verdict} (Fisher's exact test, p "
        f"{probability(found.p)}, which overstates the noise of networks that see the same photos). Its members are "
        "the best epochs of their runs, chosen on these photos. "
        f"Source: {source_of(found.run.folder, found.run.record)}."
    )
