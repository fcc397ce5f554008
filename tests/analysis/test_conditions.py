import numpy as np
import pytest

from lit_a1.analysis import conditions
from lit_a1.analysis.conditions import LEVELS, chance_of_more, equal_bins, foreground, measure, otsu, rank_correlation
from lit_a1.runs.statistics import wilson
from tests.analysis.networks import Kind, analyzed, answering, network_of, predicting, rows_of, where_right


def test_brightness_and_contrast_of_a_colour() -> None:
    images = np.zeros((2, 4, 4, 3), np.uint8)
    images[0] = (255, 0, 0)
    images[1, :2] = 255  # half white
    found = measure(images)
    assert found["brightness"] == pytest.approx([0.299, 0.5])
    assert found["contrast"] == pytest.approx([0, 0.5], abs=1e-9)
    # more than are measured at once
    images = np.random.default_rng(1).integers(0, 256, (501, 5, 5, 3)).astype(np.uint8)
    alone = measure(images[500:])
    assert [values[-1] for values in measure(images).values()] == pytest.approx([each[0] for each in alone.values()])


def test_sharpness_is_that_of_the_laplacian() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 7, 6, 1)).astype(np.uint8)
    grey = images[..., 0] / 255
    expected = [
        np.var([
            grey[n, y - 1, x] + grey[n, y + 1, x] + grey[n, y, x - 1] + grey[n, y, x + 1] - 4 * grey[n, y, x]
            for y in range(1, 6) for x in range(1, 5)
        ])
        for n in range(3)
    ]  # fmt: skip
    assert measure(images)["sharpness"] == pytest.approx(expected)


@pytest.mark.parametrize("background", [(0.0, 0.0, 0.0), (0.9, 0.1, 0.4)])
def test_foreground_is_what_differs_from_the_border(background: tuple[float, ...]) -> None:
    image = np.tile(np.array(background), (1, 10, 10, 1))
    image[0, 2:6, 3:8] = (0.2, 0.9, 0.2)  # 20 of 100 pixels
    image[0, 8, 8] += 0.02  # a trace of noise stays background
    expected = np.zeros((1, 10, 10), bool)
    expected[0, 2:6, 3:8] = True
    assert np.array_equal(foreground(image), expected)
    assert not foreground(np.full((2, 5, 5, 1), 0.3)).any()  # one colour
    image[0, 0, :5] = (0.2, 0.9, 0.2)  # 5 of the 36 pixels of the edge, and of 100
    found = measure(np.round(255 * image).astype(np.uint8))
    assert (found["touching"][0], found["foreground"][0]) == pytest.approx((5 / 36, 0.25))


def test_otsu_by_its_definition() -> None:
    rng = np.random.default_rng(2)
    levels = np.clip(np.concatenate([rng.normal(15, 4, 60), rng.normal(45, 6, 40)]), 0, LEVELS - 1).astype(np.int64)
    between = []
    for k in range(LEVELS):
        low, high = levels[levels <= k], levels[levels > k]
        share = len(low) / 100
        between.append(share * (1 - share) * (low.mean() - high.mean()) ** 2 if len(low) and len(high) else 0)
    assert otsu(levels[None]).tolist() == [int(np.argmax(between))]


def test_trend_is_the_share_of_pairs() -> None:
    rng = np.random.default_rng(0)
    values, wrong = rng.integers(0, 6, 30).astype(float), rng.random(30) < 0.4  # with ties
    pairs = [(a > b) + (a == b) / 2 for a in values[wrong] for b in values[~wrong]]
    found = chance_of_more(values, wrong)
    assert found["value"] == pytest.approx(np.mean(pairs))
    # the variance of DeLong et al., written out: of each image's mean over the other kind's
    grid = np.reshape(pairs, (wrong.sum(), -1))
    variance = grid.mean(1).var(ddof=1) / len(grid) + grid.mean(0).var(ddof=1) / grid.shape[1]
    assert found["low"] == pytest.approx(found["value"] - 1.96 * np.sqrt(variance))


def test_colours_of_the_border() -> None:
    images = np.zeros((1, 16, 16, 3), np.uint8)
    images[:] = (51, 153, 0)
    images[:, 2:-2, 2:-2] = 255  # not of the border
    found = measure(images)
    assert (found["green"][0], found["warmth"][0]) == pytest.approx((0.5, 0.2))
    assert not {"green", "warmth"} & measure(images[..., :1]).keys()


def test_rank_correlation_and_its_interval() -> None:
    rng = np.random.default_rng(3)
    one = rng.normal(size=200)
    other = one + rng.normal(size=200)
    found = rank_correlation(np.exp(one), other)  # ranks stay
    assert found["low"] < 0.69 < found["high"]  # of normal distributions: 6 / pi asin(r / 2), r = 0.707
    assert found["value"] - found["low"] > found["high"] - found["value"] > 0
    assert rank_correlation(one, np.zeros(200)) is rank_correlation(one[:3], other[:3]) is None


