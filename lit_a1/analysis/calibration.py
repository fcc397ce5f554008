"""Whether the probabilities that the network states are true, and what a temperature mends."""

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from lit_a1.analysis import calibration_measures as measures
from lit_a1.analysis.part import Part
from lit_a1.analysis.rates import rated
from lit_a1.analysis.subject import Subject
from lit_a1.runs.confidence import wilson
from lit_a1.runs.plotting import COLOURS, MARKERS
from lit_a1.runs.significance import ALPHA
from lit_a1.runs.wording import counted, number, percent, table

TITLE = "Are its probabilities true?"
LEAST = 4  # pictures to fit a temperature on one half and measure it on the other


def analyze(subject: Subject, part: Part) -> None:
    """Draws the reliability diagram, measures the calibration error against chance, and fits a temperature.

    Args:
        subject: the network and its pictures.
        part: to leave figures, tables, numbers and words in.
    """
    stated = subject.log_probabilities.astype(np.float64)
    fitted, shown = measures.halves(subject.labels)
    enough = len(subject.labels) >= LEAST
    temperature = measures.fit_temperature(stated[fitted], subject.labels[fitted]) if enough else None
    everything = np.arange(len(subject.labels))
    lines = [("all pictures, as it is", _bins(subject, stated, everything))]
    if temperature is not None:
        after = measures.scaled(stated, temperature)
        lines += [("other half, as it is", _bins(subject, stated, shown))]
        lines += [("other half, with the temperature", _bins(subject, after, shown))]
    _draw(part, lines, len(subject.classes))
    rows = [[name, *each, *wilson(each.right, each.pictures)] for name, bins in lines for each in bins]
    part.table("calibration", ["pictures of", *measures.Bin._fields, "right_low", "right_high"], rows)
    _describe(subject, part, stated)
    if temperature is None:
        part.say(f"There are too few pictures to fit a temperature: {LEAST} at least are needed.")
    else:
        _describe_temperature(subject, part, stated, temperature)


def _bins(subject: Subject, log_probabilities: measures.Floats, rows: NDArray[np.int64]) -> list[measures.Bin]:
    return measures.reliability(np.exp(log_probabilities[rows].max(1)), subject.right[rows])


# words


def _describe(subject: Subject, part: Part, stated: measures.Floats) -> None:
    sure, count = np.exp(stated.max(1)), len(subject.labels)
    right, mean = float(subject.right.mean()), float(sure.mean())
    found = measures.score(stated, subject.labels)
    chance = measures.by_chance(sure)
    p_ece = _rank(chance.ece >= found.ece)
    p_mean = min(1.0, 2 * min(_rank(chance.right >= right), _rank(chance.right <= right)))
    usual = float(chance.ece.mean())
    part.number(ece=found.ece, ece_by_chance=usual, ece_p=p_ece, nll=found.nll, brier=found.brier)
    part.number(accuracy=right, mean_probability=mean, mean_probability_p=p_mean)
    between = np.quantile(chance.right, (0.025, 0.975))
    verdict = "no more than noise"
    if p_mean < ALPHA:
        verdict = f"{'under' if right > mean else 'over'}confident on average, beyond noise"
    part.say(
        f"It gives its answers a probability of {percent(mean)} on average; of {counted(count, 'picture')} it "
        f"gets {rated(right, count)} right. Were each of its probabilities true, between {percent(between[0])} and "
        f"{percent(between[1])} would be right in 95 % of {measures.DRAWS:,} sets of labels drawn from them "
        f"(p = {number(p_mean)}): {verdict}."
    )
    verdict = "more than noise" if p_ece < ALPHA else "no more than noise"
    part.say(
        f"The expected calibration error, in {measures.BINS} bins of equal width, is {percent(found.ece)}. Perfectly "
        f"calibrated answers would show {percent(usual)} on average on as many pictures, by chance alone, and at "
        f"most {percent(float(np.quantile(chance.ece, 0.95)))} in 95 % of the draws (p = {number(p_ece)}): {verdict}."
    )
    part.say(
        f"Its negative log-likelihood is {number(found.nll)} nats, its Brier score {number(found.brier)} (summed over "
        f"the classes: 0 is perfect, 2 the worst). {_smoothing(subject)}"
    )


def _rank(as_extreme: NDArray[np.bool_]) -> float:
    """Probability of what was measured, from draws: itself counts as one of them."""
    return float((1 + as_extreme.sum()) / (1 + len(as_extreme)))


def _smoothing(subject: Subject) -> str:
    share = subject.model.loss.label_smoothing
    if not share:
        return "It was trained without label smoothing."
    target = 1 - share + share / len(subject.classes)
    return f"It was trained with label smoothing {number(share)}, which leaves {percent(target)} to a picture's label."


