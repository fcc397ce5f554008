"""Which classes the network takes for which, and whether some are harder than others."""

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from numpy.typing import NDArray
from scipy import stats

from lit_a1.analysis.part import Part
from lit_a1.analysis.rates import rated
from lit_a1.analysis.subject import Subject
from lit_a1.runs.confidence import wilson
from lit_a1.runs.plotting import COLOURS
from lit_a1.runs.significance import ALPHA
from lit_a1.runs.wording import counted, listed, number

TITLE = "Which classes are confused"
TABLES = 9999  # drawn for the test of more than two classes
COLOUR_MAP, FISHER = "Blues", "Fisher's exact test"


def analyze(subject: Subject, part: Part) -> None:
    """Draws the confusion matrix and the error of each class, and tests whether the classes' errors differ.

    Args:
        subject: the network and its pictures.
        part: to leave figures, tables, numbers and words in.
    """
    matrix = confusion_matrix(subject.labels, subject.answers, len(subject.classes))
    pictures, wrong = matrix.sum(1), matrix.sum(1) - matrix.diagonal()
    p = equal_errors(wrong, pictures)
    _draw_matrix(part, subject.classes, matrix)
    _draw_errors(part, subject.classes, wrong, pictures)
    rows = [[name, *counts] for name, counts in zip(subject.classes, matrix.tolist(), strict=True)]
    part.table("confusion", ["truth", *(f"answer {name}" for name in subject.classes)], rows)
    rows = [
        [name, of, bad, *((bad / of, *wilson(bad / of, of)) if of else (None, None, None))]
        for name, of, bad in zip(subject.classes, pictures.tolist(), wrong.tolist(), strict=True)
    ]
    part.table("confusion_by_class", ["class", "pictures", "mistakes", "error", "low", "high"], rows)
    low, high = wilson(subject.error, len(subject.labels))
    part.number(val_error=subject.error, val_error_low=low, val_error_high=high)
    part.number(mistakes=int(wrong.sum()), pictures=len(subject.labels), equal_errors_p=p)
    for text in describe(subject.classes, matrix, p):
        part.say(text)


