"""Whether mistakes go with what pictures are like: brightness, contrast, sharpness and share of foreground."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator
from numpy.typing import NDArray
from scipy import stats

from lit_a1.analysis.part import Part
from lit_a1.analysis.picture_measures import measure
from lit_a1.analysis.subject import Subject
from lit_a1.runs.confidence import Z, wilson
from lit_a1.runs.plotting import COLOURS
from lit_a1.runs.significance import ALPHA, holm
from lit_a1.runs.wording import counted, listed, number, percent, table

TITLE = "What makes pictures hard"
BINS, LEAST = 6, 5  # bins at most; pictures that a bin should have
AXES = {
    "brightness": "Brightness (mean luma)",
    "contrast": "Contrast (std of luma)",
    "sharpness": "Sharpness (variance of Laplacian)",
    "foreground": "Share of foreground (proxy of size)",
}
NAMES = {name: "share of foreground" if name == "foreground" else name for name in AXES}


class Trend(NamedTuple):
    """How a quantity differs between pictures that are told wrong and those that are told right."""

    chance: float
    """That a wrong picture has more of it than a right one, ties counting half; 0.5 where it does not matter."""
    low: float | None
    """95 % interval; None where either kind has fewer than two pictures."""
    high: float | None
    p: float
    """Mann-Whitney's, two-sided."""


class Bin(NamedTuple):
    """Pictures with about equally much of a quantity."""

    low: float
    high: float
    middle: float
    """The median."""
    pictures: int
    mistakes: int


def analyze(subject: Subject, part: Part) -> None:
    """Draws the error against four quantities of the pictures, and tests which of them go with mistakes.

    Args:
        subject: the network and its pictures.
        part: to leave figures, tables, numbers and words in.
    """
    values = measure(subject.pictures)._asdict()
    bins = {name: equal_bins(each, ~subject.right) for name, each in values.items()}
    _draw(part, bins, subject)
    header = ["index", "truth", "right", *values]
    truth = [subject.classes[label] for label in subject.labels]
    columns = (subject.indices, truth, subject.right.astype(int), *values.values())
    part.table("conditions", header, zip(*columns, strict=True))
    rows = [
        [name, *each, each.mistakes / each.pictures, *wilson(each.mistakes / each.pictures, each.pictures)]
        for name, found in bins.items()
        for each in found
    ]
    part.table("conditions_bins", ["quantity", *Bin._fields, "error", "error_low", "error_high"], rows)
    trends = {name: found for name, each in values.items() if (found := trend(each, ~subject.right))}
    corrected = dict(zip(trends, holm([each.p for each in trends.values()]), strict=True))
    for name, found in trends.items():
        part.number(**{f"{name}_chance": found.chance, f"{name}_p": found.p, f"{name}_p_holm": corrected[name]})
    _describe(part, subject, trends, corrected)
    _say_what_is_shared(part, values)


