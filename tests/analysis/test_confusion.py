from math import comb

import numpy as np
import pytest
from matplotlib.axes import Axes
from scipy.stats import hypergeom

from lit_a1.analysis import confusion
from lit_a1.runs.statistics import wilson
from tests.analysis.networks import FOLDER, Kind, analyzed, answering, network_of, rows_of


def test_counts_truth_by_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    network, colours = answering(network_of("photos", 12), [0, 1, 0, 1, 0, 1, 0, 1, 1, 1, 1, 1]), []  # labels alternate
    monkeypatch.setattr(Axes, "text", lambda *_, color, **__: colours.append(color))
    result = analyzed(confusion, network)
    assert colours == ["white", "black", "black", "white"]  # 67 % and 100 % are dark
    text = (FOLDER / "confusion.csv").read_text()
    assert text == "truth,prediction Cat,prediction Dog\nCat,4,2\nDog,0,6\n"
    cat, dog = rows_of("confusion_by_class")
    assert (cat["images"], cat["mistakes"], float(cat["error"])) == ("6", "2", pytest.approx(1 / 3, abs=1e-5))
    assert (float(dog["low"]), float(dog["high"])) == pytest.approx(wilson(0, 6), abs=1e-5)
    assert result.numbers["val_error"] == pytest.approx(2 / 12)
    assert result.numbers["mistakes"] == 2
    assert len(result.figures) == 2


def test_equal_errors_of_two_classes() -> None:
    # 10 mistakes fall on 100 + 100 images; those splits that are no likelier than 9 : 1
    chances = hypergeom(200, 10, 100).pmf(np.arange(11))
    expected = chances[chances <= chances[9] * (1 + 1e-9)].sum()
    assert confusion.equal_errors(np.array([9, 1]), np.array([100, 100])) == pytest.approx(expected)
    assert confusion.equal_errors(np.array([2, 0]), np.array([5, 0])) is None


def test_equal_errors_of_more_classes() -> None:
    # 3 mistakes among 4, 3 and 5 images: all ways in which they may fall, by hand
    ways = {(a, b, 3 - a - b): comb(4, a) * comb(3, b) * comb(5, 3 - a - b) for a in range(4) for b in range(4 - a)}
    for wrong, tolerance in (((0, 3, 0), 0.003), ((3, 0, 0), 0.01)):
        expected = sum(way for way in ways.values() if way <= ways[wrong]) / comb(12, 3)
        assert confusion.equal_errors(np.array(wrong), np.array([4, 3, 5])) == pytest.approx(expected, abs=tolerance)
    five, hundred = np.full(3, 5), np.full(10, 100)
    assert confusion.equal_errors(0 * five, five) == confusion.equal_errors(five, five) == 1
    assert confusion.equal_errors(np.array([30] + 9 * [2]), hundred) < 0.001
    assert confusion.equal_errors(np.array([3, 2, 2, 2, 1, 2, 2, 3, 2, 2]), hundred) > 0.5


@pytest.mark.parametrize(("wrong", "harder"), [((40, 10), True), ((11, 10), False)])
def test_words_distinguish_a_difference_from_noise(wrong: tuple[int, int], harder: bool) -> None:
    network = network_of("photos", 200)
    of_class = np.arange(200) // 2
    network = answering(network, network.labels ^ (of_class < np.array(wrong)[network.labels]))
    text = " ".join(analyzed(confusion, network).words)
    assert ("Cat (40 of 100) is harder than Dog (10 of 100), beyond noise" in text) == harder
    assert ("Cat (11 of 100) and Dog (10 of 100) differ by no more than noise" in text) != harder
    assert f"{sum(wrong)} of 200 validation images" in text


def test_extremes(kind: Kind, shift: int) -> None:
    network = network_of(kind, 12)
    result = analyzed(confusion, answering(network, (network.labels + shift) % len(network.classes)))
    assert result.numbers["val_error"] == shift
    assert f"{12 * shift} of 12 validation images" in result.words[0]
    assert not any("beyond noise" in text for text in result.words)


def test_confused_and_missing_classes_are_named() -> None:
    network = network_of("digits", 8)  # 0 to 7
    text = " ".join(analyzed(confusion, answering(network, np.minimum(network.labels, 6))).words)
    assert "There is no image of 8 and 9 among them." in text
    assert "The network never predicts 7." in text
    assert "The most frequent confusion is 7 taken for 6: 1 image." in text
    assert list(rows_of("confusion_by_class")[-1].values()) == ["9", "0", "0", "", "", ""]
