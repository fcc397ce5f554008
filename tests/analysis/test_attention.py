import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lit_a1.analysis import attention
from lit_a1.analysis.attention import (
    Contrast,
    Squares,
    analyze,
    chosen,
    class_activation_maps,
    contrast,
    evidence,
    occlude,
)
from lit_a1.analysis.part import Part
from lit_a1.analysis.subject import Subject


@pytest.fixture
def part(tmp_path: Path) -> Part:
    return Part(tmp_path, "attention", "Where the network looks", "a run")


def logits_of(subject: Subject, rows: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return subject.net(subject.standardize(subject.prepared(rows))).double().numpy()


@pytest.mark.parametrize("kind", ["photos", "digits"])
def test_the_mean_of_a_class_activation_map_and_the_bias_are_the_logit(
    subject_of: Callable[..., Subject], kind: str
) -> None:
    subject, rows = subject_of(kind), np.array([5, 0, 17])
    maps, logits = class_activation_maps(subject, rows)
    expected = logits_of(subject, rows)
    assert maps.shape == ((3, 2, 4, 4) if kind == "photos" else (3, 10, 7, 7))
    assert np.ptp(maps, axis=(2, 3)).min() > 0.01  # no map is the same everywhere
    bias = subject.net.linear.bias.numpy()
    np.testing.assert_allclose(maps.mean((2, 3)) + bias, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def test_a_contrast_of_two_classes_is_always_the_same(subject_of: Callable[..., Subject]) -> None:
    subject, rows = subject_of("photos"), np.arange(8)
    maps, odds, pair = evidence(subject, rows)
    assert set(pair.towards) == {1}
    assert set(pair.against) == {0}
    logits = logits_of(subject, rows)
    np.testing.assert_allclose(odds, logits[:, 1] - logits[:, 0], rtol=1e-4, atol=1e-5)
    bias = subject.net.linear.bias.numpy()
    np.testing.assert_allclose(maps.mean((1, 2)) + bias[1] - bias[0], odds, atol=1e-5)


def test_of_more_classes_the_strongest_other_one_counts() -> None:
    logits = np.array([[1.0, 5, 3], [1, 5, 3], [1, 5, 6]])
    pair = contrast(logits, np.array([1, 0, 1]))
    assert pair.towards.tolist() == [1, 0, 1]
    assert pair.against.tolist() == [2, 1, 2]


def test_squares_by_hand() -> None:
    squares = Squares(np.array([[[8.0, 4], [2, 0]]]), 2, np.array([0, 1]))
    np.testing.assert_allclose(squares.per_pixel(3)[0], [[8, 6, 4], [5, 3.5, 2], [2, 1, 0]])
    maps = np.arange(9.0).reshape(1, 3, 3)
    np.testing.assert_allclose(squares.means(maps)[0], [[2, 3], [5, 6]])


@pytest.mark.parametrize("kind", ["photos", "digits"])
def test_covering_is_what_the_network_says_of_covered_pictures(
    subject_of: Callable[..., Subject], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "BATCH", 5)
    subject, rows = subject_of(kind), np.array([3, 8])
    _, odds, pair = evidence(subject, rows)
    squares = occlude(subject, rows, pair, 2)
    side = subject.size // 4
    assert squares.side == side
    assert squares.starts[0] == 0
    assert squares.starts[-1] == subject.size - side
    for k, i, j in ((0, 0, 0), (0, 2, 1), (1, 1, 3), (1, -1, -1)):
        pictures = subject.prepared(rows[k : k + 1]).clone()
        y, x = squares.starts[i], squares.starts[j]
        pictures[:, :, y : y + side, x : x + side] = subject.standardize.mean
        with torch.inference_mode():
            logits = subject.net(subject.standardize(pictures))[0]
        after = float(logits[pair.towards[k]] - logits[pair.against[k]])
        assert squares.drops[k, i, j] == pytest.approx(odds[k] - after, abs=1e-4)
    assert np.abs(squares.drops).max() > 0.01


def test_each_class_and_the_wrong_are_shown(subject_of: Callable[..., Subject]) -> None:
    subject = subject_of("photos")
    rows = chosen(subject)
    assert subject.labels[rows[:4]].tolist() == [0, 0, 1, 1]
    assert subject.right[rows].tolist() == [True] * 4 + [False] * 2
    digits = subject_of("digits", count=300)
    digits = replace(digits, labels=np.where(np.arange(300) < 280, digits.answers, digits.labels))
    rows = chosen(digits)
    assert len(set(digits.labels[rows[:4]])) == 4
    perfect = replace(subject, labels=subject.answers)
    assert perfect.right[chosen(perfect)].tolist() == [True] * 6


@pytest.mark.parametrize("kind", ["photos", "digits"])
def test_tables_and_words(
    subject_of: Callable[..., Subject], part: Part, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "COMPARED", 8)
    subject = subject_of(kind)
    analyze(subject, part)
    rows = chosen(subject)
    with (part.folder / "attention.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [int(row["picture"]) for row in table] == [int(subject.indices[row]) for row in rows]
    np.testing.assert_allclose([float(row["log_odds"]) for row in table], evidence(subject, rows)[1], rtol=1e-5)
    assert [drawn.shows_pictures for drawn in part.figures] == [True]
    with (part.folder / "agreement.csv").open(newline="") as file:
        values = [float(row["rank_correlation"]) for row in csv.DictReader(file)]
    assert len(values) == 8
    assert ("another picture of the same class" in part.words[0]) == (kind == "photos")  # of 10 classes, one each
    assert part.numbers["agreement"] == pytest.approx(np.mean(values), rel=1e-4)
    assert part.numbers["central_share_uniform"] == 0.25
    assert "without its mirror image" in part.figures[0].caption


def test_words_follow_the_numbers(
    subject_of: Callable[..., Subject], part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were covering to do what the map says, both would agree entirely; and evidence in the middle is found there."""
    subject = subject_of("photos")

    def as_the_map_says(subject: Subject, rows: np.ndarray, pair: Contrast, parts: int) -> Squares:
        plain = Squares(np.empty((0,)), 8, np.arange(0, 25, 4))
        maps, _, _ = evidence(subject, rows)
        return replace(plain, drops=plain.means(attention.enlarged(maps, 32)))

    monkeypatch.setattr(attention, "occlude", as_the_map_says)
    monkeypatch.setattr(attention, "draw", lambda *_: None)
    analyze(subject, part)
    assert part.numbers["agreement"] == pytest.approx(1)
    assert "agree about the single picture" in part.words[0]
    monkeypatch.setattr(attention, "another_of_the_class", lambda labels: np.roll(np.arange(len(labels)), 1))
    monkeypatch.setattr(attention, "rank_correlations", lambda one, _: np.tile([0.1, -0.1], len(one) // 2))
    monkeypatch.setattr(attention, "occlude", lambda *_: Squares(np.ones((40, 7, 7)), 8, np.arange(0, 25, 4)))
    monkeypatch.setattr(attention, "chosen", lambda _: np.arange(40))
    monkeypatch.setattr(attention, "central_share", lambda maps: np.full(len(maps), 0.25))
    another = Part(part.folder, "attention", "x", "a run")
    analyze(subject, another)
    assert another.numbers["agreement"] == pytest.approx(0)
    assert "no clear difference" in another.words[0]
    assert "not clearly other than the 25.00 %" in another.words[1]


def test_the_evidence_is_that_for_the_answer(
    subject_of: Callable[..., Subject], part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A map that speaks for a cat is turned where the network answers cat."""
    subject = subject_of("photos", count=4)
    maps, odds = np.zeros((4, 4, 4)), np.array([2.0, -2, 3, -1])
    maps[:, 0, 0] = -1  # for a cat, at the corner
    maps[:, 1:3, 1:3] = 1  # for a dog, in the middle
    monkeypatch.setattr(attention, "evidence", lambda *_: (maps, odds, Contrast(subject.labels, subject.labels)))
    monkeypatch.setattr(attention, "enlarged", lambda maps, _: maps)
    attention._places(subject, part)
    assert part.numbers["central_share"] == pytest.approx(0.5)  # 1, 0, 1 and 0