def equal_bins(values: NDArray[np.float64], wrong: NDArray[np.bool_]) -> list[Bin]:
    """Cuts pictures at the quantiles of a quantity into about equally many; equal values stay together.

    Args:
        values: (N,) of the quantity.
        wrong: (N,).
    """
    count = max(1, min(BINS, len(values) // LEAST))
    edges = np.quantile(values, np.arange(1, count) / count)
    place = np.searchsorted(edges, values, side="right")
    found = []
    for k in np.unique(place):
        inside = values[place == k]
        bad = int(wrong[place == k].sum())
        found.append(Bin(float(inside.min()), float(inside.max()), float(np.median(inside)), len(inside), bad))
    return found


def trend(values: NDArray[np.float64], wrong: NDArray[np.bool_]) -> Trend | None:
    """Compares a quantity between wrong and right pictures, without bins.

    The test is Mann & Whitney's (1947); its U over the number of pairs is the area under the ROC curve. The interval
    is that of DeLong et al. (1988, Biometrics 44), cut to [0,1].

    Args:
        values: (N,) of the quantity.
        wrong: (N,).

    Returns:
        None where all pictures are right or all are wrong.
    """
    bad, good = values[wrong], values[~wrong]
    if not len(bad) or not len(good):
        return None
    if values.min() == values.max():
        return Trend(0.5, None, None, 1.0)
    result = stats.mannwhitneyu(bad, good)
    chance = float(result.statistic) / (len(bad) * len(good))
    if min(len(bad), len(good)) < 2:
        return Trend(chance, None, None, float(result.pvalue))
    variance = _placements(bad, good).var(ddof=1) / len(bad) + _placements(good, bad).var(ddof=1) / len(good)
    half = Z * float(np.sqrt(variance))
    return Trend(chance, max(0.0, chance - half), min(1.0, chance + half), float(result.pvalue))


def _placements(values: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of `others` that each value is larger than, equal ones counting half."""
    ordered = np.sort(others)
    return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / (2 * len(others))


# words and figure


def _describe(part: Part, subject: Subject, trends: dict[str, Trend], corrected: dict[str, float]) -> None:
    wrong, count = int((~subject.right).sum()), len(subject.right)
    if not trends:
        which = "right" if not wrong else "wrong"
        part.say(f"All of the {counted(count, 'picture')} are told {which}: there is nothing to compare them with.")
        return
    part.say(
        f"The {counted(wrong, 'picture')} that it gets wrong are compared with the {count - wrong:,} that it gets "
        "right, without bins. The table gives the chance that one of the former has more of a quantity than one of "
        "the latter, 50 % where it does not matter, and p by Mann-Whitney's test, corrected for the number of tests "
        "(Holm). "
        "The test tells more from less; it would miss a middle that is easier than both ends."
    )
    rows = [["Quantity", "Chance of more", "95 % interval", "p, corrected"]]
    for name, found in trends.items():
        interval = "–" if found.low is None or found.high is None else f"{percent(found.low)} to {percent(found.high)}"  # noqa: RUF001
        rows.append([NAMES[name].capitalize(), percent(found.chance), interval, number(corrected[name])])
    part.say(table(rows))
    clear = {name: found.chance > 0.5 for name, found in trends.items() if corrected[name] < ALPHA}
    sides = {
        "more": [NAMES[name] for name, more in clear.items() if more],
        "less": [NAMES[name] for name, more in clear.items() if not more],
    }
    if clear:
        both = " and ".join(f"{side} {listed(names)}" for side, names in sides.items() if names)
        part.say(f"Beyond noise, the pictures that it gets wrong have {both} than those it gets right.")
    else:
        part.say("None of the quantities differs between wrong and right pictures by more than noise.")


def _say_what_is_shared(part: Part, values: dict[str, NDArray[np.float64]]) -> None:
    """The two quantities that go together most, and what the share of foreground is worth."""
    varied = [name for name, each in values.items() if each.min() < each.max()]
    pairs = [(a, b) for k, a in enumerate(varied) for b in varied[k + 1 :]]
    if pairs and len(values["brightness"]) > 2:
        found = {pair: float(stats.spearmanr(values[pair[0]], values[pair[1]]).statistic) for pair in pairs}
        (a, b), most = max(found.items(), key=lambda item: abs(item[1]))
        part.number(largest_correlation=most)
        part.say(
            f"The quantities are not independent of each other: {NAMES[a]} and {NAMES[b]} go together most (Spearman's "
            f"correlation {most:.2f}). That mistakes go with one of them does not say that it causes them."
        )
    part.say(
        "The share of foreground is a proxy for the size of what is shown, since the data have no boxes: the share of "
        "pixels whose colour differs from the border's median by more than Otsu's threshold. It is misled by a "
        "background that is not plain, and by an object that reaches the border."
    )


def _draw(part: Part, bins: dict[str, list[Bin]], subject: Subject) -> None:
    caption = (
        "Error against what pictures are like, in bins of about equally many pictures: each dot is at the median of "
        "its bin, with the 95 % interval of its error (Wilson); the dashed line is the error over all pictures. Luma "
        "(Rec. 601) goes from 0 to 1; sharpness is on a logarithmic scale."
    )
    layout = {"height": 5.0, "nrows": 2, "ncols": 2, "sharey": True}
    with part.figure("conditions", caption, shows_pictures=False, **layout) as (_, panels):
        for axes, (name, found) in zip(panels.flat, bins.items(), strict=True):
            _draw_bins(axes, found)
            axes.axhline(100 * subject.error, color="black", lw=1, ls="--")
            axes.set_xlabel(AXES[name])
            if name == "sharpness" and min(each.middle for each in found) > 0:
                axes.set_xscale("log")
                ticks = np.geomspace(found[0].middle, found[-1].middle, 4 if len(found) > 1 else 1)
                axes.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
                axes.xaxis.set_minor_locator(NullLocator())
            else:
                axes.xaxis.set_major_locator(MaxNLocator(5))
        for axes in panels[:, 0]:
            axes.set_ylabel("Error (%)")
        panels[0, 0].set_ylim(bottom=0)


def _draw_bins(axes: Axes, found: list[Bin]) -> None:
    shares = [each.mistakes / each.pictures for each in found]
    for each, share in zip(found, shares, strict=True):
        low, high = wilson(share, each.pictures)
        axes.plot([each.middle, each.middle], [100 * low, 100 * high], color=COLOURS[0])
    axes.plot([each.middle for each in found], [100 * share for share in shares], "o", color=COLOURS[0], markersize=6)
