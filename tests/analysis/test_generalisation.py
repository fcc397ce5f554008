from dataclasses import replace

import numpy as np
import pytest

from lit_a1.analysis import generalisation
from tests.analysis.networks import analyzed, network_of, rows_of


def test_the_same_images_are_found_alike_and_others_not() -> None:
    network = network_of("photos", 60)
    result = analyzed(generalisation, replace(network, test_images=network.images))
    assert result.numbers["ks_statistic"] == 0
    assert result.numbers["test_confidence"] == pytest.approx(result.numbers["val_confidence"])
    assert result.numbers["test_error_by_confidence"] == pytest.approx(network.error)
    assert "differ by no more than noise" in result.words[1]
    assert result.words[0].startswith("**Test error, estimated.** The test images have no labels here")
    low, high = (result.numbers[f"test_error_{end}"] for end in ("low", "high"))
    assert 0 <= low < network.error < high <= 1  # type: ignore[operator]
    shares = np.bincount(network.predictions, minlength=2) / 60
    found = [float(row["share_of_test_predictions"]) for row in rows_of("test_predictions")]
    np.testing.assert_allclose(found, shares, rtol=1e-5)
    other = analyzed(generalisation, replace(network, test_images=np.full_like(network.images, 128)))
    assert other.numbers["ks_p"] < 1e-6  # type: ignore[operator]
    assert "differ by more than noise" in other.words[1]


def test_labelled_test_images_are_measured() -> None:
    network = network_of("digits", 50)
    labels = network.predictions.copy()
    labels[:10] = (labels[:10] + 1) % 10
    result = analyzed(generalisation, replace(network, test_images=network.images, test_labels=labels))
    assert result.numbers["test_error"] == pytest.approx(0.2)
    assert result.numbers["test_error_low"] < 0.2 < result.numbers["test_error_high"]  # type: ignore[operator]
    assert "20.00 % of 50 test images are misclassified" in result.words[0]


def test_without_test_images_nothing_is_compared() -> None:
    result = analyzed(generalisation, network_of("photos", 12))
    assert "no test images" in result.words[0]
    assert result.figures == []
