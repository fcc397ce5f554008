"""A comparison in words, every one of which follows from what was measured."""

from collections.abc import Sequence
from statistics import mean, median

from lit_a1.runs.statistics import ALPHA, difference_interval
from lit_a1.runs.wording import clock, counted, listed, number, percent
from lit_a1.studies.comparison.measures import (
    Disagreements,
    Measured,
    Versus,
    all_versus,
    epochs_to,
    seconds_an_epoch,
)
from lit_a1.studies.comparison.robustness import changed
from lit_a1.studies.comparison.runs import MOVING, Weights
from lit_a1.studies.comparison.tables import (
    GOALS,
    baseline,
    errors_of,
    mcnemar_table,
    probability,
    robustness_table,
    seconds_of,
    summary,
)

INTERVALS = (
    "± is the standard deviation over seeds. The t interval says where the mean over very many seeds lies: it holds "
    "the noise of training, on these pictures. Wilson's says what the mean error might be on all such pictures: it "
    "holds the noise of the choice of test pictures, for these networks. Neither holds both."
)
UNKNOWN = "the noise of training is not known from these runs: that takes two of each, not all alike"
PAIRED = (
    "Both networks answer the same pictures, and those that both get right, or both wrong, cancel out: this is a "
    "sharper comparison than two intervals beside each other. It speaks of the two trained networks, not of another "
    "training, which is why it is made for each pair of runs with the same seed (or, where two experiments share no "
    "seed, in the order of their seeds). The tests share their pictures, so that their p values are not independent "
    "and must not be multiplied."
)