def test_trend_of_what_does_not_vary() -> None:
    equal, lone = chance_of_more(np.ones(3), np.arange(3) != 1), chance_of_more(np.arange(3.0), np.arange(3) == 2)
    assert equal == pytest.approx({"value": 0.5, "low": np.nan, "high": np.nan, "p": 1.0}, nan_ok=True)
    # by hand: of the three places of the one wrong image, either end is as uneven
    assert lone == pytest.approx({"value": 1.0, "low": np.nan, "high": np.nan, "p": 2 / 3}, nan_ok=True)
    assert chance_of_more(np.arange(3.0), np.ones(3, bool)) is chance_of_more(np.arange(3.0), np.zeros(3, bool)) is None


def test_bins_are_of_equal_counts_and_keep_equal_values_together() -> None:
    values = np.random.default_rng(0).permutation(60).astype(float)
    bins = equal_bins(values, values >= 55)
    assert bins.images.tolist() == [10] * 6
    assert bins.mistakes.tolist() == [0, 0, 0, 0, 0, 5]
    assert bins[["low", "high", "middle"]][:2].to_numpy().tolist() == [[0, 9, 4.5], [10, 19, 14.5]]
    tied = equal_bins(np.repeat([0.0, 1.0], [45, 15]), np.zeros(60, bool))
    assert tied[["low", "high", "images"]].to_numpy().tolist() == [[0, 0, 45], [1, 1, 15]]


def test_a_quantity_that_mistakes_go_with_is_found(kind: Kind) -> None:
    network = network_of(kind, 90)
    wrong = np.random.default_rng(0).permutation(90) < 30
    network.images[wrong] = network.images[wrong] // 8 * 3  # darker, and with less of everything else that scales
    result = analyzed(conditions, where_right(network, ~wrong))
    assert result.numbers["brightness_wrong"] < 0.2
    assert result.numbers["brightness_wrong_p_holm"] < 0.001
    [verdict] = [text for text in result.words if text.startswith("**Misclassified.**")]
    assert "are darker, have less contrast" in verdict
    rows = rows_of("conditions")
    assert [row["right"] for row in rows] == [str(int(each)) for each in ~wrong]
    weights = [0.299, 0.587, 0.114] if kind == "photos" else [1.0]
    assert float(rows[0]["brightness"]) == pytest.approx((network.images[0] / 255 @ weights).mean(), abs=1e-5)
    bins = [row for row in rows_of("conditions_bins") if row["property"] == "brightness"]
    assert sum(int(row["images"]) for row in bins) == 90
    assert sum(int(row["mistakes"]) for row in bins) == 30
    share = int(bins[0]["mistakes"]) / int(bins[0]["images"])
    assert float(bins[0]["error_low"]) == pytest.approx(wilson(share, int(bins[0]["images"]))[0], abs=1e-5)


def test_a_property_that_undecided_images_have_is_found() -> None:
    network = network_of("photos", 90)
    near = np.random.default_rng(0).permutation(90) < 30
    network.images[near] = network.images[near] // 8 * 3
    result = analyzed(conditions, answering(network, network.labels, np.where(near, 0.55, 0.9)))
    assert result.numbers["brightness_near_p_holm"] < 0.001
    assert "brightness_wrong" not in result.numbers  # there is no mistake
    assert [row["near"] for row in rows_of("conditions")] == [str(int(each)) for each in near]


def test_green_that_speaks_for_a_class_is_found() -> None:
    network = network_of("photos", 80)
    green = np.random.default_rng(1).random(80)
    network.images[..., 1] = (255 * green)[:, None, None]
    result = analyzed(conditions, predicting(network, np.stack([0.9 - 0.8 * green, 0.1 + 0.8 * green], 1)))
    assert min(result.numbers["green_odds_Cat"], result.numbers["green_odds_Dog"]) > 0.9
    assert any("Both classes support the hypothesis." in text for text in result.words)
    tests = rows_of("conditions_tests")
    smallest = min(float(row["p"]) for row in tests)
    assert min(float(row["p_holm"]) for row in tests) == pytest.approx(min(1, smallest * len(tests)), rel=1e-4)


def test_mistakes_at_random_go_with_nothing() -> None:
    right = np.random.default_rng(5).permutation(60) < 45
    result = analyzed(conditions, where_right(network_of("photos", 60), right))
    assert "differ in none of the 9 properties" in result.words[0]
    assert any("None of the measured properties" in text for text in result.words)


def test_all_alike(kind: Kind, shift: int) -> None:
    result = analyzed(conditions, where_right(network_of(kind, 12), np.full(12, not shift)))
    assert f"classified {'wrongly' if shift else 'correctly'}: there is nothing to compare" in result.words[0]


def test_images_of_one_colour() -> None:
    network = network_of("photos", 12)
    network.images[:] = 7
    result = analyzed(conditions, where_right(network, np.arange(12) < 9))
    assert result.numbers["sharpness_wrong_p_holm"] == 1
    assert "green_odds_Cat" not in result.numbers