def confusion_matrix(labels: NDArray[np.int64], answers: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Counts (K,K): pictures of the row's class that are taken for the column's.

    Args:
        labels: (N,).
        answers: (N,).
        classes: K.
    """
    return np.bincount(labels * classes + answers, minlength=classes**2).reshape(classes, classes)


def equal_errors(wrong: NDArray[np.int64], pictures: NDArray[np.int64]) -> float | None:
    """Probability of errors at least as unequal as these, if every class were equally hard.

    Fisher's exact test for two classes; its extension to more (Freeman & Halton 1951, Biometrika 38) on tables that
    are drawn with a fixed seed.

    Args:
        wrong: (K,) mistakes in each class.
        pictures: (K,) of each class; those without any are left out.

    Returns:
        None where fewer than two classes have pictures.
    """
    held = pictures > 0
    table = np.stack([wrong[held], (pictures - wrong)[held]], 1)
    if len(table) < 2:
        return None
    if not table.sum(0).all():  # all right or all wrong: no other table has these sums
        return 1.0
    if len(table) == 2:
        return float(stats.fisher_exact(table).pvalue)
    tables = stats.random_table(table.sum(1), table.sum(0))
    drawn = tables.logpmf(tables.rvs(TABLES, random_state=np.random.default_rng(0)))
    return float((1 + (drawn <= tables.logpmf(table) + 1e-9).sum()) / (1 + TABLES))  # what is rounded counts as equal


# words


def describe(classes: tuple[str, ...], matrix: NDArray[np.int64], p: float | None) -> list[str]:
    """Says what the matrix and the test show.

    Args:
        classes: names.
        matrix: (K,K), truth by answer.
        p: of `equal_errors`.
    """
    pictures = matrix.sum(1)
    wrong = pictures - matrix.diagonal()
    texts = [f"Of the pictures that were held out it gets {_rate(wrong, pictures)}."]
    held = [k for k in range(len(classes)) if pictures[k]]
    if missing := [name for name, count in zip(classes, pictures, strict=True) if not count]:
        texts.append(f"There is no picture of {listed(missing)} among them.")
    if never := [name for k, name in enumerate(classes) if pictures[k] and not matrix[:, k].any()]:
        texts.append(f"It never answers {listed(never)}.")
    if p is not None and wrong.any():
        texts.append(_compare(classes, wrong, pictures, held, p))
    off = matrix - np.diag(matrix.diagonal())
    if len(held) > 2 and off.any():
        top = int(off.max())
        pairs = [f"{classes[i]} taken for {classes[j]}" for i, j in zip(*np.nonzero(off == top), strict=True)]
        if len(pairs) <= 3:
            each = " each" * (len(pairs) > 1)
            texts.append(f"The most frequent confusion is {listed(pairs)}: {counted(top, 'picture')}{each}.")
    return texts


def _rate(wrong: NDArray[np.int64], pictures: NDArray[np.int64]) -> str:
    bad, of = int(wrong.sum()), int(pictures.sum())
    return f"{bad:,} of {of:,} wrong, {rated(bad / of, of)}"


def _compare(
    classes: tuple[str, ...], wrong: NDArray[np.int64], pictures: NDArray[np.int64], held: list[int], p: float
) -> str:
    order = sorted(held, key=lambda k: wrong[k] / pictures[k])
    worst, best = (f"{classes[k]}, {_rate(wrong[[k]], pictures[[k]])}" for k in (order[-1], order[0]))
    beyond = p < ALPHA
    if len(held) == 2:
        verdict = f"{classes[order[-1]]} is harder beyond noise" if beyond else "the difference is within noise"
        return f"The higher error is that of {worst}, the lower that of {best}: {verdict} ({FISHER}, p = {number(p)})."
    verdict = "do not all have the same error, beyond noise" if beyond else "differ by no more than noise"
    return (
        f"The highest error is that of {worst}, the lowest that of {best}. The {len(held)} classes {verdict} "
        f"({FISHER} over all of them, on {TABLES:,} tables drawn, p = {number(p)})."
    )


# figures


def _draw_matrix(part: Part, classes: tuple[str, ...], matrix: NDArray[np.int64]) -> None:
    few = len(classes) < 4
    caption = (
        "Confusion matrix: a row for what the pictures are, a column for what the network takes them for. Each cell "
        "has the count and its share of the row, which its shade shows, from 0 % (white) to 100 % (dark)."
    )
    size = {"width": 3.9, "height": 3.5} if few else {"width": 6.4, "height": 6.2}
    with part.figure("confusion", caption, shows_pictures=False, **size) as (_, axes):
        shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
        axes.imshow(shares, cmap=COLOUR_MAP, vmin=0, vmax=1)
        for (i, j), count in np.ndenumerate(matrix):
            empty = not matrix[i].any()
            share = "–" if empty else f"{100 * shares[i, j]:.1f} %"  # noqa: RUF001  # nothing to take a share of
            text = f"{count:,}\n{share}" if count or few else f"{count}"
            axes.text(
                j, i, text, ha="center", va="center", fontsize=10 if few else 8, color=_legible(shares[i, j]),
                linespacing=1.3,
            )  # fmt: skip
        ticks = range(len(classes))
        axes.set_xticks(ticks, classes)
        axes.set_yticks(ticks, classes)
        axes.set(xlabel="Answer", ylabel="Truth")
        axes.grid(visible=False)
        axes.spines[:].set_visible(True)


def _legible(share: float) -> str:
    """Black or white, whichever stands out from the shade (luma by Rec. 601)."""
    red, green, blue, _ = colormaps[COLOUR_MAP](share)
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"


def _draw_errors(part: Part, classes: tuple[str, ...], wrong: NDArray[np.int64], pictures: NDArray[np.int64]) -> None:
    caption = (
        "Error of each class with its 95 % interval (Wilson); the dashed line is the error over all pictures. "
        "Look for intervals that the line does not cross."
    )
    height = 1.0 + 0.3 * len(classes)
    with part.figure("confusion_by_class", caption, shows_pictures=False, height=height) as (_, axes):
        _dots(axes, wrong, pictures)
        axes.axvline(100 * wrong.sum() / pictures.sum(), color="black", lw=1, ls="--")
        axes.set_yticks(range(len(classes)), classes)
        axes.set(xlabel="Error (%)", ylim=(len(classes) - 0.5, -0.5))
        axes.set_xlim(left=0)


def _dots(axes: Axes, wrong: NDArray[np.int64], pictures: NDArray[np.int64]) -> None:
    for k, (bad, of) in enumerate(zip(wrong.tolist(), pictures.tolist(), strict=True)):
        if of:
            low, high = wilson(bad / of, of)
            axes.plot([100 * low, 100 * high], [k, k], color=COLOURS[0])
            axes.plot([100 * bad / of], [k], "o", color=COLOURS[0], markersize=6)