def compare(
    measured: Sequence[Measured],
    kinds: Sequence[Disagreements],
    weights: Weights,
    pictures: str,
    ink_lost: float,
    left_out: Sequence[str],
) -> str:
    """The comparison, in Markdown.

    Args:
        measured: the experiments, two at least.
        kinds: pictures that one of a like-for-like pair gets right and the other wrong, both ways.
        weights: that were compared.
        pictures: what they were compared on.
        ink_lost: share of all white that the farthest shift moves out of the test pictures.
        left_out: a sentence for each run that was not used.
    """
    found = all_versus(measured)
    parts = [
        f"# Comparison: {'; '.join(each.label for each in measured)}",
        _compared(measured, weights, pictures),
        "\n".join(["Left out:", "", *(f"- {reason}" for reason in left_out)]) if left_out else "",
        summary(measured, weights),
        INTERVALS,
        "## Test error",
        "\n\n".join(_better(each) for each in found),
        "## McNemar's test",
        PAIRED,
        mcnemar_table(found),
        "## Cost",
        _cost(measured),
        "## How fast",
        _speed(measured),
        "## Overfitting",
        _overfitting(measured, weights),
        "## Shifted, turned, noisy",
        changed(measured, ink_lost),
        robustness_table(measured),
        "## Who reads what",
        _disagreements(kinds),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _compared(measured: Sequence[Measured], weights: Weights, pictures: str) -> str:
    chosen = {
        "last": "the weights as they were after the last epoch: nothing was chosen on the validation pictures",
        "best": "the weights of the epoch with the smallest validation error: chosen on the validation pictures, whose "
        "error they therefore flatter",
    }
    said = [f"Compared on {pictures}, with {chosen[weights]}."]
    for each in measured:
        moves = [f"{name} up to {value:g}" for name, value in each.runs[0].augmentation(MOVING).items()]
        how = f", trained on changed pictures ({', '.join(moves) or 'none of them moved'})" * each.runs[0].augmented
        epochs = listed(sorted({len(run.epochs) for run in each.runs}))
        extras = [f"{name} {value:g}" for name, value in each.runs[0].regularisation.items()]
        means = f", {', '.join(extras)}" * bool(extras)
        runs = f"{counted(len(each.runs), 'run')} of `{each.experiment.name}`, {epochs} epochs"
        said.append(f"{each.label}: {runs}{means}{how}.")
    return " ".join(said)


def _better(each: Versus) -> str:
    """Who makes fewer test errors, by how much, and whether that is more than noise."""
    sign = 1 if each.gain >= 0 else -1
    better, worse = (each.second, each.first)[::sign]
    low, high = mean(better.errors), mean(worse.errors)
    if abs(each.gain) < 1e-9:
        said = [f"{better.label} and {worse.label} make equally many test errors, {percent(low)}."]
    else:
        times = f", {number(high / low)} times as many" if low else ""
        said = [
            f"{better.label} makes fewer test errors than {worse.label}: {percent(low)} against {percent(high)}{times}."
        ]
    if (interval := each.interval) is None:
        said.append(f"{UNKNOWN.capitalize()}.")
    else:
        least, most = sorted(100 * sign * end for end in interval)
        verdict = "is more than the noise of training" if least > 0 else "is within the noise of training"
        said.append(
            f"The difference, {100 * abs(each.gain):.2f} points, {verdict} (95 % interval over seeds {least:.2f} to "
            f"{most:.2f} points, Welch)."
        )
    tests = [pair.test for pair in each.pairs]
    sure = [sign * (test.c - test.b) for test in tests if test.p < ALPHA]
    pairs, against = f"of {counted(len(tests), 'pair')} of runs", sum(balance < 0 for balance in sure)
    said.append(
        f"By McNemar's test it is more than the choice of test pictures explains (p below {ALPHA:g}) in "
        f"{len(sure) - against} {pairs}; median p {probability(median(test.p for test in tests))}."
    )
    if against:
        said.append(f"In {against} {pairs} {worse.label} is better by more than that.")
    return " ".join(said)


def _cost(measured: Sequence[Measured]) -> str:
    """Multiply-adds and seconds, against the MLP where there is one."""
    base = baseline(measured)
    said = [
        "A multiply-add is one product and one sum; those of convolutions and linear layers are counted, norms, "
        "activations, pools and biases are not."
    ]
    for each in measured:
        net = each.runs[0].network
        words = f"{each.label} takes {net.multiply_adds / 1e6:,.2f} million for a picture"
        if base is not None and each.runs[0].kind == "CNN":
            ours = base.runs[0].network
            words += f", {number(net.multiply_adds / ours.multiply_adds)} times those of {base.label}"
            words += f": each parameter is used {number(net.multiply_adds / net.parameters)} times on average"
        said.append(f"{words}.")
    if base is not None and any(each.runs[0].kind == "CNN" for each in measured):
        said.append("A CNN uses the same weights at all positions, an MLP each weight once.")
    made_on = {run.record.get("machine", "unknown") for each in measured for run in each.runs}
    machines = sorted({machine for name in made_on for machine in name.split(" and ")})  # of resumed runs
    for each in measured:
        training, whole = seconds_of(each)
        alone = "training alone not recorded" if training is None else f"{number(training)} s of it training"
        words = f"An epoch of {each.label} took {number(whole)} s ({alone})"
        theirs = 0.0 if base is None or each is base or len(machines) > 1 else seconds_of(base)[1]
        if base is not None and theirs:  # a record has tenths of seconds: very short runs took 0.0
            words += f", {number(whole / theirs)} times as long as one of {base.label}"
        said.append(f"{words}.")
    said.append("The rest is measuring on validation pictures, where asked for on training pictures too, and writing.")
    if len(machines) > 1:
        said.append(f"The runs are from different machines ({'; '.join(machines)}): their times can't be compared.")
    else:
        said.append(f"All on {machines[0]}, where other work may have slowed some of them: medians over runs.")
    return " ".join(said)


def _speed(measured: Sequence[Measured]) -> str:
    """Epochs and seconds until the goals."""
    said = ["Means over runs; in brackets minutes and seconds, their medians, measuring included."]
    for goal in GOALS:
        words = []
        for each in measured:
            found = [(epochs, run) for run in each.runs if (epochs := epochs_to(run, goal)) is not None]
            if not found:
                most = max(len(run.epochs) for run in each.runs)
                words.append(f"{each.label} does not reach it in {counted(most, 'epoch')}")
                continue
            average = mean(epochs for epochs, _ in found)
            seconds = median(epochs * seconds_an_epoch(run)[1] for epochs, run in found)
            some = f" in {len(found)} of {counted(len(each.runs), 'run')}" * (len(found) < len(each.runs))
            words.append(f"{each.label} after {average:.3g} epoch{'s' * (average != 1)} ({clock(seconds)}){some}")
        said.append(f"{100 * goal:g} % of the validation pictures right: {'; '.join(words)}.")
    return " ".join(said)


def _overfitting(measured: Sequence[Measured], weights: Weights) -> str:
    """The gap between training and validation error, and whose is widest."""
    said, gaps = [], []
    for each in measured:
        train, valid = errors_of(each, "train_eval"), errors_of(each, "val")
        if train is None or valid is None:
            said.append(f"{each.label}: the error on the training set, as it was after an epoch, is not recorded.")
            continue
        differences = [b - a for a, b in zip(train, valid, strict=True)]
        gaps.append((each, differences))
        said.append(
            f"{each.label}: {percent(mean(train))} of the training and {percent(mean(valid))} of the validation "
            f"pictures are wrong, a gap of {100 * mean(differences):.2f} points."
        )
    gaps.sort(key=lambda gap: -mean(gap[1]))
    if len(gaps) > 1:
        (first, wide), (second, narrow) = gaps[:2]
        interval = difference_interval(narrow, wide)
        if interval is None:
            sure = UNKNOWN
        else:
            sure = "by more than the noise of training" if interval.low > 0 else "but within the noise of training"
        said.append(f"{first.label} has the widest gap; that of {second.label}, the next, is narrower: {sure}.")
    return " ".join(said)


def _disagreements(kinds: Sequence[Disagreements]) -> str:
    """How many pictures one alone reads."""
    said = [
        f"{each.right.label} right and {each.wrong.label} wrong: {counted(len(each.unanimous), 'test picture')} in all "
        f"runs of both, and {len(each.most)} more in most runs of both."
        for each in kinds
    ]
    right, wrong = kinds[0].right, kinds[0].wrong
    hard = int((~right.right.any(axis=0) & ~wrong.right.any(axis=0)).sum())
    said.append(f"{counted(hard, 'picture')} {'is' if hard == 1 else 'are'} wrong in all runs of both.")
    return " ".join(said)
