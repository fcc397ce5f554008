from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from lit_a1.analysis import images
from lit_a1.analysis.network import TrainedNetwork
from lit_a1.analysis.result import AnalysisResult
from tests.analysis.networks import FOLDER, network_of, predicting


@pytest.fixture
def network() -> TrainedNetwork:
    """Of eight photos, labels 0 and 1 in turn, with predictions and features that were made up."""
    dog = np.array([0.1, 0.9, 0.3, 0.2, 0.999, 0.55, 0.1, 0.9], np.float32)
    features = [[1, 0], [0, 2], [3, 0.3], [5, 5], [1, 1], [0.1, 1], [0, 0], [1, 8]]
    return predicting(network_of("photos", 8), np.stack([1 - dog, dog], 1), features)


def test_the_most_confident(network: TrainedNetwork) -> None:
    assert images.most_confident_correct(network, 0, 2).tolist() == [0, 6]  # equally confident: the earlier first
    assert images.most_confident_correct(network, 0, 9).tolist() == [0, 6, 2]  # 4 is a cat taken for a dog
    assert images.most_confident_correct(network, 1, 9).tolist() == [1, 7, 5]
    assert images.most_confident_wrong(network, 5).tolist() == [4, 3]
    assert images.most_confident_wrong(network, 1).tolist() == [4]
    assert images.closest_calls(network, 3).tolist() == [5, 2, 3]


def test_the_most_typical_of_a_class(network: TrainedNetwork) -> None:
    # cats' mean is along (5, 1.3): 2 lies within 9 degrees of it, 0 within 15, 6 has no feature at all; 4 is wrong
    assert images.most_typical(network, 0, 9).tolist() == [2, 0, 6]
    # dogs' mean is along (6.1, 16), 21 degrees from the second axis: 7 is at 7 degrees, 5 at 6, 1 at 0
    assert images.most_typical(network, 1, 2).tolist() == [7, 5]


def test_no_more_than_there_are() -> None:
    network = network_of("digits", 5)  # none of the classes 5 to 9
    assert len(images.closest_calls(network, 9)) == 5
    for rows in (images.most_confident_correct(network, 7, 3), images.most_typical(network, 7, 3)):
        assert rows.dtype == np.int64
        assert len(rows) == 0
    assert len(images.most_confident_wrong(replace(network, labels=network.predictions), 3)) == 0


def test_a_sample_is_spread_evenly_and_shown_in_lines() -> None:
    network = network_of("digits", 21)
    assert images.sample(network, 5).tolist() == [0, 5, 10, 15, 20]
    assert images.sample(network).tolist() == list(range(21))
    assert images.in_lines(np.arange(5), 2) == [[0, 1], [2, 3], [4]]
    assert images.in_lines([], 2) == []


def test_images_are_drawn_where_they_belong(network: TrainedNetwork) -> None:
    for row, colour in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255)]):
        network.images[row] = colour
    result = AnalysisResult(FOLDER, "sheet", "Sheet", "a run")
    images.contact_sheet(result, "sheet", network, [[0, None, 1], [2]])
    with Image.open(FOLDER / "sheet.png") as file:
        sheet = np.asarray(file.convert("RGB"))
    cell, high = sheet.shape[1] / 8, sheet.shape[0] / 2
    places = ((0, 0), (0, 1), (0, 2), (1, 0))
    found = [tuple(sheet[int(high * y + 0.3 * cell), int(cell * (x + 0.5))]) for y, x in places]
    assert found == [(255, 0, 0), (255, 255, 255), (0, 255, 0), (0, 0, 255)]
