from typing import Any

import numpy as np
import pytest

from lit_a1.analysis import mistakes
from lit_a1.analysis.network import TrainedNetwork
from tests.analysis.networks import Kind, analyzed, network_of, predicting, rows_of


def with_truth(network: TrainedNetwork, share: Any) -> TrainedNetwork:
    """Sets the probability of the true class; the rest is the next class's, but for a trace."""
    classes, rows = len(network.classes), np.arange(len(network.labels))
    probabilities = np.full((len(rows), classes), 1e-6)
    probabilities[rows, (network.labels + 1) % classes] = 1 - share
    probabilities[rows, network.labels] = share
    return predicting(network, probabilities)


def test_all_mistakes_are_listed_the_most_confident_first(kind: Kind) -> None:
    share = np.full(30, 0.8)
    share[[3, 7, 12]] = 0.4, 0.1, 0.2
    network = with_truth(network_of(kind, 30), share)
    result, rows = analyzed(mistakes, network), rows_of("mistakes")
    assert [row["index"] for row in rows] == ["1007", "1012", "1003"]
    assert [row["truth"] for row in rows] == network.names(network.labels[[7, 12, 3]])
    assert rows[0]["prediction"] == network.classes[(network.labels[7] + 1) % len(network.classes)]
    assert [float(row["probability"]) for row in rows] == pytest.approx([0.9, 0.8, 0.6], abs=1e-4)
    assert [float(row["margin"]) for row in rows] == pytest.approx(np.log([1 / 9, 1 / 4, 2 / 3]), abs=1e-4)
    names = ["surest", "close", "close_more", "typical"]
    assert [drawn.file for drawn in result.figures] == [f"mistakes_{name}.png" for name in names]
    assert all(drawn.caption.endswith("wrong ones orange.") for drawn in result.figures)
    assert result.figures[0].caption.startswith("The 3 most confident mistakes of 3")
    assert "Under each image" in result.figures[0].caption
    assert "median probability of 80.0 % and a maximum of 90.0 %" in result.words[0]


@pytest.mark.parametrize(
    ("share", "count", "missing", "words"),
    [(0.7, 0, "surest", "no mistake to show"), (0.2, 12, "typical", "none is shown as typical")],
    ids=["all_right", "all_wrong"],
)
def test_all_alike(kind: Kind, share: float, count: int, missing: str, words: str) -> None:
    result = analyzed(mistakes, with_truth(network_of(kind, 12), share))
    assert len(rows_of("mistakes")) == count
    kept = {f"mistakes_{name}.png" for name in ("surest", "close", "typical")} - {f"mistakes_{missing}.png"}
    assert {drawn.file for drawn in result.figures} == kept
    assert any(words in text for text in result.words)


def test_a_class_that_is_never_right_is_named() -> None:
    network = network_of("digits", 20)
    result = analyzed(mistakes, with_truth(network, np.where(network.labels == 4, 0.1, 0.9)))
    assert "No image of 4 is classified correctly, so none is shown as typical." in result.words
