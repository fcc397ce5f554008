"""Which classes the network confuses, and whether some are harder than others."""

import numpy as np
import pandas as pd
from matplotlib import colormaps
from scipy import stats

from lit_a1.analysis.intervals import error_bars, wilson_intervals
from lit_a1.analysis.network import Ints, TrainedNetwork
from lit_a1.analysis.result import AnalysisResult
from lit_a1.data.colour import LUMA
from lit_a1.runs.statistics import ALPHA, wilson

TITLE = "Which classes are confused"
TABLES = 9999  # sampled for the test of more than two classes


def analyze(network: TrainedNetwork, result: AnalysisResult) -> None:
    """Draws the confusion matrix and the error of each class, and tests whether the classes' errors differ."""
    classes = network.classes
    codes = network.labels * len(classes) + network.predictions
    matrix = np.bincount(codes, minlength=len(classes) ** 2).reshape(len(classes), len(classes))  # label by prediction
    images, wrong = matrix.sum(1), matrix.sum(1) - matrix.diagonal()
    _draw_matrix(result, classes, matrix)
    result.table(
        "confusion", {"truth": classes, **{f"prediction {name}": matrix[:, k] for k, name in enumerate(classes)}}
    )
    by_class = pd.DataFrame({"class": classes, "images": images, "mistakes": wrong})
    present = images > 0
    by_class.loc[present, "error"] = by_class.mistakes / by_class.images
    intervals = wilson_intervals(by_class.error[present], by_class.images[present])
    by_class.loc[present, ["low", "high"]] = np.transpose(intervals)
    result.table("confusion_by_class", by_class)
    _draw_errors(result, by_class, network.error)
    low, high = wilson(network.error, len(network.labels))
    result.number(val_error=network.error, val_error_low=low, val_error_high=high)
    result.number(mistakes=wrong.sum(), images=len(network.labels), equal_errors_p=equal_errors(wrong, images))

    off_diagonal = matrix - np.diag(matrix.diagonal())
    largest = int(off_diagonal.max())
    never_predicted = network.names(np.flatnonzero(present & (matrix.sum(0) == 0)))
    facts = {"missing": network.names(np.flatnonzero(~present)), "never_predicted": never_predicted, "largest": largest}
    facts |= {"present": by_class[present].sort_values("error", kind="stable").to_dict("records")}
    confused = [f"{classes[i]} taken for {classes[j]}" for i, j in np.argwhere(off_diagonal == largest) if largest]
    result.describe(alpha=ALPHA, tables=TABLES, confused=confused, **facts)


def equal_errors(wrong: Ints, images: Ints) -> float | None:
    """P-value of mistakes (K,) among images (K,) of each class, if every class were equally hard.

    From Fisher's exact test for two classes; for more, from its extension (Freeman & Halton 1951, Biometrika 38) on
    random tables. Classes without images are left out; None if fewer than two are left.
    """
    present = images > 0
    table = np.stack([wrong[present], (images - wrong)[present]], 1)
    if len(table) < 2:
        return None
    if not table.sum(0).all():  # all right or all wrong: no other table has these sums
        return 1.0
    if len(table) == 2:
        return float(stats.fisher_exact(table).pvalue)
    tables = stats.random_table(table.sum(1), table.sum(0))
    sampled = tables.logpmf(tables.rvs(TABLES, random_state=np.random.default_rng(0)))
    return float((1 + (sampled <= tables.logpmf(table) + 1e-9).sum()) / (1 + TABLES))  # 1e-9 for rounding


def _draw_matrix(result: AnalysisResult, classes: tuple[str, ...], matrix: Ints) -> None:
    few = len(classes) < 4
    width, height = (3.9, 3.5) if few else (6.4, 6.2)
    with result.figure("confusion", width=width, height=height) as (_, axes):
        shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        luma = colormaps["Blues"](shares)[..., :3] @ LUMA
        for (i, j), count in np.ndenumerate(matrix):
            share = f"{100 * shares[i, j]:.1f} %" if matrix[i].any() else "–"  # noqa: RUF001  # nothing to take a share of
            axes.text(
                j, i, f"{count:,}\n{share}" if count or few else f"{count}", ha="center", va="center", linespacing=1.3,
                fontsize=10 if few else 8, color="black" if luma[i, j] > 0.5 else "white",
            )  # fmt: skip
        axes.set_xticks(range(len(classes)), classes)
        axes.set_yticks(range(len(classes)), classes)
        axes.set(xlabel="Prediction", ylabel="Truth")
        axes.grid(visible=False)
        axes.spines[:].set_visible(True)


def _draw_errors(result: AnalysisResult, by_class: pd.DataFrame, error: float) -> None:
    with result.figure("confusion_by_class", height=1.0 + 0.3 * len(by_class)) as (_, axes):
        present = by_class[by_class.images > 0]
        errors = 100 * error_bars(present.error, present.images)
        axes.errorbar(100 * present.error, present.index, xerr=errors, fmt="o", markersize=6)
        axes.axvline(100 * error, color="black", lw=1, ls="--")
        axes.set_yticks(by_class.index, by_class["class"])
        axes.set(xlabel="Error (%)", ylim=(len(by_class) - 0.5, -0.5))
        axes.set_xlim(left=0)
