import json

import numpy as np
import pytest

from lit_a1.analysis.calibration import apply_temperature, nll_per_image
from lit_a1.analysis.familiarity import DIRECTIONS, FLAGGED_SHARE, Familiarity, note_of
from tests.analysis.networks import network_of, predicting

RNG = np.random.default_rng(0)
MEANS = RNG.random((2, 20)) + 1
LABELS = np.arange(2000) % 2


def features(count: int = 2000) -> np.ndarray:
    return MEANS[LABELS[:count]] + RNG.normal(0, 0.05, (count, 20)) * np.linspace(1, 0.1, 20)


@pytest.fixture
def fitted() -> Familiarity:
    return Familiarity.fit(features(), LABELS, features(1000))


def test_the_share_of_the_held_out_images_is_flagged(fitted: Familiarity) -> None:
    assert fitted.unlike(features()).mean() == pytest.approx(FLAGGED_SHARE, abs=0.02)
    assert len(fitted.directions) == DIRECTIONS
    assert fitted.means.shape == (2, 20)


def test_what_is_elsewhere_is_flagged_and_length_does_not_count(fitted: Familiarity) -> None:
    assert fitted.unlike(RNG.random((100, 20))).all()
    assert fitted.unlike(np.zeros((1, 20))).all()
    np.testing.assert_allclose(fitted.distances(3 * MEANS), fitted.distances(MEANS))
    assert not fitted.unlike(MEANS).any()


def test_with_all_directions_it_is_the_distance_of_mahalanobis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lit_a1.analysis.familiarity.DIRECTIONS", 100)
    points = features()
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    means = np.stack([unit[k == LABELS].mean(0) for k in (0, 1)])
    inverse = np.linalg.inv(np.cov((unit - means[LABELS]).T, bias=True))
    away = unit[:50] - means[:, None]
    expected = np.einsum("kni,ij,knj->kn", away, inverse, away).min(0)
    found = Familiarity.fit(points, LABELS, points).distances(points[:50])
    np.testing.assert_allclose(found, expected, rtol=0.1)  # half precision


def test_a_note_goes_through_json(fitted: Familiarity) -> None:
    again = Familiarity.from_note(json.loads(json.dumps(fitted.note())))
    np.testing.assert_array_equal(again.distances(MEANS), fitted.distances(MEANS))
    assert again.threshold == fitted.threshold


def test_what_is_published_of_a_network() -> None:
    network = predicting(network_of("photos"), np.tile([[0.7, 0.3], [0.3, 0.7]], (20, 1)))
    note = note_of(network, network.images, network.labels)
    stated = np.log(network.probabilities.astype(np.float64))
    losses = [nll_per_image(apply_temperature(stated, t), network.labels).mean() for t in (note["temperature"], 1.0)]
    assert losses[0] < losses[1]
    assert Familiarity.from_note(note["familiarity"]).means.shape == (2, 8)
