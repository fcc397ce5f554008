from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from lit_a1.analysis import attention
from lit_a1.analysis.attention import Occlusion, evidence, next_of_same_class, occlude, shown_images
from lit_a1.analysis.result import AnalysisResult
from tests.analysis.networks import FOLDER, Kind, analyzed, logits_of, network_of, rows_of


def test_the_mean_of_a_class_activation_map_and_the_bias_are_the_logit(kind: Kind) -> None:
    network, rows = network_of(kind), np.array([5, 0, 17])
    maps, logits = attention.class_activation_maps(network, rows)
    expected = logits_of(network, rows)
    assert maps.shape == ((3, 2, 4, 4) if kind == "photos" else (3, 10, 7, 7))
    assert np.ptp(maps, axis=(2, 3)).min() > 0.01  # no map is the same everywhere
    bias = network.net.linear.bias.numpy()
    np.testing.assert_allclose(maps.mean((2, 3)) + bias, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def test_two_classes_are_always_compared_alike_and_others_with_the_strongest() -> None:
    network, rows = network_of("photos"), np.arange(8)
    maps, odds, (towards, against) = evidence(network, rows)
    assert (set(towards), set(against)) == ({1}, {0})
    logits, bias = logits_of(network, rows), network.net.linear.bias.numpy()
    np.testing.assert_allclose(odds, logits[:, 1] - logits[:, 0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(maps.mean((1, 2)) + bias[1] - bias[0], odds, atol=1e-5)
    three = attention.contrast(np.array([[1.0, 5, 3], [1, 5, 3], [1, 5, 6]]), np.array([1, 0, 1]))
    assert np.array(three).tolist() == [[1, 0, 1], [2, 1, 2]]


def test_measures_of_maps_by_hand() -> None:
    squares = Occlusion(np.array([[[8.0, 4], [2, 0]]]), 2, np.array([0, 1]))
    np.testing.assert_allclose(squares.per_pixel(3)[0], [[8, 6, 4], [5, 3.5, 2], [2, 1, 0]])
    np.testing.assert_allclose(squares.means(np.arange(9.0).reshape(1, 3, 3))[0], [[2, 3], [5, 6]])
    maps = np.zeros((4, 8, 8))
    maps[0, 2:6, 2:6] = 3
    maps[1, 0, 0], maps[1, 3, 3], maps[1, 7, 7] = 3, 1, -5
    maps[2] = 0.2
    np.testing.assert_allclose(attention.central_share(maps), [1, 0.25, 0.25, np.nan])
    one = np.array([[[1.0, 2], [3, 4]], [[1, 2], [3, 4]], [[1, 1], [1, 1]], [[1, 2], [3, 4]]])
    other = np.array([[[1.0, 10], [100, 1000]], [[4, 3], [2, 1]], [[1, 2], [3, 4]], [[1, 2], [4, 3]]])
    np.testing.assert_allclose(attention.rank_correlations(one, other), [1, -1, np.nan, 1 - 6 * 2 / (4 * 15)])


def test_covering_is_what_the_network_makes_of_covered_images(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "BATCH", 5)
    network, rows = network_of(kind), np.array([3, 8])
    _, odds, pair = evidence(network, rows)
    squares = occlude(network, rows, pair, 2)
    side = network.size // 4
    assert (squares.side, squares.starts[0], squares.starts[-1]) == (side, 0, network.size - side)
    for k, i, j in ((0, 0, 0), (0, 2, 1), (1, 1, 3), (1, -1, -1)):
        images = network.prepared(rows[k : k + 1]).clone()
        y, x = squares.starts[i], squares.starts[j]
        images[:, :, y : y + side, x : x + side] = network.standardize.mean
        with torch.inference_mode():
            logits = network.net(network.standardize(images))[0]
        after = float(logits[pair[0][k]] - logits[pair[1][k]])
        assert squares.drops[k, i, j] == pytest.approx(odds[k] - after, abs=1e-4)
    assert np.abs(squares.drops).max() > 0.01


def test_each_class_and_the_wrong_are_shown() -> None:
    network = network_of("photos")
    rows = shown_images(network)
    assert network.labels[rows[:4]].tolist() == [0, 0, 1, 1]
    assert network.correct[rows].tolist() == [True] * 4 + [False] * 2
    digits = network_of("digits", 300)
    digits = replace(digits, labels=np.where(np.arange(300) < 280, digits.predictions, digits.labels))
    rows = shown_images(digits)
    assert len(set(digits.labels[rows[:4]])) == 4
    perfect = replace(network, labels=network.predictions)
    assert perfect.correct[shown_images(perfect)].tolist() == [True] * 6
    assert next_of_same_class(np.array([0, 1, 0, 2, 1, 0])).tolist() == [2, 4, 5, -1, 1, 0]


def test_tables_and_words(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "COMPARED", 8)
    network = network_of(kind)
    result, rows = analyzed(attention, network), shown_images(network)
    table = rows_of("attention")
    assert [int(row["image"]) for row in table] == [int(network.indices[row]) for row in rows]
    np.testing.assert_allclose([float(row["log_odds"]) for row in table], evidence(network, rows)[1], rtol=1e-5)
    assert [drawn.file for drawn in result.figures] == ["attention.png"]
    values = [float(row["rank_correlation"]) for row in rows_of("agreement")]
    assert len(values) == 8
    assert ("another image of the same class" in result.words[0]) == (kind == "photos")  # of 10 classes, one each
    assert result.numbers["agreement"] == pytest.approx(np.mean(values), rel=1e-4)
    assert result.numbers["central_share_uniform"] == 0.25
    assert "without its mirror image" in result.figures[0].caption


def test_words_follow_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were covering to do what the map says, both would agree entirely; and evidence in the middle is found there."""

    def as_the_map_says(network: Any, rows: Any, *_: Any) -> Occlusion:
        plain = Occlusion(np.empty((0,)), 8, np.arange(0, 25, 4))
        maps, _, _ = evidence(network, rows)
        return replace(plain, drops=plain.means(attention.upsample(maps, 32)))

    monkeypatch.setattr(attention, "_draw", lambda *_: None)
    monkeypatch.setattr(attention, "occlude", as_the_map_says)
    result = analyzed(attention, network_of("photos"))
    assert result.numbers["agreement"] == pytest.approx(1)
    assert "not only where it is in all images" in result.words[0]
    monkeypatch.setattr(attention, "next_of_same_class", lambda labels: np.roll(np.arange(len(labels)), 1))
    monkeypatch.setattr(attention, "rank_correlations", lambda one, _: np.tile([0.1, -0.1], len(one) // 2))
    monkeypatch.setattr(attention, "occlude", lambda *_: Occlusion(np.ones((40, 7, 7)), 8, np.arange(0, 25, 4)))
    monkeypatch.setattr(attention, "shown_images", lambda _: np.arange(40))
    monkeypatch.setattr(attention, "central_share", lambda maps: np.full(len(maps), 0.25))
    another = analyzed(attention, network_of("photos"))
    assert another.numbers["agreement"] == pytest.approx(0)
    assert "this is not clearly lower. In a single image" in another.words[0]
    assert "not clearly different from the 25.00 %" in another.words[1]


def test_the_evidence_is_that_for_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A map that speaks for a cat is turned where the network predicts cat."""
    maps, odds = np.zeros((4, 4, 4)), np.array([2.0, -2, 3, -1])
    maps[:, 0, 0] = -1  # for a cat, at the corner
    maps[:, 1:3, 1:3] = 1  # for a dog, in the middle
    monkeypatch.setattr(attention, "evidence", lambda *_: (maps, odds, None))
    monkeypatch.setattr(attention, "upsample", lambda maps, _: maps)
    result = AnalysisResult(FOLDER, "attention", "", "a run")
    attention.measure_centre(network_of("photos", 4), result)
    assert result.numbers["central_share"] == pytest.approx(0.5)  # 1, 0, 1 and 0
