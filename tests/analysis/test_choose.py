from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from lit_a1.analysis.choose import nearest_even, surest_right, surest_wrong, typical
from lit_a1.analysis.subject import Subject


@pytest.fixture
def told(subject_of: Callable[..., Subject]) -> Subject:
    """Eight photos, labels 0 and 1 in turn, with answers and features that were made up."""
    subject = subject_of("photos", count=8)
    dog = np.array([0.1, 0.9, 0.3, 0.2, 0.999, 0.55, 0.1, 0.9], np.float32)
    features = np.array([[1, 0], [0, 2], [3, 0.3], [5, 5], [1, 1], [0.1, 1], [0, 0], [1, 8]], np.float32)
    # a cached_property's value lies in the instance
    subject.__dict__["_answers"] = (np.log(np.stack([1 - dog, dog], 1)), features)
    return subject


def test_the_surest_right_ones_of_a_class(told: Subject) -> None:
    assert surest_right(told, 0, 2).tolist() == [0, 6]  # equally sure: the earlier first
    assert surest_right(told, 0, 9).tolist() == [0, 6, 2]  # 4 is a cat taken for a dog
    assert surest_right(told, 1, 9).tolist() == [1, 7, 5]


def test_the_surest_wrong_ones(told: Subject) -> None:
    assert surest_wrong(told, 5).tolist() == [4, 3]
    assert surest_wrong(told, 1).tolist() == [4]


def test_the_least_decided(told: Subject) -> None:
    assert nearest_even(told, 3).tolist() == [5, 2, 3]


def test_the_most_typical_of_a_class(told: Subject) -> None:
    # cats' mean is along (5, 1.3): 2 lies within 9 degrees of it, 0 within 15, 6 has no feature at all; 4 is wrong
    assert typical(told, 0, 9).tolist() == [2, 0, 6]
    # dogs' mean is along (6.1, 16), 21 degrees from the second axis: 7 is at 7 degrees, 5 at 6, 1 at 0
    assert typical(told, 1, 2).tolist() == [7, 5]


def test_no_more_than_there_are(subject_of: Callable[..., Subject]) -> None:
    subject = subject_of("digits", count=5)  # none of the classes 5 to 9
    assert len(nearest_even(subject, 9)) == 5
    for rows in (surest_right(subject, 7, 3), typical(subject, 7, 3)):
        assert rows.dtype == np.int64
        assert len(rows) == 0
    perfect = replace(subject, labels=subject.answers)
    assert len(surest_wrong(perfect, 3)) == 0


def test_the_fixture_answers_with_every_sort_of_picture(subject_of: Callable[..., Subject]) -> None:
    for kind in ("photos", "digits"):
        subject = subject_of(kind)
        assert 0 < subject.right.sum() < len(subject.labels)
        assert len(set(subject.answers)) >= 2
    assert {tuple(subject_of("photos").answers[:20])} == {tuple(subject_of("photos").answers[:20])}
    assert (subject_of("photos", seed=1).pictures != subject_of("photos").pictures).any()
