from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.axes import Axes

from lit_a1.analysis import kernels
from lit_a1.analysis.kernels import CLASSES, SHARES, measure, stem_weights
from lit_a1.models.residual import ResidualNet
from tests.analysis.networks import FOLDER, Kind, analyzed, network_of, rows_of

KERNELS: dict[str, Any] = {
    "flat": [[1, 1, 1], [1, 1, 1], [1, 1, 1]],
    "horizontal": [[1, 2, 1], [0, 0, 0], [-1, -2, -1]],
    "vertical": [[-1, 2, -1], [-1, 2, -1], [-1, 2, -1]],
    "diagonal": [[2, 1, 0], [1, 0, -1], [0, -1, -2]],
    "centre-surround": [[0, -1, 0], [-1, 4, -1], [0, -1, 0]],
}


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("channels", [1, 3])
def test_classes_of_known_kernels(name: str, channels: int) -> None:
    kernel = np.array(KERNELS[name], float)
    weights = np.stack([[kernel] * channels, [-kernel] * channels])  # the sign makes no difference
    found = measure(weights)
    assert found["class"].tolist() == [name, name]
    np.testing.assert_allclose(found.norm, np.sqrt(channels * (kernel**2).sum()))
    np.testing.assert_allclose(found.colour_share, 0, atol=1e-12)
    assert found[SHARES].max(axis=None) <= 1 + 1e-12


def test_shares_of_patterns_and_colour_by_hand() -> None:
    def shares(kernel: np.ndarray) -> np.ndarray:
        return measure(kernel).loc[0, SHARES].to_numpy(float)

    step = np.array([[[[1, 1, 1], [0, 0, 0], [-1, -1, -1]]]], float)
    np.testing.assert_allclose(shares(step)[[0, 1, 2, 4]], [0, 1, 0, 0], atol=1e-12)
    # y, of squared length 6, on (x + y), of squared length 12: their product is 6, so that 36 / (6 * 12) is left
    np.testing.assert_allclose(shares(step)[3], 0.5)
    spot = np.zeros((1, 1, 3, 3))
    spot[0, 0, 1, 1] = 1
    np.testing.assert_allclose(shares(spot)[[0, 4]], [1 / 9, 8 / 9])
    np.testing.assert_allclose(shares(np.rot90(step, axes=(2, 3))), shares(step)[[0, 2, 1, 3, 4]], atol=1e-12)
    kernel = np.array(KERNELS["diagonal"], float)
    weights = np.array([[kernel, -kernel, 0 * kernel], [kernel, kernel, kernel], [kernel, 0 * kernel, 0 * kernel]])
    found = measure(weights)
    np.testing.assert_allclose(found.colour_share, [1, 0, 2 / 3], atol=1e-12)
    assert set(found["class"]) == {"diagonal"}  # measured on each channel, so that they do not cancel
    silent = measure(np.zeros((1, 3, 3, 3)))
    assert silent.norm.tolist() == silent.colour_share.tolist() == [0]


@pytest.mark.parametrize("norm", ["batch", "weight", "none"])
def test_weights_are_those_that_are_applied(norm: Any) -> None:
    net = ResidualNet((5, 4), (1,), norm=norm, stem_stride=1)
    if norm == "weight":
        torch.nn.init.uniform_(net.stem[0][0].weight_g, 0.5, 2)  # not the length that the direction has
    impulse = torch.zeros(3, 3, 5, 5)
    impulse[range(3), range(3), 2, 2] = 1
    convolution = net.stem[0][0]
    with torch.no_grad():
        response = convolution(impulse) - convolution(0 * impulse)  # a convolution puts a kernel out upside down
    expected = response[:, :, 1:4, 1:4].flip(2, 3).transpose(0, 1)
    np.testing.assert_allclose(stem_weights(net), expected, atol=1e-6)


def test_tables_and_words(kind: Kind) -> None:
    network = network_of(kind)
    weights = stem_weights(network.net)
    result, rows = analyzed(kernels, network), rows_of("kernels")
    norms = [float(row["norm"]) for row in rows]
    assert norms == sorted(norms, reverse=True)
    assert sorted(int(row["channel"]) for row in rows) == [0, 1, 2, 3]
    kept = pd.read_csv(FOLDER / "kernel_weights.csv", index_col="channel").sort_index()
    np.testing.assert_allclose(kept, weights.reshape(4, -1), rtol=1e-5)
    assert [drawn.file for drawn in result.figures] == ["kernels.png", "kernel_classes.png"]
    assert any("the rest to colour" in words for words in result.words) == (kind == "photos")
    assert result.numbers["largest_weight"] == np.abs(weights).max()
    assert sum(result.numbers[name] for name in SHARES) == 1  # type: ignore[misc]


def test_zero_is_mid_grey_and_all_kernels_have_one_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    network, drawn = network_of("photos"), []
    usual = Axes.imshow
    monkeypatch.setattr(Axes, "imshow", lambda self, *a, **k: (drawn.append(a[0]), usual(self, *a, **k))[1])
    weight = network.net.stem[0][0].weight
    weight.zero_()
    weight[2, 0, 1, 1], weight[1, 2, 0, 2] = -0.4, 0.2  # row, column; red and blue
    analyzed(kernels, network)
    assert [image.shape for image in drawn] == [(3, 3, 3)] * 4
    assert drawn[0][1, 1].tolist() == [0, 0.5, 0.5]
    assert drawn[1][0, 2].tolist() == [0.5, 0.5, 0.75]
    assert (drawn[2] == 0.5).all()


def test_words_name_what_chance_would_not_give() -> None:
    network = network_of("photos")
    network.net.stem[0][0].weight.fill_(0.3)
    words = analyzed(kernels, network).words[-1]
    assert "(95 % interval by Wilson, n = 4), flat kernels are more frequent" in words
    for k, name in enumerate(("horizontal", "vertical", "diagonal", "centre-surround")):
        network.net.stem[0][0].weight[k] = torch.tensor(KERNELS[name], dtype=torch.float32)
    assert "No class differs" in analyzed(kernels, network).words[-1]
