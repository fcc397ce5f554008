"""The most confident mistakes, the closest calls, and the most typical images of each class."""

from collections import Counter
from itertools import zip_longest
from typing import Any

import numpy as np

from lit_a1.analysis.images import closest_calls, contact_sheet, in_lines, most_confident_wrong, most_typical, per_line
from lit_a1.analysis.network import TrainedNetwork
from lit_a1.analysis.result import AnalysisResult

TITLE = "Mistakes, close calls and typical images"
LINES = 2  # of images on a sheet; the next sheet has twice as many
DIGITS = 5  # most typical digits of each class


def analyze(network: TrainedNetwork, result: AnalysisResult) -> None:
    """Draws contact sheets of the most confident mistakes, the closest calls and typical images; lists all mistakes."""
    width, confidence = per_line(network), network.probabilities.max(1)
    size = LINES * width
    wrong, close = most_confident_wrong(network, len(network.labels)), closest_calls(network, 3 * size)
    for kind, rows in (("surest", wrong), ("close", close)):
        for name, shown in ((kind, rows[:size]), (f"{kind}_more", rows[size : 3 * size])):
            if len(shown):
                contact_sheet(result, f"mistakes_{name}", network, in_lines(shown, width))
    columns = {"index": network.indices[wrong], "truth": network.names(network.labels[wrong])}
    columns |= {"prediction": network.names(network.predictions[wrong])}
    result.table("mistakes", {**columns, "probability": confidence[wrong], "margin": network.margins()[wrong]})
    result.number(mistakes=len(wrong), images=len(network.labels), closest_margin=network.leads().min())
    if len(wrong):
        result.number(surest_mistake=confidence[wrong].max(), median_mistake=np.median(confidence[wrong]))
    if len(wrong) and network.correct.any():
        result.number(median_right=np.median(confidence[network.correct]))
    count = size if network.is_photos else DIGITS
    typical = [most_typical(network, class_, count) for class_ in range(len(network.classes))]
    if network.is_photos:  # some lines for each class
        lines = [line for rows in typical for line in in_lines(rows, width)]
    else:  # a column for each class
        lines = [list(line) for line in zip_longest(*(map(int, rows) for rows in typical))]
    if lines:
        contact_sheet(result, "mistakes_typical", network, lines)
    facts: dict[str, Any] = {"close_low": confidence[close[:size]].min(), "close_high": confidence[close[:size]].max()}
    facts |= {"surest": len(wrong[:size]), "surest_more": len(wrong[size : 3 * size])}
    facts |= {"close_more": len(close[size:])}
    facts |= {"truths": Counter(network.names(network.labels[wrong[:size]])).most_common()}
    facts |= {"not_typical": [name for name, rows in zip(network.classes, typical, strict=True) if not len(rows)]}
    facts |= {"close": len(close[:size]), "close_wrong": int((~network.correct[close[:size]]).sum())}
    result.describe(classes=len(network.classes), **facts)
