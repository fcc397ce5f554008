"""What changes of the pictures do to the networks of a comparison, in words that follow from the numbers."""

from collections.abc import Sequence
from statistics import mean

from lit_a1.runs.wording import listed, number, percent
from lit_a1.studies.comparison.changes import KINDS
from lit_a1.studies.comparison.measures import Measured, like_for_like
from lit_a1.studies.comparison.runs import MOVING
from lit_a1.studies.comparison.tables import UNITS

EXPECTED = {
    "shift": "That is what a CNN's prior knowledge lets one expect: the same weights at all positions, filters that "
    "see a small part, and means over positions make a moved stroke look much the same; an MLP has other weights for "
    "every pixel. Which of these does how much is not told by these numbers.",
    "rotation": "Weight sharing, local filters and means over positions say nothing of turns as such; but a turn by a "
    "small angle shifts each part of a digit a little and hardly turns it.",
    "noise": "Nothing in a CNN's prior knowledge is made for noise in single pixels, so that this had to be measured.",
}
UNEXPECTED = {
    "shift": "That is the opposite of what weight sharing, local filters and means over positions let one expect.",
    "rotation": "Weight sharing and local filters say nothing of turns as such.",
    "noise": "A CNN's prior knowledge, that strokes can be anywhere, is no help against noise in single pixels.",
}


def changed(measured: Sequence[Measured], ink_lost: float) -> str:
    """What shifts, turns and noise do to each, and which of a like-for-like pair stands them better.

    Args:
        measured: the experiments, two at least.
        ink_lost: share of all white that the farthest shift moves out of the test pictures.
    """
    first, second = like_for_like(measured)
    said = [
        "Errors on the test pictures after a change: moved by whole pixels in the four directions, turned either way, "
        "or with Gaussian noise (the same for all networks), clipped to what a pixel can be. Uncovered pixels are "
        f"black. The farthest shift moves {percent(ink_lost)} of the white out of the pictures."
    ]
    paragraphs = []
    for kind, levels in KINDS.items():
        names = listed(f"{level:g}{UNITS[kind]}" for level in levels)
        lines = [f"{kind.capitalize()} ({names}):"]
        for each in measured:
            errors = listed(percent(mean(each.errors_at(kind, level))) for level in levels)
            lines.append(f"{each.label} {errors}, from {percent(mean(each.errors))};")
        lines[-1] = lines[-1].removesuffix(";") + "."
        if all(mean(second.errors_at(kind, level)) for level in (0, *levels)):
            ratios = listed(_ratio(first, second, kind, level) for level in levels)
            lines.append(
                f"{first.label} makes {ratios} times as many errors as {second.label}, and on unchanged pictures "
                f"{_ratio(first, second, kind, 0)} times as many."
            )
        paragraphs.append(" ".join([*lines, _tolerance(first, second, kind)]))
    paragraphs += [_practice(each) for each in measured]
    return "\n\n".join(filter(None, [*said, *paragraphs]))


def _practice(each: Measured) -> str:
    """What an experiment's training has in common with the changes."""
    run, said = each.runs[0], ""
    if shown := run.augmentation(MOVING):
        limits = listed(f"{name} up to {value:g}{UNITS[name]}" for name, value in shown.items())
        said = (
            f"{each.label} was trained on digits that were changed ({limits}): what it stands of that was practised, "
            "not only built in."
        )
    if dropped := run.settings.get("model.input_dropout"):
        said += f" {each.label} was trained with {100 * dropped:g} % of the pixels left out: practice for noise."
    return said.strip()


def _ratio(first: Measured, second: Measured, kind: str, level: float) -> str:
    return number(mean(first.errors_at(kind, level)) / mean(second.errors_at(kind, level)))


def _tolerance(first: Measured, second: Measured, kind: str) -> str:
    """Which of two loses less by a change, level by level; tied to prior knowledge where it is MLP against CNN."""
    levels = KINDS[kind]
    added = [
        [[changed - clean for changed, clean in zip(each.errors_at(kind, level), each.errors, strict=True)]
         for each in (first, second)]
        for level in levels
    ]  # fmt: skip
    fewer = sum(max(other) < min(one) for one, other in added)  # the second loses less in every run
    more = sum(max(one) < min(other) for one, other in added)
    built = (first.runs[0].kind, second.runs[0].kind) == ("MLP", "CNN")
    like = built and not first.runs[0].augmented and not second.runs[0].augmented
    for count, gains, loses, why in ((fewer, second, first, EXPECTED), (more, first, second, UNEXPECTED)):
        if count == len(levels):
            said = f"At every level the change adds fewer errors to every run of {gains.label} than to any of "
            return f"{said}{loses.label}. {why[kind] if like else ''}".rstrip()
    rest = "; elsewhere the runs overlap" * (fewer + more < len(levels))
    return (
        f"The change adds fewer errors to every run of {second.label} than to any of {first.label} at {fewer} of "
        f"{len(levels)} levels, the other way round at {more}{rest}."
    )
