from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from matplotlib.patches import Rectangle

from lit_a1.analysis import feature_maps, hidden_layers
from lit_a1.analysis.feature_maps import measure, most_varied, shown_images
from tests.analysis.networks import Kind, analyzed, network_of, rows_of


def test_channels_are_ordered_by_their_variance_over_positions() -> None:
    maps = torch.tensor([[[0.0, 1], [0, 1]], [[100, 100], [100, 100]], [[0, 3], [0, 0]]])
    assert most_varied(maps).tolist() == [2, 0, 1]
    assert most_varied(maps, 1).tolist() == [2]


def test_sparsity_is_that_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_of("photos", 10)
    network.net.stem[0][1].bias[1] = -100  # this channel is silent
    monkeypatch.setattr(hidden_layers, "BATCH", 4)
    stem, *_, last = measure(network, hidden_layers.hidden_layers(network.net), np.arange(10))
    with torch.inference_mode():
        maps = network.net.stem(network.standardize(network.prepared(slice(None))))
    zeros = (maps == 0).flatten(1).double().mean(1).numpy()
    np.testing.assert_allclose([stem["zero_share"], stem["zero_share_std"]], [zeros.mean(), zeros.std()])
    np.testing.assert_allclose(stem["mean_activation"], maps.mean(), rtol=1e-5)
    assert stem["silent_channels"] == 1
    assert [stem[name] for name in ("channels", "height", "width")] == [4, 16, 16]
    assert [last[name] for name in ("channels", "height", "width")] == [8, 4, 4]
    np.testing.assert_allclose(last["mean_activation"], network.features.mean(), rtol=1e-4)


def test_two_right_images_and_a_wrong_one_of_other_classes(kind: Kind) -> None:
    network = network_of(kind)
    rows, kinds = zip(*shown_images(network), strict=True)
    assert kinds == ("right_1", "right_2", "wrong")
    assert network.correct[list(rows)].tolist() == [True, True, False]
    assert len(set(network.labels[list(rows)])) == (2 if kind == "photos" else 3)
    perfect = replace(network, labels=network.predictions)
    assert [kind for _, kind in shown_images(perfect)] == ["right_1", "right_2"]


def test_tables_figures_and_words(kind: Kind) -> None:
    network = network_of(kind)
    result, rows = analyzed(feature_maps, network), rows_of("feature_maps")
    sizes = [(row["depth"], row["channels"], row["height"], row["width"], row["receptive_field"]) for row in rows]
    assert sizes == (
        [("Stem", "4", "16", "16", "3"), ("Stage 1", "8", "8", "8", "25"), ("Stage 2", "8", "4", "4", "69")]
        if kind == "photos"
        else [("Stem", "4", "28", "28", "3"), ("Stage 1", "8", "14", "14", "9"), ("Stage 2", "8", "7", "7", "21")]
    )
    assert [drawn.file for drawn in result.figures] == ["maps_right_1.png", "maps_right_2.png", "maps_wrong.png"]
    row = shown_images(network)[2][0]
    label = network.classes[network.labels[row]]
    assert f"validation image {network.indices[row]} ({label})" in result.figures[2].caption
    assert ("wider than the image" in result.words[0]) == (kind == "photos")  # 69 of 32 pixels, but 21 of 28
    assert result.numbers["zero_share_stage_2"] == pytest.approx(float(rows[2]["zero_share"]), rel=1e-5)


def test_without_a_rectifier_nothing_is_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_maps, "shown_images", lambda _: [])
    network = network_of("photos", 8)
    network.net.stem[1] = torch.nn.GELU()
    for stage in network.net.stages:
        stage[1] = stage[-1].residual[1] = torch.nn.GELU()
    assert analyzed(feature_maps, network).words[-1] == "No activation of 8 images is exactly zero at any depth."


def test_the_field_is_drawn_where_the_middle_unit_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = Mock(wraps=Rectangle)
    monkeypatch.setattr(feature_maps, "shown_images", lambda _: [(0, "one")])
    monkeypatch.setattr(feature_maps, "Rectangle", drawn)
    analyzed(feature_maps, network_of("photos"))
    # stem: place 8 of 16 is at pixel 16, one pixel on either side; stage 1: 25 pixels from 5 on; then all 32
    squares = [call.args for call in drawn.call_args_list[:6:2]]
    assert squares == [((14.5, 14.5), 3, 3), ((4.5, 4.5), 25, 25), ((-0.5, -0.5), 32, 32)]