def _describe_temperature(subject: Subject, part: Part, stated: measures.Floats, temperature: float) -> None:
    fitted, shown = measures.halves(subject.labels)
    labels, before = subject.labels[shown], stated[shown]
    after = measures.scaled(before, temperature)
    change = measures.likelihoods(after, labels) - measures.likelihoods(before, labels)
    low, high = measures.mean_interval(change)
    scores = {"as it is": measures.score(before, labels), "with the temperature": measures.score(after, labels)}
    part.number(temperature=temperature, nll_change=change.mean(), nll_change_low=low, nll_change_high=high)
    for name, each in zip(("before", "after"), scores.values(), strict=True):
        part.number(**{f"{measure}_{name}": value for measure, value in each._asdict().items()})
    kind = "below 1, which makes its answers surer" if temperature < 1 else "above 1, which makes them less sure"
    edge = ""
    if temperature in (measures.COLDEST, measures.HOTTEST):
        edge = ", at the edge of what was searched"
    part.say(
        f"The temperature that makes the log-likelihood of {counted(len(fitted), 'picture')} largest is "
        f"{number(temperature)} ({kind}{edge}). It divides the log-probabilities that the network is validated "
        f"with, averaged over its views, and never changes an answer. On the other {counted(len(shown), 'picture')}:"
    )
    rows = [["", "NLL (nats)", "ECE", "Brier score"]]
    rows += [[name, number(each.nll), percent(each.ece), number(each.brier)] for name, each in scores.items()]
    part.say(table(rows))
    effect = "better" if change.mean() < 0 else "worse"
    verdict = f"{effect} beyond noise" if low > 0 or high < 0 else "no change beyond noise"
    part.say(
        f"The negative log-likelihood changes by {number(float(change.mean()))} nats (95 % interval {number(low)} to "
        f"{number(high)}, paired bootstrap over these pictures, for this temperature): {verdict}."
    )


# figure


def _draw(part: Part, lines: list[tuple[str, list[measures.Bin]]], classes: int) -> None:
    caption = (
        "Reliability diagram. Above: the share of right answers against the probability that the network gives them, "
        f"in {measures.BINS} bins of equal width, with 95 % intervals (Wilson); true probabilities lie on the dashed "
        "line, and above it the network is less sure than it is right. Below: pictures in each bin, on a logarithmic "
        "scale."
    )
    if len(lines) > 1:
        caption += " Left: all pictures. Right: the half that the temperature was not fitted on, without and with it."
    columns = 2 if len(lines) > 1 else 1
    layout = {"nrows": 2, "ncols": columns, "sharex": True, "sharey": "row", "squeeze": False}
    width, grid = (6.4 if columns == 2 else 3.6), {"height_ratios": [2.4, 1]}
    kept = part.figure(
        "calibration", caption, shows_pictures=False, width=width, height=4.8, gridspec_kw=grid, **layout
    )
    with kept as (_, panels):
        for place, (name, bins) in enumerate(lines):
            column, look = min(place, 1), int(place == 2)
            _draw_bins(panels[0, column], bins, look, name.split(", ")[1])
            edges = [each.low for each in bins]
            counts = [each.pictures for each in bins]
            style = {"facecolor": "none", "edgecolor": COLOURS[look], "linewidth": 1.4}
            panels[1, column].bar(edges, counts, width=1 / measures.BINS, align="edge", **style)
        all_of_them = lines[0][1]
        under = sum(each.pictures * (each.right - each.probability) for each in all_of_them) > 0
        corner = "lower right" if under else "upper left"  # where fewer points are
        for column in range(columns):
            panels[0, column].plot([0, 1], [0, 1], "--", color="black", lw=1)
            panels[0, column].legend(loc=corner, fontsize=9)
            panels[0, column].set_title(("All pictures", "The other half")[column], fontsize=10)
            panels[1, column].set(xlabel="Probability of the answer", yscale="log")
            panels[1, column].set_ylim(bottom=0.7)
        first = int(measures.BINS / classes) / measures.BINS  # no answer is below 1 / classes
        panels[0, 0].set(ylabel="Share right", ylim=(-0.03, 1.03), xlim=(first, 1.02))
        panels[1, 0].set_ylabel("Pictures")


def _draw_bins(axes: Axes, bins: list[measures.Bin], look: int, label: str) -> None:
    colour = COLOURS[look]
    for each in bins:
        axes.plot([each.probability] * 2, wilson(each.right, each.pictures), color=colour, lw=1.2)
    points = ([each.probability for each in bins], [each.right for each in bins])
    axes.plot(*points, MARKERS[look], color=colour, label=label, markersize=5)
